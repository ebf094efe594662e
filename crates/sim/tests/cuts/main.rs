//! What reaches the server over connections that are cut anywhere, under each resend policy; and
//! whether what is then said of each message is true.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod clerk;
#[path = "../common/mod.rs"]
mod common;
mod schedule;
mod verdict;

use common::{Acker, Acknowledgements, message};
use rebelay_core::{Config, Resend};
use rebelay_sim::{Network, Sim};

use schedule::{Run, User};
use verdict::Probes;

/// Schedules of each test; there are six of them.
const RUNS: u64 = 1_670;

fn judge(user: User) -> Probes {
    let mut probes = Probes::default();
    for seed in 0..RUNS {
        Run::play(user, seed).judge(&mut probes);
    }
    println!("{user:?}: {probes:?}");
    probes
}

#[test]
fn g01_g02_g04_never_sends_at_most_once() {
    let probes = judge(User::Plain(Resend::Never));
    assert_eq!((probes.torn_again, probes.proven_again, probes.whole_again), (0, 0, 0));
    assert!(probes.not_sent > RUNS / 8 && probes.lost > RUNS / 8, "{probes:?}");
}

#[test]
fn g01_g02_g04_incomplete_sends_again_what_was_not_taken_whole() {
    let probes = judge(User::Plain(Resend::Incomplete));
    assert_eq!((probes.proven_again, probes.whole_again, probes.read_twice), (0, 0, 0));
    assert!(probes.torn_again > RUNS / 8 && probes.lost > RUNS / 8, "{probes:?}");
}

#[test]
fn g01_g02_g04_untransmitted_sends_again_what_never_left_and_nothing_that_was_read() {
    let probes = judge(User::Plain(Resend::Untransmitted));
    assert_eq!((probes.whole_again, probes.read_twice), (0, 0));
    assert!(probes.torn_again > RUNS / 8 && probes.proven_again > RUNS / 8, "{probes:?}");
    assert!(probes.proven_unsent > RUNS / 8 && probes.lost > RUNS / 80, "{probes:?}");
}

#[test]
fn g01_g02_g04_unacked_loses_nothing() {
    let probes = judge(User::Plain(Resend::Unacked));
    assert_eq!(probes.lost, 0);
    assert!(probes.torn_again > RUNS / 8 && probes.proven_again > RUNS / 8, "{probes:?}");
    assert!(probes.whole_again > RUNS / 8 && probes.read_twice > RUNS / 8, "{probes:?}");
    assert!(probes.in_doubt > RUNS / 8, "of a server that does not answer: {probes:?}");
}

#[test]
fn g01_g02_g04_each_message_has_its_own_policy() {
    let probes = judge(User::Mixed);
    assert!(probes.torn_again > RUNS / 8 && probes.proven_again > RUNS / 8, "{probes:?}");
    assert!(probes.whole_again > RUNS / 8 && probes.read_twice > RUNS / 8, "{probes:?}");
}

#[test]
fn g01_g02_g04_a_user_who_meddles_is_told_the_truth() {
    let probes = judge(User::Rough);
    assert!(probes.not_sent > RUNS / 8 && probes.in_doubt > RUNS / 8, "{probes:?}");
    assert!(probes.not_transmitted > RUNS / 80, "{probes:?}");
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
