//! Streams that the user brings: a duplex in memory and a Unix socket, with no runtime at all.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what a test does not expect is one case")]

mod support;

use std::future::ready;
use std::io;

use rebelay::Reason;
use smol::future::zip;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use support::pipe::{End, duplex};
use support::talk::{data, down, quick, up, waits, written};
use support::wire::frame;

/// A dial that gives the near ends of duplexes, whose far ends come out of the channel.
fn dialling(
    limit: usize,
) -> (
    impl Fn() -> std::future::Ready<io::Result<(smol::io::ReadHalf<End>, smol::io::WriteHalf<End>)>>
    + Send
    + Sync,
    smol::channel::Receiver<End>,
) {
    let (dialled, far) = smol::channel::unbounded();
    let dial = move || {
        let (near, end) = duplex(limit);
        dialled.try_send(end).unwrap();
        ready(Ok(smol::io::split(near)))
    };
    (dial, far)
}

async fn echo(mut end: End) -> io::Result<()> {
    let mut buffer = [0; 7_000];
    loop {
        match end.read(&mut buffer).await? {
            0 => return Ok(()),
            count => end.write_all(&buffer[..count]).await?,
        }
    }
}

#[test]
fn a_duplex_in_memory_that_takes_little_at_once() {
    for limit in [1, 13, 4_096] {
        let (dial, far) = dialling(limit);
        let (sender, mut receiver, driver) = rebelay::io::connect(dial, quick()).unwrap();
        let server = async { echo(far.recv().await.unwrap()).await.unwrap() };
        let client = async {
            up(&mut receiver).await;
            for number in 1..=20 {
                let message = frame(number, 1_000);
                let ticket = sender.send(message.clone()).await.unwrap();
                assert_eq!(data(&mut receiver, message.len()).await, message);
                written(&sender, ticket).await;
            }
            sender.close().await
        };
        let (((), ledger), ()) = smol::future::block_on(zip(zip(driver, client), server));
        assert_eq!((ledger.written, ledger.epochs), (20, 1));
    }
}

#[test]
fn a_duplex_that_ends_is_dialled_again() {
    let (dial, far) = dialling(100);
    let (sender, mut receiver, driver) = rebelay::io::connect(dial, quick()).unwrap();
    let server = async {
        let mut first = far.recv().await.unwrap();
        let mut half = [0; 500];
        first.read_exact(&mut half).await.unwrap();
        drop(first);
        echo(far.recv().await.unwrap()).await.unwrap();
    };
    let client = async {
        up(&mut receiver).await;
        let message = frame(1, 1_000);
        let ticket = sender.send(message.clone()).await.unwrap();
        let (epoch, _) = down(&mut receiver).await;
        assert_eq!(epoch.number(), 1);
        assert_eq!(up(&mut receiver).await.number(), 2);
        assert_eq!(data(&mut receiver, message.len()).await, message);
        written(&sender, ticket).await;
        sender.close().await
    };
    let (((), ledger), ()) = smol::future::block_on(zip(zip(driver, client), server));
    assert_eq!((ledger.written, ledger.resent, ledger.epochs), (1, 1, 2));
}

#[test]
fn g13_dropping_the_driver_closes_the_connection() {
    let (dial, far) = dialling(100);
    let (sender, mut receiver, driver) = rebelay::io::connect(dial, quick()).unwrap();
    smol::future::block_on(async {
        let mut driver = Box::pin(driver);
        waits(driver.as_mut()).await;
        up(&mut receiver).await;
        sender.send(frame(1, 1_000)).await.unwrap();
        drop(driver);
        assert_eq!(sender.wait_closed().await.pending, 0);
        assert_eq!(down(&mut receiver).await.1, Reason::Closed);
        assert_eq!(receiver.recv().await, None);
        let mut far = far.recv().await.unwrap();
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert!(frame(1, 1_000).starts_with(&got));
    });
}

#[test]
fn a_driver_that_nobody_runs_does_nothing() {
    let (dial, far) = dialling(100);
    let (sender, _receiver, driver) = rebelay::io::connect(dial, quick()).unwrap();
    let ticket = sender.try_send("hello").unwrap();
    assert!(far.is_empty());
    drop(driver);
    let outcome = smol::future::block_on(sender.outcome(ticket));
    assert!(matches!(outcome, Some(rebelay::Outcome::Failed { .. })), "{outcome:?}");
    assert!(far.is_empty());
}

#[cfg(unix)]
#[test]
fn a_unix_socket() {
    use smol::net::unix::{UnixListener, UnixStream};

    let name = format!("rebelay-{}.socket", std::process::id());
    let path = std::env::temp_dir().join(name);
    let _ = std::fs::remove_file(&path);
    let listener = smol::future::block_on(async { UnixListener::bind(&path) }).unwrap();
    let socket = path.clone();
    let dial = move || {
        let path = socket.clone();
        async { UnixStream::connect(path).await.map(|stream| (stream.clone(), stream)) }
    };
    let (sender, mut receiver, driver) = rebelay::io::connect(dial, quick()).unwrap();
    let server = async {
        let (first, _) = listener.accept().await.unwrap();
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match second.read(&mut buffer).await.unwrap() {
                0 => break,
                count => second.write_all(&buffer[..count]).await.unwrap(),
            }
        }
    };
    let client = async {
        assert_eq!(up(&mut receiver).await.number(), 1);
        assert_eq!(down(&mut receiver).await.1, Reason::PeerClosed);
        assert_eq!(up(&mut receiver).await.number(), 2);
        let message = frame(1, 1 << 20);
        let ticket = sender.send(message.clone()).await.unwrap();
        assert!(data(&mut receiver, message.len()).await == message);
        written(&sender, ticket).await;
        sender.close().await
    };
    let (((), ledger), ()) = smol::block_on(zip(zip(driver, client), server));
    std::fs::remove_file(&path).unwrap();
    assert_eq!((ledger.written, ledger.epochs), (1, 2));
}
