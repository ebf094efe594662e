//! What becomes of a message, and the count of it all.

use core::fmt;

/// The number of an admitted message, from 1, in the order of admission.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// The ticket with this number; 0 stands before every message.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number: 1 for the first message of a connection.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The number of an established connection, from 1. Bytes of two epochs never join.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub(crate) u64);

impl Epoch {
    /// The number: 1 for the first established connection.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What finally became of a message: exactly one for each that was admitted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The operating system took its last byte on this epoch. This is *not* delivery: the bytes
    /// may still be lost with the connection, and nobody would say so.
    Written {
        /// The epoch whose socket took it.
        epoch: Epoch,
    },
    /// The user said that the peer has it ([`ack_through`](crate::Connection::ack_through)).
    Acked,
    /// It will not be tried again.
    Failed {
        /// How sure it is that the peer does not have it.
        certainty: Certainty,
        /// Why it was given up.
        cause: FailCause,
    },
}

/// How sure it is that the peer does not have a failed message.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Certainty {
    /// Its last byte never left the library: no peer can have it whole.
    #[default]
    NotSent,
    /// Its last byte was handed over, and the operating system proves that it never left this
    /// host: no peer can have it whole.
    NotTransmitted,
    /// Its last byte was handed over: the peer may have it, or not.
    InDoubt,
}

/// Why a message was given up.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailCause {
    /// The connection ended, and neither the resend policy nor the epoch that the message was
    /// pinned to lets it be sent again.
    Disconnected,
    /// The connection ended, and the message was begun on `max_attempts` epochs.
    Attempts,
    /// Its deadline passed while it was waiting.
    Expired,
    /// The user cancelled it while it was waiting.
    Cancelled,
    /// The outbox was full, and [`Overflow`](crate::Overflow) dropped it.
    Overflow,
    /// The connection was closed before it could be written or acknowledged.
    Closed,
}

/// One outcome of a run of consecutive tickets.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The first ticket of the run.
    pub first: Ticket,
    /// The last ticket of the run; the same as `first` for one message.
    pub last: Ticket,
    /// What became of each of them.
    pub outcome: Outcome,
}

/// Every message of a connection, counted once: `admitted` is always the sum of `pending`,
/// `written`, `acked`, `not_sent`, `not_transmitted`, `in_doubt` and `dropped`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Messages that got a ticket.
    pub admitted: u64,
    /// Messages without an outcome.
    pub pending: u64,
    /// Outcomes [`Outcome::Written`].
    pub written: u64,
    /// Outcomes [`Outcome::Acked`].
    pub acked: u64,
    /// Failures whose last byte never left the library, overflow aside.
    pub not_sent: u64,
    /// Failures whose last byte, as the operating system proves, never left this host.
    pub not_transmitted: u64,
    /// Failures that the peer may have received.
    pub in_doubt: u64,
    /// Messages that the overflow policy dropped.
    pub dropped: u64,
    /// How often a message, of which bytes had been handed over, went back to be sent again.
    pub resent: u64,
    /// How often a message that a socket had taken whole was proven never to have left this host
    /// whole, whatever became of it then. Those that [`Never`](crate::Resend::Never) and
    /// [`Incomplete`](crate::Resend::Incomplete) let go when they were written are not looked at.
    pub proven_unsent: u64,
    /// Connections established.
    pub epochs: u64,
    /// Bytes of messages that sockets took, repeats included.
    pub bytes_written: u64,
    /// Bytes received.
    pub bytes_received: u64,
}

impl Ledger {
    /// Whether every admitted message is accounted for exactly once.
    pub const fn adds_up(&self) -> bool {
        self.admitted
            == self.pending
                + self.written
                + self.acked
                + self.not_sent
                + self.not_transmitted
                + self.in_doubt
                + self.dropped
    }

    pub(crate) fn count(&mut self, outcome: Outcome, messages: u64) {
        let count = match outcome {
            Outcome::Written { .. } => &mut self.written,
            Outcome::Acked => &mut self.acked,
            Outcome::Failed { cause: FailCause::Overflow, .. } => &mut self.dropped,
            Outcome::Failed { certainty: Certainty::NotSent, .. } => &mut self.not_sent,
            Outcome::Failed { certainty: Certainty::NotTransmitted, .. } => {
                &mut self.not_transmitted
            }
            Outcome::Failed { certainty: Certainty::InDoubt, .. } => &mut self.in_doubt,
        };
        *count += messages;
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} admitted = {} pending + {} written + {} acknowledged + {} not sent \
             + {} not transmitted + {} in doubt + {} dropped; {} resent \
             ({} proven never to have left) over {} epochs",
            self.admitted,
            self.pending,
            self.written,
            self.acked,
            self.not_sent,
            self.not_transmitted,
            self.in_doubt,
            self.dropped,
            self.resent,
            self.proven_unsent,
            self.epochs
        )
    }
}
