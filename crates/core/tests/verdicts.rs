//! A connection has ended, and the operating system may yet say what never left: G3, G4.

mod common;

use common::{Script, epoch, evidence, fault, ms, not_sent, not_transmitted, secs, written};
use rebelay_core::{FailCause, Reason, Resend, State};

/// The peer has sent its FIN while bytes were on their way.
fn left_by_the_peer(policies: &[Resend]) -> Script {
    let mut script = Script::written_with(policies);
    script.poll();
    let still = Some(evidence(3, false));
    script.conn.handle_disconnected(script.epoch(), Reason::PeerClosed, still, script.now);
    assert_eq!(script.conn.state(), State::Connected, "the verdict is awaited");
    assert_eq!(script.questions(), 1);
    script
}

#[test]
fn g04_a_fin_waits_for_the_verdict() {
    let mut script = left_by_the_peer(&[Resend::Untransmitted; 2]);
    script.send("new");
    assert_eq!(script.lend(), "", "nothing more is written on this epoch");
    script.answer(4);
    assert_eq!(script.conn.state(), State::Connected);
    script.advance_to_timeout();
    assert_eq!(script.questions(), 1);
    script.conn.handle_evidence(script.epoch(), Some(evidence(3, true)), script.now);
    assert_eq!(script.conn.last_error(), Some(&Reason::PeerClosed));
    assert_eq!(script.outcomes(), [(1, written(epoch(1)))]);
    script.connect();
    assert_eq!(script.write_all(), "bbbnew");
}

#[test]
fn g04_a_fin_waits_no_longer_than_until_all_has_left_or_the_time_is_up() {
    let mut script = left_by_the_peer(&[Resend::Untransmitted; 2]);
    script.answer(0);
    assert_eq!(script.conn.state(), State::Backoff);

    let mut script = left_by_the_peer(&[Resend::Untransmitted; 2]);
    let start = script.now;
    while script.conn.state() == State::Connected {
        script.advance_to_timeout();
        script.answer(6);
    }
    assert_eq!(script.now, start + secs(1));
    let gone = written(epoch(1));
    assert_eq!(script.outcomes(), [(1, gone), (2, gone)], "nothing is proven");
}

#[test]
fn g04_the_verdict_is_asked_for_again_soon_however_long_the_peer_was_stuck() {
    let mut script = Script::written_with(&[Resend::Untransmitted]);
    for _ in 0..20 {
        script.answer_next(3);
    }
    let still = Some(evidence(3, false));
    script.conn.handle_disconnected(script.epoch(), Reason::PeerClosed, still, script.now);
    let end = script.now + secs(1);
    // It is reset in the middle of the time that there is.
    while script.now < end {
        if script.questions() > 0 {
            let is_over = script.now + ms(500) >= end;
            let verdict = Some(evidence(3, is_over));
            script.conn.handle_evidence(script.epoch(), verdict, script.now);
        }
        if script.conn.state() != State::Connected {
            break;
        }
        script.advance_to_timeout();
    }
    assert_eq!(script.outcomes(), []);
    script.connect();
    assert_eq!(script.write_all(), "aaa");
}

#[test]
fn g04_a_fin_without_messages_that_wait_for_evidence_is_the_end_at_once() {
    for (policies, counters) in [
        (vec![Resend::Unacked, Resend::Incomplete], Some(evidence(3, false))),
        (vec![Resend::Untransmitted], None),
        (vec![Resend::Untransmitted], Some(evidence(3, true))),
    ] {
        let mut script = Script::written_with(&policies);
        let epoch = script.epoch();
        script.conn.handle_disconnected(epoch, Reason::PeerClosed, counters, script.now);
        assert_eq!(script.conn.state(), State::Backoff, "{policies:?}");
    }
}

#[test]
fn g04_a_reset_after_the_fin_brings_its_own_verdict() {
    let mut script = left_by_the_peer(&[Resend::Untransmitted; 2]);
    script.reset(3);
    assert_eq!(script.outcomes(), [(1, written(epoch(1)))]);
    script.connect();
    assert_eq!(script.write_all(), "bbb");
}

#[test]
fn g04_a_write_that_fails_after_the_fin_brings_its_own_verdict() {
    let mut script = Script::written_with(&[Resend::Untransmitted]);
    let first = script.epoch();
    script.send("out");
    assert_eq!(script.lend(), "out");
    let still = Some(evidence(3, false));
    script.conn.handle_disconnected(first, Reason::PeerClosed, still, script.now);
    script.conn.handle_write_failed(first, fault(), Some(evidence(3, true)), script.now);
    assert_eq!(script.conn.state(), State::Backoff);
    script.connect();
    assert_eq!(script.write_all(), "aaaout");
}

#[test]
fn g04_a_socket_that_takes_nothing_more_after_the_fin_does_not_cut_the_verdict_short() {
    let mut script = Script::connected(|config| {
        config.resend = Resend::Untransmitted;
        config.write_stall_timeout = ms(10);
    });
    script.send("aaa");
    script.write_all();
    script.send("out");
    assert_eq!(script.lend(), "out");
    let still = Some(evidence(3, false));
    script.conn.handle_disconnected(script.epoch(), Reason::PeerClosed, still, script.now);
    script.took(0);
    script.advance(ms(999));
    assert_eq!(script.conn.state(), State::Connected);
    script.advance(ms(1));
    assert_eq!(script.conn.last_error(), Some(&Reason::PeerClosed));
}

#[test]
fn g03_what_a_failed_write_proved_holds_however_the_connection_is_left() {
    type End = fn(&mut Script);
    let ends: [End; 4] = [
        Script::disconnect,
        |script| script.advance(secs(1)),
        |script| script.conn.reconnect_now(script.now),
        |script| {
            script.conn.close(script.now);
            script.advance(ms(100));
        },
    ];
    for (case, end) in ends.into_iter().enumerate() {
        let mut script = Script::written_with(&[Resend::Unacked]);
        script.send("out");
        script.lend();
        let proof = Some(evidence(3, true));
        script.conn.handle_write_failed(script.epoch(), fault(), proof, script.now);
        end(&mut script);
        script.conn.close(script.now);
        let closed = FailCause::Closed;
        let expected = [(1, not_transmitted(closed)), (2, not_sent(closed))];
        let mut outcomes = script.outcomes();
        outcomes.sort_by_key(|(number, _)| *number);
        assert_eq!(outcomes, expected, "case {case}");
    }
}
