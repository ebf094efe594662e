//! A server that is killed again and again, and a user with limits.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::{Acker, Acknowledgements, cut, message, ms, secs};
use rebelay_core::{
    Certainty, Config, Connection, Event, FailCause, Instant, Outcome, Refusal, Resend,
    SendOptions, SplitMix64, State, Ticket,
};
use rebelay_sim::{Cut, Fate, How, Link, Network, Peer, Server, Sim, When};

const SEEDS: u64 = 60;

/// A server whose every connection is killed a little later, at `kills` of them.
fn killed(kills: u64) -> Network {
    Network::new(move |dialled, rng| {
        let mut link = Link::default();
        link.send_buffer = 500;
        link.receive_buffer = 500;
        link.bandwidth = Some(100_000);
        if dialled.attempt <= kills {
            let how = [How::Reset, How::Fin][rng.up_to(1) as usize];
            link.cut = Some(Cut { when: When::After(ms(rng.up_to(60))), how });
        }
        Fate::Accept(link)
    })
}

fn ticket(number: u64) -> Ticket {
    Ticket::from_number(number)
}

/// Records when each connection's messages came.
#[derive(Debug, Default)]
struct Stamps {
    acker: Acker,
    came: BTreeMap<u64, Vec<Instant>>,
}

impl Server for Stamps {
    fn on_accept(&mut self, peer: &mut Peer) {
        self.acker.on_accept(peer);
    }

    fn on_data(&mut self, peer: &mut Peer, data: &[u8]) {
        self.acker.on_data(peer, data);
        let whole = common::parse(&self.acker.connections[&peer.number()]).0.len();
        self.came.entry(peer.number()).or_default().resize(whole, peer.now());
    }
}

#[test]
fn g12_what_goes_out_again_is_paced_and_newer_messages_wait_behind_it() {
    for rate in [10, 100, 2_000, u32::MAX] {
        let mut config = Config::default();
        config.resend = Resend::Unacked;
        config.max_resent_per_second = rate;
        let network = Network::fates([cut(When::After(ms(50)), How::Reset)], Fate::default());
        let mut sim = Sim::new(config, network, Stamps::default(), 1).unwrap();
        for number in 1..=40 {
            sim.send(message(number, 30)).unwrap();
        }
        assert!(sim.run_until(secs(5), |sim| sim.connection().ledger().epochs == 2));
        sim.send(message(41, 30)).unwrap();
        sim.run_for(secs(10));
        let came = &sim.server().came[&2];
        assert_eq!(sim.server().acker.messages()[1], Vec::from_iter(1..=41), "{rate} a second");
        assert_eq!(sim.connection().ledger().resent, 40);
        let up = came[0];
        let took = came[40].saturating_since(up).as_millis();
        let expected = 39 * 1_000 / u128::from(rate);
        assert!(took.abs_diff(expected) <= 101, "{took} ms at {rate} a second");
        for (index, at) in came.iter().enumerate().take(40) {
            let at_most = 2 + at.saturating_since(up).as_nanos() * u128::from(rate) / 1_000_000_000;
            let is_paced = rate < u32::MAX;
            assert!(!is_paced || index as u128 <= at_most, "{index} at {rate} a second");
        }
    }
}

#[test]
fn g04_g12_a_message_is_tried_as_often_as_it_may_be_and_no_oftener() {
    let mut given_up = 0;
    for (seed, max_attempts) in (0..SEEDS).flat_map(|seed| [(seed, 1), (seed, 3)]) {
        let mut config = Config::default();
        config.resend = Resend::Unacked;
        config.max_attempts = max_attempts;
        let mut sim = Sim::new(config, killed(8), Acker::default(), seed).unwrap();
        for number in 1..=10 {
            sim.send(message(number, 100)).unwrap();
        }
        let mut acknowledgements = Acknowledgements::default();
        while sim.connection().ledger().pending > 0 && sim.step() {
            acknowledgements.pass_on(&mut sim);
        }
        for number in sim.server().messages().concat() {
            sim.audit_mut().received(ticket(number));
        }
        for number in 1..=10 {
            let epochs = sim.wires().iter().map(|wire| sim.record().written(wire.epoch));
            let attempts = epochs.filter(|bytes| common::parse(bytes).0.contains(&number)).count();
            assert!(attempts <= max_attempts as usize, "{number} (seed {seed})");
            let outcome = sim.audit_mut().outcome(ticket(number)).unwrap();
            if outcome != Outcome::Acked {
                let is_attempts =
                    matches!(outcome, Outcome::Failed { cause: FailCause::Attempts, .. });
                assert!(is_attempts, "{outcome:?} (seed {seed})");
                given_up += 1;
            }
        }
    }
    assert!(given_up > SEEDS, "{given_up}");
}

#[test]
fn g04_a_deadline_ends_what_waits_and_only_reports_of_what_is_out() {
    let (mut expired, mut passed) = (0, 0);
    for seed in 0..SEEDS {
        let mut config = Config::default();
        config.resend = Resend::Unacked;
        let mut rng = SplitMix64::new(seed);
        let mut sim = Sim::new(config, killed(5), Acker::default(), seed).unwrap();
        let mut deadlines = BTreeMap::new();
        for number in 1..=20 {
            let limit = ms(rng.up_to(800));
            let options = SendOptions::expires_after(limit);
            let message = Bytes::from(message(number, 60));
            sim.with(|connection, now| connection.send(message, options, now)).unwrap();
            deadlines.insert(number, sim.now() + limit);
        }
        while sim.connection().ledger().pending > 0 && sim.now() < Instant::ZERO + secs(30) {
            if !sim.step() {
                break;
            }
            let connection = sim.connection();
            for (number, deadline) in &deadlines {
                let is_late = connection.is_pending(ticket(*number)) && *deadline < sim.now();
                let may_be_out = connection.state() == State::Connected;
                assert!(!is_late || may_be_out, "{number} waits on (seed {seed})");
            }
        }
        for number in sim.server().messages().concat() {
            sim.audit_mut().received(ticket(number));
        }
        let expiry = |run: &&rebelay_core::Settled| {
            matches!(run.outcome, Outcome::Failed { cause: FailCause::Expired, .. })
        };
        expired += sim.record().settled.iter().filter(expiry).count();
        let events = sim.record().events.iter();
        passed += events.filter(|(_, event)| matches!(event, Event::DeadlinePassed { .. })).count();
    }
    assert!(expired > 20 && passed > 20, "{expired} expired, {passed} passed");
}

#[test]
fn g04_what_is_cancelled_before_its_first_byte_never_goes_out() {
    let (mut cancelled, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let mut rng = SplitMix64::new(seed);
        let mut sim = Sim::new(Config::default(), killed(4), Acker::default(), seed).unwrap();
        let mut gone = Vec::new();
        for number in 1..=60 {
            sim.send(message(number, 60)).unwrap();
            if rng.up_to(2) == 0 {
                let chosen = 1 + rng.up_to(number - 1);
                let before = sim.connection().is_pending(ticket(chosen));
                if sim.with(|connection, now| connection.cancel(ticket(chosen), now)) {
                    assert!(before, "it had an outcome (seed {seed})");
                    gone.push(chosen);
                } else {
                    refused += 1;
                }
            }
            sim.step();
        }
        sim.run_for(secs(60));
        let received = sim.server().messages().concat();
        for number in gone {
            assert!(!received.contains(&number), "{number} went out (seed {seed})");
            let failed =
                Outcome::Failed { certainty: Certainty::NotSent, cause: FailCause::Cancelled };
            assert_eq!(sim.audit_mut().outcome(ticket(number)), Some(failed));
            cancelled += 1;
        }
    }
    assert!(cancelled > 100 && refused > 100, "{cancelled} cancelled, {refused} refused");
}

#[test]
fn g04_a_message_pinned_to_an_epoch_goes_out_on_that_or_not_at_all() {
    let (mut failed, mut over) = (0, 0);
    for seed in 0..SEEDS {
        let mut config = Config::default();
        config.resend = Resend::Unacked;
        let mut sim = Sim::new(config, killed(6), Acker::default(), seed).unwrap();
        let (mut pinned, mut sent) = (BTreeMap::new(), 0);
        while sent < 60 {
            if let Some(epoch) = sim.connection().epoch() {
                let message = Bytes::from(message(sent + 1, 60));
                let options = SendOptions::pinned_to(epoch);
                match sim.with(|connection, now| connection.send(message, options, now)) {
                    Ok(ticket) => {
                        sent += 1;
                        assert_eq!(pinned.insert(ticket.number(), epoch.number()), None);
                    }
                    Err(error) => {
                        assert_eq!(error.refusal, Refusal::EpochOver);
                        over += 1;
                    }
                }
            }
            sim.step();
        }
        sim.run_for(secs(5));
        sim.with(Connection::reconnect_now);
        sim.run_for(secs(5));
        for (epoch, numbers) in (1..).zip(sim.server().messages()) {
            for number in numbers {
                assert_eq!(pinned[&number], epoch, "{number} (seed {seed})");
                sim.audit_mut().received(ticket(number));
            }
        }
        let ledger = sim.connection().ledger();
        assert_eq!((ledger.pending, ledger.resent), (0, 0), "seed {seed}");
        failed += ledger.not_sent + ledger.not_transmitted + ledger.in_doubt;
    }
    assert!(failed > 100 && over > 10, "{failed} failed, {over} refused");
}

#[test]
fn g11_a_drain_over_a_server_that_is_killed_accounts_for_everything() {
    for seed in 0..SEEDS {
        let mut config = Config::default();
        config.resend = Resend::Untransmitted;
        let mut sim = Sim::new(config, killed(7), Acker::default(), seed).unwrap();
        for number in 1..=30 {
            sim.send(message(number, 100)).unwrap();
        }
        sim.drain(secs(60));
        assert!(sim.run_until(secs(61), |sim| sim.connection().state() == State::Closed));
        let received = sim.server().messages();
        common::assert_settled(&sim, 30, &received, seed);
        let ledger = sim.connection().ledger();
        assert_eq!(ledger.written, 30, "{ledger} (seed {seed})");
    }
}
