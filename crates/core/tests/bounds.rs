//! What memory may hold, G5 and G6, and what happens at the bound.

mod common;

use bytes::BytesMut;
use common::{Script, epoch, not_sent, secs};
use rebelay_core::{Event, FailCause, Item, Outcome, Overflow, Refusal, Resend, SendOptions};

fn full(overflow: Overflow) -> Script {
    let mut script = Script::new(|config| {
        config.max_queued_messages = 3;
        config.max_queued_bytes = 12;
        config.overflow = overflow;
        config.resend = Resend::Unacked;
    });
    for message in ["aaaa", "bbbb", "cccc"] {
        script.send(message);
    }
    script
}

fn refusal(script: &mut Script, message: &str) -> Option<Refusal> {
    let error = script.send_with(message, Default::default()).err()?;
    assert_eq!(error.message, message, "handed back whole");
    Some(error.refusal)
}

#[test]
fn g05_wait_and_reject_hand_the_message_back_until_there_is_room() {
    for overflow in [Overflow::Wait, Overflow::Reject] {
        let mut script = full(overflow);
        let before = script.snapshot();
        assert_eq!(refusal(&mut script, "dddd"), Some(Refusal::Full));
        assert_eq!(script.snapshot(), before, "a refusal leaves no trace");
        script.connect();
        script.write(8);
        assert_eq!(refusal(&mut script, "d"), Some(Refusal::Full), "the ack window counts");
        script.ack(1);
        assert_eq!(refusal(&mut script, "ddddd"), Some(Refusal::Full), "bytes count too");
        assert_eq!(refusal(&mut script, "dddd"), None);
        assert_eq!(script.conn.queued(), (3, 12));
    }
}

#[test]
fn g05_what_can_never_fit_and_what_is_nothing_are_refused_as_such() {
    let mut script = full(Overflow::DropOldest);
    let limit = 12;
    assert_eq!(refusal(&mut script, "thirteenbytes"), Some(Refusal::TooLong { limit }));
    assert_eq!(refusal(&mut script, ""), Some(Refusal::Empty));
    assert_eq!(script.outcomes(), []);
}

#[test]
fn g05_drop_oldest_drops_as_few_as_it_needs_and_says_so() {
    let mut script = full(Overflow::DropOldest);
    assert_eq!(script.send("dddd"), 4);
    let dropped = not_sent(FailCause::Overflow);
    assert_eq!(script.outcomes(), [(1, dropped)]);
    assert_eq!(script.send("eeeeeeeeeeee"), 5);
    assert_eq!(script.outcomes(), [(2, dropped), (3, dropped), (4, dropped)]);
    script.connect();
    assert_eq!(script.write_all(), "eeeeeeeeeeee");
}

#[test]
fn g05_drop_oldest_never_drops_a_message_of_which_a_byte_may_have_left() {
    type Start = fn(&mut Script);
    let starts: [Start; 3] = [
        |script| assert_eq!(script.write(1), "a"),
        |script| {
            script.write(4);
            script.disconnect();
        },
        |script| {
            let mut one = Vec::with_capacity(1);
            script.write(2);
            assert!(script.conn.poll_transmit(&mut one).is_some());
            script.took(2);
        },
    ];
    for (case, start) in starts.into_iter().enumerate() {
        let mut script = full(Overflow::DropOldest);
        script.connect();
        start(&mut script);
        script.send("dddd");
        assert_eq!(script.outcomes(), [(2, not_sent(FailCause::Overflow))], "case {case}");
        if script.conn.state() != rebelay_core::State::Connected {
            script.connect();
        }
        assert!("aaaaccccdddd".ends_with(&script.write_all()), "case {case}");
    }
}

#[test]
fn g05_drop_oldest_refuses_when_all_is_on_its_way() {
    let mut script = full(Overflow::DropOldest);
    script.connect();
    assert_eq!(script.lend(), "aaaabbbbcccc");
    assert_eq!(refusal(&mut script, "d"), Some(Refusal::Full));
    script.took(5);
    assert_eq!(script.send("d"), 4, "the untouched third can go");
    assert_eq!(script.outcomes(), [(3, not_sent(FailCause::Overflow))]);
    assert_eq!(script.write_all(), "bbbd");
    assert_eq!(refusal(&mut script, "eeeeee"), Some(Refusal::Full));
    assert_eq!(script.conn.queued(), (3, 9), "nothing is dropped in vain");
}

#[test]
fn g05_drop_newest_gives_a_ticket_and_at_once_its_outcome() {
    let mut script = full(Overflow::DropNewest);
    assert_eq!(script.send("dddd"), 4);
    assert_eq!(script.send("e"), 5);
    let dropped = not_sent(FailCause::Overflow);
    assert_eq!(script.outcomes(), [(4, dropped), (5, dropped)]);
    script.connect();
    assert_eq!(script.write_all(), "aaaabbbbcccc");
    assert_eq!(script.conn.ledger().dropped, 2);
}

#[test]
fn g05_outcomes_that_nobody_takes_are_bounded_too() {
    for overflow in [Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest] {
        let mut script = Script::connected(|config| {
            config.max_queued_messages = 4;
            config.overflow = overflow;
        });
        // Neighbours end differently, so that their outcomes do not join to one run.
        let policies = [Resend::Incomplete, Resend::Unacked];
        let mut refused = 0;
        for policy in policies.into_iter().cycle().take(100) {
            refused += u32::from(script.send_with("m", SendOptions::resend(policy)).is_err());
            script.write_all();
            script.ack(u64::MAX);
        }
        assert_eq!(refused, 96, "{overflow:?}");
        assert_eq!(script.outcomes().len(), 4);
        script.send("there is room again");
    }
}

#[test]
fn g05_an_emptied_inbox_reads_again_whatever_its_memory_became() {
    for limit in [4_096, 5_000, 8_192, 10_000, 65_536, 100_000] {
        let mut script = Script::connected(|config| config.max_received_bytes = limit);
        for turn in 0..200 {
            let Some((epoch, mut buffer)) = script.conn.poll_receive() else {
                panic!("an empty inbox of {limit} does not read in turn {turn}")
            };
            let room = buffer.capacity();
            assert!(room <= limit, "{room} of {limit}");
            // What is taken and dropped lets the memory be used again, in place.
            let count = if turn % 7 == 0 { room / 8 } else { room };
            buffer.resize(count, 1);
            script.conn.handle_received(epoch, buffer, script.now);
            script.items();
        }
    }
}

#[test]
fn g05_memory_that_a_reader_brought_does_not_stop_the_next() {
    let mut script = Script::connected(|config| config.max_received_bytes = 4_096);
    let mut leftover = BytesMut::with_capacity(1 << 20);
    leftover.extend_from_slice(b"left over from the handshake");
    script.conn.handle_received(script.epoch(), leftover, script.now);
    assert_eq!(script.items(), [Item::Data("left over from the handshake".into())]);
    assert!(script.receive(b"more"));
}

#[test]
fn g06_a_full_inbox_stops_the_reads_and_nothing_else() {
    let mut script = Script::connected(|config| config.max_received_bytes = 4_096);
    let mut received = 0;
    while let Some((epoch, mut buffer)) = script.conn.poll_receive() {
        buffer.resize(buffer.capacity(), 9);
        received += buffer.len();
        assert!(received <= 4_096);
        script.conn.handle_received(epoch, buffer, script.now);
    }
    assert!(received > 2_048, "{received}");
    script.send("goes out");
    assert_eq!(script.write_all(), "goes out");
    script.advance(secs(60));
    assert_eq!(script.conn.state(), rebelay_core::State::Connected);
    script.items();
    assert!(script.receive(b"reads again"));
}

#[test]
fn g06_one_reader_at_a_time() {
    let mut script = Script::connected(|_| {});
    let (epoch, buffer) = script.conn.poll_receive().unwrap();
    assert!(script.conn.poll_receive().is_none());
    script.conn.handle_received(epoch, buffer, script.now);
    assert!(script.conn.poll_receive().is_some());
}

#[test]
fn g06_a_reader_that_never_comes_back_holds_up_its_own_epoch_only() {
    let mut script = Script::connected(|_| {});
    let (first, mut late) = script.conn.poll_receive().unwrap();
    script.disconnect();
    script.connect();
    script.poll();
    let (second, mut buffer) = script.conn.poll_receive().expect("the next epoch reads");
    late.extend_from_slice(b"late");
    script.conn.handle_received(first, late, script.now);
    assert!(script.conn.poll_receive().is_none(), "still one reader of this epoch");
    buffer.extend_from_slice(b"in time");
    script.conn.handle_received(second, buffer, script.now);
    assert_eq!(second, epoch(2));
    assert_eq!(script.items().last(), Some(&Item::Data("in time".into())));
}

#[test]
fn g06_events_that_nobody_takes_stall_nothing() {
    let mut script = Script::new(|config| config.max_events = 2);
    for _ in 0..50 {
        script.conn.handle_timeout(script.now);
        let Some(action) = script.conn.poll_action() else {
            script.now = script.conn.poll_timeout().unwrap();
            continue;
        };
        assert!(matches!(action, rebelay_core::Action::Resolve { .. }));
        script.now = script.now + secs(6);
    }
    let events = script.events();
    assert!(matches!(events[0], Event::Lost { count } if count > 40), "{:?}", events[0]);
    assert_eq!(events.len(), 3);
}

#[test]
fn g06_discarded_bytes_are_counted_and_never_seen() {
    let mut script = Script::connected(|config| config.max_received_bytes = 4_096);
    assert!(script.receive(b"seen by nobody"));
    script.conn.discard_received();
    for _ in 0..100 {
        assert!(script.receive(&[5; 1_000]), "the peer is not held up");
    }
    script.disconnect();
    script.connect();
    assert_eq!(script.items(), []);
    assert_eq!(script.conn.ledger().bytes_received, 100_014);
    assert_eq!(script.outcomes(), [] as [(u64, Outcome); 0]);
}
