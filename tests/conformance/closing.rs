//! Ending a connection: from every state, soon, and with a ledger that adds up.

use std::pin::pin;
use std::time::Duration;

use rebelay::{Certainty, FailCause, Item, Outcome, Reason, Refusal, State};

use crate::support::runtimes::Runtime;
use crate::support::server::{Peer, Server};
use crate::support::talk::{
    backoff, data, event, is_backing_off, lazy, quick, soon, up, waits, written,
};

const LONG: Duration = Duration::from_secs(600);

const CLOSED: Option<Outcome> =
    Some(Outcome::Failed { certainty: Certainty::NotSent, cause: FailCause::Closed });

pub(crate) async fn g11_close_before_anything_was_dialled<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let (sender, mut receiver) = R::connect(server.address().into(), lazy()).await.unwrap();
    let ledger = soon(sender.close()).await;
    assert_eq!((ledger.admitted, ledger.epochs, server.accepted()), (0, 0, 0));
    assert_eq!((sender.state(), receiver.recv().await), (State::Closed, None));
    let refused = sender.send("late").await.unwrap_err();
    assert_eq!((&refused.message[..], refused.refusal), (&b"late"[..], Refusal::Closed));
    let refused = sender.try_send("later").unwrap_err();
    assert_eq!((&refused.message[..], refused.refusal), (&b"later"[..], Refusal::Closed));
}

pub(crate) async fn g11_close_while_backing_off<R: Runtime>() {
    let server = Server::down(Peer::echo);
    let mut config = lazy();
    config.connection.backoff = backoff(86_400_000, 86_400_000);
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    let ticket = sender.send("hello").await.unwrap();
    event(&mut sender.events(), is_backing_off).await;
    assert_eq!(sender.state(), State::Backoff);
    let ledger = soon(sender.close()).await;
    assert_eq!((ledger.not_sent, ledger.adds_up()), (1, true));
    assert_eq!(sender.outcome(ticket).await, CLOSED);
    assert_eq!(receiver.recv().await, None);
}

pub(crate) async fn g11_close_in_a_handshake<R: Runtime>() {
    let server = Server::start(Peer::keep);
    let config = lazy().on_connect(|io| async move {
        std::future::pending::<()>().await;
        Ok(io)
    });
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    sender.send("hello").await.unwrap();
    server.saw(|seen| seen.len() == 1).await;
    let ledger = soon(sender.close()).await;
    assert_eq!((ledger.not_sent, ledger.adds_up()), (1, true));
    assert_eq!(receiver.recv().await, None);
    server.ended(1).await;
    assert_eq!(server.received(1), b"");
}

pub(crate) async fn g11_close_while_idle<R: Runtime>() {
    let server = Server::start(Peer::keep);
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    let ledger = soon(sender.close()).await;
    assert_eq!((ledger.admitted, ledger.epochs), (0, 1));
    server.ended(1).await;
    assert!(matches!(receiver.recv().await, Some(Item::Down { .. })));
    assert_eq!(receiver.recv().await, None);
    assert_eq!(receiver.recv().await, None);
}

pub(crate) async fn g11_close_while_writing_is_blocked<R: Runtime>() {
    let server = Server::start(Peer::stall);
    let (sender, _receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    let first = sender.send(vec![1; 64 << 10]).await.unwrap();
    let many = sender.clone();
    let sending = R::spawn(async move {
        loop {
            if let Err(refused) = many.send(vec![2; 1 << 20]).await {
                break refused;
            }
        }
    });
    written(&sender, first).await;
    // Whatever the kernel takes, the outbox is full in the end, and a send waits.
    while sender.queued().0 < 8 {
        smol::future::yield_now().await;
    }
    let ledger = soon(sender.close()).await;
    assert!(ledger.adds_up() && ledger.pending == 0, "{ledger}");
    assert!(ledger.not_sent >= 1, "{ledger}");
    let refused = sending.await;
    assert_eq!((refused.message.len(), refused.refusal), (1 << 20, Refusal::Closed));
}

pub(crate) async fn g11_close_while_the_peer_floods<R: Runtime>() {
    let server = Server::start(Peer::flood);
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    assert!(matches!(receiver.recv().await, Some(Item::Data(_))));
    soon(sender.close()).await;
    let mut reason = None;
    while let Some(item) = receiver.recv().await {
        assert_eq!(reason, None, "{item:?} after the end");
        match item {
            Item::Data(data) => assert!(data.iter().all(|byte| *byte == 0xF0)),
            Item::Down { reason: why, .. } => reason = Some(why),
            Item::PeerFinished { .. } => panic!("nobody asked to keep writing"),
            Item::Up { .. } => panic!("a second epoch"),
        }
    }
    assert!(reason.is_some());
    server.ended(1).await;
}

pub(crate) async fn g11_close_again_and_from_two_tasks<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    let ticket = sender.send("hello").await.unwrap();
    assert_eq!(data(&mut receiver, 5).await, b"hello");
    written(&sender, ticket).await;
    let closing: Vec<_> = (0..4)
        .map(|task| {
            let sender = sender.clone();
            R::spawn(async move {
                match task {
                    0 => sender.drain(LONG).await,
                    1 => sender.wait_closed().await,
                    _ => sender.close().await,
                }
            })
        })
        .collect();
    let ledger = soon(sender.close()).await;
    assert_eq!((ledger.written, ledger.pending), (1, 0));
    for closed in closing {
        assert_eq!(soon(closed).await, ledger);
    }
    assert_eq!(soon(sender.close()).await, ledger);
    assert_eq!(soon(sender.drain(LONG)).await, ledger);
}

pub(crate) async fn g11_close_still_reads_what_the_peer_says<R: Runtime>() {
    let server = Server::start(|peer| {
        peer.take(5)?;
        peer.write(b"hello")?;
        peer.keep()?;
        peer.write(b"bye")
    });
    // The peer has 100 ms to answer, which a busy machine may exceed once, but not every time.
    for _ in 0..30 {
        let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
        up(&mut receiver).await;
        sender.send("hello").await.unwrap();
        assert_eq!(data(&mut receiver, 5).await, b"hello");
        soon(sender.close()).await;
        let (said, reason) = crate::support::talk::rest(&mut receiver).await;
        if reason == Reason::PeerClosed {
            assert_eq!(said, b"bye");
            return;
        }
    }
    panic!("no answer was ever read");
}

pub(crate) async fn g11_drain_waits_for_the_server<R: Runtime>() {
    let mut server = Server::down(Peer::keep);
    let (sender, _receiver) = R::connect(server.address().into(), lazy()).await.unwrap();
    for message in ["1", "2", "3"] {
        sender.send(message).await.unwrap();
    }
    let mut events = sender.events();
    let mut draining = pin!(sender.drain(LONG));
    waits(draining.as_mut()).await;
    for _ in 0..3 {
        event(&mut events, is_backing_off).await;
    }
    let refused = sender.send("late").await.unwrap_err();
    assert_eq!((&refused.message[..], refused.refusal), (&b"late"[..], Refusal::Closed));
    server.restart();
    let ledger = soon(draining).await;
    assert_eq!((ledger.written, ledger.admitted), (3, 3));
    server.ended(1).await;
    assert_eq!(server.received(1), b"123");
}

pub(crate) async fn g11_drain_ends_at_its_deadline<R: Runtime>() {
    let server = Server::down(Peer::keep);
    let (sender, mut receiver) = R::connect(server.address().into(), lazy()).await.unwrap();
    let ticket = sender.send("1").await.unwrap();
    sender.send("2").await.unwrap();
    let ledger = soon(sender.drain(Duration::from_millis(30))).await;
    assert_eq!((ledger.not_sent, ledger.adds_up()), (2, true));
    assert_eq!(sender.outcome(ticket).await, CLOSED);
    assert_eq!(receiver.recv().await, None);
}

pub(crate) async fn g11_close_cuts_a_drain_short<R: Runtime>() {
    let server = Server::down(Peer::keep);
    let (sender, _receiver) = R::connect(server.address().into(), lazy()).await.unwrap();
    sender.send("1").await.unwrap();
    let mut draining = pin!(sender.drain(LONG));
    waits(draining.as_mut()).await;
    let ledger = soon(sender.close()).await;
    assert_eq!((ledger.not_sent, ledger.pending), (1, 0));
    assert_eq!(soon(draining).await, ledger);
}

/// A configuration, and what ends when the driver that it was given to has ended.
fn guarded(config: rebelay::Config) -> (rebelay::Config, smol::channel::Receiver<()>) {
    let (held, gone) = smol::channel::bounded(1);
    let config = config.on_connect(move |io| {
        let _ = &held;
        async { Ok(io) }
    });
    (config, gone)
}

pub(crate) async fn g13_the_last_handle_ends_the_driver<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let (config, gone) = guarded(quick());
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    up(&mut receiver).await;
    let events = sender.events();
    let clone = sender.clone();
    drop((sender, receiver));
    assert_eq!(clone.state(), State::Connected);
    drop(clone);
    assert!(gone.try_recv() != Err(smol::channel::TryRecvError::Closed));
    drop(events);
    assert!(gone.recv().await.is_err());
    server.ended(1).await;
}

pub(crate) async fn g13_the_receiver_alone_keeps_the_connection<R: Runtime>() {
    let server = Server::start(|peer| peer.take(2).and_then(|_| peer.write(b"still here")));
    let (config, gone) = guarded(quick());
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    sender.send("go").await.unwrap();
    sender.flush().await;
    drop(sender);
    up(&mut receiver).await;
    assert_eq!(data(&mut receiver, 10).await, b"still here");
    drop(receiver);
    assert!(gone.recv().await.is_err());
}

pub(crate) async fn g13_handles_dropped_while_backing_off<R: Runtime>() {
    let server = Server::down(Peer::echo);
    let (mut config, gone) = guarded(lazy());
    config.connection.backoff = backoff(86_400_000, 86_400_000);
    let (sender, receiver) = R::connect(server.address().into(), config).await.unwrap();
    sender.send("hello").await.unwrap();
    event(&mut sender.events(), is_backing_off).await;
    drop((sender, receiver));
    assert!(gone.recv().await.is_err());
}

pub(crate) async fn g13_handles_dropped_before_anything_was_dialled<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let (config, gone) = guarded(lazy());
    drop(R::connect(server.address().into(), config).await.unwrap());
    assert!(gone.recv().await.is_err());
    assert_eq!(server.accepted(), 0);
}

pub(crate) async fn g13_handles_dropped_while_writing_is_blocked<R: Runtime>() {
    let server = Server::start(Peer::stall);
    let (config, gone) = guarded(quick());
    let (sender, receiver) = R::connect(server.address().into(), config).await.unwrap();
    sender.send(vec![0; 7 << 20]).await.unwrap();
    drop((sender, receiver));
    assert!(gone.recv().await.is_err());
}

pub(crate) async fn g13_dropping_connect_ends_the_driver<R: Runtime>() {
    let server = Server::down(Peer::echo);
    let (config, gone) = guarded(quick());
    {
        let mut connecting = Box::pin(R::connect(server.address().into(), config));
        waits(connecting.as_mut()).await;
    }
    assert!(gone.recv().await.is_err());
}
