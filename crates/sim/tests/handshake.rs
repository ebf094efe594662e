//! A handshake comes first on every epoch.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use common::{cut, ms, secs};
use rebelay_core::{Config, Event, Item, Reason, Resend, State};
use rebelay_sim::{Fate, Hello, How, Network, Peer, Server, Sim, When};

/// Answers `LOGIN` with `OK` and a greeting in the same breath, and records everything.
#[derive(Debug, Default)]
struct Login {
    connections: Vec<Vec<u8>>,
    deaf: bool,
}

impl Server for Login {
    fn on_accept(&mut self, _: &mut Peer) {
        self.connections.push(Vec::new());
    }

    fn on_data(&mut self, peer: &mut Peer, data: &[u8]) {
        let bytes = &mut self.connections[peer.number() as usize - 1];
        let before = bytes.len();
        bytes.extend_from_slice(data);
        if before < 5 && bytes.len() >= 5 && !self.deaf {
            peer.send(b"OKwelcome");
        }
    }
}

fn sim(fates: Vec<Fate>, login: Login) -> Sim<Login> {
    let mut config = Config::default();
    config.handshake = true;
    config.resend = Resend::Unacked;
    let network =
        Network::fates(fates, Fate::default()).hello(Hello { send: "LOGIN".into(), reply: 2 });
    Sim::new(config, network, login, 9).unwrap()
}

#[test]
fn g09_the_handshake_precedes_the_messages_on_every_epoch() {
    let torn = || cut(When::Received(8), How::Reset);
    let mut sim = sim(vec![torn(), torn()], Login::default());
    sim.send("message").unwrap();
    assert!(sim.run_until(secs(30), |sim| sim.connection().ledger().epochs == 3));
    sim.run_for(secs(1));
    let whole = b"LOGINmessage";
    assert_eq!(
        sim.server().connections,
        [whole[..8].to_vec(), whole[..8].to_vec(), whole.to_vec()]
    );
}

#[test]
fn g09_bytes_left_over_from_the_handshake_reach_the_reader() {
    let mut sim = sim(vec![cut(When::After(ms(50)), How::Fin)], Login::default());
    sim.run_for(secs(5));
    for epoch in [1, 2] {
        assert_eq!(sim.record().received(epoch), b"welcome");
    }
    let down = sim.record().items.iter().position(|item| matches!(item, Item::Down { .. }));
    let ups = sim.record().items.iter().enumerate();
    let ups: Vec<usize> =
        ups.filter(|(_, item)| matches!(item, Item::Up { .. })).map(|(index, _)| index).collect();
    assert_eq!((ups, down), (vec![0, 3], Some(2)), "{:?}", sim.record().items);
}

#[test]
fn g09_a_handshake_that_is_cut_or_ignored_sends_no_message_and_is_tried_again() {
    let mut sim =
        sim(vec![cut(When::Received(3), How::Fin)], Login { deaf: true, ..Login::default() });
    sim.send("message").unwrap();
    assert!(sim.run_until(secs(8), |sim| {
        sim.connection().last_error() == Some(&Reason::HandshakeTimeout)
    }));
    assert_eq!(sim.connection().state(), State::Backoff);
    assert_eq!(sim.server().connections, [b"LOG".to_vec(), b"LOGIN".to_vec()]);
    assert!(sim.record().items.is_empty(), "the reader never heard of these epochs");
    let failures = sim.record().events.iter().map(|(_, event)| event);
    let failures = failures
        .filter(|event| matches!(event, Event::AttemptFailed { reason: Reason::Handshake(_), .. }));
    assert_eq!(failures.count(), 1);

    sim.server_mut().deaf = false;
    sim.run_for(secs(10));
    assert!(sim.server().connections.concat().ends_with(b"LOGINmessage"));
}
