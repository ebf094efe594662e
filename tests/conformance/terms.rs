//! Messages that go out on terms of their own: until when, and on which epoch.

use std::pin::pin;
use std::time::Duration;

use rebelay::{Certainty, FailCause, Outcome, Refusal, Resend, SendOptions};

use crate::support::runtimes::Runtime;
use crate::support::server::{Cut, Peer, Server};
use crate::support::talk::{backoff, down, event, is_backing_off, lazy, quick, soon, up, waits};

pub(crate) async fn a_message_expires_while_it_waits<R: Runtime>() {
    let server = Server::down(Peer::echo);
    let (sender, _receiver) = R::connect(server.address().into(), lazy()).await.unwrap();
    let options = SendOptions::expires_after(Duration::from_millis(1));
    let patient = sender.send("patient").await.unwrap();
    let ticket = sender.send_with("hasty", options).await.unwrap();
    let expired = Outcome::Failed { certainty: Certainty::NotSent, cause: FailCause::Expired };
    assert_eq!(soon(sender.outcome(ticket)).await, Some(expired));
    assert_eq!(sender.queued(), (1, 7));
    assert!(sender.cancel(patient));
}

pub(crate) async fn a_message_is_cancelled_while_it_waits<R: Runtime>() {
    let server = Server::down(Peer::echo);
    let mut config = lazy();
    config.connection.backoff = backoff(86_400_000, 86_400_000);
    let (sender, _receiver) = R::connect(server.address().into(), config).await.unwrap();
    let ticket = sender.send("hello").await.unwrap();
    event(&mut sender.events(), is_backing_off).await;
    assert!(sender.cancel(ticket));
    assert!(!sender.cancel(ticket), "once is enough");
    let cancelled = Outcome::Failed { certainty: Certainty::NotSent, cause: FailCause::Cancelled };
    assert_eq!(sender.outcome(ticket).await, Some(cancelled));
    assert_eq!(sender.ledger().not_sent, 1);
}

pub(crate) async fn a_pinned_message_goes_with_its_epoch<R: Runtime>() {
    let server =
        Server::start(
            |peer| {
                if peer.number == 1 { peer.cut_after(5, Cut::Rst) } else { peer.keep() }
            },
        );
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    let first = up(&mut receiver).await;
    sender.send_with("first", SendOptions::pinned_to(first)).await.unwrap();
    down(&mut receiver).await;
    let second = up(&mut receiver).await;
    let refused = sender.send_with("late", SendOptions::pinned_to(first)).await.unwrap_err();
    assert_eq!((&refused.message[..], refused.refusal), (&b"late"[..], Refusal::EpochOver));
    sender.send_with("second", SendOptions::pinned_to(second)).await.unwrap();
    server.got(2, b"second").await;
}

pub(crate) async fn a_message_expires_behind_a_peer_that_reads_nothing<R: Runtime>() {
    let server = Server::start(Peer::stall);
    let mut config = quick();
    config.connection.max_queued_bytes = 64 << 20;
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    up(&mut receiver).await;
    for _ in 0..64 {
        sender.send(vec![0; 512 << 10]).await.unwrap();
    }
    while !sender.explain().contains("The socket takes no bytes") {
        smol::future::yield_now().await;
    }
    // Long enough that nothing else has the driver look.
    smol::Timer::after(Duration::from_millis(300)).await;
    let options = SendOptions::expires_after(Duration::from_millis(1));
    let ticket = sender.send_with("hasty", options).await.unwrap();
    let expired = Outcome::Failed { certainty: Certainty::NotSent, cause: FailCause::Expired };
    assert_eq!(soon(sender.outcome(ticket)).await, Some(expired));
}

pub(crate) async fn a_pinned_message_that_waits_for_room_learns_that_its_epoch_is_over<
    R: Runtime,
>() {
    let mut server = Server::start(Peer::keep);
    let mut config = quick();
    config.connection.resend = Resend::Unacked;
    config.connection.max_queued_messages = 1;
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    let epoch = up(&mut receiver).await;
    sender.send("nobody acknowledges this").await.unwrap();
    let mut send = pin!(sender.send_with("waits", SendOptions::pinned_to(epoch)));
    waits(send.as_mut()).await;
    server.kill();
    assert_eq!(soon(send).await.unwrap_err().refusal, Refusal::EpochOver);
}
