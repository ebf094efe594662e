//! What goes out again: what can be seen, acknowledged and changed of it before it does, in what
//! order and how fast it goes, and when it is given up. G2 to G4, G9, G10.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Script, in_doubt, ms, not_sent, secs, written};
use rebelay_core::{Certainty, FailCause, Outcome, Refusal, Resend, SendOptions, State, Ticket};

/// These messages, all written, on an epoch that ended.
fn ended_after(messages: &[&str], change: impl FnOnce(&mut rebelay_core::Config)) -> Script {
    let mut script = Script::connected(|config| {
        config.resend = Resend::Unacked;
        change(config);
    });
    for message in messages {
        script.send(message);
    }
    script.write_all();
    script.disconnect();
    script
}

fn replace(script: &mut Script, ticket: u64, message: &str) -> Result<(), Refusal> {
    let new = Bytes::copy_from_slice(message.as_bytes());
    let replaced = script.conn.replace(Ticket::from_number(ticket), new);
    replaced.map_err(|error| {
        assert_eq!(error.message, message, "handed back whole");
        error.refusal
    })
}

/// Ticket, attempts, certainty and text of what goes out again.
fn replays(script: &mut Script) -> Vec<(u64, u32, Certainty, String)> {
    let text = |message: &Bytes| String::from_utf8_lossy(message).into_owned();
    let replays = script.conn.replays();
    replays.iter().map(|r| (r.ticket.number(), r.attempts, r.certainty, text(&r.message))).collect()
}

#[test]
fn g09_a_handshake_sees_what_goes_out_again_and_new_messages_are_not_among_it() {
    let mut script = Script::new(|config| {
        config.handshake = true;
        config.resend = Resend::Unacked;
    });
    script.connect();
    for message in ["in doubt", "never left", "half", "untouched"] {
        script.send(message);
    }
    script.write(20);
    assert_eq!(replays(&mut script), [], "all of it is out, or was never begun");
    script.reset(3);
    script.send("new");
    script.advance_to_timeout();
    script.resolve(1);
    script.dialled();
    assert_eq!(script.conn.state(), State::Handshaking);
    let expected = [
        (1, 1, Certainty::InDoubt, "in doubt".into()),
        (2, 1, Certainty::NotTransmitted, "never left".into()),
        (3, 1, Certainty::NotSent, "half".into()),
    ];
    assert_eq!(replays(&mut script), expected);
    script.conn.handle_handshaken(script.epoch(), script.now);
    script.write(9);
    assert_eq!(replays(&mut script), expected[2..], "two are out again");
}

#[test]
fn g09_what_the_peer_names_in_the_handshake_does_not_go_out_again() {
    let mut script = Script::new(|config| {
        config.handshake = true;
        config.resend = Resend::Unacked;
    });
    script.connect();
    for message in ["a", "b", "c"] {
        script.send(message);
    }
    script.write_all();
    script.disconnect();
    script.advance_to_timeout();
    script.resolve(1);
    let epoch = script.dialled();
    script.ack(2);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked), (2, Outcome::Acked)]);
    script.conn.handle_handshaken(epoch, script.now);
    assert_eq!(script.write_all(), "c");
}

#[test]
fn g04_every_attempt_is_counted_and_only_those_that_were_made() {
    let mut script = ended_after(&["aa", "bb"], |_| {});
    for attempts in 1..=3 {
        let seen: Vec<_> = replays(&mut script).into_iter().map(|r| (r.0, r.1)).collect();
        assert_eq!(seen, [(1, attempts), (2, 1)]);
        script.connect();
        script.write(1);
        script.disconnect();
    }
}

#[test]
fn g02_a_replay_that_is_cut_again_and_again_keeps_its_order_and_its_place() {
    for cut in 0..=9 {
        let mut script = ended_after(&["one", "two", "six"], |_| {});
        let mut all = String::from("onetwosix");
        for newer in ["n1", "n2", "n3"] {
            script.send(newer);
            all += newer;
            script.connect();
            assert_eq!(script.write(cut), all[..cut]);
            script.disconnect();
        }
        script.connect();
        assert_eq!(script.write_all(), "onetwosixn1n2n3", "cut after {cut}");
        script.ack(u64::MAX);
        let acked: Vec<_> = (1..=6).map(|number| (number, Outcome::Acked)).collect();
        assert_eq!(script.outcomes(), acked);
    }
}

#[test]
fn g04_a_message_is_begun_on_no_more_epochs_than_allowed() {
    for limit in 1..=3 {
        let mut script = Script::connected(|config| {
            config.resend = Resend::Unacked;
            config.max_attempts = limit;
        });
        for message in ["whole", "half", "untouched"] {
            script.send(message);
        }
        for attempt in 1..=limit {
            assert_eq!(script.write(7), "wholeha");
            assert_eq!(script.outcomes(), [], "{attempt} of {limit}");
            script.disconnect();
            if attempt < limit {
                script.connect();
            }
        }
        let cause = FailCause::Attempts;
        assert_eq!(script.outcomes(), [(1, in_doubt(cause)), (2, not_sent(cause))]);
        script.connect();
        assert_eq!(script.write_all(), "untouched");
    }
}

#[test]
fn g10_what_goes_out_again_is_paced_and_newer_messages_wait_behind_it() {
    for (rate, burst, step) in [(1, 1, secs(1)), (50, 1, ms(20)), (5_000, 5, ms(1))] {
        let count = burst * 6;
        let messages = vec!["m"; count];
        let mut script = ended_after(&messages, |config| config.max_resent_per_second = rate);
        script.send("new");
        script.connect();
        let start = script.now;
        let mut sent = script.write_all();
        assert_eq!(sent.len(), burst, "at once, at {rate} a second");
        while sent.len() < count {
            assert_eq!(script.write_all(), "", "nothing in between");
            assert_eq!(script.advance_to_timeout(), step);
            sent += &script.write_all();
            let time: Duration = script.now.saturating_since(start);
            let allowed = burst + (time.as_secs_f64() * f64::from(rate)).round() as usize;
            assert!(sent.trim_end_matches("new").len() <= allowed);
        }
        assert_eq!(sent, "m".repeat(count) + "new", "at {rate} a second");
        script.send("newer");
        assert_eq!(script.write_all(), "newer");
        assert_eq!(script.conn.poll_timeout(), None);
    }
}

#[test]
fn g10_nothing_is_paced_that_does_not_go_out_again() {
    let mut script = Script::new(|config| config.max_resent_per_second = 1);
    for message in ["a", "b", "c"] {
        script.send(message);
    }
    script.connect();
    assert_eq!(script.write_all(), "abc", "the first epoch");
    script.disconnect();
    script.send("d");
    script.send("e");
    script.connect();
    assert_eq!(script.write_all(), "de", "messages that were never begun");
}

#[test]
fn g10_a_pace_ends_with_its_epoch_and_with_what_it_holds() {
    let mut script = ended_after(&["a", "b", "c"], |config| config.max_resent_per_second = 1);
    script.connect();
    assert_eq!(script.write_all(), "a");
    script.disconnect();
    script.connect();
    assert_eq!(script.write_all(), "a", "the pace begins again");
    script.send("new");
    assert_eq!(script.write_all(), "");
    script.ack(3);
    assert_eq!(script.write_all(), "new", "nothing is left to wait for");
}

#[test]
fn g05_a_message_can_change_until_its_first_byte_goes() {
    let mut script = ended_after(&["one", "two", "three"], |config| config.max_queued_bytes = 24);
    script.send("new");
    let long = "t w o, again";
    assert_eq!(replace(&mut script, 2, long), Ok(()));
    assert_eq!(replace(&mut script, 1, "1"), Ok(()));
    assert_eq!(replace(&mut script, 4, "NEW"), Ok(()));
    assert_eq!(script.conn.queued(), (4, 1 + 12 + 5 + 3));
    assert_eq!(replace(&mut script, 3, ""), Err(Refusal::Empty));
    let limit = 24;
    assert_eq!(replace(&mut script, 3, &"x".repeat(25)), Err(Refusal::TooLong { limit }));
    assert_eq!(replace(&mut script, 3, &"x".repeat(24)), Ok(()), "beyond the bound");
    assert_eq!(replace(&mut script, 4, "twelve chars"), Err(Refusal::Full), "twice the bound");
    assert_eq!(script.conn.queued(), (4, 1 + 12 + 24 + 3));
    for ticket in [0, 5, u64::MAX] {
        assert_eq!(replace(&mut script, ticket, "nobody"), Err(Refusal::Begun));
    }
    script.connect();
    assert_eq!(script.write(3), "1t ");
    assert_eq!(replace(&mut script, 1, "2"), Err(Refusal::Begun), "written");
    assert_eq!(replace(&mut script, 2, "2"), Err(Refusal::Begun), "half written");
    assert_eq!(replace(&mut script, 3, "THREE!"), Ok(()));
    assert_eq!(script.lend(), "w o, againTHREE!NEW");
    assert_eq!(replace(&mut script, 4, "2"), Err(Refusal::Begun), "out with a writer");
    script.took(0);
    script.ack(1);
    assert_eq!(replace(&mut script, 1, "2"), Err(Refusal::Begun), "finished with");
    script.disconnect();
    script.connect();
    assert_eq!(script.write_all(), "t w o, againTHREE!NEW", "the change stays");
}

#[test]
fn g03_a_changed_message_keeps_its_ticket_and_what_is_known_of_it() {
    let mut script = ended_after(&["first"], |_| {});
    assert_eq!(replace(&mut script, 1, "FIRST, AGAIN"), Ok(()));
    let expected = (1, 1, Certainty::InDoubt, "FIRST, AGAIN".into());
    assert_eq!(replays(&mut script), [expected]);
    script.conn.close(script.now);
    assert_eq!(script.outcomes(), [(1, in_doubt(FailCause::Closed))]);
}

#[test]
fn g05_long_and_short_messages_change_places_without_harm() {
    for lens in [[10, 3_000, 20], [2_000, 5, 1_500], [1_023, 1_024, 1]] {
        let mut script = Script::new(|config| config.resend = Resend::Incomplete);
        for (letter, len) in ["a", "b", "c"].iter().zip(lens) {
            script.send(&letter.repeat(len));
        }
        let middle = "B".repeat(lens[0] + lens[2]);
        assert_eq!(replace(&mut script, 2, &middle), Ok(()));
        let epoch = script.connect();
        assert_eq!(script.write_all(), "a".repeat(lens[0]) + &middle + &"c".repeat(lens[2]));
        let all: Vec<_> = (1..=3).map(|number| (number, written(epoch))).collect();
        assert_eq!(script.outcomes(), all);
    }
}

#[test]
fn g03_policies_that_send_again_do_not_help_a_message_of_one_epoch() {
    let mut script = Script::connected(|_| {});
    let mut options = SendOptions::resend(Resend::Unacked);
    options.epoch = script.conn.epoch();
    script.send_with("pinned", options).unwrap();
    script.write(3);
    script.disconnect();
    assert_eq!(script.outcomes(), [(1, not_sent(FailCause::Disconnected))]);
}
