//! What the operating system proves about written messages, and what is made of it: G3 to G5.

mod common;

use common::{
    Script, epoch, evidence, fault, in_doubt, ms, not_sent, not_transmitted, secs, written,
};
use rebelay_core::{Event, FailCause, Outcome, Reason, Refusal, Resend, SendOptions, State};

fn with(resend: Resend) -> Script {
    Script::connected(|config| config.resend = resend)
}

/// How many messages the last disconnect proved unsent.
fn proven_unsent(script: &mut Script) -> Option<u32> {
    let disconnect = |event| {
        if let Event::Disconnected { proven_unsent, .. } = event {
            Some(proven_unsent)
        } else {
            None
        }
    };
    script.events().into_iter().filter_map(disconnect).next_back()
}

#[test]
fn g04_each_policy_sends_again_from_where_it_says() {
    /// Bytes that the socket took of four, and how many of those never left.
    const QUEUED: (usize, u64) = (0, 0);
    const PARTLY: (usize, u64) = (2, 0);
    const WRITTEN: (usize, u64) = (4, 1);
    const TRANSMITTED: (usize, u64) = (4, 0);
    let ways = [QUEUED, PARTLY, WRITTEN, TRANSMITTED];
    let again = None;
    let cut = Some(not_sent(FailCause::Disconnected));
    let gone = Some(written(epoch(1)));
    for (policy, row) in [
        (Resend::Never, [again, cut, gone, gone]),
        (Resend::Incomplete, [again, again, gone, gone]),
        (Resend::Untransmitted, [again, again, again, gone]),
        (Resend::Unacked, [again, again, again, again]),
    ] {
        for ((taken, untransmitted), expected) in ways.into_iter().zip(row) {
            let mut script = with(policy);
            script.send("mmmm");
            script.write(taken);
            script.reset(untransmitted);
            let outcome = script.outcomes().first().map(|(_, outcome)| *outcome);
            let case = format!("{policy:?}: {taken} taken, {untransmitted} not transmitted");
            assert_eq!(outcome, expected, "{case}");
            script.connect();
            let sent_again = script.write_all() == "mmmm";
            assert_eq!(sent_again, expected.is_none(), "{case}");
        }
    }
}

#[test]
fn g04_the_last_byte_decides_whether_a_message_has_left() {
    for (untransmitted, again, proven) in [
        (0, "cc", 0),
        (1, "cc", 0),
        (2, "bbbcc", 1),
        (4, "bbbcc", 1),
        (5, "aaabbbcc", 2),
        (7, "aaabbbcc", 2),
        (u64::MAX, "aaabbbcc", 2),
    ] {
        let mut script = with(Resend::Untransmitted);
        for message in ["aaa", "bbb", "cc"] {
            script.send(message);
        }
        assert_eq!(script.write(7), "aaabbbc");
        script.events();
        script.reset(untransmitted);
        assert_eq!(proven_unsent(&mut script), Some(proven), "{untransmitted}");
        assert_eq!(script.conn.ledger().proven_unsent, proven.into());
        script.connect();
        assert_eq!(script.write_all(), again, "{untransmitted}");
    }
}

#[test]
fn g04_bytes_of_messages_that_are_finished_with_still_count() {
    use Resend::{Incomplete, Never, Unacked, Untransmitted};
    // The socket took aaabbbcccdddeee; the log has kept a, c and e of it.
    for (count, again) in [(0, "aaa"), (1, "aaaeee"), (6, "aaaeee"), (7, "aaaccceee")] {
        let policies = [Unacked, Incomplete, Untransmitted, Never, Untransmitted];
        let mut script = Script::written_with(&policies);
        script.reset(count);
        script.connect();
        assert_eq!(script.write_all(), again, "{count} not transmitted");
    }
}

#[test]
fn g04_what_is_known_to_be_transmitted_is_let_go_while_the_connection_lives() {
    let mut script = Script::written_with(&[Resend::Untransmitted; 3]);
    let first = script.epoch();
    assert_eq!(script.outcomes(), []);
    script.answer_next(4);
    assert_eq!(script.outcomes(), [(1, written(first))]);
    script.answer_next(4);
    assert_eq!(script.outcomes(), []);
    script.answer_next(0);
    assert_eq!(script.outcomes(), [(2, written(first)), (3, written(first))]);
    script.advance(secs(60));
    assert_eq!(script.questions(), 0, "nothing is left to ask for");
}

#[test]
fn g04_an_answer_says_nothing_of_bytes_written_after_the_question() {
    let mut script = Script::written_with(&[Resend::Untransmitted]);
    script.advance_to_timeout();
    assert_eq!(script.questions(), 1);
    // The counters are read: nothing has left. Before that is reported, more is written, and
    // time passes in which another question could be asked.
    script.send("bbb");
    script.write_all();
    script.advance(ms(50));
    assert_eq!(script.questions(), 0, "one question at a time");
    script.answer(3);
    assert_eq!(script.outcomes(), [], "b is not proof that a has left");
    script.reset(6);
    script.connect();
    assert_eq!(script.write_all(), "aaabbb");
}

#[test]
fn g04_evidence_that_was_not_asked_for_changes_nothing() {
    let mut script = Script::written_with(&[Resend::Untransmitted]);
    let before = script.snapshot();
    script.answer(0);
    script.conn.handle_evidence(script.epoch(), None, script.now);
    assert_eq!(script.snapshot(), before);
}

#[test]
fn g05_a_window_that_waits_for_evidence_is_backpressure_and_evidence_releases_it() {
    let mut script = Script::connected(|config| {
        config.resend = Resend::Untransmitted;
        config.max_queued_messages = 3;
    });
    for message in ["a", "b", "c"] {
        script.send(message);
        script.write_all();
    }
    script.answer_next(3);
    let refusal = script.send_with("d", SendOptions::default()).unwrap_err().refusal;
    assert_eq!(refusal, Refusal::Full);
    script.answer_next(2);
    script.send("d");
    let refusal = script.send_with("e", SendOptions::default()).unwrap_err().refusal;
    assert_eq!(refusal, Refusal::Full);
}

#[test]
fn g05_questions_are_bounded_by_what_the_bounds_allow_and_by_time() {
    // A peer that reads at once, one that lags behind by 700 messages, and one that is stuck
    // while the kernel takes as much as the window holds.
    for lag in [0, 700, 1_024] {
        let mut script = with(Resend::Untransmitted);
        let (mut questions, mut refused) = (0, 0);
        for number in 1..=10_000_u64 {
            let sent = script.send_with("small", SendOptions::default());
            refused += u32::from(sent.is_err());
            script.write_all();
            if script.questions() > 0 {
                questions += 1;
                script.answer(5 * lag.min(number));
            }
        }
        // Each time a quarter of 1,024 messages was written, and once at first.
        assert!(questions <= 10_000 / 256 + 1, "{questions} questions with a lag of {lag}");
        assert_eq!(refused > 0, lag == 1_024);
        // One that is stuck is asked ever more rarely: first after 10 ms, then after twice that.
        let mut waits = vec![];
        for _ in 0..12 {
            if script.conn.poll_timeout().is_some() {
                waits.push(script.advance_to_timeout());
                assert_eq!(script.questions(), 1);
                script.answer(5 * 1_024);
            }
        }
        assert!(waits.len() == 12 || lag == 0);
        assert!(waits.last().is_none_or(|wait| *wait == ms(1_280)), "{waits:?}");
    }
}

#[test]
fn g04_a_socket_without_counters_makes_untransmitted_incomplete() {
    let mut script = Script::written_with(&[Resend::Untransmitted, Resend::Unacked]);
    let first = script.epoch();
    script.advance_to_timeout();
    assert_eq!(script.questions(), 1);
    script.conn.handle_evidence(first, None, script.now);
    assert_eq!(script.outcomes(), [(1, written(first))], "nobody will ever know more");
    script.send("cc");
    script.send("dd");
    script.write(3);
    assert_eq!(script.outcomes(), [(3, written(first))]);
    script.advance(secs(60));
    assert_eq!(script.questions(), 0);
    script.disconnect();
    assert_eq!(script.conn.state(), State::Backoff, "no verdict is awaited");
    // The next socket may well have counters.
    script.connect();
    assert_eq!(script.write_all(), "bbbdd");
    script.answer_next(2);
    assert_eq!(script.outcomes(), []);
}

#[test]
fn g03_evidence_that_is_not_final_proves_nothing_at_the_end() {
    let mut script = Script::written_with(&[Resend::Untransmitted, Resend::Unacked]);
    let first = script.epoch();
    let still = Some(evidence(6, false));
    script.conn.handle_disconnected(first, Reason::Io(fault()), still, script.now);
    assert_eq!(script.outcomes(), [(1, written(first))]);
    script.conn.close(script.now);
    assert_eq!(script.outcomes(), [(2, in_doubt(FailCause::Closed))]);
}

#[test]
fn g03_a_write_that_is_out_at_the_end_leaves_nothing_proven() {
    let mut script = Script::written_with(&[Resend::Untransmitted]);
    script.send("out");
    assert_eq!(script.lend(), "out");
    script.reset(3);
    let doubt = in_doubt(FailCause::Disconnected);
    assert_eq!(script.outcomes(), [(1, written(epoch(1))), (2, doubt)]);
}

#[test]
fn g03_our_own_endings_prove_nothing() {
    type End = fn(&mut Script);
    let ends: [(&str, End); 3] = [
        ("stall", |script| {
            script.send("more");
            script.write(0);
            script.advance(secs(35));
        }),
        ("reconnect", |script| script.conn.reconnect_now(script.now)),
        ("close", |script| script.conn.close(script.now)),
    ];
    for (name, end) in ends {
        let mut script = Script::written_with(&[Resend::Untransmitted, Resend::Unacked]);
        end(&mut script);
        script.conn.close(script.now);
        script.advance(ms(100));
        let outcomes = script.outcomes();
        let expected = [(1, written(epoch(1))), (2, in_doubt(FailCause::Closed))];
        assert_eq!(outcomes[..2], expected, "{name}");
        assert_eq!(script.conn.ledger().proven_unsent, 0);
    }
}

#[test]
fn g03_a_fin_of_ours_among_the_untransmitted_bytes_is_no_message() {
    for (untransmitted, outcome) in [(1, in_doubt as fn(_) -> _), (2, not_transmitted)] {
        let mut script = Script::written_with(&[Resend::Unacked]);
        script.conn.close(script.now);
        assert_eq!(script.conn.state(), State::Draining);
        script.reset(untransmitted);
        assert_eq!(script.outcomes(), [(1, outcome(FailCause::Closed))], "{untransmitted}");
    }
}

#[test]
fn g03_what_never_left_is_certain_on_every_epoch_or_not_at_all() {
    let mut script = Script::written_with(&[Resend::Unacked, Resend::Unacked]);
    script.reset(3);
    script.connect();
    script.write_all();
    script.reset(6);
    script.conn.close(script.now);
    let closed = FailCause::Closed;
    assert_eq!(script.outcomes(), [(1, in_doubt(closed)), (2, not_transmitted(closed))]);
    let ledger = script.conn.ledger();
    assert_eq!((ledger.not_transmitted, ledger.in_doubt, ledger.proven_unsent), (1, 1, 3));
}

#[test]
fn g04_an_acknowledgement_of_what_never_left_is_not_believed() {
    let mut script = Script::written_with(&[Resend::Untransmitted, Resend::Unacked]);
    script.ack(1);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked)], "one that was written can be");
    script.reset(3);
    script.ack(2);
    assert_eq!(script.outcomes(), []);
    script.connect();
    assert_eq!(script.write_all(), "bbb");
    script.ack(2);
    assert_eq!(script.outcomes(), [(2, Outcome::Acked)]);
}

#[test]
fn g05_the_smallest_bounds_ask_once_for_what_was_written() {
    for (messages, bytes) in [(1, 1 << 20), (1_024, 1), (3, 3)] {
        let mut script = Script::connected(|config| {
            config.resend = Resend::Untransmitted;
            (config.max_queued_messages, config.max_queued_bytes) = (messages, bytes);
        });
        script.send("x");
        script.write_all();
        assert_eq!(script.questions(), 1, "{messages} messages, {bytes} bytes");
        script.answer(1);
        assert_eq!(script.questions(), 0, "nothing was written since");
        script.advance(secs(2));
        assert_eq!(script.questions(), 1, "in a while");
    }
}
