//! The peers: rebelay, and what it is measured against. Each does the same work in its own way.

mod framed;
mod limit;
mod mutex;
mod ours;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

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
    /// rebelay.
    Ours,
}

/// What is to be done.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Work {
    /// One message there and back at a time; each is timed.
    PingPong,
    /// So many tasks send; everything comes back.
    Echo { producers: usize },
    /// So many tasks send; the server says when it has everything.
    OneWay { producers: usize },
    /// The server sends.
    Inbound,
}

/// One measurement: what is to be done with how many messages of which size.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Task {
    pub(crate) work: Work,
    pub(crate) size: usize,
    pub(crate) count: usize,
    pub(crate) server: SocketAddr,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    /// The time of each message, in nanoseconds.
    Times(Vec<u64>),
    /// Messages per second.
    Rate(f64),
}

impl Peer {
    pub(crate) const ALL: [Self; 5] =
        [Self::Limit, Self::Framed, Self::Naive, Self::Mutex, Self::Ours];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Framed => "framed",
            Self::Naive => "naive",
            Self::Mutex => "mutex",
            Self::Ours => "rebelay",
        }
    }

    /// Does `task`, on the runtime that this runs on.
    pub(crate) async fn run(self, task: Task) -> Result<Done> {
        match (self, task.work) {
            (Self::Limit, Work::PingPong) => limit::ping_pong(task).await.map(Done::Times),
            (Self::Limit, _) => limit::rate(task).await.map(Done::Rate),
            (Self::Framed, Work::PingPong) => framed::ping_pong(task, true).await.map(Done::Times),
            (Self::Framed, _) => framed::rate(task, true).await.map(Done::Rate),
            (Self::Naive, Work::PingPong) => framed::ping_pong(task, false).await.map(Done::Times),
            (Self::Naive, _) => framed::rate(task, false).await.map(Done::Rate),
            (Self::Mutex, Work::PingPong) => mutex::ping_pong(task).await.map(Done::Times),
            (Self::Mutex, _) => mutex::rate(task).await.map(Done::Rate),
            (Self::Ours, Work::PingPong) => ours::ping_pong(task).await.map(Done::Times),
            (Self::Ours, _) => ours::rate(task).await.map(Done::Rate),
        }
    }
}

impl Task {
    /// The message, which costs nothing to clone.
    fn message(&self) -> Bytes {
        static BYTES: [u8; 64 << 10] = [7; 64 << 10];
        Bytes::from_static(&BYTES[..self.size])
    }

    fn producers(&self) -> usize {
        match self.work {
            Work::Echo { producers } | Work::OneWay { producers } => producers,
            Work::PingPong | Work::Inbound => 0,
        }
    }

    /// Messages that each producer sends.
    fn share(&self) -> usize {
        self.count.checked_div(self.producers()).unwrap_or(0)
    }

    /// Bytes that come back before the work is done.
    fn expected(&self) -> usize {
        match self.work {
            Work::Echo { producers } => self.share() * producers * self.size,
            Work::OneWay { .. } => 1,
            Work::PingPong | Work::Inbound => self.count * self.size,
        }
    }

    /// What the server is told first: how many bytes there will be.
    fn header(&self) -> Option<[u8; 8]> {
        let bytes = match self.work {
            Work::OneWay { producers } => self.share() * producers * self.size,
            Work::Inbound => self.count * self.size,
            Work::PingPong | Work::Echo { .. } => return None,
        };
        Some((bytes as u64).to_le_bytes())
    }

    fn rate_since(&self, start: Instant) -> f64 {
        self.count as f64 / start.elapsed().as_secs_f64()
    }

    /// A connection whose server knows what will come.
    async fn dial(&self) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.server).await?;
        stream.set_nodelay(true)?;
        if let Some(header) = self.header() {
            stream.write_all(&header).await?;
        }
        Ok(stream)
    }
}
