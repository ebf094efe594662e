//! What a peer is given to do, and what it hands back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::runtime::Runtime;

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
    pub(crate) runtime: Runtime,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) messages: usize,
    pub(crate) took: Duration,
    /// The time of each message in nanoseconds, where they were timed.
    pub(crate) times: Vec<u64>,
}

impl Done {
    /// Messages per second.
    pub(crate) fn rate(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64()
    }
}

impl Task {
    /// The message, which costs nothing to clone.
    pub(crate) fn message(&self) -> Bytes {
        Bytes::from_static(self.bytes())
    }

    pub(crate) fn bytes(&self) -> &'static [u8] {
        static BYTES: [u8; 64 << 10] = [7; 64 << 10];
        &BYTES[..self.size]
    }

    pub(crate) fn producers(&self) -> usize {
        match self.work {
            Work::Echo { producers } | Work::OneWay { producers } => producers,
            Work::PingPong | Work::Inbound => 0,
        }
    }

    /// Messages that each producer sends.
    pub(crate) fn share(&self) -> usize {
        self.count.checked_div(self.producers()).unwrap_or(0)
    }

    /// Messages that all producers send.
    pub(crate) fn outgoing(&self) -> usize {
        self.share() * self.producers()
    }

    /// Bytes that come back before the work is done.
    pub(crate) fn expected(&self) -> usize {
        match self.work {
            Work::Echo { .. } => self.outgoing() * self.size,
            Work::OneWay { .. } => 1,
            Work::PingPong | Work::Inbound => self.count * self.size,
        }
    }

    /// What the server is told first: how many bytes there will be.
    pub(crate) fn header(&self) -> Option<[u8; 8]> {
        let bytes = match self.work {
            Work::OneWay { .. } => self.outgoing() * self.size,
            Work::Inbound => self.count * self.size,
            Work::PingPong | Work::Echo { .. } => return None,
        };
        Some((bytes as u64).to_le_bytes())
    }

    /// Everything is done; it began at `start`.
    pub(crate) fn done_since(&self, start: Instant) -> Done {
        let messages = if self.producers() > 0 { self.outgoing() } else { self.count };
        Done { messages, took: start.elapsed(), times: Vec::new() }
    }
}

/// Times one message after the other.
pub(crate) struct Laps {
    begin: Instant,
    last: Instant,
    times: Vec<u64>,
}

impl Laps {
    pub(crate) fn new(task: &Task) -> Self {
        let times = Vec::with_capacity(task.count);
        let begin = Instant::now();
        Self { begin, last: begin, times }
    }

    /// A message is there and back.
    pub(crate) fn lap(&mut self) {
        let now = Instant::now();
        self.times.push((now - self.last).as_nanos() as u64);
        self.last = now;
    }

    pub(crate) fn done(self) -> Done {
        Done { messages: self.times.len(), took: self.last - self.begin, times: self.times }
    }
}
