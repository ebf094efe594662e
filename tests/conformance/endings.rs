//! How connections end: what was received before still arrives, and somebody notices.

use std::time::Duration;

use rebelay::{Event, Reason};

use crate::support::runtimes::Runtime;
use crate::support::server::{Cut, Peer, Server};
use crate::support::talk::{
    backoff, data, down, event, is_backing_off, is_disconnected, quick, rest, up,
};
use crate::support::wire::frame;

pub(crate) async fn g07_data_before_down_on_fin<R: Runtime>() {
    data_before_down::<R>(Cut::Fin).await;
}

pub(crate) async fn g07_data_before_down_on_reset<R: Runtime>() {
    data_before_down::<R>(Cut::Rst).await;
}

async fn data_before_down<R: Runtime>(how: Cut) {
    let last_words = frame(7, 20_000);
    let words = last_words.clone();
    let server = Server::start(move |peer| match peer.number {
        1..=3 => {
            peer.take(2)?;
            peer.write(&words)?;
            peer.delivered()?;
            peer.cut(how)
        }
        _ => peer.keep(),
    });
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    for epoch in 1..=3 {
        assert_eq!(up(&mut receiver).await.number(), epoch);
        sender.send("go").await.unwrap();
        let (received, reason) = rest(&mut receiver).await;
        assert!(received == last_words, "{} bytes", received.len());
        assert!(is_end(&reason, how), "{reason:?}");
    }
}

pub(crate) async fn g07_a_failed_write_loses_nothing_that_was_received<R: Runtime>() {
    let last_words = frame(7, 20_000);
    let words = last_words.clone();
    let server = Server::start(move |peer| {
        if peer.number > 1 {
            return peer.keep();
        }
        peer.take(2)?;
        peer.write(&words)?;
        peer.delivered()?;
        peer.cut(Cut::Rst)
    });
    let mut config = quick();
    // The inbox is soon full: most of what arrives still lies in the kernel when the reset comes.
    config.connection.max_received_bytes = 4 << 10;
    config.connection.read_out_timeout = Duration::from_secs(600);
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    up(&mut receiver).await;
    sender.send("go").await.unwrap();
    server.ended(1).await;
    let late = sender.send("late").await.unwrap();
    let (received, reason) = rest(&mut receiver).await;
    assert!(received == last_words, "{} bytes", received.len());
    assert!(matches!(reason, Reason::Io(_)), "{reason:?}");
    assert_eq!(up(&mut receiver).await.number(), 2);
    assert!(sender.outcome(late).await.is_some());
    server.got(2, b"late").await;
}

pub(crate) async fn g07_nothing_crosses_an_epoch<R: Runtime>() {
    let server = Server::start(|peer| {
        let number = peer.number as u64;
        peer.write(&frame(number, 3_000))?;
        peer.take(1)?;
        peer.delivered()?;
        peer.cut(if number.is_multiple_of(2) { Cut::Fin } else { Cut::Rst })
    });
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    for number in 1..=20 {
        assert_eq!(up(&mut receiver).await.number(), number);
        let message = frame(number, 3_000);
        assert!(data(&mut receiver, message.len()).await == message);
        sender.send("!").await.unwrap();
        let (epoch, _) = down(&mut receiver).await;
        assert_eq!(epoch.number(), number);
    }
}

pub(crate) async fn g10_who_only_writes_notices_the_end<R: Runtime>() {
    let server = cutting();
    let (sender, receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    noticed(&server, &sender).await;
    drop(receiver);
}

pub(crate) async fn g10_who_dropped_the_receiver_notices_the_end<R: Runtime>() {
    let server = cutting();
    let (sender, receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    drop(receiver);
    noticed(&server, &sender).await;
}

pub(crate) async fn g10_who_stopped_receiving_notices_the_end<R: Runtime>() {
    let server = cutting();
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    sender.send("?").await.unwrap();
    assert_eq!(data(&mut receiver, 1).await, b".");
    noticed(&server, &sender).await;
    assert_eq!(down(&mut receiver).await.0.number(), 1);
}

pub(crate) async fn g10_who_only_reads_notices_the_end<R: Runtime>() {
    let server = Server::start(|peer| match peer.number {
        1 => peer.write(b"bye"),
        _ => peer.keep(),
    });
    let mut config = crate::support::talk::lazy();
    config.connection.backoff = backoff(1, 1);
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    sender.reconnect_now();
    up(&mut receiver).await;
    assert_eq!(rest(&mut receiver).await, (b"bye".to_vec(), Reason::PeerClosed));
    assert_eq!(up(&mut receiver).await.number(), 2);
    assert_eq!(sender.ledger().admitted, 0);
}

/// A server that answers "." to "?", and ends the first connection after "!".
fn cutting() -> Server {
    Server::start(|peer| {
        loop {
            match peer.take(1)?[0] {
                b'?' => peer.write(b".")?,
                _ if peer.number == 1 => return Ok(()),
                _ => return peer.keep(),
            }
        }
    })
}

/// The end of the first connection is noticed although nothing is written any more.
async fn noticed(server: &Server, sender: &rebelay::Sender) {
    let mut events = sender.events();
    sender.send("!").await.unwrap();
    let ended = event(&mut events, is_disconnected).await;
    assert!(matches!(ended, Event::Disconnected { reason: Reason::PeerClosed, .. }), "{ended:?}");
    event(&mut events, |event| matches!(event, Event::Connected { .. })).await;
    sender.send("once more").await.unwrap();
    server.got(2, b"once more").await;
}

pub(crate) async fn g08_accept_and_drop_is_backed_off_from<R: Runtime>() {
    let server = Server::start(|peer| peer.cut(Cut::Fin));
    let mut config = crate::support::talk::lazy();
    config.connection.backoff = backoff(1, 16);
    let (sender, _receiver) = R::connect(server.address().into(), config).await.unwrap();
    let mut events = sender.events();
    sender.reconnect_now();
    for (round, millis) in [1, 2, 4, 8, 16, 16, 16].into_iter().enumerate() {
        let waiting = event(&mut events, is_backing_off).await;
        assert_eq!(waiting, Event::BackingOff { delay: Duration::from_millis(millis) });
        // Whoever waits n times has dialled n times, and once more if the last wait is over; the
        // server may know of that before we do.
        assert!(server.accepted() <= usize::try_from(sender.ledger().epochs).unwrap() + 1);
        assert!(sender.ledger().epochs > round as u64);
    }
    sender.close().await;
    let mut waits = 7;
    while let Some(event) = events.next().await {
        waits += u64::from(is_backing_off(&event));
    }
    let epochs = sender.ledger().epochs;
    assert!(epochs == waits || epochs == waits + 1, "{epochs} connections, {waits} waits");
    server.ended(usize::try_from(epochs).unwrap()).await;
    assert_eq!(server.accepted() as u64, epochs);
}

pub(crate) async fn g08_asking_for_a_reconnect_ends_the_wait<R: Runtime>() {
    let mut server = Server::start(Peer::echo);
    let mut config = quick();
    config.connection.backoff = backoff(86_400_000, 86_400_000);
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    let mut events = sender.events();
    up(&mut receiver).await;
    server.kill();
    assert!(matches!(down(&mut receiver).await.1, Reason::Io(_) | Reason::PeerClosed));
    event(&mut events, is_backing_off).await;
    server.restart();
    sender.reconnect_now();
    assert_eq!(up(&mut receiver).await.number(), 2);
    sender.reconnect_now();
    let (epoch, reason) = down(&mut receiver).await;
    assert_eq!((epoch.number(), reason), (2, Reason::Reconnect));
    assert_eq!(up(&mut receiver).await.number(), 3);
}

fn is_end(reason: &Reason, how: Cut) -> bool {
    match how {
        Cut::Fin => *reason == Reason::PeerClosed,
        Cut::Rst => matches!(reason, Reason::Io(_)),
    }
}
