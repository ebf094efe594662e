//! Random sequences of every call, plausible and not, held against the model after each.

mod common;

use std::time::Duration;

use common::ops::{Claim, Op, Setup, Which};
use common::world::World;
use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;
use rebelay_core::{FirstConnect, Jitter, Overflow, PeerFin, Resend};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        // The default is secure, and four times slower without optimisation.
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_of_calls_keeps_every_promise_and_repeats_itself(
        setup in setups(),
        ops in prop::collection::vec(ops(), 1..120),
    ) {
        let first = World::run(&setup, &ops);
        let second = World::run(&setup, &ops);
        prop_assert_eq!(first.log, second.log);
    }
}

fn setups() -> impl Strategy<Value = Setup> {
    let first =
        [FirstConnect::Wait, FirstConnect::Wait, FirstConnect::FailFast, FirstConnect::Lazy];
    let overflow = [Overflow::Wait, Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest];
    let limits = (
        prop::sample::select(vec![1_usize, 2, 3, 6, 40]),
        prop::sample::select(vec![1_usize, 20, 64, 5_000]),
        prop::sample::select(vec![4_096_usize, 5_000, 8_192, 20_000]),
        // None is lost, for they are taken after every call.
        48_usize..80,
    );
    let choices = (
        prop::sample::select(first.to_vec()),
        resends(),
        prop::sample::select(overflow.to_vec()),
        any::<bool>(),
        prop::sample::select(vec![Jitter::Full, Jitter::None]),
    );
    let patience = (
        prop_oneof![2 => Just(u32::MAX), 1 => 1..=3_u32],
        prop::sample::select(vec![u32::MAX, u32::MAX, u32::MAX, 1, 50, 5_000]),
        prop::sample::select(vec![PeerFin::Leave, PeerFin::KeepWriting]),
        prop::sample::select(vec![35_000, 35_000, 500_u64]),
    );
    (any::<u64>(), limits, choices, patience).prop_map(|(seed, limits, choices, patience)| Setup {
        seed,
        first_connect: choices.0,
        resend: choices.1,
        overflow: choices.2,
        messages: limits.0,
        bytes: limits.1,
        received: limits.2,
        events: limits.3,
        handshake: choices.3,
        jitter: choices.4,
        max_attempts: patience.0,
        rate: patience.1,
        peer_fin: patience.2,
        stall: Duration::from_millis(patience.3),
    })
}

fn ops() -> impl Strategy<Value = Op> {
    let user = prop_oneof![
        12 => sends(),
        2 => backs().prop_map(|back| Op::Cancel { back }),
        2 => (backs(), lengths()).prop_map(|(back, len)| Op::Replace { back, len }),
        5 => prop_oneof![0..8_i8, any::<i8>()].prop_map(|back| Op::Ack { back }),
        6 => prop_oneof![0..4_u8, Just(255)].prop_map(|count| Op::Take { count }),
        2 => Just(Op::ReconnectNow),
        1 => (0..200_000_000_u64)
            .prop_map(|nanos| Op::Drain { after: Duration::from_nanos(nanos * 100) }),
        1 => Just(Op::HalfClose),
        1 => Just(Op::Close),
    ];
    let traffic = prop_oneof![
        8 => (0..5_u8).prop_map(|slices| Op::Transmit { slices }),
        8 => (whiches(), counts()).prop_map(|(epoch, count)| Op::Transmitted { epoch, count }),
        2 => whiches().prop_map(|epoch| Op::Writable { epoch }),
        1 => (whiches(), claims()).prop_map(|(epoch, claim)| Op::WriteFailed { epoch, claim }),
        3 => claims().prop_map(|claim| Op::Read { claim }),
        4 => (whiches(), claims()).prop_map(|(epoch, claim)| Op::Answer { epoch, claim }),
        5 => Just(Op::Receive),
        5 => (whiches(), prop_oneof![any::<u8>(), Just(255)])
            .prop_map(|(epoch, fill)| Op::Received { epoch, fill }),
        1 => (whiches(), any::<u8>()).prop_map(|(epoch, len)| Op::Leftover { epoch, len }),
        2 => (whiches(), any::<bool>(), claims())
            .prop_map(|(epoch, fin, claim)| Op::Disconnected { epoch, fin, claim }),
    ];
    let connecting = prop_oneof![
        (whiches(), 0..70_u8).prop_map(|(round, addresses)| Op::Resolved { round, addresses }),
        whiches().prop_map(|round| Op::ResolveFailed { round }),
        whiches().prop_map(|attempt| Op::Connected { attempt }),
        whiches().prop_map(|attempt| Op::ConnectFailed { attempt }),
        whiches().prop_map(|epoch| Op::Handshaken { epoch }),
        whiches().prop_map(|epoch| Op::HandshakeFailed { epoch }),
    ];
    let time = prop_oneof![
        4 => (0..400_u64).prop_map(|millis| Op::Advance { time: Duration::from_millis(millis) }),
        2 => (0..40_000_u64).prop_map(|millis| Op::Advance { time: Duration::from_millis(millis) }),
        4 => Just(Op::AdvanceToTimeout),
        1 => any::<u64>().prop_map(|at| Op::Timeout { at: at >> 8 }),
    ];
    let rare = prop_oneof![
        Just(Op::Discard),
        any::<u64>().prop_map(|at| Op::Timeout { at: u64::MAX - (at >> 40) }),
        Just(Op::Timeout { at: u64::MAX }),
        Just(Op::Drain { after: Duration::MAX }),
    ];
    prop_oneof![
        50 => (0..3_u8).prop_map(|addresses| Op::Progress { addresses }),
        100 => user,
        100 => traffic,
        25 => connecting,
        20 => time,
        1 => rare,
    ]
}

fn sends() -> impl Strategy<Value = Op> {
    let limit = prop_oneof![0..300_u64, 0..10_000_u64].prop_map(Duration::from_millis);
    let expires_after = prop_oneof![4 => Just(None), 1 => limit.prop_map(Some)];
    let epoch = prop_oneof![7 => Just(None), 1 => whiches().prop_map(Some)];
    (lengths(), prop::option::of(resends()), expires_after, epoch).prop_map(
        |(len, resend, expires_after, epoch)| Op::Send { len, resend, expires_after, epoch },
    )
}

fn backs() -> impl Strategy<Value = i8> {
    prop_oneof![8 => 0..6_i8, 1 => any::<i8>()]
}

/// Mostly true: only then is anything proven.
fn claims() -> impl Strategy<Value = Claim> {
    let share = || prop_oneof![any::<u8>(), Just(0), Just(255)];
    prop_oneof![
        1 => Just(Claim::Nothing),
        8 => (share(), share(), any::<bool>())
            .prop_map(|(sent, ahead, over)| Claim::Truth { sent, ahead, over }),
        1 => (prop_oneof![0..60_u64, any::<u64>()], any::<bool>())
            .prop_map(|(untransmitted, is_final)| Claim::Lie { untransmitted, is_final }),
    ]
}

fn lengths() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 1..24_u16, 1 => Just(0), 1 => 1_000..1_100_u16, 1 => 0..6_000_u16]
}

fn counts() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..40_usize, 3 => Just(usize::MAX), 1 => 0..2_000_usize]
}

fn resends() -> impl Strategy<Value = Resend> {
    use Resend::{Incomplete, Never, Unacked, Untransmitted};
    prop::sample::select(vec![Never, Incomplete, Unacked, Untransmitted, Untransmitted])
}

fn whiches() -> impl Strategy<Value = Which> {
    prop_oneof![
        12 => Just(Which::Current),
        1 => (0..3_u8).prop_map(Which::Past),
        1 => (0..3_u8).prop_map(Which::Future),
    ]
}
