//! What the operating system knows to have been transmitted, while the connection lives.

use super::Outbox;
use crate::config::{Config, Resend};
use crate::outcome::{Epoch, Outcome};

impl Outbox {
    /// Whether evidence could let messages go.
    pub(crate) fn wants_evidence(&self) -> bool {
        self.log.awaits_evidence() && self.written > 0 && !self.is_blind()
    }

    /// Whether evidence should be asked for at once, lest the bounds hold messages up.
    pub(crate) fn is_crowded(&self, config: &Config) -> bool {
        let is_over = |used: usize, limit: usize| used >= limit / 2;
        is_over(self.log.len(), config.max_queued_messages)
            || is_over(self.log.bytes(), config.max_queued_bytes)
    }

    /// Evidence is asked for: when it comes, it is about the bytes taken so far, or more.
    pub(crate) fn mark(&mut self) {
        self.aside().mark = self.ledger.bytes_written;
    }

    /// Of the bytes that the socket of `epoch` took last, this many were not transmitted when it
    /// was asked. Returns whether that let any message go.
    pub(crate) fn transmitted(&mut self, untransmitted: u64, epoch: Epoch) -> bool {
        let taken_since = self.ledger.bytes_written - self.aside().mark;
        let position = self.position_of_last(untransmitted.saturating_add(taken_since));
        let count = self.log.whole_before(position).min(self.written);
        let before = self.log.len();
        if self.log.awaits_acks() {
            let mut index = 0;
            for _ in 0..count {
                let resend = self.log.entry(index).map(|entry| entry.resend);
                if resend == Some(Resend::Untransmitted) {
                    self.remove(index, Outcome::Written { epoch });
                } else {
                    index += 1;
                }
            }
        } else {
            self.settle_first(count, Outcome::Written { epoch });
            self.written -= count;
        }
        self.log.len() < before
    }

    /// The socket of `epoch` gives no evidence: nobody will ever know more.
    pub(crate) fn go_blind(&mut self, epoch: Epoch) {
        self.mark();
        self.transmitted(0, epoch);
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
