//! What the reader gets, G7 and G9: one ordered stream of epochs and their bytes.

mod common;

use common::{Script, fault, ms, secs, written};
use rebelay_core::{Action, Epoch, Event, Item, Reason, State};

fn up(epoch: Epoch) -> Item {
    Item::Up { epoch }
}

fn down(epoch: Epoch, reason: Reason) -> Item {
    Item::Down { epoch, reason }
}

fn data(bytes: &'static str) -> Item {
    Item::Data(bytes.into())
}

#[test]
fn g07_items_of_several_epochs_come_in_order_even_if_taken_late() {
    let mut script = Script::new(|_| {});
    let first = script.connect();
    script.receive(b"one");
    script.receive(b"two");
    script.disconnect();
    let second = script.connect();
    script.receive(b"three");
    script.conn.handle_disconnected(second, Reason::Io(fault()), None, script.now);
    let expected = [
        up(first),
        data("one"),
        data("two"),
        down(first, Reason::PeerClosed),
        up(second),
        data("three"),
        down(second, Reason::Io(fault())),
    ];
    assert_eq!(script.items(), expected);
}

#[test]
fn g07_bytes_of_a_past_epoch_are_not_mixed_into_the_next() {
    let mut script = Script::connected(|_| {});
    let (first, mut buffer) = script.conn.poll_receive().unwrap();
    buffer.extend_from_slice(b"too late");
    script.disconnect();
    let second = script.connect();
    script.items();
    script.conn.handle_received(first, buffer, script.now);
    assert!(script.receive(b"in time"));
    assert_eq!(script.items(), [data("in time")]);
    assert_eq!(script.conn.epoch(), Some(second));
}

#[test]
fn g07_after_a_failed_write_what_had_arrived_is_read_before_down() {
    let mut script = Script::connected(|_| {});
    let epoch = script.epoch();
    script.send("refused");
    script.lend();
    script.conn.handle_write_failed(epoch, fault(), None, script.now);
    assert_eq!(script.items(), []);
    assert!(!script.conn.can_transmit(), "nothing more is written on this epoch");
    assert!(script.receive(b"you are logged out"));
    script.disconnect();
    let expected = [data("you are logged out"), down(epoch, Reason::Io(fault()))];
    assert_eq!(script.items(), expected, "the write's failure is the reason");
}

#[test]
fn g07_reading_out_takes_no_longer_than_its_timeout() {
    let mut script = Script::connected(|config| config.read_out_timeout = ms(700));
    let epoch = script.epoch();
    script.conn.handle_write_failed(epoch, fault(), None, script.now);
    script.advance(ms(699));
    assert_eq!(script.conn.state(), State::Connected);
    assert!(script.receive(b"just in time"));
    script.advance(ms(1));
    assert_eq!(script.items(), [data("just in time"), down(epoch, Reason::Io(fault()))]);
    assert_eq!(script.conn.state(), State::Backoff);
}

#[test]
fn g07_a_second_failure_report_does_not_prolong_the_reading_out() {
    let mut script = Script::connected(|_| {});
    let epoch = script.epoch();
    script.send("message");
    script.lend();
    script.conn.handle_write_failed(epoch, fault(), None, script.now);
    script.now = script.now + ms(900);
    let before = script.conn.poll_timeout();
    script.conn.handle_write_failed(epoch, fault(), None, script.now);
    script.conn.handle_transmitted(epoch, 0, script.now);
    script.conn.handle_writable(epoch);
    assert_eq!(script.conn.poll_timeout(), before);
    assert!(!script.conn.can_transmit());
}

#[test]
fn g07_a_socket_that_refused_before_it_failed_is_read_out_in_full() {
    let mut script = Script::connected(|config| {
        config.write_stall_timeout = ms(500);
        config.read_out_timeout = ms(700);
    });
    script.send("message");
    script.write(0);
    script.conn.handle_write_failed(script.epoch(), fault(), None, script.now);
    script.advance(ms(699));
    assert!(script.receive(b"just in time"));
}

#[test]
fn g07_messages_sent_while_reading_out_wait_for_the_next_epoch() {
    let mut script = Script::connected(|_| {});
    script.conn.handle_write_failed(script.epoch(), fault(), None, script.now);
    script.send("later");
    assert_eq!(script.lend(), "");
    script.disconnect();
    let second = script.connect();
    assert_eq!(script.write_all(), "later");
    assert_eq!(script.outcomes(), [(1, written(second))]);
}

#[test]
fn g09_the_handshake_runs_on_every_epoch_before_any_message() {
    let mut script = Script::new(|config| config.handshake = true);
    script.send("queued");
    for number in 1..=3 {
        if script.conn.state() == State::Backoff {
            script.advance_to_timeout();
        }
        script.resolve(1);
        let epoch = script.dialled();
        assert_eq!(epoch.number(), number);
        assert_eq!(script.actions().last(), Some(&Action::Handshake { epoch }));
        assert_eq!(script.lend(), "", "nothing goes out before the handshake");
        assert!(!script.receive(b""), "the handshake reads for itself");
        assert_eq!(script.items(), []);
        script.conn.handle_handshaken(epoch, script.now);
        assert_eq!(script.items(), [up(epoch)]);
        assert_eq!(script.lend(), "queued");
        script.took(3);
        script.disconnect();
        assert_eq!(script.items(), [down(epoch, Reason::PeerClosed)]);
    }
}

#[test]
fn g09_a_handshake_that_is_done_has_no_timeout_any_more() {
    let mut script = Script::at(State::Connected);
    script.advance(secs(60));
    assert_eq!(script.conn.state(), State::Connected);
    assert_eq!(script.conn.poll_timeout(), None);
}

#[test]
fn g09_bytes_left_over_from_the_handshake_come_first() {
    let mut script = Script::at(State::Handshaking);
    let epoch = script.epoch();
    script.conn.handle_handshaken(epoch, script.now);
    script.conn.handle_received(epoch, b"left over"[..].into(), script.now);
    script.receive(b", then read");
    assert_eq!(script.items(), [up(epoch), data("left over"), data(", then read")]);
}

#[test]
fn g09_a_failed_handshake_leaves_no_item_closes_the_socket_and_backs_off() {
    type Fail = fn(&mut Script);
    let fails: [(Fail, Reason); 2] = [
        (
            |script| {
                script.conn.handle_handshake_failed(script.epoch(), fault(), script.now);
            },
            Reason::Handshake(fault()),
        ),
        (|script| script.advance(secs(5)), Reason::HandshakeTimeout),
    ];
    for (fail, reason) in fails {
        let mut script = Script::at(State::Handshaking);
        let epoch = script.epoch();
        script.events();
        script.actions();
        fail(&mut script);
        assert_eq!(script.items(), []);
        assert_eq!(script.actions(), [Action::CloseSocket { epoch }]);
        assert_eq!(script.conn.state(), State::Backoff);
        assert_eq!(script.conn.last_error(), Some(&reason));
        let failed = script.events()[0].clone();
        assert_eq!(failed, Event::AttemptFailed { attempt: 1, reason });
    }
}
