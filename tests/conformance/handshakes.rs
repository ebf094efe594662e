//! The user's handshake: on every epoch, ahead of every message.

use std::future::pending;
use std::time::Duration;

use rebelay::{ConnectError, Event, FirstConnect, Reason};

use crate::support::runtimes::Runtime;
use crate::support::server::{Cut, Peer, Server};
use crate::support::talk::{data, down, event, is_backing_off, lazy, quick, soon, up};

/// A handshake that names the epoch and wants "OK" for an answer.
fn login(config: rebelay::Config) -> rebelay::Config {
    config.on_connect(|mut io| async move {
        let hello = format!("HELLO {}\n", io.epoch());
        io.write_all(hello.as_bytes()).await?;
        let answer = io.read_until(b'\n', 64).await?;
        match &answer[..] {
            b"OK\n" => Ok(io),
            other => Err(format!("refused with {other:?}").into()),
        }
    })
}

pub(crate) async fn g09_every_epoch_begins_with_the_handshake<R: Runtime>() {
    let mut server = Server::down(|peer| {
        peer.take(8)?;
        peer.write(b"OK\n")?;
        if peer.number <= 2 { peer.cut_after(1, Cut::Fin) } else { peer.echo() }
    });
    let (sender, mut receiver) = R::connect(server.address().into(), login(lazy())).await.unwrap();
    sender.send("a").await.unwrap();
    server.restart();
    for (number, next) in [(1, "b"), (2, "c")] {
        assert_eq!(up(&mut receiver).await.number(), number);
        assert_eq!(down(&mut receiver).await.1, Reason::PeerClosed);
        sender.send(next).await.unwrap();
    }
    assert_eq!(up(&mut receiver).await.number(), 3);
    assert_eq!(data(&mut receiver, 1).await, b"c");
    server.got(1, b"HELLO 1\na").await;
    server.got(2, b"HELLO 2\nb").await;
    server.got(3, b"HELLO 3\nc").await;
}

pub(crate) async fn g09_left_over_bytes_reach_the_receiver<R: Runtime>() {
    let server = Server::start(|peer| {
        peer.take(8)?;
        peer.write(b"OK\nwelcome")?;
        peer.echo()
    });
    let (sender, mut receiver) = R::connect(server.address().into(), login(quick())).await.unwrap();
    assert_eq!(up(&mut receiver).await.number(), 1);
    assert_eq!(data(&mut receiver, 7).await, b"welcome");
    sender.send("hello").await.unwrap();
    assert_eq!(data(&mut receiver, 5).await, b"hello");
}

pub(crate) async fn g09_what_the_handshake_gives_back_comes_first<R: Runtime>() {
    let server = Server::start(|peer| peer.write(b"onetwo").and_then(|()| peer.keep()));
    let config = quick().on_connect(|mut io| async move {
        let read = io.read_exact(6).await?;
        io.unread(&read[3..]);
        Ok(io)
    });
    let (_sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    up(&mut receiver).await;
    assert_eq!(data(&mut receiver, 3).await, b"two");
}

pub(crate) async fn g09_a_failing_handshake_is_tried_again<R: Runtime>() {
    let server = Server::start(|peer| {
        peer.take(8)?;
        if peer.number <= 3 {
            return peer.write(b"NO\n");
        }
        peer.write(b"OK\n")?;
        peer.keep()
    });
    let (sender, mut receiver) = R::connect(server.address().into(), login(lazy())).await.unwrap();
    let mut events = sender.events();
    sender.send("!").await.unwrap();
    for _ in 0..3 {
        let failed = event(&mut events, |event| {
            matches!(event, Event::AttemptFailed { reason: Reason::Handshake(_), .. })
        });
        match failed.await {
            Event::AttemptFailed { reason, .. } => {
                assert!(reason.to_string().contains("refused with"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        event(&mut events, is_backing_off).await;
    }
    // An epoch whose handshake failed was never up.
    assert_eq!(up(&mut receiver).await.number(), 4);
    server.got(4, b"HELLO 4\n!").await;
}

pub(crate) async fn g09_fail_fast_says_why_the_handshake_failed<R: Runtime>() {
    let server = Server::start(|peer| peer.take(8).and_then(|_| peer.write(b"NO\n")));
    let mut config = login(quick());
    config.connection.first_connect = FirstConnect::FailFast;
    match soon(R::connect(server.address().into(), config)).await {
        Err(ConnectError::Failed { reason: Reason::Handshake(fault), .. }) => {
            assert!(fault.text().contains("refused with"), "{fault}");
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn g09_a_hanging_handshake_times_out<R: Runtime>() {
    let server = Server::start(Peer::keep);
    let mut config = lazy().on_connect(|io| async move {
        if io.epoch().number() == 1 {
            pending::<()>().await;
        }
        Ok(io)
    });
    config.connection.handshake_timeout = Duration::from_millis(50);
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    let mut events = sender.events();
    sender.send("hello").await.unwrap();
    event(&mut events, |event| {
        matches!(event, Event::AttemptFailed { reason: Reason::HandshakeTimeout, .. })
    })
    .await;
    assert_eq!(up(&mut receiver).await.number(), 2);
    server.got(2, b"hello").await;
}
