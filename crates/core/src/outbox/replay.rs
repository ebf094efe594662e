//! Messages that go out again: what can be seen and changed of them, and how fast they go.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Aside, LEND_LIMIT, Outbox};
use crate::config::Config;
use crate::error::Refusal;
use crate::outcome::{Certainty, Ticket};

/// A message that was begun on an earlier epoch and goes out again. Only one that is
/// [in doubt](Certainty::InDoubt) can be a duplicate; the others were merely tried before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replay {
    /// Its ticket.
    pub ticket: Ticket,
    /// On how many epochs it was begun; the next time is the attempt after these.
    pub attempts: u32,
    /// How sure it is that the peer does not have it from one of them.
    pub certainty: Certainty,
    /// Its bytes.
    pub message: Bytes,
}

/// Holds back the messages that go out again.
#[derive(Copy, Clone, Debug)]
pub(super) struct Gate {
    /// Nothing after this one is lent.
    open_through: Ticket,
    /// The last one that goes out again: once it may go, everything may.
    last: Ticket,
}

impl Outbox {
    /// The messages that go out again, in the order they will.
    pub(crate) fn replays(&mut self) -> Vec<Replay> {
        let mut replays = Vec::new();
        for index in self.touched()..self.log.attempted() {
            let message = self.log.message(index);
            if let Some(entry) = self.log.entry(index) {
                replays.push(Replay {
                    ticket: entry.ticket,
                    attempts: entry.attempts,
                    certainty: entry.reached,
                    message,
                });
            }
        }
        replays
    }

    /// Puts `message` in the place of the one with this ticket, if no byte of that is out on the
    /// current epoch.
    pub(crate) fn replace(
        &mut self,
        ticket: Ticket,
        message: &Bytes,
        config: &Config,
    ) -> Result<(), Refusal> {
        let waiting = self.log.index_of(ticket).filter(|index| *index >= self.touched());
        let index = waiting.ok_or(Refusal::Begun)?;
        let old = (self.log.start(index + 1) - self.log.start(index)) as usize;
        match message.len() {
            0 => return Err(Refusal::Empty),
            len if len > config.max_queued_bytes => {
                return Err(Refusal::TooLong { limit: config.max_queued_bytes });
            }
            // Whoever marks all messages of a full outbox must not be refused: nothing would
            // ever make room.
            len if self.log.bytes() - old + len > config.max_queued_bytes.saturating_mul(2) => {
                return Err(Refusal::Full);
            }
            _ => {}
        }
        self.log.replace(index, message.clone());
        Ok(())
    }

    /// Holds back all that goes out again, and what comes after it, but for the first `count`.
    /// `false`: there is no more than that.
    pub(crate) fn hold_back(&mut self, count: u32) -> bool {
        let last = self.log.attempted().checked_sub(1).and_then(|last| self.log.entry(last));
        let Some(last) = last.map(|entry| entry.ticket) else { return false };
        self.aside().gate = Some(Gate { open_through: Ticket(0), last });
        self.let_go(count)
    }

    /// Lets `count` more messages go. Whether any is held back still.
    pub(crate) fn let_go(&mut self, count: u32) -> bool {
        let Some(gate) = self.aside.as_ref().and_then(|aside| aside.gate) else { return false };
        let index = self.log.up_to(gate.open_through).saturating_add(count as usize);
        let next = index.checked_sub(1).and_then(|index| self.log.entry(index));
        let open_through = next.map_or(gate.last, |entry| entry.ticket);
        let held = open_through < gate.last;
        self.aside().gate = held.then_some(Gate { open_through, ..gate });
        held
    }

    /// How many messages are held back that go out again.
    pub(super) fn held_back(&self) -> usize {
        let gate = self.aside.as_ref().and_then(|aside| aside.gate);
        let held = |gate: Gate| self.log.up_to(gate.last) - self.log.up_to(gate.open_through);
        gate.map_or(0, held)
    }

    /// Whether all that may go is out.
    #[inline]
    pub(super) fn is_gated(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| self.allowed(aside) == Some(0))
    }

    pub(super) fn lend_limit(&self) -> usize {
        let allowed = self.aside.as_ref().and_then(|aside| self.allowed(aside));
        allowed.map_or(LEND_LIMIT, |allowed| LEND_LIMIT.min(allowed as usize))
    }

    /// How many bytes may go, if there is a limit: if any message is held back still.
    fn allowed(&self, aside: &Aside) -> Option<u64> {
        let gate = aside.gate?;
        let (open, held) = (self.log.up_to(gate.open_through), self.log.up_to(gate.last));
        (open < held).then(|| self.log.start(open).saturating_sub(self.taken))
    }
}
