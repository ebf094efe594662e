//! What becomes of the messages when a connection ends: the one rule of sending again.

use super::{Outbox, failed};
use crate::config::{Config, Resend};
use crate::log::Entry;
use crate::outcome::{Certainty, FailCause, Outcome, Ticket};

/// How far a message came on the epoch that ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// No byte was handed over.
    Untouched,
    /// Some were.
    Partial,
    /// All were, and the last one is proven never to have left this host.
    Untransmitted,
    /// All were.
    Whole,
}

impl Resend {
    /// The furthest that a message came to which the cursor goes back.
    const fn furthest(self) -> Progress {
        match self {
            Self::Never => Progress::Untouched,
            Self::Incomplete => Progress::Partial,
            Self::Untransmitted => Progress::Untransmitted,
            Self::Unacked => Progress::Whole,
        }
    }

    /// Whether a message stays in the outbox after it is written.
    pub(crate) const fn retains(self) -> bool {
        matches!(self, Self::Untransmitted | Self::Unacked)
    }
}

impl Entry {
    /// Whether it stays after it is written, on a socket that may give no evidence.
    pub(super) fn stays(&self, is_blind: bool) -> bool {
        self.resend.retains() && !(is_blind && self.resend == Resend::Untransmitted)
    }
}

/// How many messages the end of an epoch concerned.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Affected {
    /// Those that go out again although bytes of them had left.
    pub(crate) resent: u32,
    /// Those that were taken whole, and are proven never to have left whole.
    pub(crate) proven_unsent: u32,
}

impl Outbox {
    /// The connection ended: moves `taken` back to the first message that goes out again, and
    /// settles those that do not. Of the bytes that the socket took last, `untransmitted` are
    /// proven never to have left.
    pub(crate) fn rewind(&mut self, untransmitted: u64, config: &Config) -> Affected {
        let affected = self.end_epoch(untransmitted, |entry, progress| {
            let is_allowed = !entry.pinned && progress <= entry.resend.furthest();
            let is_begun = progress > Progress::Untouched;
            match () {
                () if !is_allowed => Some(FailCause::Disconnected),
                () if is_begun && entry.attempts >= config.max_attempts => {
                    Some(FailCause::Attempts)
                }
                () => None,
            }
        });
        self.ledger.resent += u64::from(affected.resent);
        affected
    }

    /// The connection ended, and there will be no other: settles every message.
    pub(crate) fn fail_all(&mut self, untransmitted: u64, cause: FailCause) -> Affected {
        self.end_epoch(untransmitted, |_, _| Some(cause))
    }

    /// Takes all cursors back to the start and settles the entries that do not go back with
    /// them: those that `gives_up` names a cause for. What is out with a writer counts as taken:
    /// nobody knows better, and nothing is proven.
    fn end_epoch(
        &mut self,
        untransmitted: u64,
        gives_up: impl Fn(&Entry, Progress) -> Option<FailCause>,
    ) -> Affected {
        let untransmitted = if self.lent == 0 { untransmitted } else { 0 };
        let left = self.log.whole_before(self.position_of_last(untransmitted));
        let taken = self.log.whole_before(self.taken);
        let whole = self.log.whole_before(self.taken + self.lent as u64);
        let touched = self.touched();
        let epoch = self.epoch();
        let acked_ahead = core::mem::replace(&mut self.acked_ahead, Ticket(0));
        (self.taken, self.lent) = (self.log.start(0), 0);
        if let Some(aside) = &mut self.aside {
            aside.end_epoch();
        }

        let mut affected = Affected::default();
        self.sweep(0..self.log.len(), |nth, entry| {
            let progress = match () {
                () if nth >= touched => Progress::Untouched,
                () if nth >= whole => Progress::Partial,
                () if nth >= left && nth < taken => Progress::Untransmitted,
                () => Progress::Whole,
            };
            entry.attempts = entry.attempts.saturating_add(u32::from(nth < touched));
            match progress {
                Progress::Untouched | Progress::Partial => {}
                Progress::Untransmitted => {
                    entry.reached = entry.reached.max(Certainty::NotTransmitted);
                    affected.proven_unsent += 1;
                }
                Progress::Whole => {
                    entry.reached = Certainty::InDoubt;
                    entry.acked |= entry.resend.retains() && entry.ticket <= acked_ahead;
                }
            }
            let was_written =
                progress == Progress::Whole && nth < taken && entry.resend == Resend::Untransmitted;
            match gives_up(entry, progress) {
                _ if entry.acked => Some(Outcome::Acked),
                Some(_) if was_written => Some(Outcome::Written { epoch }),
                Some(cause) => Some(failed(entry.reached, cause)),
                None => {
                    affected.resent += u32::from(nth < touched);
                    None
                }
            }
        });
        self.ledger.proven_unsent += u64::from(affected.proven_unsent);
        affected
    }
}
