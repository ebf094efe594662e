//! Nothing reconnects in a hot loop, however long it lasts.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use common::{Acker, cut, message, ms, secs};
use rebelay_core::{Config, Event, Instant, Jitter, State};
use rebelay_sim::{Fate, How, Lookup, Network, Sim, Sink, When};

/// When each dial began.
fn dials<S>(sim: &Sim<S>) -> Vec<Instant> {
    let dials = sim.record().events.iter();
    dials
        .filter(|(_, event)| matches!(event, Event::Connecting { .. }))
        .map(|(at, _)| *at)
        .collect()
}

#[test]
fn g08_a_server_that_accepts_and_drops_is_backed_off_from() {
    for seed in 0..50 {
        let network = Network::fates([], cut(When::Received(0), How::Fin));
        let mut sim = Sim::new(Config::default(), network, Sink::default(), seed).unwrap();
        sim.send("hello").unwrap();
        sim.run_for(secs(60));
        let accepted = sim.server().accepted();
        assert!((3..=40).contains(&accepted), "{accepted} connections (seed {seed})");
    }
}

#[test]
fn g08_without_jitter_the_waits_double_to_the_cap() {
    let mut config = Config::default();
    config.backoff.jitter = Jitter::None;
    let network = Network::fates([], Fate::Refuse);
    let mut sim = Sim::new(config, network, Sink::default(), 1).unwrap();
    sim.run_for(secs(300));
    let dials = dials(&sim);
    let waits = dials.windows(2).map(|pair| pair[1].saturating_since(pair[0]).as_millis());
    // A lookup and a refusal take a millisecond each.
    let waits: Vec<u128> = waits.map(|wait| wait - 2).collect();
    let doubling = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000];
    assert_eq!(waits[..11], doubling);
    assert!(waits[11..].iter().all(|wait| *wait == 30_000));
}

#[test]
fn g08_an_outage_of_thirty_hours_is_dialled_calmly_and_then_over() {
    let end = Instant::ZERO + secs(30 * 3_600);
    let network = Network::new(move |d, _| if d.at < end { Fate::Refuse } else { Fate::default() });
    let mut sim = Sim::new(Config::default(), network, Acker::default(), 2).unwrap();
    sim.send(message(1, 50)).unwrap();
    for hour in 1..=30 {
        let before = dials(&sim).len();
        sim.run_until(secs(3_600), |sim| sim.record().events.len() > 4 * (before + 500));
        let dialled = dials(&sim).len() - before;
        assert!((120..500).contains(&dialled), "{dialled} dials in hour {hour}");
    }
    assert!(sim.run_until(secs(31), |sim| sim.server().messages() == [vec![1]]));
}

#[test]
fn g08_only_health_starts_the_waits_again() {
    for (lasts, reset) in [(secs(9), false), (secs(11), true)] {
        let mut config = Config::default();
        config.backoff.jitter = Jitter::None;
        let mut fates = vec![Fate::Refuse; 6];
        fates.push(cut(When::After(lasts), How::Reset));
        let network = Network::fates(fates, Fate::Refuse);
        let mut sim = Sim::new(config, network, Sink::default(), 3).unwrap();
        sim.run_for(secs(60));
        let dials = dials(&sim);
        let wait = dials[7].saturating_since(dials[6]) - lasts;
        let expected = if reset { 100 } else { 6_400 };
        assert!(wait >= ms(expected) && wait < ms(expected + 10), "{wait:?} after {lasts:?}");
    }
}

#[test]
fn g08_a_lookup_that_fails_or_finds_nothing_is_backed_off_from() {
    for lookup in [Lookup::Fails, Lookup::Found(vec![]), Lookup::Never] {
        let answer = lookup.clone();
        let network = Network::default()
            .lookups(move |round, _| if round <= 20 { answer.clone() } else { Lookup::default() });
        let mut sim = Sim::new(Config::default(), network, Sink::default(), 4).unwrap();
        sim.run_for(secs(20));
        let asked = sim.record().events.iter();
        let asked = asked.filter(|(_, event)| matches!(event, Event::Resolving { .. })).count();
        assert!((3..=25).contains(&asked), "{asked} lookups: {lookup:?}");
        assert!(sim.run_until(secs(900), |sim| sim.connection().state() == State::Connected));
    }
}

#[test]
fn g08_a_clock_that_jumps_makes_no_burst() {
    let network = Network::fates([], Fate::Refuse);
    let mut sim = Sim::new(Config::default(), network, Sink::default(), 5).unwrap();
    assert!(!sim.run_until(secs(600), |sim| dials(sim).len() > 200), "it dials calmly");
    for _ in 0..5 {
        let before = dials(&sim).len();
        sim.suspend(secs(7 * 3_600));
        sim.run_for(ms(50));
        let woken = dials(&sim).len() - before;
        assert!(woken <= 2, "{woken} dials on waking");
        sim.run_for(secs(120));
    }
}
