//! Whatever the user does on whatever network: one outcome for each message, and a true one.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use common::{Acker, Acknowledgements, assert_settled, message, misfortune, ms, secs};
use proptest::prelude::*;
use rebelay_core::{Config, Connection, Overflow, PeerFin, Resend, SendOptions, Ticket};
use rebelay_sim::{Fate, Hello, Network, Sim};

/// What a user does next.
#[derive(Copy, Clone, Debug)]
enum Deed {
    Send { body: u16, resend: Option<Resend>, millis: Option<u16>, pinned: bool },
    Run { millis: u16 },
    Step,
    ReconnectNow,
    AckThrough { back: u8 },
    Cancel { back: u8 },
    Replace { back: u8 },
    HalfClose,
    Read { on: bool },
    Suspend { seconds: u16 },
    Drain { millis: u16 },
}

fn resend() -> impl Strategy<Value = Option<Resend>> {
    let policies = [Resend::Never, Resend::Incomplete, Resend::Untransmitted, Resend::Unacked];
    proptest::option::of(proptest::sample::select(policies.to_vec()))
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (0..300_u16, resend(), deadline(), proptest::bool::weighted(0.1)).prop_map(
            |(body, resend, millis, pinned)| Deed::Send { body, resend, millis, pinned }
        ),
        8 => (0..400_u16).prop_map(|millis| Deed::Run { millis }),
        8 => Just(Deed::Step),
        1 => Just(Deed::ReconnectNow),
        2 => (0..5_u8).prop_map(|back| Deed::AckThrough { back }),
        2 => (0..8_u8).prop_map(|back| Deed::Cancel { back }),
        2 => (0..8_u8).prop_map(|back| Deed::Replace { back }),
        1 => any::<bool>().prop_map(|on| Deed::Read { on }),
        1 => (0..3_600_u16).prop_map(|seconds| Deed::Suspend { seconds }),
        1 => (0..2_000_u16).prop_map(|millis| Deed::Drain { millis }),
        1 => Just(Deed::HalfClose),
    ]
}

fn deadline() -> impl Strategy<Value = Option<u16>> {
    proptest::option::weighted(0.2, 0..500_u16)
}

fn limit(values: &'static [u32]) -> impl Strategy<Value = u32> {
    proptest::sample::select(values)
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
        keeps_writing: bool,
        evidence: bool,
        max_attempts in limit(&[1, 2, 5, u32::MAX]),
        max_resent_per_second in limit(&[10, 3_000, u32::MAX]),
    ) {
        let mut config = Config::default();
        config.overflow = overflow;
        config.handshake = handshake;
        config.max_queued_messages = 12;
        config.max_queued_bytes = 2_500;
        config.max_received_bytes = 4_096;
        config.max_events = 8;
        config.peer_fin = if keeps_writing { PeerFin::KeepWriting } else { PeerFin::Leave };
        config.max_attempts = max_attempts;
        config.max_resent_per_second = max_resent_per_second;
        // The hello is a message too, so that the server can take all bytes apart alike.
        let hello = Hello { send: message(0, 3).into(), reply: 4 };
        let network = Network::new(move |dialled, rng| {
            let mut fate = if dialled.attempt <= 10 { misfortune(rng) } else { Fate::default() };
            if let Fate::Accept(link) = &mut fate {
                link.evidence = evidence;
            }
            fate
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
        while sim.connection().ledger().pending > 0 && sim.now() < patience {
            let moves = sim.step();
            if !moves && keeps_writing {
                // Nobody reads, so that no answer comes and no end is noticed.
                sim.with(Connection::reconnect_now);
            } else if !moves {
                break;
            }
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
        Deed::Send { body, resend, millis, pinned } => {
            let mut options = SendOptions::default();
            options.resend = resend;
            options.expires_after = millis.map(|millis| ms(u64::from(millis)));
            options.epoch = sim.connection().epoch().filter(|_| pinned);
            let message = message(admitted + 1, usize::from(body));
            let given = message.clone();
            let sent = sim.with(|connection, now| connection.send(message.into(), options, now));
            if let Err(error) = sent {
                assert_eq!(error.message, given, "what is refused is handed back whole");
            }
        }
        Deed::Cancel { back } => {
            let ticket = Ticket::from_number(admitted.saturating_sub(u64::from(back)));
            let was_pending = sim.connection().is_pending(ticket);
            let cancelled = sim.with(|connection, now| connection.cancel(ticket, now));
            assert!(was_pending || !cancelled, "{ticket} had its outcome");
        }
        Deed::Replace { back } => {
            // The same number and another length: what is torn by it would not parse.
            let number = admitted.saturating_sub(u64::from(back));
            let message = message(number, usize::from(back) * 40);
            sim.with(|connection, _| {
                let replaced = connection.replace(Ticket::from_number(number), message.into());
                let through = connection.written_through().number();
                assert!(replaced.is_err() || number > through, "{number} was written");
            });
        }
        Deed::HalfClose => sim.with(Connection::half_close),
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
