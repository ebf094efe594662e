//! Every call the machine has, as data: for random, exhaustive and fuzzed sequences alike.

use std::time::Duration;

use rebelay_core::{Config, FirstConnect, Jitter, Overflow, PeerFin, Resend};

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

/// What is said of the bytes that a socket took.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// There are no counters.
    Nothing,
    /// What the kernel of the test did: it gave this share (of 255) of what it had to the network,
    /// having taken this share of what is out with a writer. `over`: it will do nothing more.
    Truth { sent: u8, ahead: u8, over: bool },
    /// Anything.
    Lie { untransmitted: u64, is_final: bool },
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
        expires_after: Option<Duration>,
        epoch: Option<Which>,
    },
    /// Cancels the message this many before the last admitted; one beyond it if negative.
    Cancel {
        back: i8,
    },
    /// Replaces the message this many before the last admitted; one beyond it if negative.
    Replace {
        back: i8,
        len: u16,
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
        claim: Claim,
    },
    /// The driver reads the counters that it was asked for, and is slow to say what they are.
    Read {
        claim: Claim,
    },
    /// What it read, or reads, is reported.
    Answer {
        epoch: Which,
        claim: Claim,
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
        claim: Claim,
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
    HalfClose,
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
    pub(crate) peer_fin: PeerFin,
    pub(crate) max_attempts: u32,
    /// `max_resent_per_second`: 1, 50, 5,000 or `u32::MAX`.
    pub(crate) rate: u32,
    pub(crate) stall: Duration,
}

impl Setup {
    /// How many messages that go out again may go at once, and how long the next then wait.
    pub(crate) fn pace(&self) -> (usize, Duration) {
        match self.rate {
            1 => (1, Duration::from_secs(1)),
            50 => (1, Duration::from_millis(20)),
            5_000 => (5, Duration::from_millis(1)),
            other => panic!("{other} is not among the rates"),
        }
    }

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
        config.peer_fin = self.peer_fin;
        config.max_attempts = self.max_attempts;
        config.max_resent_per_second = self.rate;
        config.write_stall_timeout = self.stall;
        config
    }
}
