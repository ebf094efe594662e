//! Whatever the user does on whatever network: one outcome for each message, and a true one.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use common::{Acker, Acknowledgements, assert_settled, message, misfortune, ms, secs};
use proptest::prelude::*;
use rebelay_core::{Config, Connection, Overflow, Resend, SendOptions, Ticket};
use rebelay_sim::{Fate, Hello, Network, Sim};

/// What a user does next.
#[derive(Copy, Clone, Debug)]
enum Deed {
    Send { body: u16, resend: Option<Resend> },
    Run { millis: u16 },
    Step,
    ReconnectNow,
    AckThrough { back: u8 },
    Read { on: bool },
    Suspend { seconds: u16 },
    Drain { millis: u16 },
}

fn resend() -> impl Strategy<Value = Option<Resend>> {
    let policies = [Resend::Never, Resend::Incomplete, Resend::Unacked];
    proptest::option::of(proptest::sample::select(policies.to_vec()))
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (0..300_u16, resend()).prop_map(|(body, resend)| Deed::Send { body, resend }),
        8 => (0..400_u16).prop_map(|millis| Deed::Run { millis }),
        8 => Just(Deed::Step),
        1 => Just(Deed::ReconnectNow),
        2 => (0..5_u8).prop_map(|back| Deed::AckThrough { back }),
        1 => any::<bool>().prop_map(|on| Deed::Read { on }),
        1 => (0..3_600_u16).prop_map(|seconds| Deed::Suspend { seconds }),
        1 => (0..2_000_u16).prop_map(|millis| Deed::Drain { millis }),
    ]
}

fn overflow() -> impl Strategy<Value = Overflow> {
    proptest::sample::select(vec![Overflow::Wait, Overflow::DropOldest, Overflow::DropNewest])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn g01_g02_g03_every_message_has_one_true_outcome_whatever_the_user_does(
        seed: u64,
        deeds in proptest::collection::vec(deed(), 1..80),
        overflow in overflow(),
        handshake: bool,
    ) {
        let mut config = Config::default();
        config.overflow = overflow;
        config.handshake = handshake;
        config.max_queued_messages = 12;
        config.max_queued_bytes = 2_500;
        config.max_received_bytes = 4_096;
        config.max_events = 8;
        // The hello is a message too, so that the server can take all bytes apart alike.
        let hello = Hello { send: message(0, 3).into(), reply: 4 };
        let network = Network::new(|dialled, rng| match dialled.attempt {
            ..=10 => misfortune(rng),
            _ => Fate::default(),
        });
        let network = network.hello(hello);
        let mut sim = Sim::new(config, network, Acker::default(), seed).unwrap();
        let mut acknowledgements = Acknowledgements::default();
        for deed in deeds {
            act(&mut sim, deed);
            acknowledgements.pass_on(&mut sim);
            let (messages, bytes) = sim.connection().queued();
            prop_assert!(messages <= 12 && bytes <= 2_500);
        }
        let admitted = sim.connection().ledger().admitted;
        sim.set_reading(true);
        acknowledgements.pass_on(&mut sim);
        let patience = sim.now() + secs(1_000);
        while sim.connection().ledger().pending > 0 && sim.now() < patience && sim.step() {
            acknowledgements.pass_on(&mut sim);
        }
        prop_assert_eq!(
            sim.connection().ledger().pending,
            0,
            "stuck though the network is healthy in the end: {:?} {:?} {:?}",
            sim.connection().state(),
            sim.connection().ledger(),
            sim.next_due()
        );
        sim.run_for(secs(1));
        sim.close();
        sim.run_for(ms(100));

        let mut received = sim.server().messages();
        for numbers in &mut received {
            if handshake && !numbers.is_empty() {
                prop_assert_eq!(numbers.remove(0), 0);
            }
            prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", numbers);
        }
        assert_settled(&sim, admitted, &received, seed);
    }
}

fn act(sim: &mut Sim<Acker>, deed: Deed) {
    let admitted = sim.connection().ledger().admitted;
    match deed {
        Deed::Send { body, resend } => {
            let mut options = SendOptions::default();
            options.resend = resend;
            let message = message(admitted + 1, usize::from(body));
            let given = message.clone();
            let sent = sim.with(|connection, now| connection.send(message.into(), options, now));
            if let Err(error) = sent {
                assert_eq!(error.message, given, "what is refused is handed back whole");
            }
        }
        Deed::Run { millis } => sim.run_for(ms(u64::from(millis))),
        Deed::Step => {
            sim.step();
        }
        Deed::ReconnectNow => sim.with(Connection::reconnect_now),
        Deed::AckThrough { back } => {
            let through = Ticket::from_number(admitted.saturating_sub(u64::from(back)));
            sim.with(|connection, now| connection.ack_through(through, now));
        }
        Deed::Read { on } => sim.set_reading(on),
        Deed::Suspend { seconds } => sim.suspend(secs(u64::from(seconds))),
        Deed::Drain { millis } => sim.drain(ms(u64::from(millis))),
    }
}
