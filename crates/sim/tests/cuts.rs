//! What reaches the server over connections that are cut anywhere, under each resend policy.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use common::{Acker, Acknowledgements, assert_settled, message, misfortune, ms, secs};
use rebelay_core::{Config, Resend, SplitMix64, State};
use rebelay_sim::{Fate, Network, Sim};

const RUNS: u64 = 700;
const MESSAGES: u64 = 24;

#[test]
fn g01_g02_never_sends_whole_messages_in_order_and_none_twice() {
    for seed in 0..RUNS {
        let sim = run(Resend::Never, seed);
        let received = in_order(&sim, seed);
        assert_none_twice(&received, seed);
        assert_settled(&sim, MESSAGES, &received, seed);
        assert_eq!(sim.connection().ledger().resent, 0, "seed {seed}");
    }
}

#[test]
fn g01_g02_incomplete_sends_whole_messages_in_order_and_none_twice() {
    let mut resent = 0;
    for seed in 0..RUNS {
        let sim = run(Resend::Incomplete, seed);
        let received = in_order(&sim, seed);
        assert_none_twice(&received, seed);
        assert_settled(&sim, MESSAGES, &received, seed);
        resent += sim.connection().ledger().resent;
    }
    assert!(resent > RUNS / 4, "cuts must fall into messages: {resent}");
}

#[test]
fn g01_g02_unacked_delivers_every_message_in_order_on_each_connection() {
    let mut repeated = 0;
    for seed in 0..RUNS {
        let sim = run(Resend::Unacked, seed);
        let received = in_order(&sim, seed);
        assert_settled(&sim, MESSAGES, &received, seed);
        assert_eq!(sim.connection().ledger().acked, MESSAGES, "seed {seed}");
        for number in 1..=MESSAGES {
            let times = received.iter().flatten().filter(|other| **other == number).count();
            assert!(times >= 1, "{number} is lost (seed {seed})");
            repeated += times - 1;
        }
        for numbers in &received {
            let gapless = numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
            assert!(gapless, "{numbers:?} (seed {seed})");
        }
    }
    assert!(repeated > 0, "some acknowledgements must be lost");
}

#[test]
fn g01_every_position_of_a_cut_tears_one_message_at_most() {
    use common::{cut, link};
    use rebelay_sim::{How, When};

    let total: usize = (1..=6).map(|number| message(number, 9).len()).sum();
    for how in [How::Fin, How::Reset] {
        for position in 0..=total as u64 {
            let fates = [cut(When::Received(position), how)];
            let rest = link(|link| link.short_writes = true);
            let mut config = Config::default();
            config.resend = Resend::Unacked;
            let network = Network::fates(fates, rest);
            let mut sim = Sim::new(config, network, Acker::default(), position).unwrap();
            for number in 1..=6 {
                sim.send(message(number, 9)).unwrap();
            }
            let mut acknowledgements = Acknowledgements::default();
            while sim.connection().ledger().acked < 6 && sim.now().as_nanos() < 60_000_000_000 {
                assert!(sim.step());
                acknowledgements.pass_on(&mut sim);
            }
            let first = sim.server().connections[&1].len() as u64;
            assert_eq!(first, position, "the cut is where the plan has it");
            let received = in_order(&sim, position);
            let all = received.iter().flatten().max();
            assert_eq!(all, Some(&6), "{received:?} cut at {position} by {how:?}");
        }
    }
}

/// Sends all messages over some misfortunes and a healthy connection, then closes.
fn run(resend: Resend, seed: u64) -> Sim<Acker> {
    let mut rng = SplitMix64::new(seed);
    let mut misfortunes = rng.up_to(6);
    let network = Network::new(move |_, rng| {
        misfortunes = misfortunes.saturating_sub(1);
        if misfortunes == 0 { Fate::default() } else { misfortune(rng) }
    });
    let mut config = Config::default();
    config.resend = resend;
    config.connect_timeout = ms(200);
    config.write_stall_timeout = ms(500);
    let mut sim = Sim::new(config, network, Acker::default(), seed).unwrap();
    let mut acknowledgements = Acknowledgements::default();
    let mut sent = 0;
    while sim.now().as_nanos() < 120_000_000_000 {
        if sent < MESSAGES && rng.up_to(3) == 0 {
            sent += 1;
            sim.send(message(sent, rng.up_to(120) as usize)).unwrap();
        }
        let moved = sim.step();
        if resend == Resend::Unacked {
            acknowledgements.pass_on(&mut sim);
        }
        if sent == MESSAGES && (sim.connection().ledger().pending == 0 || !moved) {
            break;
        }
    }
    sim.run_for(secs(1));
    sim.close();
    sim.run_for(secs(1));
    assert_eq!(sim.connection().state(), State::Closed, "seed {seed}");
    sim
}

/// The numbers of the whole messages of each connection, which must be in order; what the
/// network counted must be what the server program saw.
fn in_order(sim: &Sim<Acker>, seed: u64) -> Vec<Vec<u64>> {
    for wire in sim.wires() {
        let seen = sim.server().connections[&wire.epoch].len() as u64;
        assert_eq!(wire.read, seen, "seed {seed}");
        assert!(wire.read <= wire.received && wire.received <= wire.written, "{wire:?}");
        assert!(wire.acknowledged <= wire.received, "{wire:?}");
    }
    let received = sim.server().messages();
    for numbers in &received {
        let ordered = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(ordered, "{numbers:?} (seed {seed})");
    }
    received
}

fn assert_none_twice(received: &[Vec<u64>], seed: u64) {
    let mut all: Vec<u64> = received.iter().flatten().copied().collect();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{received:?} (seed {seed})");
}
