//! Every call the machine has, as data: for random, exhaustive and fuzzed sequences alike.

use std::time::Duration;

use rebelay_core::{Config, FirstConnect, Jitter, Overflow, Resend};

/// Which epoch, round or attempt a report names.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The current one.
    Current,
    /// One this many before it (or none at all, if there were not so many).
    Past(u8),
    /// One this many after it.
    Future(u8),
}

/// One call of one public method. Lengths and times are meant to be absurd at times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// What a faithful driver would report next on the way to a connection.
    Progress {
        addresses: u8,
    },
    Send {
        len: u16,
        resend: Option<Resend>,
    },
    /// Acknowledges up to `back` messages before the last admitted; beyond it if negative.
    Ack {
        back: i8,
    },
    /// Lends bytes to a writer, in up to `slices` slices.
    Transmit {
        slices: u8,
    },
    Transmitted {
        epoch: Which,
        count: usize,
    },
    Writable {
        epoch: Which,
    },
    WriteFailed {
        epoch: Which,
    },
    /// Lends memory to a reader.
    Receive,
    /// The reader gives its memory back, filled by this share of 255; `None` if it has none.
    Received {
        epoch: Which,
        fill: u8,
    },
    /// Bytes that no lent memory holds: what a handshake left over.
    Leftover {
        epoch: Which,
        len: u8,
    },
    Disconnected {
        epoch: Which,
        fin: bool,
    },
    Resolved {
        round: Which,
        addresses: u8,
    },
    ResolveFailed {
        round: Which,
    },
    Connected {
        attempt: Which,
    },
    ConnectFailed {
        attempt: Which,
    },
    Handshaken {
        epoch: Which,
    },
    HandshakeFailed {
        epoch: Which,
    },
    /// Time passes and is reported.
    Advance {
        time: Duration,
    },
    /// Time comes to the next timeout.
    AdvanceToTimeout,
    /// Time is said to be this, whatever it was.
    Timeout {
        at: u64,
    },
    ReconnectNow,
    Discard,
    Drain {
        after: Duration,
    },
    Close,
    /// Items, outcomes and events are taken, this many of each at most.
    Take {
        count: u8,
    },
}

/// What a connection is made with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) first_connect: FirstConnect,
    pub(crate) resend: Resend,
    pub(crate) overflow: Overflow,
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) received: usize,
    pub(crate) events: usize,
    pub(crate) handshake: bool,
    pub(crate) jitter: Jitter,
}

impl Setup {
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::default();
        config.first_connect = self.first_connect;
        config.resend = self.resend;
        config.overflow = self.overflow;
        config.max_queued_messages = self.messages;
        config.max_queued_bytes = self.bytes;
        config.max_received_bytes = self.received;
        config.max_events = self.events;
        config.handshake = self.handshake;
        config.backoff.jitter = self.jitter;
        config
    }
}
