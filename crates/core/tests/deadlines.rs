//! Messages that are not to go out after all: deadlines, cancelling, and one epoch alone. G3, G4.

mod common;

use common::{Script, epoch, in_doubt, ms, not_sent, secs, written};
use rebelay_core::{Event, FailCause, Outcome, Refusal, Resend, SendOptions, State, Ticket};

fn cancel(script: &mut Script, ticket: u64) -> bool {
    script.conn.cancel(Ticket::from_number(ticket), script.now)
}

fn deadline_passed(script: &mut Script) -> Vec<u64> {
    let passed = |event| {
        if let Event::DeadlinePassed { ticket } = event { Some(ticket.number()) } else { None }
    };
    script.events().into_iter().filter_map(passed).collect()
}

#[test]
fn g04_a_message_that_waits_expires_at_its_deadline_in_any_state() {
    for state in [State::Resolving, State::Connecting, State::Handshaking, State::Backoff] {
        let mut script = Script::at(state);
        script.send_with("late", SendOptions::expires_after(ms(5))).unwrap();
        script.send("patient");
        assert_eq!(script.conn.poll_timeout(), Some(script.now + ms(5)), "{state:?}");
        script.advance(ms(4));
        assert_eq!(script.outcomes(), [], "{state:?}");
        script.advance(ms(1));
        assert_eq!(script.outcomes(), [(1, not_sent(FailCause::Expired))], "{state:?}");
        assert_eq!(deadline_passed(&mut script), []);
    }
}

#[test]
fn g04_messages_expire_in_the_order_of_their_deadlines() {
    let mut script = Script::at(State::Backoff);
    for millis in [3, 1, 2, 1] {
        script.send_with("late", SendOptions::expires_after(ms(millis))).unwrap();
    }
    script.advance(ms(1));
    script.advance(ms(4));
    let expired = |number| (number, not_sent(FailCause::Expired));
    assert_eq!(script.outcomes(), [expired(2), expired(4), expired(3), expired(1)]);
}

#[test]
fn g04_a_deadline_that_passes_while_the_message_is_out_is_reported_once_and_no_more() {
    let mut script = Script::connected(|_| {});
    let first = script.epoch();
    script.send_with("half", SendOptions::expires_after(ms(10))).unwrap();
    script.write(1);
    script.advance(ms(10));
    assert_eq!(deadline_passed(&mut script), [1]);
    script.advance(secs(1));
    assert_eq!(deadline_passed(&mut script), []);
    assert_eq!(script.write_all(), "alf");
    assert_eq!(script.outcomes(), [(1, written(first))]);
}

#[test]
fn g04_a_message_whose_deadline_passed_is_not_sent_again() {
    // The socket took these many bytes; how sure that makes it when the time is up.
    for (taken, outcome) in [(2, not_sent as fn(_) -> _), (5, in_doubt)] {
        for passes_first in [true, false] {
            let mut script = Script::connected(|config| config.resend = Resend::Unacked);
            script.send_with("again", SendOptions::expires_after(ms(5))).unwrap();
            script.send("next");
            script.write(taken);
            if passes_first {
                script.advance(ms(5));
                assert_eq!(script.outcomes(), []);
                script.disconnect();
            } else {
                script.disconnect();
                assert_eq!(script.outcomes(), []);
                script.advance(ms(5));
            }
            assert_eq!(script.outcomes(), [(1, outcome(FailCause::Expired))]);
            script.connect();
            assert_eq!(script.write_all(), "next");
        }
    }
}

#[test]
fn g04_a_deadline_that_never_comes_and_one_that_is_over_are_no_traps() {
    let mut script = Script::at(State::Resolving);
    script.send_with("for ever", SendOptions::expires_after(std::time::Duration::MAX)).unwrap();
    script.send_with("at once", SendOptions::expires_after(ms(0))).unwrap();
    assert_eq!(script.conn.poll_timeout(), Some(script.now));
    script.advance(ms(0));
    assert_eq!(script.outcomes(), [(2, not_sent(FailCause::Expired))]);
    script.connect();
    assert_eq!(script.write_all(), "for ever");
}

#[test]
fn g11_a_drain_ends_when_its_last_message_expires() {
    let mut script = Script::at(State::Backoff);
    script.send_with("late", SendOptions::expires_after(ms(1))).unwrap();
    script.conn.drain(script.now + secs(60), script.now);
    assert_eq!(script.conn.state(), State::Backoff);
    script.advance(ms(1));
    assert_eq!(script.conn.state(), State::Closed);
    assert_eq!(script.outcomes(), [(1, not_sent(FailCause::Expired))]);
}

#[test]
fn g10_what_expired_or_was_cancelled_cannot_stall() {
    for by_hand in [false, true] {
        let mut script = Script::connected(|_| {});
        script.send_with("refused", SendOptions::expires_after(secs(1))).unwrap();
        script.write(0);
        if by_hand {
            assert!(cancel(&mut script, 1));
        }
        script.advance(secs(60));
        assert_eq!(script.outcomes().len(), 1);
        assert_eq!(script.conn.state(), State::Connected);
        script.send("next");
        assert_eq!(script.write_all(), "next");
    }
}

#[test]
fn g04_cancelling_works_until_byte_0() {
    let mut script = Script::connected(|_| {});
    for message in ["written", "half", "lent", "untouched"] {
        script.send(message);
    }
    script.write(9);
    let before = script.snapshot();
    for ticket in [0, 1, 2, 5, u64::MAX] {
        assert!(!cancel(&mut script, ticket), "{ticket}");
    }
    let mut one = Vec::with_capacity(1);
    assert_eq!(script.snapshot(), before);
    assert!(cancel(&mut script, 4));
    assert!(!cancel(&mut script, 4), "once");
    assert!(script.conn.poll_transmit(&mut one).is_some());
    assert!(!cancel(&mut script, 3), "it may be on its way");
    script.took(0);
    assert!(cancel(&mut script, 3), "it has come back");
    script.conn.handle_writable(epoch(1));
    assert_eq!(script.write_all(), "lf");
    let cancelled = not_sent(FailCause::Cancelled);
    let gone = written(epoch(1));
    assert_eq!(script.outcomes(), [(1, gone), (4, cancelled), (3, cancelled), (2, gone)]);
}

#[test]
fn g03_a_message_that_waits_to_go_again_is_cancelled_in_doubt() {
    let mut script = Script::connected(|config| config.resend = Resend::Unacked);
    for message in ["whole", "half", "next"] {
        script.send(message);
    }
    script.write(7);
    assert!(!cancel(&mut script, 1), "it is out");
    script.disconnect();
    assert!(cancel(&mut script, 1) && cancel(&mut script, 2));
    let cause = FailCause::Cancelled;
    assert_eq!(script.outcomes(), [(1, in_doubt(cause)), (2, not_sent(cause))]);
    script.connect();
    assert_eq!(script.write_all(), "next");
}

#[test]
fn g11_cancelling_the_last_message_ends_a_drain() {
    let mut script = Script::connected(|_| {});
    script.send("held up");
    script.write(0);
    script.conn.drain(script.now + secs(60), script.now);
    assert!(cancel(&mut script, 1));
    assert_eq!(script.conn.state(), State::Draining);
}

#[test]
fn g04_a_pin_names_the_current_epoch_or_is_refused() {
    let refused = |script: &mut Script, number| {
        let pin = SendOptions::pinned_to(epoch(number));
        let error = script.send_with("pinned", pin).unwrap_err();
        assert_eq!(error.message, "pinned");
        error.refusal
    };
    for state in [State::Idle, State::Resolving, State::Connecting, State::Backoff] {
        let mut script = Script::at(state);
        let before = script.snapshot();
        assert_eq!(refused(&mut script, 1), Refusal::EpochOver, "{state:?}");
        assert_eq!(script.snapshot(), before, "a refusal leaves no trace");
    }
    for state in [State::Handshaking, State::Connected] {
        let mut script = Script::at(state);
        assert_eq!(refused(&mut script, 2), Refusal::EpochOver, "the future");
        script.send_with("pinned", SendOptions::pinned_to(epoch(1))).unwrap();
    }
    let mut script = Script::connected(|_| {});
    script.disconnect();
    assert_eq!(refused(&mut script, 1), Refusal::EpochOver, "between two epochs");
    script.connect();
    assert_eq!(refused(&mut script, 1), Refusal::EpochOver, "the past");
    script.conn.handle_write_failed(script.epoch(), common::fault(), None, script.now);
    assert_eq!(refused(&mut script, 2), Refusal::EpochOver, "it has ended, and is read out");
    script.conn.close(script.now);
    assert_eq!(refused(&mut script, 2), Refusal::Closed);
}

#[test]
fn g04_a_pinned_message_fails_with_its_epoch_however_far_it_came() {
    for (taken, outcome) in [
        (0, not_sent(FailCause::Disconnected)),
        (3, not_sent(FailCause::Disconnected)),
        (6, in_doubt(FailCause::Disconnected)),
    ] {
        let mut script = Script::connected(|config| config.resend = Resend::Unacked);
        script.send_with("pinned", SendOptions::pinned_to(epoch(1))).unwrap();
        script.send("free");
        script.write(taken);
        script.disconnect();
        assert_eq!(script.outcomes(), [(1, outcome)], "{taken} bytes");
        script.connect();
        assert_eq!(script.write_all(), "free");
    }
}

#[test]
fn g04_a_message_pinned_in_a_handshake_that_fails_is_not_sent() {
    let mut script = Script::at(State::Handshaking);
    script.send_with("pinned", SendOptions::pinned_to(epoch(1))).unwrap();
    script.conn.handle_handshake_failed(epoch(1), common::fault(), script.now);
    assert_eq!(script.outcomes(), [(1, not_sent(FailCause::Disconnected))]);
}

#[test]
fn g04_an_acknowledged_pinned_message_is_acknowledged() {
    let mut script = Script::connected(|config| config.resend = Resend::Unacked);
    script.send_with("pinned", SendOptions::pinned_to(epoch(1))).unwrap();
    script.write_all();
    script.ack(1);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked)]);
}
