//! The log of messages that are not finished with, and its cursors.
//!
//! ```text
//!   released      written          taken + lent                      tail
//!      │ retained    │ being written          │ untouched             │
//!      ▼             ▼                        ▼                       ▼
//!      ├──┬──┬──┬────┼──┬──┬──────────────────┼──┬──┬──┬──┬──┬────────┤
//!       acknowledgements   the socket takes      sending appends
//!       release            bytes
//! ```
//!
//! A disconnect moves `written` back to the first message that its policy sends again; there is
//! no other retry code. Everything that a message goes through is one of those cursors passing it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::{Config, Overflow, Resend};
use crate::error::Refusal;
use crate::log::{Entry, Log};
use crate::outcome::{Certainty, Epoch, FailCause, Ledger, Outcome, Settled, Ticket};

/// The most bytes lent to a writer at once: the work of one system call stays bounded.
const LEND_LIMIT: usize = 512 << 10;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Every message without an outcome.
    log: Log,
    /// How many entries the socket took whole and the policy retains.
    written: usize,
    /// The position up to which the socket took bytes: in `written`, the entry.
    taken: u64,
    /// Bytes after that which are out with a writer; their fate is not known.
    lent: usize,
    /// The last ticket acknowledged since they were lent: an acknowledgement may overtake the
    /// report of the write, and counts if the socket turns out to have taken the message whole.
    acked_ahead: Ticket,
    /// Outcomes not yet taken; their runs count against `max_queued_messages`, so they are bounded too.
    settled: VecDeque<Settled>,
    ledger: Ledger,
}

/// How far a message came on the epoch that ended.
#[derive(Copy, Clone, PartialEq)]
enum Progress {
    Untouched,
    Partial,
    Whole,
}

impl Resend {
    /// Whether a message waits for an acknowledgement after it is written.
    pub(crate) const fn retains(self) -> bool {
        matches!(self, Self::Unacked)
    }

    /// Whether the cursor goes back to a message that came this far.
    fn goes_back_to(self, progress: Progress) -> bool {
        match self {
            Self::Never => progress == Progress::Untouched,
            Self::Incomplete => progress != Progress::Whole,
            Self::Unacked => true,
        }
    }
}

impl Outbox {
    /// Whether every message has its outcome.
    pub(crate) fn is_empty(&self) -> bool {
        self.log.len() == 0
    }

    /// Whether a socket took every message whole that has no outcome yet.
    pub(crate) fn is_written(&self) -> bool {
        self.written == self.log.len()
    }

    pub(crate) fn is_pending(&self, ticket: Ticket) -> bool {
        self.log.index_of(ticket).is_some()
    }

    pub(crate) fn settled(&self) -> u64 {
        self.ledger.admitted - self.log.len() as u64
    }

    pub(crate) fn messages(&self) -> usize {
        self.log.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.log.bytes()
    }

    /// Whether bytes are out with a writer.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent > 0
    }

    /// Whether bytes wait that no writer has.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.written < self.log.len() && self.lent == 0
    }

    /// The last ticket up to which every message was taken whole by a socket or has an outcome.
    pub(crate) fn written_through(&self) -> Ticket {
        let waiting = self.log.entry(self.written);
        Ticket(waiting.map_or(self.ledger.admitted, |entry| entry.ticket.0 - 1))
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger { pending: self.log.len() as u64, ..self.ledger }
    }

    pub(crate) fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Admits the message that lies at `message` to the end of the log, or says why not.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        message: &mut Bytes,
        resend: Resend,
        config: &Config,
    ) -> Result<Ticket, Refusal> {
        if message.is_empty() || !self.has_room(message.len(), config) {
            return self.admit_without_room(message, resend, config);
        }
        Ok(self.push(message, resend))
    }

    #[cold]
    fn admit_without_room(
        &mut self,
        message: &mut Bytes,
        resend: Resend,
        config: &Config,
    ) -> Result<Ticket, Refusal> {
        if message.is_empty() {
            return Err(Refusal::Empty);
        }
        if message.len() > config.max_queued_bytes {
            return Err(Refusal::TooLong { limit: config.max_queued_bytes });
        }
        match config.overflow {
            Overflow::DropNewest if self.settled.len() < config.max_queued_messages => {
                let ticket = self.next_ticket();
                self.settle(ticket, ticket, failed(Certainty::NotSent, FailCause::Overflow));
                Ok(ticket)
            }
            Overflow::DropOldest if self.make_room(message.len(), config) => {
                Ok(self.push(message, resend))
            }
            Overflow::Wait | Overflow::Reject | Overflow::DropOldest | Overflow::DropNewest => {
                Err(Refusal::Full)
            }
        }
    }

    /// Lends the next bytes to a writer, in up to `slices.capacity()` slices. One writer at a
    /// time: nothing is lent again before [`taken`](Self::taken) says what became of it.
    pub(crate) fn lend(&mut self, slices: &mut Vec<Bytes>) {
        if self.has_unwritten() {
            self.lent = self.log.read(self.taken, LEND_LIMIT, slices);
        }
    }

    /// The socket took `count` of the bytes lent, and the rest has come back.
    pub(crate) fn taken(&mut self, count: usize, epoch: Epoch) {
        let count = count.min(self.lent);
        self.lent = 0;
        self.taken += count as u64;
        self.ledger.bytes_written += count as u64;
        let acked_ahead = core::mem::replace(&mut self.acked_ahead, Ticket(0));
        let whole = self.log.whole_before(self.taken);
        if !self.log.retains() {
            self.settle_first(whole, Outcome::Written { epoch });
            return;
        }
        for _ in self.written..whole {
            let Some(entry) = self.log.entry_mut(self.written) else { return };
            entry.acked |= entry.resend.retains() && entry.ticket <= acked_ahead;
            if entry.acked {
                self.remove(self.written, Outcome::Acked);
            } else if entry.resend.retains() {
                entry.left_whole = true;
                self.written += 1;
            } else {
                self.remove(self.written, Outcome::Written { epoch });
            }
        }
    }

    /// The connection ended: moves `written` back to the first message that goes out again, and
    /// settles those that do not. Returns how many go out again although bytes of them had left.
    pub(crate) fn rewind(&mut self) -> u64 {
        let resent = self.end_epoch(FailCause::Disconnected, Resend::goes_back_to);
        self.ledger.resent += resent;
        resent
    }

    /// Settles every message as failed.
    pub(crate) fn fail_all(&mut self, cause: FailCause) {
        self.end_epoch(cause, |_, _| false);
    }

    /// Settles every message as failed of which the current epoch has no byte yet. The others may
    /// still be finished, and acknowledged.
    pub(crate) fn fail_untouched(&mut self, cause: FailCause) {
        for entry in self.log.truncate(self.touched()) {
            self.settle(entry.ticket, entry.ticket, entry.given_up(cause));
        }
    }

    /// The user says that the peer has every message up to `through`. Those that were never
    /// handed over whole, or are already settled, are left as they are.
    pub(crate) fn ack_through(&mut self, through: Ticket) {
        if self.lent > 0 {
            self.acked_ahead = self.acked_ahead.max(through);
        }
        // Those in front of `written` all wait for this, and nothing else happens to them.
        let first = self.log.up_to(through).min(self.written);
        self.settle_first(first, Outcome::Acked);
        self.written -= first;
        let (mut touched, mut index) = (self.touched(), 0);
        while let Some(entry) = self.log.entry_mut(index) {
            if entry.ticket > through {
                break;
            }
            let being_written = index >= self.written && index < touched;
            if entry.left_whole && !being_written {
                touched -= usize::from(index < touched);
                self.remove(index, Outcome::Acked);
            } else {
                entry.acked = entry.left_whole;
                index += 1;
            }
        }
    }

    /// Gives back the memory that is kept for messages to come.
    pub(crate) fn rest(&mut self) {
        self.log.rest();
        self.settled.shrink_to_fit();
    }

    pub(crate) fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    pub(crate) fn pop_settled(&mut self) -> Option<Settled> {
        self.settled.pop_front()
    }

    #[inline]
    fn push(&mut self, message: &mut Bytes, resend: Resend) -> Ticket {
        let ticket = self.next_ticket();
        self.log.push(ticket, resend, message);
        ticket
    }

    fn next_ticket(&mut self) -> Ticket {
        self.ledger.admitted += 1;
        Ticket(self.ledger.admitted)
    }

    fn has_room(&self, len: usize, config: &Config) -> bool {
        self.log.len() < config.max_queued_messages
            && self.log.bytes() + len <= config.max_queued_bytes
            && self.settled.len() < config.max_queued_messages
    }

    /// Drops the oldest messages that were never written, as many as `len` bytes need; none, if
    /// that would not be enough.
    fn make_room(&mut self, len: usize, config: &Config) -> bool {
        let first = self.touched();
        let droppable = |log: &Log, index| log.entry(index).is_some_and(|entry| !entry.left_whole);
        let candidates = (first..self.log.len()).filter(|index| droppable(&self.log, *index));
        let sizes = candidates.map(|index| self.log.start(index + 1) - self.log.start(index));
        let (count, bytes) = sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size));
        let too_few =
            count == 0 || self.log.bytes() - bytes as usize + len > config.max_queued_bytes;
        if too_few || self.settled.len() >= config.max_queued_messages {
            return false;
        }
        let mut index = first;
        while self.log.len() >= config.max_queued_messages
            || self.log.bytes() + len > config.max_queued_bytes
        {
            if droppable(&self.log, index) {
                self.remove(index, failed(Certainty::NotSent, FailCause::Overflow));
            } else {
                index += 1;
            }
        }
        true
    }

    /// How many entries, from the first, the current epoch has any byte of, or a writer may.
    fn touched(&self) -> usize {
        self.log.begun_before(self.taken + self.lent as u64)
    }

    /// Takes all cursors back to the start and settles the entries that do not go back with
    /// them. What is out with a writer counts as taken: nobody knows better.
    fn end_epoch(&mut self, cause: FailCause, goes_back: impl Fn(Resend, Progress) -> bool) -> u64 {
        let reach = self.taken + self.lent as u64;
        let (whole, touched) = (self.log.whole_before(reach), self.touched());
        let acked_ahead = core::mem::replace(&mut self.acked_ahead, Ticket(0));
        (self.written, self.taken, self.lent) = (0, self.log.start(0), 0);
        let (mut index, mut resent) = (0, 0);
        for nth in 0..self.log.len() {
            let Some(entry) = self.log.entry_mut(index) else { break };
            let progress = match () {
                () if nth < whole => Progress::Whole,
                () if nth < touched => Progress::Partial,
                () => Progress::Untouched,
            };
            if progress == Progress::Whole {
                entry.left_whole = true;
                entry.acked |= entry.resend.retains() && entry.ticket <= acked_ahead;
            }
            if entry.acked {
                self.remove(index, Outcome::Acked);
            } else if goes_back(entry.resend, progress) {
                resent += u64::from(progress != Progress::Untouched);
                index += 1;
            } else {
                let outcome = entry.given_up(cause);
                self.remove(index, outcome);
            }
        }
        resent
    }

    /// Takes the first `count` entries out of the log, all with one outcome.
    fn settle_first(&mut self, count: usize, outcome: Outcome) {
        let ticket = |index: usize| self.log.entry(index).map(|entry| entry.ticket);
        let (Some(first), Some(last)) = (ticket(0), count.checked_sub(1).and_then(ticket)) else {
            return;
        };
        if last.0 - first.0 + 1 == count as u64 {
            self.settle(first, last, outcome);
        } else {
            for index in 0..count {
                if let Some(entry) = self.log.entry(index) {
                    self.settle(entry.ticket, entry.ticket, outcome);
                }
            }
        }
        self.log.release(count);
    }

    /// Takes the entry at `index` out of the log.
    fn remove(&mut self, index: usize, outcome: Outcome) {
        let was_taken = self.log.start(index) < self.taken;
        let Some((entry, len)) = self.log.remove(index) else { return };
        if index > 0 && was_taken {
            // What came after it has moved up.
            self.taken -= len as u64;
        }
        self.taken = self.taken.max(self.log.start(0));
        if index < self.written {
            self.written -= 1;
        }
        self.settle(entry.ticket, entry.ticket, outcome);
    }

    fn settle(&mut self, first: Ticket, last: Ticket, outcome: Outcome) {
        self.ledger.count(outcome, last.0 - first.0 + 1);
        match self.settled.back_mut() {
            Some(run) if run.outcome == outcome && run.last.0 + 1 == first.0 => run.last = last,
            _ => self.settled.push_back(Settled { first, last, outcome }),
        }
    }
}

impl Entry {
    /// What becomes of it if it is not written again.
    fn given_up(&self, cause: FailCause) -> Outcome {
        match (self.acked, self.left_whole) {
            (true, _) => Outcome::Acked,
            (false, true) => failed(Certainty::InDoubt, cause),
            (false, false) => failed(Certainty::NotSent, cause),
        }
    }
}

fn failed(certainty: Certainty, cause: FailCause) -> Outcome {
    Outcome::Failed { certainty, cause }
}
