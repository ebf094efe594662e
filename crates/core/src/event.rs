//! What comes out: orders for the driver, items for the reader, events for people.

use alloc::collections::VecDeque;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use crate::error::Reason;
use crate::outcome::{Epoch, Ticket};

/// What the driver must do next. A driver has to know every one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look up the endpoint and report with `handle_resolved` or `handle_resolve_failed`.
    Resolve {
        /// The round of attempts that asks, from 1.
        round: u64,
    },
    /// Connect and report with `handle_connected` or `handle_connect_failed`.
    Dial {
        /// The number of the attempt, from 1.
        attempt: u64,
        /// Where to.
        address: SocketAddr,
    },
    /// Run the handshake and report with `handle_handshaken` or `handle_handshake_failed`.
    Handshake {
        /// The epoch that begins with it.
        epoch: Epoch,
    },
    /// Give up this attempt.
    Abandon {
        /// The attempt.
        attempt: u64,
    },
    /// Read the operating system's counters of the socket and report with `handle_evidence`.
    Measure {
        /// The epoch whose socket it is.
        epoch: Epoch,
    },
    /// Send a FIN and keep reading.
    ShutdownWrite {
        /// The epoch whose socket it is.
        epoch: Epoch,
    },
    /// Close the socket, and drop a handshake that runs on it.
    CloseSocket {
        /// The epoch whose socket it is.
        epoch: Epoch,
    },
}

/// What the reader gets: one ordered stream. The last data of an epoch, then its `Down`, then
/// `Up` of the next, then its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A connection is up, its handshake done. A decoder starts afresh here.
    Up {
        /// The connection.
        epoch: Epoch,
    },
    /// Received bytes.
    Data(Bytes),
    /// The peer sent its FIN: no data follows on this connection. With
    /// [`PeerFin::KeepWriting`](crate::PeerFin::KeepWriting) messages go out on it still.
    PeerFinished {
        /// The connection.
        epoch: Epoch,
    },
    /// The connection has ended, and all that was received on it has been given.
    Down {
        /// The connection.
        epoch: Epoch,
        /// Why.
        reason: Reason,
    },
}

/// What happened, for people and metrics. Nothing depends on reading them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A round of attempts began with a lookup.
    Resolving {
        /// The round, from 1.
        round: u64,
    },
    /// A dial began.
    Connecting {
        /// The attempt, from 1.
        attempt: u64,
        /// Where to.
        address: SocketAddr,
    },
    /// A lookup, a dial or a handshake failed.
    AttemptFailed {
        /// The number of dials so far.
        attempt: u64,
        /// Why.
        reason: Reason,
    },
    /// A connection is up, its handshake done.
    Connected {
        /// The connection.
        epoch: Epoch,
    },
    /// A connection that was up has ended.
    Disconnected {
        /// The connection.
        epoch: Epoch,
        /// Why.
        reason: Reason,
        /// How many messages, of which bytes had been handed over, go out again.
        resent: u32,
        /// How many messages that the socket had taken whole were proven never to have left this
        /// host whole; those that were let go when they were written are not looked at.
        proven_unsent: u32,
    },
    /// The deadline of a message passed while it was out on the current epoch. It expires only if
    /// it would have to be sent again.
    DeadlinePassed {
        /// The message.
        ticket: Ticket,
    },
    /// The peer sent its FIN, and messages go out still.
    PeerFinished {
        /// The connection.
        epoch: Epoch,
    },
    /// The next round waits.
    BackingOff {
        /// How long.
        delay: Duration,
    },
    /// The connection is closed for good.
    Closed {
        /// Why.
        reason: Reason,
    },
    /// Events were dropped here because nobody read them in time.
    Lost {
        /// How many.
        count: u64,
    },
}

/// A ring of events: when it is full, the oldest makes room and is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    ring: VecDeque<Event>,
    lost: u64,
}

impl Events {
    /// Adds `event` to at most `limit`.
    pub(crate) fn push(&mut self, event: Event, limit: usize) {
        if self.ring.len() >= limit {
            self.ring.pop_front();
            self.lost += 1;
        }
        self.ring.push_back(event);
    }

    pub(crate) fn rest(&mut self) {
        self.ring.shrink_to_fit();
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        match core::mem::take(&mut self.lost) {
            0 => self.ring.pop_front(),
            count => Some(Event::Lost { count }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g06_a_full_ring_drops_the_oldest_and_says_how_many() {
        let mut events = Events::default();
        for round in 1..=5 {
            events.push(Event::Resolving { round }, 2);
        }
        assert_eq!(events.pop(), Some(Event::Lost { count: 3 }));
        assert_eq!(events.pop(), Some(Event::Resolving { round: 4 }));
        assert_eq!(events.pop(), Some(Event::Resolving { round: 5 }));
        assert_eq!(events.pop(), None);
    }
}
