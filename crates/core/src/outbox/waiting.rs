//! Messages that are not to go out after all.

use core::time::Duration;

use super::{Aside, Mark, Outbox};
use crate::outcome::{FailCause, Ticket};
use crate::time::Instant;

/// A deadline that came.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Deadline {
    /// The message was waiting and has expired.
    Expired,
    /// The message is out on the current epoch.
    Passed(Ticket),
}

impl Outbox {
    /// The message with this ticket is for the current epoch alone.
    pub(crate) fn pin(&mut self, ticket: Ticket) {
        if let Some(entry) = self.log.index_of(ticket).and_then(|index| self.log.entry_mut(index)) {
            entry.pinned = true;
        }
    }

    /// Sets the deadline of the message with this ticket, if it is without an outcome.
    pub(crate) fn expire_after(&mut self, ticket: Ticket, limit: Duration, now: Instant) {
        if self.is_pending(ticket) {
            self.aside().deadlines.set(ticket, now + limit);
        }
    }

    /// The next deadline that was not called.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.aside.as_ref().and_then(|aside| aside.deadlines.next())
    }

    /// Calls one deadline that is not after `now`.
    pub(crate) fn call_deadline(&mut self, now: Instant) -> Option<Deadline> {
        let ticket = self.aside.as_mut()?.deadlines.call(now)?;
        let expired = self.give_up(ticket, FailCause::Expired);
        Some(if expired { Deadline::Expired } else { Deadline::Passed(ticket) })
    }

    /// Settles the message with this ticket as failed, if no byte of it is out on the current
    /// epoch. Whether it was.
    pub(crate) fn give_up(&mut self, ticket: Ticket, cause: FailCause) -> bool {
        let waiting = self.log.index_of(ticket).filter(|index| *index >= self.touched());
        let entry = waiting.and_then(|index| self.log.entry(index).map(|entry| (index, entry)));
        let Some((index, entry)) = entry else { return false };
        let outcome = entry.given_up(cause);
        self.remove(index, outcome);
        true
    }
}

impl Aside {
    /// All that belongs to one epoch goes; deadlines that passed while messages were out are
    /// called again, for those may have come back.
    pub(super) fn end_epoch(&mut self) {
        self.deadlines.call_again();
        self.holes.clear();
        self.gate = None;
        (self.is_asked, self.is_blind) = (false, false);
        self.mark = Mark::default();
    }
}
