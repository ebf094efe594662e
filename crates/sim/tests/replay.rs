//! The same seed gives the same run.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use common::{Acker, message, misfortune, secs};
use rebelay_core::Config;
use rebelay_sim::{Network, Sim};

fn digest(seed: u64) -> u64 {
    let network = Network::new(|_, rng| misfortune(rng));
    let mut sim = Sim::new(Config::default(), network, Acker::default(), seed).unwrap();
    for number in 1..=40 {
        sim.send(message(number, 100)).unwrap();
        sim.step();
    }
    sim.run_for(secs(120));
    assert!(sim.connection().ledger().epochs > 2);
    sim.digest()
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    for seed in 0..20 {
        assert_eq!(digest(seed), digest(seed), "seed {seed}");
        assert_ne!(digest(seed), digest(seed + 1), "seed {seed}");
    }
}
