//! What the operating system knows to have been transmitted, while the connection lives.

use super::Outbox;
use crate::config::{Config, Resend};
use crate::outcome::{Outcome, Ticket};

/// How much sockets had taken.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Mark {
    bytes: u64,
    /// The last ticket up to which every message was written or has its outcome.
    through: Ticket,
}

impl Outbox {
    /// Whether evidence could let messages go.
    pub(crate) fn wants_evidence(&self) -> bool {
        self.log.awaits_evidence() && self.written() > 0 && !self.is_blind()
    }

    /// Whether evidence should be asked for at once, lest the bounds hold messages up: a quarter
    /// of what they allow was taken since the last question.
    pub(crate) fn has_taken_much(&self, config: &Config) -> bool {
        let mark = self.aside.as_ref().map_or_else(Mark::default, |aside| aside.mark);
        let messages = self.written_through().0.saturating_sub(mark.through.0);
        let bytes = self.ledger.bytes_written - mark.bytes;
        messages >= (config.max_queued_messages / 4).max(1) as u64
            || bytes >= (config.max_queued_bytes / 4).max(1) as u64
    }

    /// Evidence is asked for: when it comes, it is about the bytes taken so far, or more.
    /// `false`: the answer to an earlier question is still to come.
    pub(crate) fn ask(&mut self) -> bool {
        let mark = Mark { bytes: self.ledger.bytes_written, through: self.written_through() };
        let aside = self.aside();
        if aside.is_asked {
            return false;
        }
        (aside.mark, aside.is_asked) = (mark, true);
        true
    }

    /// Evidence comes. Whether it was asked for.
    pub(crate) fn answered(&mut self) -> bool {
        self.aside.as_mut().is_some_and(|aside| core::mem::take(&mut aside.is_asked))
    }

    /// Of the bytes that the socket took last, this many were not transmitted when it was asked.
    /// Returns whether that let any message go.
    pub(crate) fn transmitted(&mut self, untransmitted: u64) -> bool {
        let taken_since = self.ledger.bytes_written - self.aside().mark.bytes;
        let position = self.position_of_last(untransmitted.saturating_add(taken_since));
        let count = self.log.whole_before(position);
        let before = self.log.len();
        let written = Outcome::Written { epoch: self.epoch() };
        if self.log.awaits_acks() {
            self.sweep(0..count, |_, entry| {
                let waits_for_this = entry.resend == Resend::Untransmitted;
                waits_for_this.then_some(written)
            });
        } else {
            self.settle_first(count, written);
        }
        self.log.len() < before
    }

    /// The socket of this epoch gives no evidence: nobody will ever know more.
    pub(crate) fn go_blind(&mut self) {
        self.aside().mark.bytes = self.ledger.bytes_written;
        self.transmitted(0);
        self.aside().is_blind = true;
    }

    pub(super) fn is_blind(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.is_blind)
    }

    /// The position in the log of the last `count` bytes that the socket took.
    pub(super) fn position_of_last(&self, count: u64) -> u64 {
        let plain = || self.taken.saturating_sub(count);
        self.aside
            .as_ref()
            .map_or_else(plain, |aside| aside.holes.position_of_last(count, self.taken))
    }
}
