//! How it ends, G11: close and drain from every state, on time, with every outcome.

mod common;

use common::{STATES, Script, fault, in_doubt, ms, not_sent, secs, written};
use rebelay_core::{
    Action, Event, FailCause, Instant, Item, Outcome, Reason, Refusal, Resend, State,
};

/// Nothing comes out of a closed connection, whatever is reported.
fn assert_silent(script: &mut Script) {
    assert_eq!(script.conn.state(), State::Closed);
    script.poll();
    assert_eq!(script.conn.queued(), (0, 0));
    let before = script.snapshot();
    let refused = script.send_with("m", Default::default()).map_err(|error| error.refusal);
    assert_eq!(refused, Err(Refusal::Closed));
    assert_eq!(script.lend(), "");
    assert!(!script.receive(b""));
    script.ack(u64::MAX);
    script.conn.reconnect_now(script.now);
    script.conn.close(script.now);
    script.conn.drain(script.now, script.now);
    assert_eq!(script.conn.poll_timeout(), None);
    assert_eq!(script.snapshot(), before);
}

#[test]
fn g11_close_ends_within_100_ms_from_every_state() {
    for state in STATES {
        for queued in [false, true] {
            let mut script = Script::at(state);
            let queued = queued && !matches!(state, State::Draining | State::Closed);
            if queued {
                script.send("never written");
            }
            let state = script.conn.state();
            script.conn.close(script.now);
            script.conn.close(script.now);
            if matches!(state, State::Connected | State::Draining) {
                assert_eq!(script.conn.state(), State::Draining);
                let timeout = script.conn.poll_timeout().unwrap();
                assert!(timeout <= script.now + ms(100));
                script.advance(ms(100));
            }
            let failed = not_sent(FailCause::Closed);
            let expected = if queued { vec![(1, failed)] } else { vec![] };
            assert_eq!(script.outcomes(), expected, "{state:?}");
            assert_silent(&mut script);
        }
    }
}

#[test]
fn g11_drain_ends_at_its_deadline_from_every_state() {
    for state in STATES {
        let mut script = Script::at(state);
        let over = matches!(state, State::Draining | State::Closed);
        if !over {
            script.send("never written");
        }
        let deadline = script.now + secs(7);
        script.conn.drain(deadline, script.now);
        while script.conn.state() != State::Closed {
            script.advance_to_timeout();
            assert!(script.now <= deadline, "{state:?}");
        }
        if !over {
            assert_eq!(script.now, deadline, "{state:?} goes on to the last");
            assert_eq!(script.outcomes(), [(1, not_sent(FailCause::Closed))], "{state:?}");
        }
        assert_silent(&mut script);
    }
}

#[test]
fn g11_drain_with_nothing_to_do_ends_at_once_where_no_connection_is_up() {
    for state in STATES {
        let mut script = Script::at(state);
        let up = matches!(state, State::Connected | State::Draining);
        script.conn.drain(script.now + secs(60), script.now);
        assert_eq!(script.conn.state() == State::Closed, !up, "{state:?}");
        if up {
            script.advance(ms(100));
        }
        assert_silent(&mut script);
    }
}

#[test]
fn g11_what_is_under_way_is_given_up() {
    for (state, last) in [
        (State::Connecting, Action::Abandon { attempt: 1 }),
        (State::Handshaking, Action::CloseSocket { epoch: common::epoch(1) }),
        (State::Draining, Action::CloseSocket { epoch: common::epoch(1) }),
    ] {
        let mut script = Script::at(state);
        script.conn.close(script.now);
        script.advance(ms(100));
        assert_eq!(script.actions().last(), Some(&last), "{state:?}");
    }
    let mut untaken = Script::new(|_| {});
    untaken.conn.close(untaken.now);
    assert_eq!(untaken.actions(), [], "an order that was not taken is withdrawn");
}

#[test]
fn g11_close_finishes_the_message_that_is_half_written_and_no_other() {
    let mut script = Script::connected(|config| config.resend = Resend::Unacked);
    for message in ["whole", "half", "untouched"] {
        script.send(message);
    }
    script.write(7);
    script.ack(0);
    script.conn.close(script.now);
    assert_eq!(script.outcomes(), [(3, not_sent(FailCause::Closed))]);
    assert_eq!(script.write_all(), "lf");
    let epoch = script.epoch();
    assert_eq!(script.actions().last(), Some(&Action::ShutdownWrite { epoch }));
    script.ack(2);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked), (2, Outcome::Acked)]);
    script.disconnect();
    assert_eq!(script.actions(), [Action::CloseSocket { epoch }]);
    assert_silent(&mut script);
}

#[test]
fn g11_close_says_goodbye_after_a_message_that_nobody_acknowledges() {
    let mut script = Script::connected(|config| config.resend = Resend::Unacked);
    script.send("half");
    script.write(2);
    script.actions();
    script.conn.close(script.now);
    assert_eq!(script.actions(), []);
    assert_eq!(script.write_all(), "lf");
    let epoch = script.epoch();
    assert_eq!(script.actions(), [Action::ShutdownWrite { epoch }]);
    assert_eq!(script.outcomes(), []);
    script.advance(ms(100));
    assert_eq!(script.outcomes(), [(1, in_doubt(FailCause::Closed))]);
    assert_silent(&mut script);
}

#[test]
fn g11_close_waits_100_ms_for_a_half_written_message_and_not_longer() {
    let mut script = Script::connected(|_| {});
    script.send("half");
    script.write(2);
    script.write(0);
    script.conn.close(script.now);
    script.advance(ms(60));
    script.conn.close(script.now);
    script.advance(ms(39));
    assert_eq!(script.conn.state(), State::Connected);
    script.advance(ms(1));
    assert_eq!(script.outcomes(), [(1, not_sent(FailCause::Closed))]);
    let epoch = script.epoch();
    assert_eq!(script.items(), [Item::Down { epoch, reason: Reason::Closed }]);
    assert_silent(&mut script);
}

#[test]
fn g11_close_does_not_reconnect_for_a_half_written_message() {
    let mut script = Script::connected(|_| {});
    script.send("half");
    script.write(2);
    script.conn.close(script.now);
    script.disconnect();
    assert_eq!(script.outcomes(), [(1, not_sent(FailCause::Closed))]);
    assert_silent(&mut script);
}

#[test]
fn g11_a_drain_after_close_does_not_undo_it() {
    let mut script = Script::connected(|_| {});
    script.send("half");
    script.write(2);
    script.conn.close(script.now);
    script.conn.drain(script.now + secs(60), script.now);
    script.conn.reconnect_now(script.now);
    assert_eq!(script.conn.state(), State::Connected, "the half is still to be finished");
    script.disconnect();
    assert_silent(&mut script);
}

#[test]
fn g11_a_write_that_is_out_at_the_end_is_in_doubt() {
    let mut script = Script::connected(|_| {});
    script.send("out");
    script.lend();
    script.conn.close(script.now);
    assert_eq!(script.outcomes(), []);
    script.advance(ms(100));
    assert_eq!(script.outcomes(), [(1, in_doubt(FailCause::Closed))]);
    assert_silent(&mut script);
}

#[test]
fn g11_close_after_a_failed_write_ends_on_time() {
    let mut script = Script::connected(|_| {});
    script.send("half");
    script.write(2);
    script.conn.handle_write_failed(script.epoch(), fault(), None, script.now);
    script.conn.close(script.now);
    script.advance(ms(100));
    assert_eq!(script.outcomes(), [(1, not_sent(FailCause::Closed))]);
    assert_silent(&mut script);
}

#[test]
fn g11_what_was_received_is_still_read_after_close() {
    let mut script = Script::connected(|_| {});
    let epoch = script.epoch();
    script.receive(b"before");
    script.conn.close(script.now);
    script.receive(b"after our FIN");
    script.disconnect();
    assert_eq!(script.conn.state(), State::Closed);
    let down = Item::Down { epoch, reason: Reason::PeerClosed };
    let expected = [Item::Data("before".into()), Item::Data("after our FIN".into()), down];
    assert_eq!(script.items(), expected);
    assert_silent(&mut script);
}

#[test]
fn g11_drain_refuses_new_messages_writes_the_old_ones_and_says_goodbye() {
    let mut script = Script::connected(|_| {});
    script.send("old");
    script.conn.drain(script.now + secs(9), script.now);
    assert!(script.conn.is_ending());
    let refusal = script.send_with("new", Default::default()).unwrap_err().refusal;
    assert_eq!(refusal, Refusal::Closed);
    assert_eq!(script.write_all(), "old");
    let epoch = script.epoch();
    assert_eq!(script.actions().last(), Some(&Action::ShutdownWrite { epoch }));
    assert_eq!(script.conn.state(), State::Draining);
    script.disconnect();
    assert_eq!(script.outcomes(), [(1, written(epoch))]);
    assert_eq!(script.events().last(), Some(&Event::Closed { reason: Reason::PeerClosed }));
    assert_silent(&mut script);
}

#[test]
fn g11_drain_reconnects_for_what_is_left() {
    let mut script = Script::connected(|_| {});
    script.send("left");
    script.conn.drain(script.now + secs(9), script.now);
    script.write(2);
    script.disconnect();
    assert_eq!(script.conn.state(), State::Backoff);
    let second = script.connect();
    assert_eq!(script.write_all(), "left");
    assert_eq!(script.outcomes(), [(1, written(second))]);
    assert_eq!(script.conn.state(), State::Draining);
    script.advance(ms(100));
    assert_silent(&mut script);
}

#[test]
fn g11_a_drain_may_be_moved_to_another_connection_by_hand() {
    let mut script = Script::connected(|_| {});
    script.send("left");
    script.conn.drain(script.now + secs(9), script.now);
    script.conn.reconnect_now(script.now);
    assert_eq!(script.conn.state(), State::Resolving);
    let second = script.connect();
    assert_eq!(script.write_all(), "left");
    assert_eq!(script.outcomes(), [(1, written(second))]);
}

#[test]
fn g11_saying_goodbye_does_not_outlast_the_deadline() {
    let mut script = Script::connected(|_| {});
    script.conn.drain(script.now + ms(30), script.now);
    assert_eq!(script.conn.state(), State::Draining);
    script.advance(ms(30));
    assert_silent(&mut script);
}

#[test]
fn g11_drain_ends_when_the_connection_took_the_last_message_with_it() {
    let mut script = Script::connected(|config| config.resend = Resend::Never);
    script.send("half");
    script.write(2);
    script.conn.drain(script.now + secs(9), script.now);
    script.disconnect();
    assert_eq!(script.outcomes(), [(1, not_sent(FailCause::Disconnected))]);
    assert_silent(&mut script);
}

#[test]
fn g11_drain_waits_for_acknowledgements() {
    let mut script = Script::connected(|config| config.resend = Resend::Unacked);
    script.send("unacked");
    script.write_all();
    script.conn.drain(script.now + secs(9), script.now);
    script.advance(secs(8));
    assert_eq!(script.conn.state(), State::Connected);
    script.ack(1);
    assert_eq!(script.conn.state(), State::Draining);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked)]);
}

#[test]
fn g11_the_earlier_of_two_deadlines_counts_and_close_ends_a_drain() {
    let mut script = Script::connected(|_| {});
    script.send("stuck");
    script.write(0);
    let start = script.now;
    script.conn.drain(start + secs(20), start);
    script.conn.drain(start + secs(10), start);
    script.conn.drain(start + secs(30), start);
    assert_eq!(script.conn.poll_timeout(), Some(start + secs(10)));
    script.conn.close(start);
    assert_eq!(script.conn.state(), State::Draining);
    script.advance(ms(100));
    assert_silent(&mut script);
}

#[test]
fn g11_a_deadline_that_is_over_or_never_comes_is_no_trap() {
    let mut script = Script::connected(|_| {});
    script.send("late");
    script.conn.drain(Instant::ZERO, script.now);
    assert_eq!(script.conn.poll_timeout(), Some(script.now));
    script.advance(ms(0));
    assert_silent(&mut script);

    let mut script = Script::connected(|_| {});
    script.send("patient");
    script.conn.drain(Instant::from_nanos(u64::MAX), script.now);
    script.advance(secs(1 << 32));
    assert_eq!(script.conn.state(), State::Connected);
    script.write_all();
    script.advance(ms(100));
    assert_silent(&mut script);
}

#[test]
fn g11_full_boxes_do_not_delay_the_end() {
    let mut script = Script::connected(|config| {
        config.max_queued_messages = 2;
        config.max_received_bytes = 4_096;
    });
    script.send("one");
    script.send("two");
    while script.receive(&[7; 1_000]) {}
    script.conn.close(script.now);
    script.advance(ms(100));
    let failed = not_sent(FailCause::Closed);
    assert_eq!(script.outcomes(), [(1, failed), (2, failed)]);
    assert!(matches!(script.items().last(), Some(Item::Down { .. })));
    assert_silent(&mut script);
}
