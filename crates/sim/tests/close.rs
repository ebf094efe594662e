//! Closing and draining end in time from every state, and account for everything.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use std::time::Duration;

use common::{Acker, cut, link, message, ms, secs};
use rebelay_core::{
    Certainty, Config, FailCause, Instant, Outcome, Refusal, Resend, State, Ticket,
};
use rebelay_sim::{End, Fate, Hello, How, Lookup, Network, Peer, Server, Sim, Sink, Stall, When};

/// How long after `start` the connection was closed.
fn closed_after<S: Server>(sim: &mut Sim<S>, start: Instant, limit: Duration) -> Duration {
    let closed = sim.run_until(limit, |sim| sim.connection().state() == State::Closed);
    assert!(closed, "still {:?}", sim.connection().state());
    sim.now().saturating_since(start)
}

fn deaf() -> Fate {
    link(|link| {
        link.stall = Some(Stall { after: 0, lasts: Duration::MAX });
        link.send_buffer = 500;
        link.receive_buffer = 500;
    })
}

#[test]
fn g11_close_ends_within_100_ms_at_any_moment() {
    type Plan = fn() -> Network;
    let plans: [(&str, Plan); 9] = [
        ("healthy", Network::default),
        ("refused", || Network::fates([], Fate::Refuse)),
        ("swallowed", || Network::fates([], Fate::Blackhole)),
        ("no lookup", || Network::default().lookups(|_, _| Lookup::Never)),
        ("deaf", || Network::fates([], deaf())),
        ("silent", || Network::fates([], cut(When::Received(9), How::Silence))),
        ("dropping", || Network::fates([], cut(When::Received(400), How::Fin))),
        ("resetting", || Network::fates([], cut(When::Received(400), How::Reset))),
        ("far", || Network::fates([], link(|link| link.latency = secs(2)))),
    ];
    for (name, plan) in plans {
        for millis in (0..40).chain((40..6_000).step_by(487)) {
            for handshake in [false, true] {
                let mut config = Config::default();
                config.handshake = handshake;
                let network = plan().hello(Hello { send: "hello".into(), reply: 0 });
                let mut sim = Sim::new(config, network, Sink::default(), millis).unwrap();
                for number in 1..=20 {
                    sim.send(message(number, 200)).unwrap();
                }
                sim.run_for(ms(millis));
                let before = sim.connection().state();
                let start = sim.now();
                sim.close();
                let after = closed_after(&mut sim, start, secs(60));
                assert!(after <= ms(100), "{name} at {millis} ms from {before:?}: {after:?}");
                let ledger = sim.connection().ledger();
                assert_eq!((ledger.pending, ledger.admitted), (0, 20), "{name}");
                assert_eq!(sim.send("late").unwrap_err().refusal, Refusal::Closed);
                assert_eq!(sim.connection().poll_timeout(), None, "nothing is left to do");
            }
        }
    }
}

#[test]
fn g11_close_says_goodbye_to_a_healthy_peer_and_finishes_the_message_it_began() {
    let narrow = link(|link| {
        link.send_buffer = 1_000;
        link.latency = ms(5);
    });
    let network = Network::fates([], narrow);
    let mut sim = Sim::new(Config::default(), network, Ends::default(), 7).unwrap();
    for number in 1..=10 {
        sim.send(message(number, 394)).unwrap();
    }
    sim.run_for(ms(11) + ms(1));
    let start = sim.now();
    sim.close();
    let after = closed_after(&mut sim, start, secs(1));
    assert!(after < ms(40), "two round trips, not the whole timeout: {after:?}");
    assert_eq!(sim.server().ends, [End::Fin]);
    // The kernel had two messages and half of the third; the other half followed.
    assert_eq!(sim.server().received, 1_200);
    let closed = Outcome::Failed { certainty: Certainty::NotSent, cause: FailCause::Closed };
    for number in 1..=10 {
        let outcome = sim.record().outcome(Ticket::from_number(number)).unwrap();
        assert_eq!(outcome == closed, number > 3, "{number}: {outcome:?}");
    }
}

#[test]
fn g11_drain_reconnects_until_everything_is_written_then_half_closes() {
    let mut fates = vec![Fate::Refuse; 3];
    fates.push(cut(When::Received(1_000), How::Reset));
    fates.push(Fate::Blackhole);
    let mut config = Config::default();
    config.resend = Resend::Unacked;
    let mut sim =
        Sim::new(config, Network::fates(fates, Fate::default()), Acker::default(), 8).unwrap();
    for number in 1..=20 {
        sim.send(message(number, 94)).unwrap();
    }
    sim.drain(secs(120));
    assert_eq!(sim.send("late").unwrap_err().refusal, Refusal::Closed);
    let mut acknowledgements = common::Acknowledgements::default();
    while sim.connection().state() != State::Closed && sim.step() {
        acknowledgements.pass_on(&mut sim);
    }
    assert!(sim.now() < Instant::ZERO + secs(60), "{:?}", sim.now());
    let ledger = sim.connection().ledger();
    assert_eq!((ledger.admitted, ledger.acked, ledger.epochs), (20, 20, 2), "{ledger}");
    assert!(sim.record().transitions.contains(&(State::Connected, State::Draining)));
    assert_eq!(sim.server().messages()[1].last(), Some(&20));
}

#[test]
fn g11_drain_gives_up_at_its_deadline_with_a_true_ledger() {
    let plans = [Fate::Refuse, Fate::Blackhole, deaf(), cut(When::Received(9), How::Fin)];
    for (seed, fate) in plans.into_iter().enumerate() {
        let network = Network::fates([], fate.clone());
        let mut config = Config::default();
        config.resend = Resend::Unacked;
        let mut sim = Sim::new(config, network, Acker::default(), seed as u64).unwrap();
        for number in 1..=20 {
            sim.send(message(number, 94)).unwrap();
        }
        sim.drain(secs(10));
        let after = closed_after(&mut sim, Instant::ZERO, secs(60));
        assert_eq!(after, secs(10), "{fate:?}");
        let ledger = sim.connection().ledger();
        assert_eq!((ledger.pending, ledger.not_sent + ledger.in_doubt), (0, 20), "{ledger}");
        common::assert_settled(&sim, 20, &sim.server().messages(), seed as u64);
    }
}

#[test]
fn g11_a_drain_of_nothing_ends_at_once_or_with_the_peers_fin() {
    let mut sim = Sim::new(Config::default(), Network::default(), Ends::default(), 9).unwrap();
    sim.run_for(secs(1));
    let start = sim.now();
    sim.drain(secs(10));
    assert_eq!(sim.connection().state(), State::Draining);
    assert_eq!(closed_after(&mut sim, start, secs(1)), ms(2));
    assert_eq!(sim.server().ends, [End::Fin]);

    let network = Network::fates([], Fate::Refuse);
    let mut sim = Sim::new(Config::default(), network, Sink::default(), 10).unwrap();
    sim.drain(secs(10));
    assert_eq!(sim.connection().state(), State::Closed);
}

#[test]
fn g07_g11_what_the_peer_says_after_our_fin_is_read() {
    let mut sim = Sim::new(Config::default(), Network::default(), Ends::default(), 11).unwrap();
    sim.server_mut().last_words = b"farewell".to_vec();
    sim.send("bye").unwrap();
    sim.drain(secs(10));
    closed_after(&mut sim, Instant::ZERO, secs(1));
    assert_eq!(sim.record().received(1), b"farewell");
}

/// Records how each connection ended, and says its last words after the client's.
#[derive(Debug, Default)]
struct Ends {
    received: usize,
    ends: Vec<End>,
    last_words: Vec<u8>,
}

impl Server for Ends {
    fn on_data(&mut self, _: &mut Peer, data: &[u8]) {
        self.received += data.len();
    }

    fn on_end(&mut self, peer: &mut Peer, end: End) {
        self.ends.push(end);
        peer.send(&self.last_words);
        peer.close();
    }
}
