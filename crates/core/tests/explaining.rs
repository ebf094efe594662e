//! What a connection says of itself in words, G8: the state, since when, why, what is waited for
//! and until when, and the last error with its phase, address, attempt and errno.

mod common;

use common::{STATES, Script, evidence, ms, secs};
use rebelay_core::{Fault, PeerFin, Reason, Resend, State};

#[track_caller]
fn assert_says(script: &Script, parts: &[&str]) {
    let text = script.conn.explain(script.now);
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    assert!(!text.contains("  ") && text.ends_with('.'), "{text:?}");
}

fn refused() -> Fault {
    Fault::with_errno(Some(111), "Connection refused")
}

#[test]
fn g08_every_state_says_what_it_is_since_when_and_until_when() {
    for state in STATES {
        let mut script = Script::at(state);
        script.now = script.now + ms(7);
        let wait = script.conn.poll_timeout().map(|at| at.saturating_since(script.now).as_millis());
        let wait = wait.map(|millis| format!("in {millis} ms"));
        let parts: &[&str] = match state {
            State::Idle => &["Idle for 7 ms", "connects when a message is sent"],
            State::Resolving => &["Looking the endpoint up for 7 ms (round 1)", "in 4.9 s"],
            State::Connecting => {
                &["Connecting to 127.0.0.1:1 for 7 ms (attempt 1)", "gives that up in 4.9 s"]
            }
            State::Handshaking => &[
                "Connected to 127.0.0.1:1 (epoch 1)",
                "the handshake has run for 7 ms",
                "gives that up in 4.9 s",
            ],
            State::Connected => &["Connected to 127.0.0.1:1 for 7 ms (epoch 1)."],
            State::Backoff => &[
                "Not connected for 7 ms; tries again",
                wait.as_deref().unwrap(),
                "Last error, 7 ms ago: lookup failed: no name, in round 1.",
            ],
            State::Draining => &[
                "our FIN was sent 7 ms ago; waits for the peer's FIN",
                "closes in 93 ms.",
                "It closes.",
            ],
            State::Closed => &["Closed for 7 ms: the connection was closed."],
        };
        assert_says(&script, parts);
    }
}

#[test]
fn g08_the_time_may_be_told_late_or_early() {
    let script = Script::at(State::Connecting);
    assert!(script.conn.explain(script.now + secs(75)).contains("for 75 s (attempt 1)"));
    assert!(script.conn.explain(rebelay_core::Instant::ZERO).contains("for 0 ms (attempt 1)"));
    assert!(script.conn.explain(script.now + secs(9)).contains("gives that up in 0 ms"));
}

#[test]
fn g08_the_last_error_is_told_with_its_phase_address_attempt_and_errno() {
    let mut script = Script::at(State::Connecting);
    let attempt = script.attempt();
    script.conn.handle_connect_failed(attempt, refused(), script.now);
    script.now = script.now + ms(30);
    let told = "connecting failed: Connection refused (errno 111), at attempt 1 to 127.0.0.1:1.";
    assert_says(&script, &["Not connected for 30 ms", "Last error, 30 ms ago", told]);
    assert_eq!(script.conn.last_error().and_then(Reason::errno), Some(111));

    let epoch = script.connect();
    assert_says(&script, &["Connected to 127.0.0.1:1", told]);
    let reset = Fault::with_errno(Some(104), "Connection reset by peer");
    script.conn.handle_disconnected(epoch, Reason::Io(reset), None, script.now);
    let told = "the connection failed: Connection reset by peer (errno 104), on epoch 1 \
                to 127.0.0.1:1.";
    assert_says(&script, &[told]);
    script.conn.close(script.now);
    assert_says(&script, &["Closed for 0 ms: the connection was closed."]);
}

#[test]
fn g08_timeouts_and_handshakes_name_themselves() {
    let mut script = Script::at(State::Resolving);
    script.advance(secs(5));
    assert_says(&script, &["the lookup took too long, in round 1."]);
    let mut script = Script::at(State::Connecting);
    script.advance(secs(5));
    assert_says(&script, &["connecting took too long, at attempt 1 to 127.0.0.1:1."]);
    let mut script = Script::at(State::Handshaking);
    let fault = Fault::new("wrong password");
    script.conn.handle_handshake_failed(script.epoch(), fault, script.now);
    assert_says(&script, &["the handshake failed: wrong password", "to 127.0.0.1:1."]);
    assert_eq!(script.conn.last_error().and_then(Reason::errno), None);
}

#[test]
fn g08_what_waits_in_the_outbox_is_counted() {
    let mut script = Script::at(State::Backoff);
    script.send("one");
    script.send("three");
    assert_says(&script, &["Without an outcome: 2 messages of 8 bytes."]);
}

#[test]
fn g08_a_socket_that_takes_nothing_says_when_it_is_given_up() {
    let mut script = Script::connected(|_| {});
    script.send("stuck");
    script.write(0);
    script.now = script.now + secs(15);
    assert_says(&script, &["The socket takes no bytes; the connection is given up in 20 s."]);
}

#[test]
fn g08_a_connection_that_has_ended_says_why_and_what_it_waits_for() {
    let mut script = Script::connected(|config| config.resend = Resend::Untransmitted);
    script.send("message");
    script.write_all();
    let still = Some(evidence(7, false));
    script.conn.handle_disconnected(script.epoch(), Reason::PeerClosed, still, script.now);
    script.now = script.now + ms(400);
    let told = "It has ended: the peer closed the connection; what became of the rest is awaited";
    assert_says(&script, &[told, "is left in 600 ms."]);
}

#[test]
fn g08_half_closed_ways_are_named() {
    let mut script = Script::connected(|config| config.peer_fin = PeerFin::KeepWriting);
    script.disconnect();
    assert_says(&script, &["The peer has sent its FIN and may read on."]);

    let mut script = Script::connected(|_| {});
    script.conn.half_close(script.now);
    assert_says(&script, &["waits for the peer's FIN and never closes by itself.", "half closed"]);

    let mut script = Script::connected(|config| config.resend = Resend::Unacked);
    script.send("unacked");
    script.conn.drain(script.now + secs(9), script.now);
    assert_says(
        &script,
        &["It drains: it closes once every message has its outcome, in 9.0 s at the latest."],
    );
}
