//! The network itself: what a user's server and a user's protocol meet on it.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use common::{link, ms, secs};
use rebelay_core::{Config, Connection, Instant, Item, Reason};
use rebelay_sim::{Echo, End, Fate, Link, Network, Peer, Server, Sim, Sink};

/// A server that does as the first byte says.
#[derive(Debug, Default)]
struct Obedient {
    ends: Vec<(u64, End)>,
    heard: Vec<(Instant, Vec<u8>)>,
}

impl Server for Obedient {
    fn on_accept(&mut self, peer: &mut Peer) {
        peer.send(b"welcome");
    }

    fn on_data(&mut self, peer: &mut Peer, data: &[u8]) {
        self.heard.push((peer.now(), data.to_vec()));
        match data[0] {
            b'f' => {
                peer.send(b"last");
                peer.finish();
            }
            b'c' => peer.close(),
            b'r' => peer.reset(),
            b'w' => peer.wake_after(secs(3)),
            _ => {}
        }
    }

    fn on_end(&mut self, peer: &mut Peer, end: End) {
        self.ends.push((peer.number(), end));
        peer.close();
    }

    fn on_wake(&mut self, peer: &mut Peer) {
        peer.send(b"tick");
    }
}

fn obedient(order: &'static str) -> Sim<Obedient> {
    let mut sim = Sim::new(Config::default(), Network::default(), Obedient::default(), 1).unwrap();
    sim.run_for(ms(10));
    sim.send(order).unwrap();
    sim
}

fn first_down(sim: &Sim<Obedient>) -> Option<Reason> {
    sim.record().items.iter().find_map(|item| match item {
        Item::Down { reason, .. } => Some(reason.clone()),
        Item::Up { .. } | Item::Data(_) | Item::PeerFinished { .. } => None,
    })
}

#[test]
fn a_server_that_finishes_or_closes_ends_the_stream_behind_its_last_byte() {
    for (order, received) in [("finish", &b"welcomelast"[..]), ("close", b"welcome")] {
        let mut sim = obedient(order);
        sim.run_for(secs(1));
        assert_eq!(first_down(&sim), Some(Reason::PeerClosed));
        assert_eq!(sim.record().received(1), received);
    }
    let heard_of_it =
        obedient("finish").run_until(ms(50), |sim| sim.server().ends == [(1, End::Fin)]);
    assert!(heard_of_it, "the client closes too");
}

#[test]
fn a_server_that_resets_ends_the_stream_with_an_error() {
    let mut sim = obedient("reset");
    sim.run_for(secs(1));
    assert!(matches!(first_down(&sim), Some(Reason::Io(fault)) if fault.errno() == Some(104)));
    assert_eq!(sim.record().received(1), b"welcome");
}

#[test]
fn a_server_is_woken_when_it_asked_to_be() {
    let mut sim = obedient("wake");
    assert!(sim.run_until(secs(9), |sim| sim.record().received(1) == b"welcometick"));
    // 10 ms before the order, 1 ms each way.
    assert_eq!(sim.now(), Instant::ZERO + secs(3) + ms(12));
}

#[test]
fn a_client_that_leaves_unread_bytes_resets_the_server() {
    let mut config = Config::default();
    config.max_received_bytes = 4_096;
    let mut sim = Sim::new(config, Network::default(), Loud::default(), 2).unwrap();
    sim.set_reading(false);
    sim.run_for(secs(1));
    sim.with(Connection::reconnect_now);
    sim.run_for(secs(1));
    assert_eq!(sim.server().end, Some(End::Reset));
}

#[test]
fn bandwidth_and_latency_take_their_time() {
    let slow = link(|link| {
        link.latency = ms(500);
        link.bandwidth = Some(1_000);
    });
    let mut sim = Sim::new(Config::default(), Network::fates([], slow), Echo, 3).unwrap();
    sim.send(vec![7; 1_460]).unwrap();
    assert!(sim.run_until(secs(60), |sim| sim.record().received(1).len() == 1_460));
    // A lookup, a handshake of two latencies, then the same segment there and back.
    assert_eq!(sim.now(), Instant::ZERO + ms(1 + 1_000 + 2 * (1_460 + 500)));
}

#[test]
fn a_network_that_has_nothing_to_do_says_so() {
    let mut config = Config::default();
    config.first_connect = rebelay_core::FirstConnect::Lazy;
    let mut sim = Sim::new(config, Network::fates([], Fate::Refuse), Sink::default(), 4).unwrap();
    assert_eq!((sim.next_due(), sim.step()), (None, false));
    sim.run_for(secs(5));
    assert_eq!(sim.now(), Instant::ZERO + secs(5));
}

/// Sends more than any client buffers.
#[derive(Debug, Default)]
struct Loud {
    end: Option<End>,
}

impl Server for Loud {
    fn on_accept(&mut self, peer: &mut Peer) {
        peer.send(&vec![1; 1 << 20]);
    }

    fn on_data(&mut self, _: &mut Peer, _: &[u8]) {}

    fn on_end(&mut self, _: &mut Peer, end: End) {
        self.end = Some(end);
    }
}

#[test]
fn a_thousand_bytes_may_leave_one_by_one_at_one_instant() {
    let mut link = Link::default();
    link.latency = ms(0);
    link.bandwidth = None;
    link.send_buffer = 1;
    let network = Network::fates([], Fate::Accept(link));
    let mut sim = Sim::new(Config::default(), network, Sink::default(), 1).unwrap();
    sim.send(vec![7; 3_000]).unwrap();
    let arrived = |sim: &Sim<Sink>| sim.server().received(1).len() == 3_000;
    assert!(sim.run_until(secs(1), arrived));
}
