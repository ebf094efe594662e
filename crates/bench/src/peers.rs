//! The peers: rebelay, and what it is measured against. Each does the same work in its own way.

mod channel;
mod framed;
mod limit;
mod mutex;
mod ours;

use std::error::Error;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::runtime::{Result, Runtime};
use crate::task::{Done, Task, Work};

/// Who does the work.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Peer {
    /// One task that owns the socket and batches by hand.
    Limit,
    /// A channel to a task with `FramedWrite` that feeds and flushes, a `FramedRead` task and a
    /// channel back: what people write.
    Framed,
    /// A channel to a task that writes each message.
    Naive,
    /// The writing half behind an async mutex.
    Mutex,
    /// `framed` over a `StubbornTcpStream`, split by `tokio::io::split`: the fairest form, since
    /// it batches as well as `framed` does and adds only what stubborn-io itself costs.
    Stubborn,
    /// rebelay.
    Ours,
}

impl Peer {
    pub(crate) const ALL: [Self; 6] =
        [Self::Limit, Self::Framed, Self::Naive, Self::Mutex, Self::Stubborn, Self::Ours];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Framed => "framed",
            Self::Naive => "naive",
            Self::Mutex => "mutex",
            Self::Stubborn => "stubborn-io",
            Self::Ours => "rebelay",
        }
    }

    pub(crate) fn runs_on(self, runtime: Runtime) -> bool {
        match self {
            Self::Limit | Self::Framed | Self::Ours => true,
            Self::Naive | Self::Mutex | Self::Stubborn => runtime.is_tokio(),
        }
    }

    /// By how much its share of the messages of `work` is smaller than the limit's, so that every
    /// measurement takes about as long.
    pub(crate) fn slowness(self, work: Work, size: usize) -> usize {
        if work == Work::PingPong || size >= 1_024 {
            return 1;
        }
        match (self, work) {
            (Self::Limit, _) | (Self::Mutex, Work::Inbound) => 1,
            (Self::Ours, _) => 2,
            (Self::Framed | Self::Stubborn, _) | (Self::Naive, Work::Inbound) => 8,
            (Self::Naive | Self::Mutex, _) => 64,
        }
    }

    /// Does `task`, on the runtime that this runs on.
    pub(crate) async fn run(self, task: Task) -> Result<Done> {
        match self {
            Self::Limit => limit::run(task).await,
            Self::Framed => framed::run(task).await,
            Self::Naive => framed::run_naive(task).await,
            Self::Mutex => mutex::run(task).await,
            Self::Stubborn => framed::run_stubborn(task).await,
            Self::Ours => ours::run(task).await,
        }
    }
}

/// A connection of tokio's whose server knows what will come.
async fn dial(task: Task) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(task.server).await?;
    stream.set_nodelay(true)?;
    if let Some(header) = task.header() {
        stream.write_all(&header).await?;
    }
    Ok(stream)
}

/// `count` as bytes that have arrived: none are the end of the connection, too early.
fn some(count: usize) -> Result<usize> {
    if count == 0 { Err("the server closed".into()) } else { Ok(count) }
}

/// The way in of a peer that takes messages from many tasks.
trait Outlet: Clone + Send + 'static {
    type Sent: Send;
    type Error: Into<Box<dyn Error + Send + Sync>> + Send;

    fn send(
        &self,
        message: Bytes,
    ) -> impl Future<Output = std::result::Result<Self::Sent, Self::Error>> + Send;
}

/// The way out of a peer that hands over what has arrived.
trait Inlet: Send {
    /// How many bytes came.
    fn recv(&mut self) -> impl Future<Output = Result<usize>> + Send;
}
