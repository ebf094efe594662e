//! The memory of connections that are up, have each exchanged a message, and do nothing.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rebelay::{Config, Item};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::codec::{BytesCodec, FramedRead, FramedWrite};

use crate::server::Port;
use crate::{ALLOCATOR, Result, process};

const CONNECTIONS: usize = 10_000;

/// Longer than anything that a connection does on its own when it falls idle.
const QUIET: Duration = Duration::from_secs(1);

const MESSAGE: Bytes = Bytes::from_static(&[7; 64]);

pub(crate) fn report() -> Result<()> {
    let port = Port::new()?;
    let _server = port.serve("echo")?;
    println!("idle: bytes of each of {CONNECTIONS} connections, allocated / resident");
    println!("{:<12}{:>18}{:>18}", "", "tokio current", "tokio multi");
    for peer in ["bare", "framed", "rebelay"] {
        print!("{peer:<12}");
        for flavour in ["current", "multi"] {
            let figures = process::output("idle", &[peer, flavour, &port.text()])?;
            print!("{:>18}", figures.trim());
        }
        println!();
    }
    Ok(())
}

pub(crate) fn run(words: &[&str]) -> Result<()> {
    let [peer, flavour, address] = words else { return Err("peer, flavour, address".into()) };
    let (peer, address) = (peer.to_string(), address.parse()?);
    process::runtime(flavour)?.block_on(async {
        tokio::spawn(async move {
            match peer.as_str() {
                "bare" => measure(|| bare(address)).await,
                "framed" => measure(|| framed(address)).await,
                "rebelay" => measure(|| ours(address)).await,
                unknown => Err(format!("no peer is called {unknown:?}").into()),
            }
        })
        .await?
    })
}

/// Opens the connections, lets them fall idle, and prints what they take.
async fn measure<T, F: Future<Output = Result<T>>>(open: impl Fn() -> F) -> Result<()> {
    // What the first connection of a process needs once is nobody's in particular.
    let first = open().await?;
    tokio::time::sleep(QUIET).await;
    let (allocated, resident) = (allocated(), resident()?);
    let mut held = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        held.push(open().await?);
    }
    tokio::time::sleep(QUIET).await;
    let each = |before: usize, after: usize| after.saturating_sub(before) / CONNECTIONS;
    println!("{} / {}", each(allocated, self::allocated()), each(resident, self::resident()?));
    drop((first, held));
    Ok(())
}

fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: usize =
        line.and_then(|line| line.strip_suffix("kB")).ok_or("no VmRSS")?.trim().parse()?;
    Ok(kib << 10)
}

async fn bare(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&MESSAGE).await?;
    let mut answer = [0; 64];
    stream.read_exact(&mut answer).await?;
    Ok(stream)
}

type Channels = (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>);

/// A channel to a task with a `FramedWrite`, a task with a `FramedRead`, and a channel back.
async fn framed(address: SocketAddr) -> Result<Channels> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    let (sender, mut messages) = mpsc::channel(1_024);
    let (to_user, mut receiver) = mpsc::channel(1_024);
    tokio::spawn(async move {
        let mut sink = FramedWrite::new(write, BytesCodec::new());
        while let Some(message) = messages.recv().await {
            if SinkExt::<Bytes>::send(&mut sink, message).await.is_err() {
                break;
            }
        }
    });
    tokio::spawn(async move {
        let mut frames = FramedRead::new(read, BytesCodec::new());
        while let Some(Ok(frame)) = frames.next().await {
            if to_user.send(frame.freeze()).await.is_err() {
                break;
            }
        }
    });
    sender.send(MESSAGE).await?;
    let mut got = 0;
    while got < MESSAGE.len() {
        got += receiver.recv().await.ok_or("the server closed")?.len();
    }
    Ok((sender, receiver))
}

type Handles = (rebelay::Sender, rebelay::Receiver);

async fn ours(address: SocketAddr) -> Result<Handles> {
    let (sender, mut receiver) = rebelay::tokio::connect(address, Config::default()).await?;
    sender.send(MESSAGE).await?;
    let mut got = 0;
    while got < MESSAGE.len() {
        match receiver.recv().await {
            Some(Item::Up { .. }) => {}
            Some(Item::Data(data)) => got += data.len(),
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok((sender, receiver))
}
