//! Too much of everything: bounds hold, nobody deadlocks, and what is dropped is accounted for.

use std::pin::pin;
use std::time::Duration;

use rebelay::{
    Certainty, Event, FailCause, Item, Outcome, Overflow, Reason, Refusal, Sender, Ticket,
};

use crate::support::runtimes::Runtime;
use crate::support::server::{Cut, Peer, Server};
use crate::support::talk::{data, down, event, is_disconnected, lazy, quick, up, waits, written};
use crate::support::wire::{frame, frames};

const DROPPED: Option<Outcome> =
    Some(Outcome::Failed { certainty: Certainty::NotSent, cause: FailCause::Overflow });

/// A connection to a server that is down, with room for two messages.
async fn room_for_two<R: Runtime>(server: &Server, overflow: Overflow) -> Sender {
    let mut config = lazy();
    config.connection.max_queued_messages = 2;
    config.connection.overflow = overflow;
    let (sender, receiver) = R::connect(server.address().into(), config).await.unwrap();
    drop(receiver);
    sender
}

pub(crate) async fn g05_wait_waits_for_room<R: Runtime>() {
    let mut server = Server::down(Peer::keep);
    let sender = room_for_two::<R>(&server, Overflow::Wait).await;
    sender.send("1").await.unwrap();
    sender.send("2").await.unwrap();
    let refused = sender.try_send("3").unwrap_err();
    assert_eq!((&refused.message[..], refused.refusal), (&b"3"[..], Refusal::Full));
    {
        let mut third = pin!(sender.send("3"));
        waits(third.as_mut()).await;
        assert_eq!(sender.ledger().admitted, 2);
        server.restart();
        assert_eq!(third.await, Ok(Ticket::from_number(3)));
    }
    server.saw(|seen| seen.values().any(|bytes| bytes == b"123")).await;
}

pub(crate) async fn g05_many_senders_wait_for_room<R: Runtime>() {
    let mut server = Server::down(Peer::keep);
    let sender = room_for_two::<R>(&server, Overflow::Wait).await;
    let sending: Vec<_> = (1..=20)
        .map(|number| {
            let sender = sender.clone();
            R::spawn(async move { sender.send(frame(number, 100)).await.unwrap() })
        })
        .collect();
    sender.reconnect_now();
    server.restart();
    let mut tickets = Vec::new();
    for sent in sending {
        tickets.push(sent.await.number());
    }
    tickets.sort_unstable();
    assert!(tickets.into_iter().eq(1..=20));
    sender.flush().await;
    let total = frame(1, 100).len() * 20;
    server.saw(move |seen| seen.values().map(Vec::len).sum::<usize>() == total).await;
    let mut numbers = frames(&server.received_in_all()).0;
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=20));
}

pub(crate) async fn g05_who_used_the_room_passes_it_on<R: Runtime>() {
    let mut server = Server::down(Peer::keep);
    let mut config = lazy();
    config.connection.max_queued_messages = 1;
    let (sender, _receiver) = R::connect(server.address().into(), config).await.unwrap();
    sender.send("1").await.unwrap();
    let (mut second, mut third) = (Box::pin(sender.send("2")), Box::pin(sender.send("3")));
    waits(second.as_mut()).await;
    waits(third.as_mut()).await;
    server.restart();
    sender.flush().await;
    // Only the second is told of the room. On an idle connection its message goes out as it is
    // admitted, so the outbox never looks any emptier than it was.
    assert_eq!(second.await.map(Ticket::number), Ok(2));
    assert_eq!(third.await.map(Ticket::number), Ok(3));
    server.saw(|seen| seen.values().any(|bytes| bytes == b"123")).await;
}

pub(crate) async fn g05_reject_hands_the_message_back<R: Runtime>() {
    let server = Server::down(Peer::keep);
    let sender = room_for_two::<R>(&server, Overflow::Reject).await;
    sender.send("1").await.unwrap();
    sender.send("2").await.unwrap();
    let refused = sender.send("3").await.unwrap_err();
    assert_eq!((&refused.message[..], refused.refusal), (&b"3"[..], Refusal::Full));
    assert_eq!((sender.ledger().admitted, sender.queued()), (2, (2, 2)));
}

pub(crate) async fn g05_drop_oldest_drops_the_oldest<R: Runtime>() {
    let mut server = Server::down(Peer::keep);
    let sender = room_for_two::<R>(&server, Overflow::DropOldest).await;
    let tickets = send_all(&sender, ["1", "2", "3", "4"]).await;
    assert_eq!(sender.outcome(tickets[0]).await, DROPPED);
    assert_eq!(sender.outcome(tickets[1]).await, DROPPED);
    server.restart();
    written(&sender, tickets[2]).await;
    written(&sender, tickets[3]).await;
    server.saw(|seen| seen.values().any(|bytes| bytes == b"34")).await;
    let ledger = sender.close().await;
    assert_eq!((ledger.dropped, ledger.written, ledger.adds_up()), (2, 2, true));
}

pub(crate) async fn g05_drop_newest_drops_the_newest<R: Runtime>() {
    let mut server = Server::down(Peer::keep);
    let sender = room_for_two::<R>(&server, Overflow::DropNewest).await;
    let tickets = send_all(&sender, ["1", "2", "3", "4"]).await;
    assert_eq!(sender.outcome(tickets[2]).await, DROPPED);
    assert_eq!(sender.outcome(tickets[3]).await, DROPPED);
    server.restart();
    written(&sender, tickets[0]).await;
    written(&sender, tickets[1]).await;
    server.saw(|seen| seen.values().any(|bytes| bytes == b"12")).await;
    let ledger = sender.close().await;
    assert_eq!((ledger.dropped, ledger.written, ledger.adds_up()), (2, 2, true));
}

async fn send_all(sender: &Sender, messages: [&'static str; 4]) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for message in messages {
        tickets.push(sender.send(message).await.unwrap());
    }
    tickets
}

pub(crate) async fn g06_unread_items_and_events_stall_nothing<R: Runtime>() {
    let server = Server::start(|peer| match peer.number {
        1..=10 => peer.cut(Cut::Fin),
        _ => peer.keep(),
    });
    let mut config = lazy();
    config.connection.max_events = 4;
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    sender.reconnect_now();
    server.saw(|seen| seen.len() == 11).await;
    let ticket = sender.send("still there").await.unwrap();
    server.saw(|seen| seen.values().any(|bytes| bytes == b"still there")).await;
    assert!(sender.outcome(ticket).await.is_some());

    let mut events = sender.events();
    match events.try_next() {
        // Each of ten outages has four events at least.
        Some(Event::Lost { count }) => assert!(count >= 36, "{count} lost"),
        other => panic!("{other:?}"),
    }
    let mut kept = 0;
    while events.try_next().is_some() {
        kept += 1;
    }
    assert_eq!(kept, 4);
    for number in 1..=10 {
        assert_eq!(up(&mut receiver).await.number(), number);
        assert_eq!(down(&mut receiver).await.1, Reason::PeerClosed);
    }
    assert_eq!(up(&mut receiver).await.number(), 11);
}

pub(crate) async fn g06_a_full_inbox_stops_only_reading<R: Runtime>() {
    let server = Server::start(Peer::flood);
    let (sender, receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    let mut expected = Vec::new();
    for number in 1..=100 {
        let message = frame(number, 10_000);
        let ticket = sender.send(message.clone()).await.unwrap();
        expected.extend(message);
        written(&sender, ticket).await;
    }
    server.got(1, &expected).await;
    assert!(sender.ledger().bytes_received <= 256 << 10);
    drop(receiver);
}

pub(crate) async fn a_sender_and_a_receiver_never_deadlock<R: Runtime>() {
    const COUNT: usize = 12 << 20;
    let server = Server::start(Peer::echo);
    let mut config = quick();
    config.connection.max_queued_bytes = 1 << 20;
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    up(&mut receiver).await;
    let sending = R::spawn(async move {
        for _ in 0..COUNT >> 16 {
            sender.send(vec![b'x'; 1 << 16]).await.unwrap();
        }
        sender
    });
    assert!(data(&mut receiver, COUNT).await.iter().all(|byte| *byte == b'x'));
    assert_eq!(sending.await.ledger().written, (COUNT >> 16) as u64);
}

pub(crate) async fn a_task_that_receives_when_it_cannot_send_never_deadlocks<R: Runtime>() {
    const COUNT: usize = 12 << 20;
    let server = Server::start(Peer::echo);
    let mut config = quick();
    config.connection.max_queued_bytes = 1 << 20;
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    up(&mut receiver).await;
    let (mut sent, mut received) = (0, 0);
    while received < COUNT {
        if sent < COUNT && sender.try_send(vec![b'x'; 1 << 16]).is_ok() {
            sent += 1 << 16;
            continue;
        }
        match receiver.recv().await {
            Some(Item::Data(data)) => received += data.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sent, received);
}

pub(crate) async fn g10_a_peer_that_takes_nothing_is_left<R: Runtime>() {
    let server = Server::start(|peer| match peer.number {
        1 => peer.stall(),
        _ => peer.keep(),
    });
    let mut config = quick();
    config.connection.write_stall_timeout = Duration::from_millis(200);
    config.socket.send_buffer = Some(64 << 10);
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    let mut events = sender.events();
    assert_eq!(up(&mut receiver).await.number(), 1);
    // More than two kernels hold.
    let message = frame(1, 7 << 20);
    let ticket = sender.send(message.clone()).await.unwrap();
    let stalled = event(&mut events, is_disconnected).await;
    assert!(
        matches!(stalled, Event::Disconnected { reason: Reason::Stalled, resent: 1, .. }),
        "{stalled:?}"
    );
    assert_eq!(down(&mut receiver).await.1, Reason::Stalled);
    written(&sender, ticket).await;
    server.saw(move |seen| seen.iter().any(|(_, bytes)| *bytes == message)).await;
}

pub(crate) async fn g12_a_dropped_send_leaves_no_trace<R: Runtime>() {
    let mut server = Server::down(Peer::keep);
    let sender = room_for_two::<R>(&server, Overflow::Wait).await;
    sender.send("1").await.unwrap();
    sender.send("2").await.unwrap();
    waits(pin!(sender.send("never"))).await;
    assert_eq!(sender.ledger().admitted, 2);
    server.restart();
    assert_eq!(sender.send("3").await.map(Ticket::number), Ok(3));
    server.saw(|seen| seen.values().any(|bytes| bytes == b"123")).await;
    let ledger = sender.close().await;
    assert_eq!((ledger.admitted, ledger.written), (3, 3));
    server.ended(1).await;
    assert_eq!(server.received_in_all(), b"123");
}

pub(crate) async fn g12_a_dropped_send_passes_its_turn_on<R: Runtime>() {
    let mut server = Server::down(Peer::keep);
    let sender = room_for_two::<R>(&server, Overflow::Wait).await;
    sender.send("1").await.unwrap();
    sender.send("2").await.unwrap();
    let mut second = Box::pin(sender.send("3"));
    {
        let mut first = Box::pin(sender.send("never"));
        waits(first.as_mut()).await;
        waits(second.as_mut()).await;
        server.restart();
        sender.flush().await;
        // There is room, and whoever waited first has been told so.
    }
    assert_eq!(second.await.map(Ticket::number), Ok(3));
    server.saw(|seen| seen.values().any(|bytes| bytes == b"123")).await;
}

pub(crate) async fn g12_a_dropped_outcome_cancels_nothing<R: Runtime>() {
    let mut server = Server::down(Peer::keep);
    let sender = room_for_two::<R>(&server, Overflow::Wait).await;
    let ticket = sender.send("hello").await.unwrap();
    waits(pin!(sender.outcome(ticket))).await;
    server.restart();
    written(&sender, ticket).await;
    server.saw(|seen| seen.values().any(|bytes| bytes == b"hello")).await;
}
