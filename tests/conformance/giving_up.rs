//! Futures that are dropped at whichever await they have come to: what they began goes on or
//! never was, and the connection is as good as before.

use std::time::Duration;

use rebelay::{Item, Receiver};
use smol::future::zip;

use crate::support::runtimes::Runtime;
use crate::support::server::{Peer, Server};
use crate::support::talk::{give_up_after, quick, soon, up, written};
use crate::support::wire::{frame, frames};

/// Polls after which a future is given up: none, up to more than it needs.
const POLLS: usize = 5;
const LONG: Duration = Duration::from_secs(60);

pub(crate) async fn g12_whatever_is_given_up_the_stream_is_whole<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let mut config = quick();
    config.connection.max_queued_messages = 2;
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    up(&mut receiver).await;
    let mut events = sender.events();
    let (mut admitted, mut received) = (Vec::new(), Vec::new());
    for number in 0..100 {
        let polls = number % POLLS;
        let message = frame(number as u64, 100_000);
        let sent = give_up_after(polls, sender.send(message)).await;
        if let Some(ticket) = sent.map(Result::unwrap) {
            admitted.push(number as u64);
            assert_eq!(ticket.number(), admitted.len() as u64);
            give_up_after(polls, sender.outcome(ticket)).await;
        }
        give_up_after(polls, sender.flush()).await;
        give_up_after(polls, sender.wait_closed()).await;
        give_up_after(polls, events.next()).await;
        let item = if number % 2 == 0 {
            give_up_after(polls, receiver.recv()).await.flatten()
        } else {
            let limited = give_up_after(polls, receiver.recv_timeout(LONG)).await;
            limited.and_then(|item| item.expect("nobody waits that long"))
        };
        match item {
            Some(Item::Data(data)) => received.extend_from_slice(&data),
            None => {}
            other => panic!("instead of data: {other:?}"),
        }
    }
    assert_eq!(sender.ledger().admitted, admitted.len() as u64);
    let total = admitted.len() * frame(0, 100_000).len();
    zip(sender.flush(), receive(&mut receiver, &mut received, total)).await;
    assert_eq!(frames(&received), (admitted, total));
    let ledger = sender.close().await;
    assert_eq!((ledger.admitted, ledger.epochs, ledger.adds_up()), (ledger.written, 1, true));
}

pub(crate) async fn g12_a_drain_that_is_given_up_goes_on<R: Runtime>() {
    for polls in 0..POLLS {
        let server = Server::start(Peer::keep);
        let (sender, _receiver) = R::connect(server.address().into(), quick()).await.unwrap();
        let mut sent = Vec::new();
        for number in 1..=3 {
            sent.extend(frame(number, 100_000));
            sender.send(frame(number, 100_000)).await.unwrap();
        }
        give_up_after(polls, sender.drain(LONG)).await;
        if polls == 0 {
            // It was never begun.
            sent.extend(frame(4, 0));
            written(&sender, sender.send(frame(4, 0)).await.unwrap()).await;
            sender.close().await;
        } else {
            assert!(sender.send(frame(4, 0)).await.is_err());
        }
        let ledger = soon(sender.wait_closed()).await;
        assert_eq!((ledger.admitted, ledger.adds_up()), (ledger.written, true));
        server.got(1, &sent).await;
    }
}

pub(crate) async fn g12_a_close_that_is_given_up_goes_on<R: Runtime>() {
    for polls in 1..POLLS {
        let server = Server::start(Peer::keep);
        let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
        up(&mut receiver).await;
        let ticket = sender.send("hello").await.unwrap();
        written(&sender, ticket).await;
        give_up_after(polls, sender.close()).await;
        assert!(sender.send("late").await.is_err());
        let ledger = soon(sender.wait_closed()).await;
        assert_eq!((ledger.admitted, ledger.written, ledger.adds_up()), (1, 1, true));
        assert!(matches!(receiver.recv().await, Some(Item::Down { .. })));
        assert_eq!(receiver.recv().await, None);
    }
}

/// Receives until `received` has `total` bytes.
async fn receive(receiver: &mut Receiver, received: &mut Vec<u8>, total: usize) {
    while received.len() < total {
        match receiver.recv().await {
            Some(Item::Data(data)) => received.extend_from_slice(&data),
            other => panic!("instead of data: {other:?}"),
        }
    }
}
