//! A dead peer is noticed; a slow one is not taken for dead.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use std::time::Duration;

use common::{Acker, cut, link, message, ms, secs};
use rebelay_core::{Config, Event, Fault, Instant, Item, Reason, State};
use rebelay_sim::{Cut, Fate, How, Network, Sim, Sink, Stall, When};

/// When the first connection went down, and why.
fn down<S>(sim: &Sim<S>) -> Option<(Instant, Reason)> {
    sim.record().events.iter().find_map(|(at, event)| {
        let Event::Disconnected { reason, .. } = event else { return None };
        Some((*at, reason.clone()))
    })
}

#[test]
fn g10_a_peer_that_reads_nothing_is_given_up_after_the_write_stall_timeout() {
    let deaf = link(|link| {
        link.stall = Some(Stall { after: 0, lasts: Duration::MAX });
        link.send_buffer = 1_000;
        link.receive_buffer = 1_000;
    });
    let network = Network::fates([deaf], Fate::default());
    let mut sim = Sim::new(Config::default(), network, Acker::default(), 1).unwrap();
    for number in 1..=10 {
        sim.send(message(number, 300)).unwrap();
    }
    sim.run_for(secs(60));
    let (at, reason) = down(&sim).unwrap();
    assert_eq!(reason, Reason::Stalled);
    let waited = at.saturating_since(Instant::ZERO);
    assert!(waited > secs(35) && waited < secs(35) + ms(20), "{waited:?}");
    // Two buffers of 1,000 bytes took six messages of 306 and a part of the seventh.
    assert_eq!(sim.wires()[0].written, 2_000);
    assert_eq!(sim.server().messages(), [vec![], vec![7, 8, 9, 10]]);
}

#[test]
fn g10_a_half_open_connection_is_given_up_once_its_buffer_is_full() {
    let vanished = link(|link| {
        link.send_buffer = 5_000;
        link.cut = Some(Cut { when: When::Received(700), how: How::Silence });
    });
    let network = Network::fates([vanished], Fate::default());
    let mut sim = Sim::new(Config::default(), network, Acker::default(), 2).unwrap();
    for number in 1..=100 {
        sim.send(message(number, 94)).unwrap();
    }
    sim.run_for(secs(20));
    assert_eq!(sim.connection().state(), State::Connected, "nothing comes back, and none knows");
    let ledger = sim.connection().ledger();
    assert!(ledger.written >= 50 && ledger.pending > 0, "{ledger}");
    sim.run_for(secs(40));
    assert_eq!(down(&sim).unwrap().1, Reason::Stalled);
    assert_eq!(sim.server().messages()[0], Vec::from_iter(1..=7));
    assert_eq!(sim.server().messages()[1].last(), Some(&100));
    // What the kernel took whole and lost is counted as written, not as delivered.
    assert_eq!(sim.connection().ledger().written, 100);
    assert!(sim.server().messages().concat().len() < 100);
}

#[test]
fn g10_what_keepalive_finds_ends_the_connection() {
    let vanished = link(|link| {
        link.cut = Some(Cut { when: When::After(secs(1)), how: How::Silence });
        link.keepalive = Some(secs(30));
    });
    let network = Network::fates([vanished], Fate::default());
    let mut sim = Sim::new(Config::default(), network, Sink::default(), 3).unwrap();
    sim.run_for(secs(40));
    let timed_out = Fault::with_errno(Some(110), "connection timed out");
    let (at, reason) = down(&sim).unwrap();
    assert_eq!(reason, Reason::Io(timed_out));
    assert_eq!(at.as_nanos() / 1_000_000_000, 31);
    assert!(matches!(sim.record().items.last(), Some(Item::Up { epoch }) if epoch.number() == 2));
}

#[test]
fn g10_an_idle_connection_is_never_stalled() {
    let mut sim = Sim::new(Config::default(), Network::default(), Sink::default(), 4).unwrap();
    sim.send("hello").unwrap();
    sim.run_for(secs(7 * 24 * 3_600));
    assert_eq!(sim.connection().ledger().epochs, 1);
}

#[test]
fn g10_a_peer_that_reads_slowly_is_kept() {
    // 200 bytes a second: the buffers are full for minutes, and still something moves.
    let slow = link(|link| {
        link.bandwidth = Some(200);
        link.send_buffer = 3_000;
        link.receive_buffer = 3_000;
        link.stall = Some(Stall { after: 1_000, lasts: secs(25) });
    });
    let network = Network::fates([], slow);
    let mut sim = Sim::new(Config::default(), network, Acker::default(), 5).unwrap();
    for number in 1..=200 {
        sim.send(message(number, 294)).unwrap();
    }
    sim.run_for(secs(600));
    assert_eq!(down(&sim), None);
    assert_eq!(sim.server().messages(), [Vec::from_iter(1..=200)]);
}

#[test]
fn g10_a_write_that_fails_is_noticed_though_nobody_reads() {
    let mut config = Config::default();
    config.max_received_bytes = 4_096;
    let network = Network::fates([cut(When::After(ms(50)), How::Reset)], Fate::Blackhole);
    let mut sim = Sim::new(config, network, rebelay_sim::Echo, 6).unwrap();
    sim.set_reading(false);
    sim.send(vec![1; 30_000]).unwrap();
    sim.run_for(ms(60));
    assert_eq!(sim.connection().state(), State::Connected, "a full inbox hides the reset");
    sim.send("more").unwrap();
    sim.run_for(ms(1_001));
    assert_ne!(sim.connection().state(), State::Connected, "but a write finds it");
    assert_eq!(sim.connection().ledger().pending, 1);
}
