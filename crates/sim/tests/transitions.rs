//! Every arrow of the machine's diagram, and no other.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use std::collections::BTreeSet;

use common::{cut, link, message, ms, secs};
use rebelay_core::{Config, FirstConnect, State};
use rebelay_sim::{Echo, Fate, Hello, How, Lookup, Network, Sim, Stall, When};

type Pairs = BTreeSet<(State, State)>;
type Play = fn(&mut Sim<Echo>);

#[test]
fn every_documented_transition_is_taken_and_no_other() {
    use State::{Backoff, Closed, Connected, Connecting, Draining, Handshaking, Idle, Resolving};
    let documented = BTreeSet::from([
        (Idle, Resolving),
        (Resolving, Connecting),
        (Resolving, Backoff),
        (Connecting, Connecting),
        (Connecting, Handshaking),
        (Connecting, Connected),
        (Connecting, Backoff),
        (Handshaking, Connected),
        (Handshaking, Backoff),
        (Handshaking, Resolving),
        (Connected, Backoff),
        (Connected, Resolving),
        (Connected, Draining),
        (Backoff, Resolving),
        (Idle, Closed),
        (Resolving, Closed),
        (Connecting, Closed),
        (Handshaking, Closed),
        (Connected, Closed),
        (Backoff, Closed),
        (Draining, Closed),
    ]);
    let mut taken = Pairs::new();
    for (name, config, network, play) in scenarios() {
        let mut sim = Sim::new(config, network, Echo, 1).unwrap();
        play(&mut sim);
        for pair in &sim.record().transitions {
            assert!(documented.contains(pair), "{name}: {pair:?} is not documented");
        }
        taken.extend(&sim.record().transitions);
    }
    let missing: Vec<_> = documented.difference(&taken).collect();
    assert!(missing.is_empty(), "never taken: {missing:?}");
}

fn scenarios() -> Vec<(&'static str, Config, Network, Play)> {
    let plain = Config::default;
    let lazy = || Config::default().with(|config| config.first_connect = FirstConnect::Lazy);
    let greeting = || Config::default().with(|config| config.handshake = true);
    let impatient =
        || Config::default().with(|config| config.first_connect = FirstConnect::FailFast);
    let refusing = || Network::fates([], Fate::Refuse);
    let two_addresses = || {
        let addresses = vec![([127, 0, 0, 1], 1).into(), ([127, 0, 0, 2], 1).into()];
        Network::fates([Fate::Refuse], Fate::default())
            .lookups(move |_, _| Lookup::Found(addresses.clone()))
    };
    let mute = || Network::default().hello(Hello { send: "hello".into(), reply: 99 });
    let full = || {
        Network::fates(
            [],
            link(|link| {
                link.stall = Some(Stall { after: 0, lasts: std::time::Duration::MAX });
                link.send_buffer = 10;
                link.receive_buffer = 10;
            }),
        )
    };
    let pass: Play = |sim| sim.run_for(secs(20));
    let close: Play = |sim| sim.close();
    let close_soon: Play = |sim| {
        sim.run_for(ms(4));
        sim.close();
        sim.run_for(secs(1));
    };
    let again: Play = |sim| {
        sim.run_for(ms(6));
        sim.with(rebelay_core::Connection::reconnect_now);
        sim.run_for(secs(1));
    };
    let send_much_and_close: Play = |sim| {
        sim.send(message(1, 1_000)).unwrap();
        sim.run_for(ms(10));
        sim.close();
        sim.run_for(secs(1));
    };
    vec![
        ("healthy, then closed", plain(), Network::default(), close_soon),
        ("closed at once", plain(), Network::default(), close),
        ("lazy and closed", lazy(), Network::default(), close),
        ("lazy and sending", lazy(), Network::default(), |sim| {
            sim.send("hello").unwrap();
            sim.run_for(secs(1));
        }),
        ("refused", plain(), refusing(), pass),
        ("refused and closed", plain(), refusing(), close_soon),
        ("refused at first", impatient(), refusing(), pass),
        ("no such host", plain(), Network::default().lookups(|_, _| Lookup::Fails), pass),
        ("no address", plain(), Network::default().lookups(|_, _| Lookup::Found(vec![])), pass),
        ("no answer", plain(), Network::default().lookups(|_, _| Lookup::Never), pass),
        (
            "no such host at first",
            impatient(),
            Network::default().lookups(|_, _| Lookup::Fails),
            pass,
        ),
        ("the second address", plain(), two_addresses(), pass),
        ("swallowed", plain(), Network::fates([], Fate::Blackhole), pass),
        ("swallowed and closed", plain(), Network::fates([], Fate::Blackhole), close_soon),
        ("greeted", greeting(), Network::default(), pass),
        ("not greeted", greeting(), mute(), pass),
        ("not greeted and closed", greeting(), mute(), close_soon),
        ("not greeted, again", greeting(), mute(), again),
        ("cut", plain(), Network::fates([], cut(When::After(ms(50)), How::Reset)), pass),
        ("again", plain(), Network::default(), again),
        ("closed over a full socket", plain(), full(), send_much_and_close),
        ("stalled", plain(), full(), |sim| {
            sim.send(message(1, 1_000)).unwrap();
            sim.run_for(secs(60));
        }),
    ]
}

/// Changes a configuration in place.
trait With: Sized {
    fn with(self, change: impl FnOnce(&mut Self)) -> Self;
}

impl With for Config {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}
