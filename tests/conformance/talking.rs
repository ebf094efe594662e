//! A connection that works: everything that is said arrives, and is accounted for.

use std::pin::pin;
use std::time::Duration;

use rebelay::{Event, Item, Reason, RecvTimeout, Refusal, State, Ticket};
use smol::stream::StreamExt;

use crate::support::runtimes::Runtime;
use crate::support::server::{Cut, Peer, Server};
use crate::support::talk::{data, down, event, is_disconnected, quick, rest, up, waits, written};
use crate::support::wire::{frame, frames};

pub(crate) async fn what_is_sent_comes_back<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    assert_eq!(up(&mut receiver).await.number(), 1);
    for number in 1..=100 {
        let message = format!("message {number}");
        let ticket = sender.send(message.clone()).await.unwrap();
        assert_eq!(ticket, Ticket::from_number(number));
        assert_eq!(data(&mut receiver, message.len()).await, message.as_bytes());
        written(&sender, ticket).await;
    }
    let ledger = sender.close().await;
    assert!(ledger.adds_up());
    assert_eq!((ledger.admitted, ledger.written, ledger.epochs), (100, 100, 1));
    assert_eq!(ledger.bytes_written, ledger.bytes_received);
}

pub(crate) async fn g02_a_burst_arrives_in_order<R: Runtime>() {
    let server = Server::start(Peer::keep);
    let (sender, _receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    // More messages than the outbox holds, so that some sends wait for room.
    for number in 1..=5_000 {
        sender.send(frame(number, 20)).await.unwrap();
    }
    sender.flush().await;
    assert_eq!(sender.ledger().written, 5_000);
    let total = sender.ledger().bytes_written as usize;
    server.saw(move |seen| seen[&1].len() == total).await;
    let expected: Vec<u64> = (1..=5_000).collect();
    assert_eq!(frames(&server.received(1)), (expected, total));
}

pub(crate) async fn large_messages_pass_both_ways<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    let message = frame(1, 5 << 20);
    for _ in 0..2 {
        // The message is longer than what the two kernels hold: it is read while it is written.
        let ticket = sender.send(message.clone()).await.unwrap();
        assert!(data(&mut receiver, message.len()).await == message);
        written(&sender, ticket).await;
    }
}

pub(crate) async fn try_send_needs_no_task<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    let remote = sender.clone();
    let thread = std::thread::spawn(move || remote.try_send("from a thread").unwrap());
    let ticket = thread.join().unwrap();
    assert_eq!(data(&mut receiver, 13).await, b"from a thread");
    written(&sender, ticket).await;
}

pub(crate) async fn what_can_never_be_sent_comes_back<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let mut config = quick();
    config.connection.max_queued_bytes = 4;
    let (sender, _receiver) = R::connect(server.address().into(), config).await.unwrap();
    let empty = sender.send("").await.unwrap_err();
    assert_eq!(empty.refusal, Refusal::Empty);
    let long = sender.send("hello").await.unwrap_err();
    assert_eq!((&long.message[..], long.refusal), (&b"hello"[..], Refusal::TooLong { limit: 4 }));
    assert_eq!((sender.ledger().admitted, sender.queued()), (0, (0, 0)));
}

pub(crate) async fn g03_an_outcome_can_be_asked_for_at_any_time<R: Runtime>() {
    let mut server = Server::down(Peer::echo);
    let config = crate::support::talk::lazy();
    let (sender, _receiver) = R::connect(server.address().into(), config).await.unwrap();
    let ticket = sender.send("hello").await.unwrap();
    {
        let mut before = pin!(sender.outcome(ticket));
        waits(before.as_mut()).await;
        server.restart();
        assert!(before.await.is_some());
    }
    written(&sender, ticket).await;
    written(&sender, ticket).await;
    assert_eq!(sender.outcome(Ticket::from_number(2)).await, None);
    sender.close().await;
    written(&sender, ticket).await;
}

pub(crate) async fn flush_waits_for_what_was_admitted<R: Runtime>() {
    let mut server = Server::down(Peer::keep);
    let config = crate::support::talk::lazy();
    let (sender, _receiver) = R::connect(server.address().into(), config).await.unwrap();
    sender.flush().await;
    for number in 1..=10 {
        sender.send(frame(number, 10)).await.unwrap();
    }
    let mut flush = pin!(sender.flush());
    waits(flush.as_mut()).await;
    server.restart();
    flush.await;
    let ledger = sender.ledger();
    assert_eq!((ledger.written, ledger.pending, sender.queued()), (10, 0, (0, 0)));
}

pub(crate) async fn state_and_events_tell_what_happens<R: Runtime>() {
    let server = Server::start(|peer| match peer.number {
        1 => peer.cut_after(1, Cut::Fin),
        _ => peer.echo(),
    });
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    let mut events = sender.events();
    let first = sender.wait_connected().await.unwrap();
    assert_eq!((sender.state(), sender.epoch()), (State::Connected, Some(first)));
    assert_eq!(sender.last_error(), None);
    assert_eq!(up(&mut receiver).await, first);
    assert_eq!(events.next().await, Some(Event::Resolving { round: 1 }));
    assert!(matches!(events.next().await, Some(Event::Connecting { attempt: 1, .. })));
    assert_eq!(events.next().await, Some(Event::Connected { epoch: first }));
    sender.send("!").await.unwrap();
    assert_eq!(down(&mut receiver).await, (first, Reason::PeerClosed));
    let second = up(&mut receiver).await;
    assert_eq!(second.number(), 2);
    assert_eq!(sender.last_error(), Some(Reason::PeerClosed));
    let reason = Reason::PeerClosed;
    let ended = Event::Disconnected { epoch: first, reason, resent: 0, proven_unsent: 0 };
    assert_eq!(events.next().await, Some(ended));
    let again = event(&mut events, |event| matches!(event, Event::Connected { .. })).await;
    assert_eq!(again, Event::Connected { epoch: second });
    let ledger = sender.close().await;
    assert_eq!((sender.state(), ledger.epochs), (State::Closed, 2));
    assert!(sender.wait_connected().await.is_err());
    event(&mut events, |event| matches!(event, Event::Closed { .. })).await;
    assert_eq!(events.next().await, None);
}

pub(crate) async fn recv_timeout_loses_nothing<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    for _ in 0..3 {
        let limit = Duration::from_millis(5);
        assert_eq!(receiver.recv_timeout(limit).await, Err(RecvTimeout));
        sender.send("hello").await.unwrap();
        let mut got = Vec::new();
        while got.len() < 5 {
            match receiver.recv_timeout(limit).await {
                Ok(Some(Item::Data(data))) => got.extend_from_slice(&data),
                Err(RecvTimeout) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(got, b"hello");
    }
    sender.close().await;
    let (late, _) = rest(&mut receiver).await;
    assert!(late.is_empty());
    assert_eq!(receiver.recv_timeout(Duration::ZERO).await, Ok(None));
}

pub(crate) async fn items_and_events_are_streams<R: Runtime>() {
    let server = Server::start(|peer| {
        peer.take(2)?;
        peer.write(b"hello")
    });
    let mut config = quick();
    // Only one outage fits into this test.
    config.connection.backoff = crate::support::talk::backoff(60_000, 60_000);
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    sender.send("go").await.unwrap();
    let mut got = Vec::new();
    assert!(matches!(receiver.next().await, Some(Item::Up { .. })));
    let reason = loop {
        match receiver.next().await {
            Some(Item::Data(data)) => got.extend_from_slice(&data),
            Some(Item::Down { reason, .. }) => break reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((&got[..], reason), (&b"hello"[..], Reason::PeerClosed));
    let events = sender.events();
    sender.close().await;
    assert_eq!(receiver.next().await, None);
    let all: Vec<Event> = events.collect().await;
    assert!(all.iter().any(is_disconnected), "{all:?}");
}

pub(crate) async fn dropping_a_pending_recv_loses_nothing<R: Runtime>() {
    let server = Server::start(|peer| match peer.number {
        1 => {
            peer.take(2)?;
            peer.write(b"hello")
        }
        _ => peer.echo(),
    });
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    let mut events = sender.events();
    up(&mut receiver).await;
    for _ in 0..10 {
        waits(pin!(receiver.recv())).await;
    }
    sender.send("go").await.unwrap();
    // Nobody waits for items: the end is noticed because reading goes on.
    event(&mut events, is_disconnected).await;
    assert_eq!(rest(&mut receiver).await, (b"hello".to_vec(), Reason::PeerClosed));
    assert_eq!(up(&mut receiver).await.number(), 2);
}

pub(crate) async fn explain_says_what_goes_on<R: Runtime>() {
    let mut server = Server::start(Peer::echo);
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    let explained = sender.explain();
    assert!(
        explained.starts_with("Connected to ") && explained.contains("(epoch 1)"),
        "{explained}"
    );
    server.kill();
    crate::support::talk::rest(&mut receiver).await;
    sender.send("hello").await.unwrap();
    let refused = |event: &Event| matches!(event, Event::AttemptFailed { .. });
    event(&mut sender.events(), refused).await;
    let explained = sender.explain();
    assert!(explained.contains("Without an outcome: 1 message of 5 bytes."), "{explained}");
    assert!(explained.contains("Last error, "), "{explained}");
}
