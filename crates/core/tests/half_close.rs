//! One direction is over and the other goes on: our FIN, and the peer's. G7, G11, G12.

mod common;

use common::{STATES, Script, evidence, fault, in_doubt, ms, secs, written};
use rebelay_core::{
    Action, Event, FailCause, Item, Outcome, PeerFin, Reason, Refusal, Resend, SendOptions, State,
};

/// The peer has sent its FIN, and reads on.
fn after_the_peers_fin(change: impl FnOnce(&mut rebelay_core::Config)) -> Script {
    let mut script = Script::connected(|config| {
        config.peer_fin = PeerFin::KeepWriting;
        change(config);
    });
    script.events();
    script.disconnect();
    let epoch = script.epoch();
    assert_eq!(script.items(), [Item::PeerFinished { epoch }]);
    assert_eq!(script.events(), [Event::PeerFinished { epoch }]);
    script
}

fn fail_write(script: &mut Script) {
    script.lend();
    script.conn.handle_write_failed(script.epoch(), fault(), None, script.now);
}

#[test]
fn g11_half_closing_with_nothing_to_write_sends_a_fin_or_ends_at_once() {
    for state in STATES {
        let mut script = Script::at(state);
        script.actions();
        script.conn.half_close(script.now);
        let refused = script.send_with("m", SendOptions::default()).map_err(|e| e.refusal);
        assert_eq!(refused, Err(Refusal::Closed), "{state:?}");
        if state == State::Connected {
            let epoch = script.epoch();
            assert_eq!(script.actions(), [Action::ShutdownWrite { epoch }]);
        }
        if state == State::Handshaking {
            script.conn.handle_handshaken(script.epoch(), script.now);
        }
        let up = matches!(state, State::Handshaking | State::Connected | State::Draining);
        let expected = if up { State::Draining } else { State::Closed };
        assert_eq!(script.conn.state(), expected, "{state:?}");
    }
}

#[test]
fn g11_half_closing_writes_what_is_queued_from_every_state_and_then_says_so() {
    for state in STATES {
        let mut script = Script::at(state);
        if matches!(state, State::Draining | State::Closed) {
            continue;
        }
        script.send("queued");
        script.conn.half_close(script.now);
        if script.conn.state() == State::Handshaking {
            script.conn.handle_handshaken(script.epoch(), script.now);
        } else if script.conn.state() != State::Connected {
            script.connect();
        }
        script.actions();
        assert_eq!(script.write_all(), "queued", "{state:?}");
        let epoch = script.epoch();
        assert_eq!(script.actions(), [Action::ShutdownWrite { epoch }], "{state:?}");
        assert_eq!(script.outcomes(), [(1, written(epoch))], "{state:?}");
        assert_eq!(script.conn.state(), State::Draining, "{state:?}");
    }
}

#[test]
fn g11_the_answer_to_a_half_closed_request_may_take_any_time() {
    let mut script = Script::connected(|_| {});
    let epoch = script.epoch();
    script.send("request");
    script.conn.half_close(script.now);
    script.write_all();
    assert_eq!(script.conn.poll_timeout(), None);
    script.advance(secs(86_400));
    assert!(script.receive(b"answer"));
    script.disconnect();
    let down = Item::Down { epoch, reason: Reason::PeerClosed };
    assert_eq!(script.items(), [Item::Data("answer".into()), down]);
    assert_eq!(script.conn.state(), State::Closed);
    assert_eq!(script.events().last(), Some(&Event::Closed { reason: Reason::PeerClosed }));
}

#[test]
fn g11_a_half_closed_connection_reconnects_for_what_was_not_written_and_not_for_more() {
    let mut script = Script::connected(|_| {});
    script.send("request");
    script.conn.half_close(script.now);
    script.write(3);
    script.disconnect();
    script.connect();
    assert_eq!(script.write_all(), "request");
    assert_eq!(script.conn.state(), State::Draining);
    script.reset(0);
    assert_eq!(script.conn.state(), State::Closed, "our FIN was sent: there is no way back");
    assert_eq!(script.events().last(), Some(&Event::Closed { reason: Reason::Io(fault()) }));
}

#[test]
fn g11_close_and_drain_end_a_half_closed_connection() {
    type End = fn(&mut Script);
    let ends: [(End, u64); 2] = [
        (|script| script.conn.close(script.now), 100),
        (|script| script.conn.drain(script.now + secs(3), script.now), 3_000),
    ];
    for (end, millis) in ends {
        let mut script = Script::connected(|_| {});
        script.conn.half_close(script.now);
        end(&mut script);
        script.advance(ms(millis - 1));
        assert_eq!(script.conn.state(), State::Draining);
        script.advance(ms(1));
        assert_eq!(script.conn.state(), State::Closed);
    }
}

#[test]
fn g11_half_closing_after_a_drain_or_a_close_changes_nothing() {
    type End = fn(&mut Script);
    let ends: [End; 2] = [
        |script| script.conn.close(script.now),
        |script| script.conn.drain(script.now + secs(3), script.now),
    ];
    for end in ends {
        let mut script = Script::connected(|config| config.resend = Resend::Unacked);
        script.send("half");
        script.write(2);
        end(&mut script);
        let before = script.snapshot();
        script.conn.half_close(script.now);
        assert_eq!(script.snapshot(), before);
    }
}

#[test]
fn g11_a_half_closed_connection_counts_acknowledgements_and_evidence() {
    let mut script = Script::connected(|config| config.resend = Resend::Unacked);
    let epoch = script.epoch();
    script.send("acked");
    script.send_with("transmitted", SendOptions::resend(Resend::Untransmitted)).unwrap();
    script.send("never left");
    script.conn.half_close(script.now);
    script.write_all();
    script.ack(1);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked)]);
    // Ten bytes, and perhaps our FIN: then it is eleven, and the last byte before may be one.
    script.answer_next(11);
    assert_eq!(script.outcomes(), []);
    script.answer_next(10);
    assert_eq!(script.outcomes(), [(2, written(epoch))]);
    script.reset(2);
    let outcome = common::not_transmitted(FailCause::Closed);
    assert_eq!(script.outcomes(), [(3, outcome)]);
}

#[test]
fn g12_messages_go_out_after_the_peers_fin_and_nothing_more_is_read() {
    let mut script = after_the_peers_fin(|_| {});
    let epoch = script.epoch();
    assert!(!script.receive(b""), "there is nothing to read");
    script.send("answer");
    assert_eq!(script.write_all(), "answer");
    assert_eq!(script.outcomes(), [(1, written(epoch))]);
    script.advance(secs(3_600));
    assert_eq!(script.conn.state(), State::Connected);
    let before = script.snapshot();
    script.disconnect();
    assert_eq!(script.snapshot(), before, "a FIN comes once");
}

#[test]
fn g12_a_write_that_fails_after_the_peers_fin_ends_the_epoch_at_once() {
    let mut script = after_the_peers_fin(|_| {});
    let epoch = script.epoch();
    script.send("refused");
    fail_write(&mut script);
    assert_eq!(script.conn.state(), State::Backoff);
    assert_eq!(script.items(), [Item::Down { epoch, reason: Reason::Io(fault()) }]);
    script.connect();
    assert_eq!(script.write_all(), "refused");
    script.disconnect();
    assert_eq!(script.conn.state(), State::Connected, "the next peer may read on as well");
}

#[test]
fn g12_a_write_that_fails_after_the_peers_fin_waits_for_its_verdict() {
    let mut script = after_the_peers_fin(|config| config.resend = Resend::Untransmitted);
    let epoch = script.epoch();
    script.send("aaa");
    script.write_all();
    script.send("refused");
    script.lend();
    script.poll();
    let still = Some(evidence(3, false));
    script.conn.handle_write_failed(epoch, fault(), still, script.now);
    assert_eq!(script.questions(), 1);
    script.conn.handle_evidence(epoch, Some(evidence(3, true)), script.now);
    assert_eq!(script.conn.last_error(), Some(&Reason::Io(fault())));
    script.connect();
    assert_eq!(script.write_all(), "aaarefused");
}

#[test]
fn g12_a_reset_after_the_peers_fin_is_the_end() {
    let mut script = after_the_peers_fin(|_| {});
    let epoch = script.epoch();
    script.reset(0);
    assert_eq!(script.items(), [Item::Down { epoch, reason: Reason::Io(fault()) }]);
}

#[test]
fn g12_a_fin_after_a_failed_write_is_the_end() {
    let mut script = Script::connected(|config| config.peer_fin = PeerFin::KeepWriting);
    let epoch = script.epoch();
    script.send("refused");
    fail_write(&mut script);
    script.disconnect();
    assert_eq!(script.items(), [Item::Down { epoch, reason: Reason::Io(fault()) }]);
}

#[test]
fn g11_both_directions_over_is_the_end() {
    // Whatever was to be waited for, the peer will say nothing more.
    type End = fn(&mut Script);
    let ends: [End; 3] = [
        |script| script.conn.close(script.now),
        |script| script.conn.half_close(script.now),
        |script| script.conn.drain(script.now + secs(9), script.now),
    ];
    for (case, end) in ends.into_iter().enumerate() {
        for ours_first in [true, false] {
            let mut script = Script::connected(|config| config.peer_fin = PeerFin::KeepWriting);
            let epoch = script.epoch();
            if ours_first {
                end(&mut script);
                assert_eq!(script.conn.state(), State::Draining);
                script.disconnect();
            } else {
                script.disconnect();
                end(&mut script);
            }
            assert_eq!(script.conn.state(), State::Closed, "case {case}");
            assert_eq!(script.actions().last(), Some(&Action::CloseSocket { epoch }));
            let down = Item::Down { epoch, reason: Reason::PeerClosed };
            assert_eq!(script.items().last(), Some(&down));
        }
    }
}

#[test]
fn g11_a_drain_after_the_peers_fin_still_waits_for_acknowledgements() {
    let mut script = after_the_peers_fin(|config| config.resend = Resend::Unacked);
    script.send("unacked");
    script.conn.drain(script.now + secs(9), script.now);
    script.write_all();
    assert_eq!(script.conn.state(), State::Connected);
    script.advance(secs(9));
    assert_eq!(script.outcomes(), [(1, in_doubt(FailCause::Closed))]);
}

#[test]
fn g11_a_handshake_that_finds_everything_acknowledged_still_says_goodbye() {
    let mut script = Script::connected(|config| {
        config.resend = Resend::Unacked;
        config.handshake = true;
    });
    script.send("known to the peer");
    script.write_all();
    script.disconnect();
    script.conn.half_close(script.now);
    script.advance_to_timeout();
    script.resolve(1);
    let epoch = script.dialled();
    script.ack(1);
    assert_eq!(script.conn.state(), State::Handshaking, "the peer's last words are awaited");
    script.conn.handle_handshaken(epoch, script.now);
    assert_eq!(script.conn.state(), State::Draining);
}
