//! What the model knows of one message.

use rebelay_core::{Certainty, FailCause, Instant, Outcome, Resend};

/// A message that was admitted.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) body: Vec<u8>,
    pub(super) wish: Wish,
    /// Its deadline was called on this epoch.
    pub(super) called: bool,
    /// Bytes that the socket of this epoch took, and bytes after those that a writer has.
    pub(super) taken: usize,
    pub(super) lent: usize,
    /// Which byte, of all that the socket of this epoch took, was its last one.
    pub(super) last_byte: Option<usize>,
    pub(super) attempts: u32,
    /// How far its last byte may have come on the epochs that ended.
    pub(super) reached: Certainty,
    /// Acknowledged while a part of it was on its way again.
    pub(super) acked: bool,
    /// Acknowledged before its writer reported.
    pub(super) acked_ahead: bool,
    /// The kernel of the test gave its last byte to the network, on any epoch.
    pub(crate) transmitted: bool,
    /// A lie was told about it: what is said of it proves nothing.
    pub(crate) lied_about: bool,
    pub(crate) outcome: Option<Outcome>,
    /// Its deadline came together with something else that ended it: either may be the cause.
    pub(crate) or_expired: bool,
    /// The outcome came out.
    pub(crate) reported: bool,
}

/// How a message is to be sent.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) resend: Resend,
    pub(crate) deadline: Option<Instant>,
    pub(crate) pinned: bool,
}

impl Message {
    pub(super) fn new(body: Vec<u8>, wish: Wish) -> Self {
        Self {
            body,
            wish,
            called: false,
            taken: 0,
            lent: 0,
            last_byte: None,
            attempts: 0,
            reached: Certainty::NotSent,
            acked: false,
            acked_ahead: false,
            transmitted: false,
            lied_about: false,
            outcome: None,
            or_expired: false,
            reported: false,
        }
    }

    /// No byte of it is out on this epoch.
    pub(super) fn waits(&self) -> bool {
        self.taken + self.lent == 0
    }

    pub(super) fn is_whole(&self) -> bool {
        self.taken == self.body.len()
    }

    pub(super) fn retains(&self) -> bool {
        matches!(self.wish.resend, Resend::Untransmitted | Resend::Unacked)
    }

    /// Nothing is said to be certain that is not so.
    pub(super) fn is_truth(&self) -> bool {
        self.reached == Certainty::InDoubt || !self.transmitted || self.lied_about
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.called && self.was_due(now)
    }

    /// Its deadline is not after `now`.
    pub(crate) fn was_due(&self, now: Instant) -> bool {
        self.wish.deadline.is_some_and(|deadline| deadline <= now)
    }

    pub(super) fn given_up(&self, cause: FailCause) -> Outcome {
        if self.acked { Outcome::Acked } else { failed(self.reached, cause) }
    }

    /// Its outcome, if the deadline that came together with that was the cause.
    pub(crate) fn would_be_expired(&self) -> Option<Outcome> {
        match self.outcome.filter(|_| self.or_expired)? {
            Outcome::Failed { certainty, .. } => Some(failed(certainty, FailCause::Expired)),
            Outcome::Written { .. } | Outcome::Acked => None,
        }
    }
}

pub(super) fn failed(certainty: Certainty, cause: FailCause) -> Outcome {
    Outcome::Failed { certainty, cause }
}
