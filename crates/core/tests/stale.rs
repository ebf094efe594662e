//! Reports that come late, twice or out of nowhere change nothing, in any state.

mod common;

use bytes::BytesMut;
use common::{STATES, Script, addresses, epoch, evidence, fault};
use rebelay_core::{Epoch, Reason, State};

/// The states in which a report about the current round, attempt or epoch means something.
struct Report {
    name: &'static str,
    states: &'static [State],
    /// Makes the report; `away` is 0 for the current number, else what to add to it.
    make: fn(&mut Script, away: i64),
}

const UP: &[State] = &[State::Connected, State::Draining];

const REPORTS: [Report; 12] = [
    Report {
        name: "resolved",
        states: &[State::Resolving],
        make: |s, away| {
            let round = number(1, away);
            s.conn.handle_resolved(round, &addresses(2), s.now);
        },
    },
    Report {
        name: "resolve failed",
        states: &[State::Resolving],
        make: |s, away| s.conn.handle_resolve_failed(number(1, away), fault(), s.now),
    },
    Report {
        name: "connected",
        states: &[State::Connecting],
        make: |s, away| {
            let _ = s.conn.handle_connected(number(1, away), s.now);
        },
    },
    Report {
        name: "connect failed",
        states: &[State::Connecting],
        make: |s, away| s.conn.handle_connect_failed(number(1, away), fault(), s.now),
    },
    Report {
        name: "handshaken",
        states: &[State::Handshaking],
        make: |s, away| s.conn.handle_handshaken(named(away), s.now),
    },
    Report {
        name: "handshake failed",
        states: &[State::Handshaking],
        make: |s, away| s.conn.handle_handshake_failed(named(away), fault(), s.now),
    },
    Report {
        // Nothing is lent, so even the current epoch's report is about nothing.
        name: "transmitted",
        states: &[],
        make: |s, away| {
            s.conn.handle_transmitted(named(away), 0, s.now);
            s.conn.handle_transmitted(named(away), usize::MAX, s.now);
        },
    },
    Report {
        // Nothing is blocked.
        name: "writable",
        states: &[],
        make: |s, away| s.conn.handle_writable(named(away)),
    },
    Report {
        name: "write failed",
        states: &[State::Connected],
        make: |s, away| s.conn.handle_write_failed(named(away), fault(), None, s.now),
    },
    Report {
        // Nothing was asked.
        name: "evidence",
        states: &[],
        make: |s, away| {
            s.conn.handle_evidence(named(away), Some(evidence(1, true)), s.now);
            s.conn.handle_evidence(named(away), None, s.now);
        },
    },
    Report {
        name: "received",
        states: UP,
        make: |s, away| {
            let bytes = BytesMut::from(&b"out of nowhere"[..]);
            s.conn.handle_received(named(away), bytes, s.now);
        },
    },
    Report {
        name: "disconnected",
        states: UP,
        make: |s, away| s.conn.handle_disconnected(named(away), Reason::PeerClosed, None, s.now),
    },
];

fn number(current: u64, away: i64) -> u64 {
    current.wrapping_add_signed(away)
}

/// The scripts below have seen epoch 2 at most.
fn named(away: i64) -> Epoch {
    epoch(usize::try_from(1 + away).unwrap_or(1).clamp(1, 64))
}

#[test]
fn every_report_counts_in_its_states_and_nowhere_else() {
    for report in &REPORTS {
        for state in STATES {
            let mut script = Script::at(state);
            let before = script.snapshot();
            (report.make)(&mut script, 0);
            let changed = script.snapshot() != before;
            assert_eq!(changed, report.states.contains(&state), "{} in {state:?}", report.name);
        }
    }
}

#[test]
fn every_report_about_another_round_attempt_or_epoch_is_ignored() {
    for report in &REPORTS {
        for state in STATES {
            for away in [1, 2, 50] {
                let mut script = Script::at(state);
                let before = script.snapshot();
                (report.make)(&mut script, away);
                assert_eq!(script.snapshot(), before, "{} +{away} in {state:?}", report.name);
            }
        }
    }
}

#[test]
fn every_report_about_the_past_is_ignored_in_every_later_state() {
    for report in &REPORTS {
        for state in STATES {
            // Round, attempt and epoch 1 are over before the second life begins.
            let mut script = Script::new(|config| config.handshake = true);
            script.connect();
            script.disconnect();
            script.poll();
            again(&mut script, state);
            script.poll();
            let before = script.snapshot();
            (report.make)(&mut script, 0);
            assert_eq!(script.snapshot(), before, "{} in {state:?}", report.name);
        }
    }
}

/// Takes a connection that waits after its first epoch on to `state`, or a step short of it.
fn again(script: &mut Script, state: State) {
    if matches!(state, State::Idle | State::Backoff) {
        return;
    }
    script.advance_to_timeout();
    if state >= State::Connecting && state != State::Closed {
        script.resolve(1);
    }
    if matches!(state, State::Handshaking | State::Connected | State::Draining) {
        let epoch = script.dialled();
        if state != State::Handshaking {
            script.conn.handle_handshaken(epoch, script.now);
        }
    }
    if matches!(state, State::Draining | State::Closed) {
        script.conn.close(script.now);
    }
    assert_eq!(script.conn.state(), state);
}

#[test]
fn every_report_made_twice_counts_once() {
    for report in REPORTS.iter().filter(|report| report.name != "received") {
        for state in report.states {
            let mut script = Script::at(*state);
            (report.make)(&mut script, 0);
            script.poll();
            let before = script.snapshot();
            (report.make)(&mut script, 0);
            assert_eq!(script.snapshot(), before, "{} in {state:?}", report.name);
        }
    }
}

#[test]
fn a_connection_that_comes_too_late_gets_no_epoch() {
    let mut script = Script::at(State::Connecting);
    let attempt = script.attempt();
    assert!(script.conn.handle_connected(attempt + 1, script.now).is_none());
    script.advance(common::secs(5));
    assert!(script.conn.handle_connected(attempt, script.now).is_none());
    assert_eq!(script.conn.epoch(), None);
}

#[test]
fn a_socket_of_the_past_that_can_write_again_does_not_unblock_the_next() {
    let mut script = Script::connected(|_| {});
    script.disconnect();
    script.connect();
    script.send("message");
    script.write(0);
    script.conn.handle_writable(epoch(1));
    assert!(!script.conn.can_transmit());
    script.conn.handle_writable(epoch(2));
    assert!(script.conn.can_transmit());
}

#[test]
fn a_write_reported_after_its_epoch_does_not_count_for_the_next() {
    let mut script = Script::connected(|config| config.resend = rebelay_core::Resend::Unacked);
    script.send("message");
    assert_eq!(script.lend(), "message");
    script.disconnect();
    script.connect();
    assert_eq!(script.lend(), "message");
    script.conn.handle_transmitted(epoch(1), 7, script.now);
    assert_eq!(script.conn.written_through().number(), 0);
    script.conn.handle_transmitted(epoch(2), 7, script.now);
    assert_eq!(script.conn.written_through().number(), 1);
}
