//! The log of messages that are not finished with, and its cursors.
//!
//! ```text
//!   released       taken           taken + lent                      tail
//!      │ retained    │ being written          │ untouched             │
//!      ▼             ▼                        ▼                       ▼
//!      ├──┬──┬──┬────┼──┬──┬──────────────────┼──┬──┬──┬──┬──┬────────┤
//!       acknowledgements   the socket takes      sending appends
//!       release            bytes
//! ```
//!
//! A disconnect moves `taken` back to the first message that its policy sends again (`ending`);
//! there is no other retry code. Everything that a message goes through is one of those cursors
//! passing it: `evidence` lets go what is known to have been transmitted, `replay` holds back what
//! goes out again, `waiting` takes out what is not to go out at all.

mod ending;
mod evidence;
mod holes;
mod replay;
mod waiting;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use crate::config::{Config, Overflow, Resend};
use crate::deadlines::Deadlines;
use crate::error::Refusal;
use crate::log::{Entry, Log};
use crate::outcome::{Certainty, Epoch, FailCause, Ledger, Outcome, Settled, Ticket};
use evidence::Mark;
use holes::Holes;
use replay::Gate;
pub use replay::Replay;
pub(crate) use waiting::Deadline;

/// The most bytes lent to a writer at once: the work of one system call stays bounded.
const LEND_LIMIT: usize = 512 << 10;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Every message without an outcome.
    log: Log,
    /// The position up to which the socket took bytes. The entries before it are written, and
    /// their policy retains them.
    taken: u64,
    /// Bytes after that which are out with a writer; their fate is not known.
    lent: usize,
    /// The last ticket acknowledged since they were lent: an acknowledgement may overtake the
    /// report of the write, and counts if the socket turns out to have taken the message whole.
    acked_ahead: Ticket,
    /// Outcomes not yet taken; their runs count against `max_queued_messages`, so they are bounded too.
    settled: VecDeque<Settled>,
    ledger: Ledger,
    aside: Option<Box<Aside>>,
}

/// How many messages wait for something else than the socket.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Waiting {
    /// Written, and the peer's answer is awaited.
    pub(crate) acks: usize,
    /// Written, and not known to have been transmitted.
    pub(crate) evidence: usize,
    /// They go out again, and are held back.
    pub(crate) held: usize,
}

/// What few outboxes need.
#[derive(Debug, Default)]
struct Aside {
    deadlines: Deadlines,
    holes: Holes,
    gate: Option<Gate>,
    /// When evidence was last asked for.
    mark: Mark,
    /// The answer is still to come: the mark stays where it is, or what is said of the bytes
    /// before it would be taken for those after it too.
    is_asked: bool,
    /// The socket of this epoch gives no evidence.
    is_blind: bool,
}

impl Outbox {
    /// Whether every message has its outcome.
    pub(crate) fn is_empty(&self) -> bool {
        self.log.len() == 0
    }

    /// Whether a socket took every message whole that has no outcome yet.
    pub(crate) fn is_written(&self) -> bool {
        self.taken == self.log.end()
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
    #[inline]
    pub(crate) fn has_unwritten(&self) -> bool {
        self.taken < self.log.end() && self.lent == 0 && !self.is_gated()
    }

    /// The last ticket up to which every message was taken whole by a socket or has an outcome.
    pub(crate) fn written_through(&self) -> Ticket {
        let waiting = self.log.entry(self.written());
        Ticket(waiting.map_or(self.ledger.admitted, |entry| entry.ticket.0 - 1))
    }

    pub(crate) fn waiting(&self) -> Waiting {
        let written = (0..self.written()).filter_map(|index| self.log.entry(index));
        let evidence = written.filter(|entry| entry.resend == Resend::Untransmitted).count();
        Waiting { acks: self.written() - evidence, evidence, held: self.held_back() }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger { pending: self.log.len() as u64, ..self.ledger }
    }

    /// The latest established connection; 0 before the first.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.ledger.epochs)
    }

    pub(crate) fn begin_epoch(&mut self) -> Epoch {
        self.ledger.epochs += 1;
        self.epoch()
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
            self.lent = self.log.read(self.taken, self.lend_limit(), slices);
        }
    }

    /// The socket took `count` of the bytes lent, and the rest has come back.
    pub(crate) fn taken(&mut self, count: usize) {
        let count = count.min(self.lent);
        self.lent = 0;
        self.taken += count as u64;
        self.ledger.bytes_written += count as u64;
        let acked_ahead = core::mem::replace(&mut self.acked_ahead, Ticket(0));
        let whole = self.log.whole_before(self.taken);
        let written = Outcome::Written { epoch: self.epoch() };
        if !self.log.retains() {
            self.settle_first(whole, written);
            return;
        }
        let next = self.log.whole_before(self.taken - count as u64);
        let is_blind = self.is_blind();
        let is_acked =
            |entry: &Entry| entry.acked || (entry.ticket <= acked_ahead && entry.resend.retains());
        self.sweep(next..whole, |_, entry| match (is_acked(entry), entry.stays(is_blind)) {
            (true, _) => Some(Outcome::Acked),
            (false, true) => None,
            (false, false) => Some(written),
        });
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
        let first = self.log.up_to(through).min(self.written());
        self.settle_first(first, Outcome::Acked);
        // If any of those left is acknowledged, all that were written whole have gone.
        let (being_written, mut index) = (self.touched(), 0);
        while let Some(entry) = self.log.entry_mut(index) {
            if entry.ticket > through {
                break;
            }
            let may_be_there = entry.reached == Certainty::InDoubt;
            if may_be_there && index >= being_written {
                self.remove(index, Outcome::Acked);
            } else {
                entry.acked = may_be_there;
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
        let droppable = |log: &Log, index| log.entry(index).is_some_and(Entry::may_be_dropped);
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

    /// How many entries, from the first, the socket took whole.
    fn written(&self) -> usize {
        self.log.whole_before(self.taken)
    }

    /// How many entries, from the first, the current epoch has any byte of, or a writer may.
    fn touched(&self) -> usize {
        self.log.begun_before(self.taken + self.lent as u64)
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

    /// Takes those entries of `range` out of the log that `judge` has an outcome for. Returns how
    /// many; where `written` is then is the caller's business.
    fn sweep(
        &mut self,
        range: Range<usize>,
        judge: impl FnMut(usize, &mut Entry) -> Option<Outcome>,
    ) -> usize {
        let all_gone = self.log.sweep(range, judge);
        for gone in &all_gone {
            if !gone.was_front {
                self.close_up(gone.start, gone.len);
            }
            self.settle(gone.ticket, gone.ticket, gone.outcome);
        }
        self.taken = self.taken.max(self.log.start(0));
        all_gone.len()
    }

    /// Takes the entry at `index` out of the log.
    fn remove(&mut self, index: usize, outcome: Outcome) {
        let start = self.log.start(index);
        let Some((entry, len)) = self.log.remove(index) else { return };
        if index > 0 {
            self.close_up(start, len as u64);
        }
        self.taken = self.taken.max(self.log.start(0));
        self.settle(entry.ticket, entry.ticket, outcome);
    }

    /// What came after the `len` bytes at `start` has moved up.
    fn close_up(&mut self, start: u64, len: u64) {
        if start < self.taken {
            self.taken -= len;
            let base = self.log.start(0);
            self.aside().holes.open(start, len, base);
        }
    }

    fn settle(&mut self, first: Ticket, last: Ticket, outcome: Outcome) {
        self.ledger.count(outcome, last.0 - first.0 + 1);
        if let Some(aside) = &mut self.aside {
            aside.deadlines.forget(first..=last);
        }
        match self.settled.back_mut() {
            Some(run) if run.outcome == outcome && run.last.0 + 1 == first.0 => run.last = last,
            _ => self.settled.push_back(Settled { first, last, outcome }),
        }
    }

    fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }
}

impl Entry {
    /// Whether it was never handed over whole.
    fn may_be_dropped(&self) -> bool {
        self.reached == Certainty::NotSent
    }

    /// What becomes of it if it is not written again.
    fn given_up(&self, cause: FailCause) -> Outcome {
        if self.acked { Outcome::Acked } else { failed(self.reached, cause) }
    }
}

fn failed(certainty: Certainty, cause: FailCause) -> Outcome {
    Outcome::Failed { certainty, cause }
}
