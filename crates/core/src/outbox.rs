//! The log of messages that are not finished with, and its cursors.
//!
//! ```text
//!   released      written          written + partial + lent          tail
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
use crate::error::{Refusal, SendError};
use crate::outcome::{Certainty, Epoch, FailCause, Ledger, Outcome, Settled, Ticket};
use crate::rope::Rope;

/// The most bytes lent to a writer at once: the work of one system call stays bounded.
const LEND_LIMIT: usize = 512 << 10;

#[derive(Debug)]
pub(crate) struct Outbox {
    max_messages: usize,
    max_bytes: usize,
    /// Every message without an outcome, in order of admission.
    entries: VecDeque<Entry>,
    /// Their bytes, without gaps.
    rope: Rope,
    /// How many entries the socket took whole and the policy retains.
    written: usize,
    /// Their bytes.
    written_bytes: usize,
    /// Bytes of `entries[written]` that the socket took.
    partial: usize,
    /// Bytes after those that are out with a writer; their fate is not known.
    lent: usize,
    /// The last ticket acknowledged since they were lent: an acknowledgement may overtake the
    /// report of the write, and counts if the socket turns out to have taken the message whole.
    acked_ahead: Ticket,
    /// Outcomes not yet taken; their runs count against `max_messages`, so they are bounded too.
    settled: VecDeque<Settled>,
    ledger: Ledger,
}

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    len: usize,
    resend: Resend,
    /// Its last byte was handed to a socket, on this epoch or an earlier one: for ever in doubt
    /// until it is acknowledged.
    left_whole: bool,
    /// It was acknowledged while it was being written again; it is finished, then forgotten.
    acked: bool,
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
    const fn retains(self) -> bool {
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
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            max_messages: config.max_queued_messages,
            max_bytes: config.max_queued_bytes,
            entries: VecDeque::new(),
            rope: Rope::default(),
            written: 0,
            written_bytes: 0,
            partial: 0,
            lent: 0,
            acked_ahead: Ticket(0),
            settled: VecDeque::new(),
            ledger: Ledger::default(),
        }
    }

    /// Whether every message has its outcome.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a socket took every message whole that has no outcome yet.
    pub(crate) fn is_written(&self) -> bool {
        self.written == self.entries.len()
    }

    pub(crate) fn is_pending(&self, ticket: Ticket) -> bool {
        self.entries.binary_search_by_key(&ticket, |entry| entry.ticket).is_ok()
    }

    pub(crate) fn settled(&self) -> u64 {
        self.ledger.admitted - self.entries.len() as u64
    }

    pub(crate) fn messages(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rope.len()
    }

    /// Whether bytes are out with a writer.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent > 0
    }

    /// Whether bytes wait that no writer has.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.written < self.entries.len() && self.lent == 0
    }

    /// The last ticket up to which every message was taken whole by a socket or has an outcome.
    pub(crate) fn written_through(&self) -> Ticket {
        let waiting = self.entries.get(self.written);
        Ticket(waiting.map_or(self.ledger.admitted, |entry| entry.ticket.0 - 1))
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger { pending: self.entries.len() as u64, ..self.ledger }
    }

    pub(crate) fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    pub(crate) fn admit(
        &mut self,
        message: Bytes,
        resend: Resend,
        overflow: Overflow,
    ) -> Result<Ticket, SendError> {
        let len = message.len();
        let refusal = if len == 0 {
            Some(Refusal::Empty)
        } else if len > self.max_bytes {
            Some(Refusal::TooLong { limit: self.max_bytes })
        } else if self.has_room(len) {
            None
        } else {
            match overflow {
                Overflow::DropNewest if self.settled.len() < self.max_messages => {
                    let ticket = self.next_ticket();
                    self.settle(ticket, failed(Certainty::NotSent, FailCause::Overflow));
                    return Ok(ticket);
                }
                Overflow::DropOldest if self.make_room(len) => None,
                Overflow::Wait | Overflow::Reject | Overflow::DropOldest | Overflow::DropNewest => {
                    Some(Refusal::Full)
                }
            }
        };
        if let Some(refusal) = refusal {
            return Err(SendError { message, refusal });
        }
        let ticket = self.next_ticket();
        self.rope.push(message);
        self.entries.push_back(Entry { ticket, len, resend, left_whole: false, acked: false });
        Ok(ticket)
    }

    /// Lends the next bytes to a writer, in up to `slices.capacity()` slices. One writer at a
    /// time: nothing is lent again before [`taken`](Self::taken) says what became of it.
    pub(crate) fn lend(&mut self, slices: &mut Vec<Bytes>) {
        if self.has_unwritten() {
            self.lent = self.rope.read(self.written_bytes + self.partial, LEND_LIMIT, slices);
        }
    }

    /// The socket took `count` of the bytes lent, and the rest has come back.
    pub(crate) fn taken(&mut self, count: usize, epoch: Epoch) {
        let count = count.min(self.lent);
        self.lent = 0;
        self.partial += count;
        let acked_ahead = core::mem::replace(&mut self.acked_ahead, Ticket(0));
        self.ledger.bytes_written += count as u64;
        let mut released = 0;
        while let Some(entry) = self.entries.get_mut(self.written) {
            if self.partial < entry.len {
                break;
            }
            self.partial -= entry.len;
            entry.acked |= entry.resend.retains() && entry.ticket <= acked_ahead;
            if entry.resend.retains() && !entry.acked {
                entry.left_whole = true;
                self.written_bytes += entry.len;
                self.written += 1;
            } else {
                let outcome = if entry.acked { Outcome::Acked } else { Outcome::Written { epoch } };
                if self.written == 0 {
                    released += entry.len;
                    if let Some(entry) = self.entries.pop_front() {
                        self.settle(entry.ticket, outcome);
                    }
                } else {
                    self.rope.release(core::mem::take(&mut released));
                    self.remove(self.written, self.written_bytes, outcome);
                }
            }
        }
        self.rope.release(released);
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
        let touched = self.touched();
        let end = self.entries.iter().take(touched).map(|entry| entry.len).sum();
        self.rope.cut(end, self.rope.len() - end);
        for entry in self.entries.split_off(touched) {
            self.settle(entry.ticket, entry.given_up(cause));
        }
    }

    /// The user says that the peer has every message up to `through`. Those that were never
    /// handed over whole, or are already settled, are left as they are.
    pub(crate) fn ack_through(&mut self, through: Ticket) {
        if self.lent > 0 {
            self.acked_ahead = self.acked_ahead.max(through);
        }
        let mut touched = self.touched();
        let (mut index, mut offset) = (0, 0);
        while let Some(entry) = self.entries.get_mut(index) {
            if entry.ticket > through {
                break;
            }
            let (being_written, len) = (index >= self.written && index < touched, entry.len);
            if entry.left_whole && !being_written {
                touched -= usize::from(index < touched);
                self.remove(index, offset, Outcome::Acked);
            } else {
                entry.acked = entry.left_whole;
                index += 1;
                offset += len;
            }
        }
    }

    pub(crate) fn pop_settled(&mut self) -> Option<Settled> {
        self.settled.pop_front()
    }

    fn next_ticket(&mut self) -> Ticket {
        self.ledger.admitted += 1;
        Ticket(self.ledger.admitted)
    }

    fn has_room(&self, len: usize) -> bool {
        self.entries.len() < self.max_messages
            && self.rope.len() + len <= self.max_bytes
            && self.settled.len() < self.max_messages
    }

    /// Drops the oldest messages that were never written, as many as `len` bytes need; none, if
    /// that would not be enough.
    fn make_room(&mut self, len: usize) -> bool {
        let first = self.touched();
        let candidates = || self.entries.range(first..).filter(|entry| !entry.left_whole);
        let droppable: usize = candidates().map(|entry| entry.len).sum();
        let settled_full = self.settled.len() >= self.max_messages;
        if settled_full || candidates().next().is_none() {
            return false;
        }
        if self.rope.len() - droppable + len > self.max_bytes {
            return false;
        }
        let mut index = first;
        let mut offset = self.entries.range(..first).map(|entry| entry.len).sum();
        while let Some(entry) = self.entries.get(index) {
            if self.entries.len() < self.max_messages && self.rope.len() + len <= self.max_bytes {
                break;
            }
            if entry.left_whole {
                offset += entry.len;
                index += 1;
            } else {
                self.remove(index, offset, failed(Certainty::NotSent, FailCause::Overflow));
            }
        }
        true
    }

    /// How many entries, from the first, the current epoch has any byte of, or a writer may.
    fn touched(&self) -> usize {
        let mut reach = self.partial + self.lent;
        let mut touched = self.written;
        for entry in self.entries.range(self.written..) {
            if reach == 0 {
                break;
            }
            reach = reach.saturating_sub(entry.len);
            touched += 1;
        }
        touched
    }

    /// Takes all cursors back to the start and settles the entries that do not go back with
    /// them. What is out with a writer counts as taken: nobody knows better.
    fn end_epoch(&mut self, cause: FailCause, goes_back: impl Fn(Resend, Progress) -> bool) -> u64 {
        let reach = self.written_bytes + self.partial + self.lent;
        (self.written, self.written_bytes, self.partial, self.lent) = (0, 0, 0, 0);
        let acked_ahead = core::mem::replace(&mut self.acked_ahead, Ticket(0));
        let (mut index, mut offset, mut start, mut resent) = (0, 0, 0, 0);
        while let Some(entry) = self.entries.get_mut(index) {
            let end = start + entry.len;
            let progress = match () {
                () if end <= reach => Progress::Whole,
                () if start < reach => Progress::Partial,
                () => Progress::Untouched,
            };
            start = end;
            if progress == Progress::Whole {
                entry.left_whole = true;
                entry.acked |= entry.resend.retains() && entry.ticket <= acked_ahead;
            }
            if entry.acked {
                self.remove(index, offset, Outcome::Acked);
            } else if goes_back(entry.resend, progress) {
                resent += u64::from(progress != Progress::Untouched);
                offset += entry.len;
                index += 1;
            } else {
                let outcome = entry.given_up(cause);
                self.remove(index, offset, outcome);
            }
        }
        resent
    }

    /// Takes the entry at `index`, whose bytes start at `offset`, out of the log.
    fn remove(&mut self, index: usize, offset: usize, outcome: Outcome) {
        let Some(entry) = self.entries.remove(index) else { return };
        if index < self.written {
            self.written -= 1;
            self.written_bytes -= entry.len;
        }
        if offset == 0 {
            self.rope.release(entry.len);
        } else {
            self.rope.cut(offset, entry.len);
        }
        self.settle(entry.ticket, outcome);
    }

    fn settle(&mut self, ticket: Ticket, outcome: Outcome) {
        self.ledger.count(outcome);
        match self.settled.back_mut() {
            Some(run) if run.outcome == outcome && run.last.0 + 1 == ticket.0 => run.last = ticket,
            _ => self.settled.push_back(Settled { first: ticket, last: ticket, outcome }),
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
