//! Small runs of both parts, and that a broken promise shows.
#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use rebelay::{Certainty, FailCause, Outcome, Resend};

use crate::server::{READ_SIZE, RECEIVE_BUFFER};
use crate::{Options, at_least_once, at_most_once, frame, server};

const KILLS: usize = 4;

fn options(seed: u64) -> Options {
    Options { messages: 2_000, kills: KILLS, seed }
}

#[test]
fn nothing_is_lost_and_duplicates_are_marked() {
    for seed in 0..3 {
        let report = crate::acknowledged(&options(seed)).unwrap();
        assert_eq!(report.broken(), [""; 0], "seed {seed}");
        assert_eq!(report.kills, KILLS, "seed {seed}");
        // What was done with just before a kill was not noted.
        assert!(report.received.duplicates >= KILLS as u64, "seed {seed}");
    }
}

#[test]
fn a_client_that_does_not_mark_is_found_out() {
    let Options { messages, kills, seed } = options(7);
    let server = server::acknowledging(messages, kills, seed).unwrap();
    let config = at_least_once::config().on_connect(|io| async { Ok(io) });
    let connection = rebelay::tokio::connect(server.address, config);
    let shipping = at_least_once::ship(connection, server, messages);
    let report = crate::runtime().unwrap().block_on(shipping).unwrap();
    assert_eq!(report.broken(), ["a duplicate was not marked"]);
}

#[test]
fn nothing_is_received_twice_and_every_outcome_is_true() {
    for seed in 0..3 {
        for resend in [Resend::Incomplete, Resend::Untransmitted] {
            let report = crate::unacknowledged(&options(seed), resend).unwrap();
            assert_eq!(report.broken(), [""; 0], "seed {seed}, {resend:?}");
            if cfg!(target_os = "linux") && resend == Resend::Untransmitted {
                // What left is in the server's program or its kernel, which doubles SO_RCVBUF;
                // and a kill may hit a connection that was not accepted yet as well.
                let most = report.kills * 2 * (2 * RECEIVE_BUFFER + READ_SIZE);
                let lost = report.received.lost() * at_most_once::PAYLOAD;
                assert!(lost <= most, "seed {seed}: {lost} bytes are lost, not {most}");
            }
        }
    }
}

#[test]
fn an_outcome_that_is_not_true_shows() {
    let failed = |certainty| Some(Outcome::Failed { certainty, cause: FailCause::Disconnected });
    let is_true = at_most_once::is_true;
    for was_received in [false, true] {
        assert!(is_true(failed(Certainty::InDoubt), was_received));
        assert_eq!(is_true(failed(Certainty::NotTransmitted), was_received), !was_received);
        assert_eq!(is_true(failed(Certainty::NotSent), was_received), !was_received);
        assert!(!is_true(Some(Outcome::Acked), was_received));
        assert!(!is_true(None, was_received));
    }
}

#[test]
fn the_server_counts_what_comes_again_out_of_order_or_changed() {
    let mut received = server::disk(2);
    let first = frame::encode(1, 10);
    let mut changed = frame::encode(2, 10);
    *changed.last_mut().unwrap() ^= 1;
    let stream =
        [frame::encode(2, 10), first.clone(), first.clone(), frame::mark(&first, 2), changed];
    let mut stream: &[u8] = &stream.concat();
    let mut last = 0;
    while let Some(frame) = frame::read(&mut stream).unwrap() {
        received.take(&frame, last);
        last = frame.number;
    }
    assert_eq!(received.times, [3, 1]);
    assert_eq!((received.duplicates, received.unmarked_duplicates, received.marked), (2, 1, 1));
    assert_eq!((received.disordered, received.garbled), (3, 1));
}

#[test]
fn a_message_that_did_not_come_whole_is_none() {
    let message = frame::encode(1, 10);
    for end in 0..message.len() {
        assert!(frame::read(&mut &message[..end]).unwrap().is_none());
    }
    assert!(frame::read(&mut &message[..]).unwrap().unwrap().is_intact);
}
