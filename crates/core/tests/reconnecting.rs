//! How it comes back, G8: never in a hot loop, never giving up, whatever clocks do.

mod common;

use std::time::Duration;

use common::{Script, addresses, fault, ms, secs};
use rebelay_core::{
    Action, Config, Connection, Event, FirstConnect, Instant, Jitter, Reason, State,
};

fn steady(config: &mut Config) {
    config.backoff.jitter = Jitter::None;
}

fn fail_lookup(script: &mut Script) {
    let round = script.round();
    script.conn.handle_resolve_failed(round, fault(), script.now);
}

#[test]
fn g08_a_server_that_accepts_and_drops_is_dialled_ever_more_rarely() {
    let mut script = Script::new(steady);
    let mut waits = vec![];
    for _ in 0..11 {
        script.connect();
        script.disconnect();
        waits.push(script.advance_to_timeout().as_millis());
    }
    let expected = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000];
    assert_eq!(waits, expected);
}

#[test]
fn g08_only_ten_seconds_of_health_start_the_waits_again() {
    for (health, wait) in [(ms(9_999), ms(200)), (ms(10_000), ms(100))] {
        let mut script = Script::new(steady);
        script.connect();
        script.disconnect();
        script.connect();
        script.advance(health);
        script.disconnect();
        assert_eq!(script.advance_to_timeout(), wait, "after {health:?}");
    }
}

#[test]
fn g08_a_handshake_that_never_ends_well_is_no_health() {
    let mut script = Script::new(|config| {
        steady(config);
        config.handshake = true;
        config.handshake_timeout = secs(60);
    });
    for wait in [100, 200, 400, 800] {
        script.resolve(1);
        let epoch = script.dialled();
        script.advance(secs(30));
        script.conn.handle_handshake_failed(epoch, fault(), script.now);
        assert_eq!(script.advance_to_timeout(), ms(wait));
    }
}

#[test]
fn g08_an_outage_of_thirty_hours_is_waited_out() {
    let mut script = Script::connected(|_| {});
    script.send("kept");
    script.disconnect();
    let start = script.now;
    let mut rounds = 0;
    while script.now.saturating_since(start) < secs(30 * 3_600) {
        let wait = script.advance_to_timeout();
        assert!(wait >= ms(10) && wait <= secs(30), "{wait:?}");
        fail_lookup(&mut script);
        rounds += 1;
    }
    // Full jitter under a cap of 30 s waits 15 s on average.
    assert!((5_000..10_000).contains(&rounds), "{rounds} rounds");
    script.connect();
    assert_eq!(script.write_all(), "kept");
}

#[test]
fn g08_every_address_is_dialled_once_before_the_wait() {
    let mut script = Script::new(steady);
    script.resolve(3);
    for number in 1..=3 {
        let wanted = Action::Dial { attempt: number, address: addresses(3)[number as usize - 1] };
        assert_eq!(script.actions().last(), Some(&wanted));
        if number == 2 {
            script.advance(secs(5));
            script.poll();
            assert_eq!(script.actions[0], Action::Abandon { attempt: 2 }, "it took too long");
        } else {
            script.conn.handle_connect_failed(number, fault(), script.now);
        }
    }
    assert_eq!(script.conn.state(), State::Backoff);
    assert_eq!(script.conn.last_error(), Some(&Reason::Connect(fault())));
    script.advance_to_timeout();
    assert_eq!(script.actions(), [Action::Resolve { round: 2 }]);
}

#[test]
fn g08_an_answer_without_end_is_one_bounded_round() {
    let mut script = Script::new(|_| {});
    script.resolve(10_000);
    let mut dials = 0;
    while script.conn.state() == State::Connecting {
        let attempt = script.attempt();
        script.conn.handle_connect_failed(attempt, fault(), script.now);
        dials += 1;
    }
    assert_eq!((dials, script.conn.state()), (64, State::Backoff));
}

#[test]
fn g08_a_lookup_that_finds_nothing_or_takes_too_long_waits_for_the_next_round() {
    let mut script = Script::new(|_| {});
    script.resolve(0);
    assert_eq!(script.conn.state(), State::Backoff);
    assert_eq!(script.conn.last_error(), Some(&Reason::NoAddress));
    script.advance_to_timeout();
    script.advance(secs(5));
    assert_eq!(script.conn.state(), State::Backoff);
    assert_eq!(script.conn.last_error(), Some(&Reason::ResolveTimeout));
    let mut failed = Vec::new();
    for event in script.events() {
        if let Event::AttemptFailed { reason, .. } = event {
            failed.push(reason);
        }
    }
    assert_eq!(failed, [Reason::NoAddress, Reason::ResolveTimeout]);
}

#[test]
fn g08_an_order_that_nobody_took_does_not_outlive_its_round() {
    let mut conn = Connection::new(Config::default(), 1, Instant::ZERO).unwrap();
    conn.handle_timeout(Instant::ZERO + secs(5));
    assert_eq!(conn.state(), State::Backoff);
    assert_eq!(conn.poll_action(), None);
}

#[test]
fn g08_a_clock_that_jumps_forward_neither_spins_nor_skips_the_wait() {
    for jump in [secs(60), secs(1 << 31), Duration::MAX] {
        for state in common::STATES {
            let mut script = Script::at(state);
            script.advance(jump);
            script.poll();
            let rounds = script.actions.iter().filter(|a| matches!(a, Action::Resolve { .. }));
            assert!(rounds.count() <= 2, "from {state:?} by {jump:?}");
        }
    }
}

#[test]
fn g08_a_clock_that_jumps_backward_changes_nothing() {
    for state in common::STATES {
        let mut script = Script::at(state);
        let before = script.snapshot();
        script.conn.handle_timeout(Instant::ZERO);
        assert_eq!(script.snapshot(), before, "{state:?}");
    }
    let mut script = Script::at(State::Connecting);
    let attempt = script.attempt();
    script.conn.handle_connect_failed(attempt, fault(), Instant::ZERO);
    let wait = script.conn.poll_timeout().unwrap().saturating_since(script.now);
    assert!(wait >= ms(10), "{wait:?} from the latest instant seen");
}

#[test]
fn g08_at_the_end_of_time_nothing_is_due_again_and_again() {
    for state in common::STATES {
        let mut script = Script::at(state);
        for _ in 0..3 {
            script.conn.handle_timeout(Instant::from_nanos(u64::MAX));
        }
        assert_eq!(script.conn.poll_timeout(), None, "{state:?}");
    }
}

#[test]
fn fail_fast_ends_with_the_first_round_but_not_with_a_later_one() {
    let fail_fast = |config: &mut Config| config.first_connect = FirstConnect::FailFast;
    let mut script = Script::new(fail_fast);
    script.send("first");
    script.resolve(2);
    script.conn.handle_connect_failed(1, fault(), script.now);
    assert_eq!(script.conn.state(), State::Connecting, "one address is left");
    script.actions();
    script.conn.handle_connect_failed(2, fault(), script.now);
    assert_eq!(script.conn.state(), State::Closed);
    assert_eq!(script.actions(), [], "what has failed need not be given up");
    assert_eq!(script.outcomes().len(), 1);

    let mut script = Script::connected(fail_fast);
    script.disconnect();
    script.advance_to_timeout();
    fail_lookup(&mut script);
    assert_eq!(script.conn.state(), State::Backoff);
}

#[test]
fn fail_fast_tells_of_a_failed_handshake_once() {
    let mut script = Script::new(|config| {
        config.first_connect = FirstConnect::FailFast;
        config.handshake = true;
    });
    script.resolve(1);
    let epoch = script.dialled();
    script.events();
    script.conn.handle_handshake_failed(epoch, fault(), script.now);
    let reason = Reason::Handshake(fault());
    let failed = Event::AttemptFailed { attempt: 1, reason: reason.clone() };
    assert_eq!(script.events(), [failed, Event::Closed { reason }]);
    assert_eq!(script.actions().last(), Some(&Action::CloseSocket { epoch }));
}

#[test]
fn reconnecting_by_hand_is_no_failure_that_fail_fast_ends_at() {
    let mut script = Script::new(|config| {
        config.first_connect = FirstConnect::FailFast;
        config.handshake = true;
    });
    script.resolve(1);
    script.dialled();
    script.conn.reconnect_now(script.now);
    assert_eq!(script.conn.state(), State::Resolving);
}

#[test]
fn lazy_dials_at_the_first_message_or_when_asked() {
    type Wake = fn(&mut Script);
    let wakes: [Wake; 2] =
        [|script| assert_eq!(script.send("m"), 1), |script| script.conn.reconnect_now(script.now)];
    for wake in wakes {
        let mut script = Script::new(|config| config.first_connect = FirstConnect::Lazy);
        script.advance(secs(3_600));
        assert_eq!((script.actions(), script.conn.poll_timeout()), (vec![], None));
        assert!(script.send_with("", Default::default()).is_err());
        assert_eq!(script.conn.state(), State::Idle, "a refused message dials nothing");
        wake(&mut script);
        assert_eq!(script.actions(), [Action::Resolve { round: 1 }]);
    }
}

#[test]
fn reconnect_now_ends_a_wait_leaves_a_connection_and_lets_a_round_go_on() {
    for state in common::STATES {
        let mut script = Script::at(state);
        script.actions();
        let before = script.snapshot();
        script.conn.reconnect_now(script.now);
        match state {
            State::Idle | State::Backoff => assert_eq!(script.conn.state(), State::Resolving),
            State::Handshaking | State::Connected => {
                assert_eq!(script.conn.state(), State::Resolving);
                let close = Action::CloseSocket { epoch: script.epoch() };
                assert_eq!(script.actions(), [close, Action::Resolve { round: 2 }]);
            }
            State::Resolving | State::Connecting | State::Draining | State::Closed => {
                assert_eq!(script.snapshot(), before);
            }
        }
    }
}

#[test]
fn g10_a_socket_that_takes_nothing_for_too_long_is_given_up() {
    let mut script = Script::connected(|_| {});
    script.send("stuck");
    script.write(0);
    assert_eq!(script.lend(), "", "it said that it would block");
    script.advance(secs(20));
    script.conn.handle_writable(script.epoch());
    script.write(0);
    script.advance(ms(14_999));
    assert_eq!(script.conn.state(), State::Connected, "trying again does not start the time anew");
    script.advance(ms(1));
    assert_eq!(script.conn.last_error(), Some(&Reason::Stalled));
    script.connect();
    assert_eq!(script.write_all(), "stuck");
}

#[test]
fn g10_a_byte_taken_or_nothing_to_write_is_no_stall() {
    let mut script = Script::connected(|config| config.resend = rebelay_core::Resend::Unacked);
    script.send("slow but moving");
    for _ in 0..3 {
        script.write(0);
        script.advance(secs(29));
        script.conn.handle_writable(script.epoch());
        script.write(1);
    }
    script.write_all();
    script.disconnect();
    script.connect();
    script.write(0);
    script.ack(1);
    script.advance(secs(60));
    assert_eq!(script.conn.state(), State::Connected, "nothing is left that it could refuse");
    script.send("next");
    assert_eq!(script.write_all(), "next");
}
