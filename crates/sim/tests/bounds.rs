//! Memory stays bounded, and a full inbox stops one socket only.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use common::{Acker, link, message, ms, secs};
use rebelay_core::{
    Certainty, Config, Event, FailCause, Item, Outcome, Overflow, Refusal, State, Ticket,
};
use rebelay_sim::{Fate, Network, Peer, Server, Sim, Sink};

/// Sends a megabyte to every client at once.
#[derive(Debug, Default)]
struct Flood;

const FLOOD: usize = 1 << 20;

impl Server for Flood {
    fn on_accept(&mut self, peer: &mut Peer) {
        peer.send(&vec![peer.number() as u8; FLOOD]);
    }

    fn on_data(&mut self, peer: &mut Peer, data: &[u8]) {
        peer.send(data);
    }
}

#[test]
fn g05_the_outbox_is_bounded_through_an_outage() {
    for overflow in [Overflow::Wait, Overflow::Reject] {
        let mut sim = outage(overflow);
        let mut admitted = 0;
        for number in 1..=1_000 {
            match sim.send(message(number, 100)) {
                Ok(_) => admitted += 1,
                Err(error) => {
                    assert_eq!(error.refusal, Refusal::Full);
                    assert_eq!(error.message, message(number, 100), "handed back whole");
                }
            }
            sim.run_for(ms(10));
            assert_bounded(&sim);
        }
        assert_eq!(admitted, 18, "as many as 2,000 bytes hold");
    }
}

#[test]
fn g05_a_drop_is_an_outcome_and_the_newest_arrive() {
    let mut sim = outage(Overflow::DropOldest);
    for number in 1..=100 {
        assert_eq!(sim.send(message(number, 100)).unwrap().number(), number);
        assert_bounded(&sim);
    }
    assert!(sim.run_until(secs(120), |sim| sim.connection().ledger().written == 18));
    assert!(sim.run_until(secs(1), |sim| sim.server().messages() == [Vec::from_iter(83..=100)]));
    let dropped = Outcome::Failed { certainty: Certainty::NotSent, cause: FailCause::Overflow };
    for number in 1..=82 {
        assert_eq!(sim.record().outcome(Ticket::from_number(number)), Some(dropped));
    }
}

#[test]
fn g05_when_the_newest_are_dropped_the_oldest_arrive() {
    let mut sim = outage(Overflow::DropNewest);
    for number in 1..=100 {
        sim.send(message(number, 100)).unwrap();
        assert_bounded(&sim);
    }
    assert!(sim.run_until(secs(120), |sim| sim.connection().ledger().pending == 0));
    assert!(sim.run_until(secs(1), |sim| sim.server().messages() == [Vec::from_iter(1..=18)]));
    assert_eq!(sim.connection().ledger().dropped, 82);
}

#[test]
fn g05_a_head_that_is_partly_written_is_never_dropped() {
    let slow = link(|link| {
        link.send_buffer = 50;
        link.bandwidth = Some(1_000);
    });
    let mut sim =
        Sim::new(small(Overflow::DropOldest), Network::fates([], slow), Acker::default(), 3)
            .unwrap();
    for number in 1..=400 {
        sim.send(message(number, 100)).unwrap();
        sim.run_for(ms(30));
        assert_bounded(&sim);
    }
    sim.run_for(secs(10));
    let received = sim.server().messages().concat();
    let ledger = sim.connection().ledger();
    assert!(ledger.dropped > 50 && ledger.epochs == 1, "{ledger}");
    assert_eq!(received.len() as u64, ledger.written, "whole messages only");
}

#[test]
fn g05_g06_a_full_inbox_stops_reading_and_nothing_else() {
    let mut config = Config::default();
    config.max_received_bytes = 20_000;
    let mut sim = Sim::new(config, Network::default(), Flood, 5).unwrap();
    sim.set_reading(false);
    for number in 1..=50 {
        sim.send(message(number, 1_000)).unwrap();
    }
    sim.run_for(secs(600));
    let ledger = sim.connection().ledger();
    assert_eq!(sim.connection().state(), State::Connected);
    assert_eq!((ledger.written, ledger.epochs), (50, 1), "writing goes on");
    assert_eq!(sim.wires()[0].read, 50 * 1_006, "up to the server program");
    assert!(ledger.bytes_received <= 20_000, "{}", ledger.bytes_received);
    assert!(ledger.bytes_received > 10_000, "{}", ledger.bytes_received);

    sim.set_reading(true);
    let total = FLOOD + 50 * 1_006;
    assert!(
        sim.run_until(secs(10), |sim| sim.connection().ledger().bytes_received == total as u64)
    );
    assert_eq!(sim.record().received(1).len(), total, "nothing is lost");
}

#[test]
fn g05_every_limit_of_the_inbox_reads_on_once_it_is_emptied() {
    for limit in (4_096..140_000).step_by(1_973) {
        let mut config = Config::default();
        config.max_received_bytes = limit;
        let choppy = link(|link| link.bandwidth = Some(40_000_000));
        let mut sim = Sim::new(config, Network::fates([], choppy), Flood, limit as u64).unwrap();
        let mut received = 0;
        for round in 0..2_000 {
            sim.set_reading(round % 3 == 0);
            sim.run_for(ms(1));
            let record = sim.take_record();
            for item in record.items {
                if let Item::Data(data) = item {
                    received += data.len();
                }
            }
            let held = sim.connection().ledger().bytes_received as usize - received;
            assert!(held <= limit, "{held} of {limit}");
            if received == FLOOD {
                break;
            }
        }
        assert_eq!(received, FLOOD, "limit {limit}");
    }
}

#[test]
fn g06_unread_events_stall_nothing_and_their_loss_is_counted() {
    let mut config = Config::default();
    config.max_events = 4;
    let network = Network::fates(vec![Fate::Refuse; 50], Fate::default());
    let mut sim = Sim::new(config, network, Sink::default(), 6).unwrap();
    sim.set_watching(false);
    sim.send("hello").unwrap();
    assert!(sim.run_until(secs(3_600), |sim| sim.server().received(1) == b"hello"));
    sim.set_watching(true);
    let events: Vec<Event> = sim.record().events.iter().map(|(_, event)| event.clone()).collect();
    // Each of 50 refused rounds makes 4 events and the last round 3; the first was read.
    assert_eq!(events.len(), 6);
    assert_eq!(events[1], Event::Lost { count: 50 * 4 + 3 - 1 - 4 });
    assert!(matches!(events[5], Event::Connected { .. }), "{events:?}");
}

fn small(overflow: Overflow) -> Config {
    let mut config = Config::default();
    config.overflow = overflow;
    config.max_queued_messages = 64;
    config.max_queued_bytes = 2_000;
    config
}

/// A client whose first ten dials are refused.
fn outage(overflow: Overflow) -> Sim<Acker> {
    let rest = if overflow == Overflow::Wait || overflow == Overflow::Reject {
        Fate::Blackhole
    } else {
        Fate::default()
    };
    let network = Network::fates(vec![Fate::Refuse; 10], rest);
    Sim::new(small(overflow), network, Acker::default(), 4).unwrap()
}

fn assert_bounded(sim: &Sim<Acker>) {
    let (messages, bytes) = sim.connection().queued();
    assert!(messages <= 64 && bytes <= 2_000, "{messages} messages, {bytes} bytes");
}
