//! Streams that the user brings: a duplex in memory and a Unix socket, with no runtime at all.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what a test does not expect is one case")]

mod support;

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use rebelay::{Item, Reason};
use smol::channel::Receiver;
use smol::future::zip;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use support::pipe::{End, duplex};
use support::talk::{data, down, quick, up, waits, written};
use support::wire::frame;

type Halves = (ReadHalf<End>, WriteHalf<End>);

/// A dial that gives the near ends of duplexes, whose far ends come out of the channel.
fn dialling(limit: usize) -> (impl Fn() -> Ready<io::Result<Halves>> + Send + Sync, Receiver<End>) {
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

/// A reader that calls `late` before it reports that nothing more comes.
struct Late {
    stream: ReadHalf<End>,
    late: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl AsyncRead for Late {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Pending if (self.late)() => Poll::Ready(Ok(0)),
            poll => poll,
        }
    }
}

#[test]
fn g07_a_late_end_of_one_epoch_does_not_stop_the_next() {
    let sender = Arc::new(OnceLock::<rebelay::Sender>::new());
    let armed = Arc::new(AtomicBool::new(false));
    let (dialled, far) = smol::channel::unbounded();
    let (receiving, late_sender, late_armed) =
        (std::thread::current().id(), Arc::clone(&sender), Arc::clone(&armed));
    // The receiver is in a read when the driver leaves the epoch and comes up again; only then
    // does the read come back.
    let late = Arc::new(move || {
        let mine = std::thread::current().id() == receiving;
        let Some(sender) = late_sender.get() else { return false };
        if !mine || !late_armed.swap(false, Ordering::SeqCst) {
            return false;
        }
        sender.reconnect_now();
        while sender.epoch().is_none_or(|epoch| epoch.number() < 2)
            || sender.state() != rebelay::State::Connected
        {
            std::thread::yield_now();
        }
        true
    });
    let dial = move || {
        let (near, end) = duplex(100);
        dialled.try_send(end).unwrap();
        let (stream, write) = smol::io::split(near);
        let late = Arc::clone(&late);
        ready(Ok((Late { stream, late }, write)))
    };
    let (handle, mut receiver, driver) = rebelay::io::connect(dial, quick()).unwrap();
    sender.set(handle.clone()).unwrap();
    smol::spawn(driver).detach();
    let patience = smol::Timer::after(std::time::Duration::from_secs(60));
    let test = async {
        assert_eq!(up(&mut receiver).await.number(), 1);
        armed.store(true, Ordering::SeqCst);
        // While the driver happens to be in a read of its own, the receiver does not read.
        let item = loop {
            if let Some(item) = smol::future::poll_once(receiver.recv()).await {
                break item;
            }
            smol::future::yield_now().await;
        };
        let left = |item| matches!(item, Some(Item::Down { reason: Reason::Reconnect, .. }));
        assert!(left(item));
        assert_eq!(up(&mut receiver).await.number(), 2);
        let _first = far.recv().await.unwrap();
        let mut second = far.recv().await.unwrap();
        second.write_all(b"hello").await.unwrap();
        assert_eq!(data(&mut receiver, 5).await, b"hello");
        handle.close().await;
    };
    smol::block_on(smol::future::or(test, async {
        patience.await;
        panic!("nothing is read on the second epoch");
    }));
}
