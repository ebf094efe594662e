//! What a simulation saw.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use rebelay_core::{Event, Instant, Item, Outcome, Settled, State, Ticket};

/// All that came out of a machine, in order.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Record {
    /// What the reader took.
    pub items: Vec<Item>,
    /// What the client's kernel took, a handshake's bytes included, and on which epoch.
    pub written: Vec<(u64, Bytes)>,
    /// The outcomes of messages.
    pub settled: Vec<Settled>,
    /// The events, and when they were read.
    pub events: Vec<(Instant, Event)>,
    /// Every pair of states of which an input took the machine from one to the other. A machine
    /// that dials the next address goes from `Connecting` to `Connecting`.
    pub transitions: BTreeSet<(State, State)>,
}

impl Record {
    /// What became of the message with this ticket, if that is decided.
    pub fn outcome(&self, ticket: Ticket) -> Option<Outcome> {
        let run = self.settled.iter().find(|run| run.first <= ticket && ticket <= run.last);
        run.map(|run| run.outcome)
    }

    /// The bytes that the reader took of epoch `number`.
    pub fn received(&self, number: u64) -> Vec<u8> {
        let mut current = 0;
        let mut received = Vec::new();
        for item in &self.items {
            match item {
                Item::Up { epoch } => current = epoch.number(),
                Item::Data(data) if current == number => received.extend_from_slice(data),
                Item::Data(_) | Item::PeerFinished { .. } | Item::Down { .. } => {}
            }
        }
        received
    }

    /// The bytes that the client's kernel took on epoch `number`.
    pub fn written(&self, number: u64) -> Vec<u8> {
        let written = self.written.iter().filter(|(epoch, _)| *epoch == number);
        let pieces: Vec<&[u8]> = written.map(|(_, bytes)| &bytes[..]).collect();
        pieces.concat()
    }

    /// The first `count` bytes of `slices` were taken on epoch `number`.
    pub(crate) fn note_written(&mut self, number: u64, slices: &[Bytes], count: usize) {
        let mut left = count;
        for slice in slices {
            let len = slice.len().min(left);
            if len > 0 {
                self.written.push((number, slice.slice(..len)));
            }
            left -= len;
        }
    }
}

/// What became of the bytes that the client wrote on one connection: each count is a prefix of
/// the one before it, but that `acknowledged` lags behind `received`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wire {
    /// The connection.
    pub epoch: u64,
    /// Bytes that the client's kernel took, a handshake's included.
    pub written: u64,
    /// Bytes that left the client's host.
    pub sent: u64,
    /// Bytes that the client's kernel knows to have arrived.
    pub acknowledged: u64,
    /// Bytes that arrived at the server's kernel.
    pub received: u64,
    /// Bytes that the server program read.
    pub read: u64,
    /// The client's kernel ended the connection while the client had its socket: a RST came, or
    /// nothing did for [`Link::keepalive`](crate::Link::keepalive).
    pub lost: bool,
}

/// A hash (FNV-1a, over words of eight bytes) of everything that went in and came out: two runs
/// with the same digest are the same run.
#[derive(Clone, Debug)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn value(&self) -> u64 {
        self.0
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            let mixed = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3);
            // The product's high bits depend on all of the word; bring them down.
            self.0 = mixed ^ (mixed >> 32);
        }
    }

    pub(crate) fn item(&mut self, now: Instant, item: &Item) {
        match item {
            Item::Data(data) => {
                self.note(now, &data.len());
                self.bytes(data);
            }
            Item::Up { .. } | Item::PeerFinished { .. } | Item::Down { .. } => {
                self.note(now, item);
            }
        }
    }

    pub(crate) fn note(&mut self, now: Instant, what: &impl fmt::Debug) {
        self.bytes(&now.as_nanos().to_le_bytes());
        // Writing into a hash cannot fail.
        let _ = fmt::write(self, format_args!("{what:?}"));
    }
}

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}
