//! What becomes of messages, G1 to G4: whole, in order, one truthful outcome each, resent by
//! policy.

mod common;

use common::{Script, epoch, in_doubt, not_sent, secs, written};
use rebelay_core::{Event, FailCause, Outcome, Resend, SendOptions};

fn with(resend: Resend) -> Script {
    Script::connected(|config| config.resend = resend)
}

#[test]
fn g01_partial_writes_of_every_size_join_to_whole_messages() {
    for size in 1..=12 {
        let mut script = with(Resend::Incomplete);
        for message in ["one", "three", "five"] {
            script.send(message);
        }
        let mut stream = String::new();
        while script.conn.can_transmit() {
            stream += &script.write(size);
        }
        assert_eq!(stream, "onethreefive", "{size} bytes at a time");
    }
}

#[test]
fn g01_a_resend_starts_at_byte_0_wherever_the_cut_was() {
    for cut in 0..=11 {
        let mut script = with(Resend::Unacked);
        for message in ["one", "three", "six"] {
            script.send(message);
        }
        script.write(cut);
        script.disconnect();
        script.connect();
        assert_eq!(script.write_all(), "onethreesix", "cut after {cut}");
    }
}

#[test]
fn g01_bytes_that_come_after_a_cut_begin_with_the_cut_message() {
    for (cut, rest) in [(0, "onetwo"), (1, "onetwo"), (2, "onetwo"), (3, "two"), (4, "two")] {
        let mut script = with(Resend::Incomplete);
        script.send("one");
        script.send("two");
        script.write(cut);
        script.disconnect();
        script.connect();
        assert_eq!(script.write_all(), rest, "cut after {cut}");
    }
}

#[test]
fn g04_a_message_that_is_given_up_half_written_leaves_its_neighbours_whole() {
    let mut script = with(Resend::Unacked);
    script.send("a");
    let never = SendOptions::resend(Resend::Never);
    script.send_with("a long one that is given up", never).unwrap();
    script.send("c");
    script.write(2);
    script.disconnect();
    let given_up = not_sent(FailCause::Disconnected);
    assert_eq!(script.outcomes(), [(2, given_up)]);
    script.connect();
    assert_eq!(script.write(1), "a");
    script.ack(1);
    assert_eq!(script.write_all(), "c");
    script.ack(3);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked), (3, Outcome::Acked)]);
}

#[test]
fn g02_resent_messages_go_before_newer_ones() {
    let mut script = with(Resend::Unacked);
    script.send("a");
    script.write_all();
    script.disconnect();
    script.send("b");
    script.connect();
    script.send("c");
    assert_eq!(script.write(2), "ab");
    script.disconnect();
    script.send("d");
    script.connect();
    assert_eq!(script.write_all(), "abcd");
}

#[test]
fn g02_policies_that_differ_per_message_keep_the_order() {
    let mut script = with(Resend::Incomplete);
    let policies = [Resend::Unacked, Resend::Never, Resend::Incomplete, Resend::Unacked];
    for (message, policy) in ["aa", "bb", "cc", "dd"].into_iter().zip(policies) {
        script.send_with(message, SendOptions::resend(policy)).unwrap();
    }
    assert_eq!(script.write(7), "aabbccd");
    let epoch = script.epoch();
    assert_eq!(script.outcomes(), [(2, written(epoch)), (3, written(epoch))]);
    script.disconnect();
    script.connect();
    assert_eq!(script.write_all(), "aadd");
}

#[test]
fn g02_messages_that_leave_in_one_write_leave_the_retained_ones_whole() {
    let mut script = with(Resend::Incomplete);
    let policies = [Resend::Incomplete, Resend::Unacked, Resend::Never, Resend::Unacked];
    for (message, policy) in ["a", "bbb", "cc", "dddd"].into_iter().zip(policies) {
        script.send_with(message, SendOptions::resend(policy)).unwrap();
    }
    assert_eq!(script.write_all(), "abbbccdddd");
    script.disconnect();
    script.connect();
    assert_eq!(script.write_all(), "bbbdddd");
}

#[test]
fn g02_long_messages_acknowledged_behind_the_writer_leave_its_place() {
    let mut script = with(Resend::Unacked);
    let long = |letter: &str| letter.repeat(1_100);
    for letter in ["a", "b", "c", "d", "e"] {
        script.send(&long(letter));
    }
    for letter in ["a", "b", "c"] {
        assert_eq!(script.write(1_100), long(letter));
    }
    script.ack(1);
    assert_eq!(script.write(1_100), long("d"));
    script.ack(3);
    assert_eq!(script.write(1_100), long("e"));
}

#[test]
fn g03_a_write_that_is_out_when_the_connection_ends_is_in_doubt() {
    let mut script = with(Resend::Incomplete);
    script.send("first");
    script.send("second");
    assert_eq!(script.lend(), "firstsecond");
    script.disconnect();
    let doubt = in_doubt(FailCause::Disconnected);
    assert_eq!(script.outcomes(), [(1, doubt), (2, doubt)]);
}

#[test]
fn g03_a_write_that_the_socket_refused_is_not_in_doubt() {
    let mut script = with(Resend::Never);
    script.send("first");
    assert_eq!(script.lend(), "first");
    script.conn.handle_write_failed(script.epoch(), common::fault(), None, script.now);
    script.disconnect();
    assert_eq!(script.outcomes(), []);
    let epoch = script.connect();
    assert_eq!(script.write_all(), "first");
    assert_eq!(script.outcomes(), [(1, written(epoch))]);
}

#[test]
fn g03_certainty_remembers_every_epoch() {
    let mut script = with(Resend::Unacked);
    script.send("once whole");
    script.send("half");
    script.write(12);
    for _ in 0..3 {
        script.disconnect();
        script.connect();
        script.write(3);
    }
    script.disconnect();
    script.conn.close(script.now);
    let closed = FailCause::Closed;
    assert_eq!(script.outcomes(), [(1, in_doubt(closed)), (2, not_sent(closed))]);
}

#[test]
fn g03_every_message_gets_one_outcome_and_the_ledger_adds_up() {
    let mut script = with(Resend::Incomplete);
    for number in 1..=100 {
        script.send(&format!("message {number}"));
        script.write(7);
        if number % 10 == 0 {
            script.disconnect();
            script.connect();
        }
    }
    script.conn.close(script.now);
    script.advance(secs(1));
    let numbers: Vec<u64> = script.outcomes().iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<u64>>());
    let ledger = script.conn.ledger();
    assert_eq!((ledger.admitted, ledger.pending, ledger.epochs), (100, 0, 11));
    assert!(ledger.written > 0 && ledger.not_sent > 0 && ledger.resent > 0);
}

#[test]
fn g04_each_policy_sends_again_what_it_says() {
    let first = epoch(1);
    let cut = not_sent(FailCause::Disconnected);
    // The first message left whole, of the second one byte, of the third none.
    for (policy, again, outcomes) in [
        (Resend::Never, "cc", vec![(1, written(first)), (2, cut)]),
        (Resend::Incomplete, "bbcc", vec![(1, written(first))]),
        (Resend::Unacked, "aabbcc", vec![]),
    ] {
        let mut script = with(policy);
        for message in ["aa", "bb", "cc"] {
            script.send(message);
        }
        assert_eq!(script.write(3), "aab");
        script.disconnect();
        assert_eq!(script.outcomes(), outcomes, "{policy:?}");
        script.connect();
        assert_eq!(script.write_all(), again, "{policy:?}");
    }
}

#[test]
fn g04_the_disconnect_says_how_many_go_out_again() {
    let mut script = with(Resend::Unacked);
    for message in ["aa", "bb", "cc"] {
        script.send(message);
    }
    script.write(3);
    script.events();
    script.disconnect();
    let resent = script.events().into_iter().find_map(|event| {
        if let Event::Disconnected { resent, .. } = event { Some(resent) } else { None }
    });
    assert_eq!(resent, Some(2));
    assert_eq!(script.conn.ledger().resent, 2);
}

#[test]
fn g04_an_acknowledgement_releases_what_was_written_and_nothing_else() {
    let mut script = with(Resend::Unacked);
    for message in ["aa", "bb", "cc"] {
        script.send(message);
    }
    script.write(5);
    script.ack(u64::MAX);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked), (2, Outcome::Acked)]);
    assert_eq!(script.write_all(), "c");
    assert_eq!(script.outcomes(), []);
    script.ack(3);
    assert_eq!(script.outcomes(), [(3, Outcome::Acked)]);
    assert_eq!(script.conn.queued(), (0, 0));
}

#[test]
fn g04_acknowledgements_of_nothing_and_of_the_past_change_nothing() {
    let mut script = with(Resend::Unacked);
    script.send("never written");
    for through in [0, 1, 2, u64::MAX] {
        let before = script.snapshot();
        script.ack(through);
        assert_eq!(script.snapshot(), before, "{through}");
    }
    script.write_all();
    script.ack(1);
    script.outcomes();
    let before = script.snapshot();
    script.ack(1);
    script.ack(0);
    assert_eq!(script.snapshot(), before);
}

#[test]
fn g04_an_acknowledgement_of_another_policys_message_leaves_it_written() {
    let mut script = with(Resend::Incomplete);
    script.send("message");
    script.lend();
    script.ack(1);
    script.took(7);
    assert_eq!(script.outcomes(), [(1, written(script.epoch()))]);
}

#[test]
fn g04_an_acknowledgement_after_a_disconnect_stops_the_resend() {
    let mut script = with(Resend::Unacked);
    for message in ["aa", "bb", "cc"] {
        script.send(message);
    }
    script.write_all();
    script.disconnect();
    script.ack(2);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked), (2, Outcome::Acked)]);
    script.connect();
    assert_eq!(script.write_all(), "cc");
}

#[test]
fn g04_an_acknowledgement_reaches_across_the_writers_place() {
    let mut script = with(Resend::Unacked);
    for message in ["aa", "bb", "cc", "dd"] {
        script.send(message);
    }
    script.write_all();
    script.disconnect();
    script.connect();
    assert_eq!(script.write(2), "aa");
    script.ack(3);
    let acked = |number| (number, Outcome::Acked);
    assert_eq!(script.outcomes(), [acked(1), acked(2), acked(3)]);
    assert_eq!(script.write_all(), "dd");
}

#[test]
fn g04_a_message_acknowledged_while_it_is_rewritten_is_finished_first() {
    for end_it in [false, true] {
        let mut script = with(Resend::Unacked);
        script.send("again");
        script.send("next");
        script.write(5);
        script.disconnect();
        script.connect();
        assert_eq!(script.write(2), "ag");
        script.ack(1);
        assert_eq!(script.outcomes(), [], "half a message cannot be taken back");
        if end_it {
            script.disconnect();
        } else {
            assert_eq!(script.write(3), "ain");
        }
        assert_eq!(script.outcomes(), [(1, Outcome::Acked)]);
    }
}

#[test]
fn g04_an_acknowledgement_may_overtake_the_report_of_the_write() {
    for end_it in [false, true] {
        let mut script = with(Resend::Unacked);
        script.send("request");
        script.send("second");
        assert_eq!(script.lend(), "requestsecond");
        script.ack(1);
        if end_it {
            script.disconnect();
        } else {
            script.took(7);
        }
        assert_eq!(script.outcomes(), [(1, Outcome::Acked)], "disconnected: {end_it}");
        assert_eq!(script.conn.queued(), (1, 6));
    }
}

#[test]
fn g04_an_acknowledgement_that_overtook_a_write_not_done_counts_for_nothing() {
    let mut script = with(Resend::Unacked);
    script.send("request");
    script.lend();
    script.ack(1);
    script.took(3);
    script.write_all();
    assert_eq!(script.outcomes(), []);
    script.ack(1);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked)]);
}

#[test]
fn g04_a_rewrite_that_was_acknowledged_and_then_closed_is_acknowledged() {
    let mut script = with(Resend::Unacked);
    script.send("again");
    script.write_all();
    script.disconnect();
    script.connect();
    assert_eq!(script.lend(), "again");
    script.ack(1);
    script.took(0);
    script.conn.close(script.now);
    assert_eq!(script.outcomes(), [(1, Outcome::Acked)]);
}

#[test]
fn written_through_follows_the_socket_and_the_outcomes() {
    let mut script = with(Resend::Unacked);
    assert_eq!(script.conn.written_through().number(), 0);
    script.send("aa");
    script.send("bb");
    script.write(3);
    assert_eq!(script.conn.written_through().number(), 1);
    script.write_all();
    assert_eq!(script.conn.written_through().number(), 2);
    script.disconnect();
    assert_eq!(script.conn.written_through().number(), 0);
    script.ack(1);
    assert_eq!(script.conn.written_through().number(), 1);
}
