//! What goes out again: seen, released and marked before it does, and not for ever.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rebelay::{Certainty, FailCause, Outcome, Resend, Ticket};

use crate::support::runtimes::Runtime;
use crate::support::server::{Cut, Server};
use crate::support::talk::{quick, soon};

const LONG: Duration = Duration::from_secs(600);

pub(crate) async fn g04_a_handshake_releases_and_marks_what_goes_out_again<R: Runtime>() {
    let server =
        Server::start(
            |peer| {
                if peer.number == 1 { peer.cut_after(9, Cut::Rst) } else { peer.keep() }
            },
        );
    let seen = Arc::<Mutex<Vec<(u64, u32, Certainty)>>>::default();
    let replays = Arc::clone(&seen);
    let mut config = quick();
    config.connection.resend = Resend::Unacked;
    let config = config.on_connect(move |io| {
        let seen = Arc::clone(&replays);
        async move {
            for replay in io.replays() {
                let number = replay.ticket.number();
                seen.lock().unwrap().push((number, replay.attempts, replay.certainty));
                if number == 1 {
                    io.ack_through(replay.ticket);
                } else {
                    let marked = [&replay.message[..], b" again "].concat();
                    io.replace(replay.ticket, marked)?;
                }
            }
            Ok(io)
        }
    });
    let (sender, receiver) = R::connect(server.address().into(), config).await.unwrap();
    drop(receiver);
    for message in ["one", "two", "six"] {
        sender.send(message).await.unwrap();
    }
    server.got(2, b"two again six again ").await;
    let sent_whole = Certainty::InDoubt;
    let expected = [(1, 1, sent_whole), (2, 1, sent_whole), (3, 1, sent_whole)];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(sender.outcome(Ticket::from_number(1)).await, Some(Outcome::Acked));
    sender.ack_through(Ticket::from_number(3));
    assert_eq!(soon(sender.drain(LONG)).await.acked, 3);
}

pub(crate) async fn g04_what_was_tried_too_often_is_given_up<R: Runtime>() {
    let server = Server::start(|peer| peer.cut_after(5, Cut::Rst));
    let mut config = quick();
    config.connection.resend = Resend::Unacked;
    config.connection.max_attempts = 3;
    let (sender, receiver) = R::connect(server.address().into(), config).await.unwrap();
    drop(receiver);
    let ticket = sender.send("hello").await.unwrap();
    let given_up = Outcome::Failed { certainty: Certainty::InDoubt, cause: FailCause::Attempts };
    assert_eq!(soon(sender.outcome(ticket)).await, Some(given_up));
    assert_eq!(sender.ledger().resent, 2);
    for number in 1..=3 {
        server.got(number, b"hello").await;
    }
}

pub(crate) async fn g05_a_shorter_message_in_the_place_of_a_longer_makes_room<R: Runtime>() {
    let server =
        Server::start(
            |peer| {
                if peer.number == 1 { peer.cut_after(1_000, Cut::Rst) } else { peer.keep() }
            },
        );
    let mut config = quick();
    config.connection.resend = Resend::Unacked;
    config.connection.max_queued_bytes = 1_000;
    let config = config.on_connect(|io| async move {
        for replay in io.replays() {
            io.replace(replay.ticket, "short")?;
        }
        Ok(io)
    });
    let (sender, receiver) = R::connect(server.address().into(), config).await.unwrap();
    drop(receiver);
    sender.send(vec![7; 1_000]).await.unwrap();
    soon(sender.send("more")).await.unwrap();
    server.got(2, b"shortmore").await;
}
