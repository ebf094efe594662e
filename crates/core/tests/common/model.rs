//! What must become of messages, computed message by message without any cleverness, to hold the
//! machine against.

use rebelay_core::{Certainty, Epoch, FailCause, Instant, Ledger, Outcome, Overflow, Resend};

use super::message::{Message, Wish, failed};

/// All messages; the first has ticket 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) messages: Vec<Message>,
    /// How many bytes the socket of this epoch took.
    pub(crate) streamed: usize,
    /// Of messages that go out again, only those up to the first ticket may; up to the second
    /// all wait for that.
    pub(crate) gate: Option<(u64, u64)>,
    /// The socket of this epoch gives no evidence.
    blind: bool,
    resent: u64,
    proven_unsent: u64,
    bytes_written: u64,
}

impl Model {
    /// The body of the message that is admitted next: no two neighbours look the same.
    pub(crate) fn next_body(&self, len: usize) -> Vec<u8> {
        body(self.messages.len() + 1, len)
    }

    pub(crate) fn admit(&mut self, body: Vec<u8>, wish: Wish) {
        self.messages.push(Message::new(body, wish));
    }

    /// What admitting one more message than there is room for does.
    pub(crate) fn overflow(
        &mut self,
        policy: Overflow,
        room: impl Fn(&Self) -> bool,
        body: Vec<u8>,
        wish: Wish,
    ) {
        let dropped = failed(Certainty::NotSent, FailCause::Overflow);
        match policy {
            Overflow::DropNewest => {
                self.admit(body, wish);
                self.messages.last_mut().expect("just admitted").outcome = Some(dropped);
            }
            Overflow::DropOldest => {
                while !room(self) {
                    let untouched = |m: &&mut Message| m.waits() && m.reached == Certainty::NotSent;
                    let oldest = self.pending_mut().find(untouched);
                    oldest.expect("something can be dropped").outcome = Some(dropped);
                }
                self.admit(body, wish);
            }
            Overflow::Wait | Overflow::Reject => panic!("admitted without room"),
        }
    }

    /// The message with this ticket, if no byte of it is out and it has no outcome.
    pub(crate) fn waiting(&mut self, ticket: u64) -> Option<&mut Message> {
        let index = usize::try_from(ticket).ok()?.checked_sub(1)?;
        self.messages.get_mut(index).filter(|m| m.outcome.is_none() && m.waits())
    }

    pub(crate) fn cancel(&mut self, ticket: u64) -> bool {
        let waiting = self.waiting(ticket);
        waiting.map(|m| m.outcome = Some(m.given_up(FailCause::Cancelled))).is_some()
    }

    /// The messages that go out again: ticket, attempts, certainty, bytes.
    pub(crate) fn replays(&self) -> Vec<(u64, u32, Certainty, &[u8])> {
        let numbered = self.messages.iter().zip(1..);
        let again = numbered.filter(|(m, _)| m.outcome.is_none() && m.waits() && m.attempts > 0);
        again.map(|(m, ticket)| (ticket, m.attempts, m.reached, &m.body[..])).collect()
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| message.outcome.is_none())
    }

    fn pending_mut(&mut self) -> impl Iterator<Item = &mut Message> {
        self.messages.iter_mut().filter(|message| message.outcome.is_none())
    }

    /// Messages and bytes without an outcome.
    pub(crate) fn queued(&self) -> (usize, usize) {
        (self.pending().count(), self.pending().map(|message| message.body.len()).sum())
    }

    pub(crate) fn unreported(&self) -> usize {
        let settled = |message: &&Message| message.outcome.is_some() && !message.reported;
        self.messages.iter().filter(settled).count()
    }

    /// The bytes that this epoch's socket may get, whole messages in order.
    pub(crate) fn unwritten(&self) -> Vec<u8> {
        let pending = || self.messages.iter().zip(1..).filter(|(m, _)| m.outcome.is_none());
        let held = |(open, last)| pending().any(|(_, ticket)| ticket > open && ticket <= last);
        let open = self.gate.filter(|gate| held(*gate)).map_or(u64::MAX, |(open, _)| open);
        let free = pending().filter(|(_, ticket)| *ticket <= open);
        free.flat_map(|(message, _)| &message.body[message.taken..]).copied().collect()
    }

    pub(crate) fn is_lent(&self) -> bool {
        self.pending().any(|message| message.lent > 0)
    }

    pub(crate) fn lent(&self) -> usize {
        self.pending().map(|message| message.lent).sum()
    }

    pub(crate) fn lend(&mut self, mut count: usize) {
        for message in self.pending_mut() {
            message.lent = count.min(message.body.len() - message.taken);
            count -= message.lent;
        }
        assert_eq!(count, 0, "more was lent than there is");
    }

    pub(crate) fn took(&mut self, mut count: usize, epoch: Epoch) {
        let (mut streamed, blind) = (self.streamed, self.blind);
        for message in self.pending_mut() {
            let part = count.min(message.lent);
            count -= part;
            message.taken += part;
            streamed += part;
            if message.lent > 0 && message.is_whole() {
                message.last_byte = Some(streamed - 1);
                let acked = message.acked || message.retains() && message.acked_ahead;
                let blindly = blind && message.wish.resend == Resend::Untransmitted;
                if acked {
                    message.outcome = Some(Outcome::Acked);
                } else if blindly || !message.retains() {
                    message.outcome = Some(Outcome::Written { epoch });
                }
            }
            (message.lent, message.acked_ahead) = (0, false);
        }
        self.bytes_written += (streamed - self.streamed) as u64;
        self.streamed = streamed;
    }

    pub(crate) fn ack(&mut self, through: u64) {
        let any_lent = self.is_lent();
        let count = usize::try_from(through).unwrap_or(usize::MAX).min(self.messages.len());
        for message in &mut self.messages[..count] {
            let may_be_there = message.is_whole() || message.reached == Certainty::InDoubt;
            let under_way = !message.waits() && !message.is_whole();
            if message.outcome.is_some() {
                continue;
            } else if may_be_there && !under_way {
                message.outcome = Some(Outcome::Acked);
            } else if may_be_there {
                message.acked = true;
            } else if any_lent {
                message.acked_ahead = true;
            }
        }
    }

    /// Whether evidence could let a message go.
    pub(crate) fn wants_evidence(&self) -> bool {
        let unproven = |m: &Message| m.is_whole() && m.wish.resend == Resend::Untransmitted;
        !self.blind && self.pending().any(unproven)
    }

    /// Of the bytes that the socket took last, `count` may not have been transmitted.
    pub(crate) fn transmitted(&mut self, count: u64, epoch: Epoch) {
        let streamed = self.streamed;
        for message in self.pending_mut() {
            let waits = message.wish.resend == Resend::Untransmitted;
            if waits && message.last_byte.is_some_and(|at| (streamed - at) as u64 > count) {
                message.outcome = Some(Outcome::Written { epoch });
                assert!(message.transmitted || message.lied_about, "kept until it has left");
            }
        }
    }

    pub(crate) fn go_blind(&mut self, epoch: Epoch) {
        for message in self.pending_mut() {
            if message.is_whole() && message.wish.resend == Resend::Untransmitted {
                message.outcome = Some(Outcome::Written { epoch });
            }
        }
        self.blind = true;
    }

    /// The kernel has given the first `sent` bytes of this epoch's stream to the network. What a
    /// writer has follows those that the socket is known to have taken.
    pub(crate) fn kernel_sent(&mut self, sent: usize) {
        let mut end = self.streamed;
        for message in self.pending_mut() {
            end += message.lent;
            let is_last_out =
                message.lent > 0 && message.taken + message.lent == message.body.len();
            message.transmitted |=
                is_last_out && end <= sent || message.last_byte.is_some_and(|last| last < sent);
        }
    }

    /// A lie was told about the bytes of this epoch.
    pub(crate) fn lie(&mut self) {
        self.pending_mut().filter(|m| !m.waits()).for_each(|m| m.lied_about = true);
    }

    /// The deadlines up to `now` are called. Whether any message expired.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let mut any = false;
        for message in self.pending_mut().filter(|m| m.is_due(now)) {
            message.called = true;
            if message.waits() {
                message.outcome = Some(message.given_up(FailCause::Expired));
                any = true;
            }
        }
        any
    }

    /// Time comes to `now`, and perhaps to something that ends messages too.
    pub(crate) fn note_due(&mut self, now: Instant) {
        for message in self.pending_mut() {
            message.or_expired = message.is_due(now) && message.waits();
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.pending().filter(|m| !m.called).filter_map(|m| m.wish.deadline).min()
    }

    /// The next `count` messages may go. Whether any still waits for that.
    pub(crate) fn let_go(&mut self, count: usize) -> bool {
        let Some((open, last)) = self.gate else { return false };
        let pending = self.messages.iter().zip(1..).filter(|(m, _)| m.outcome.is_none());
        let next = pending.map(|(_, ticket)| ticket).filter(|ticket| *ticket > open);
        let open = next.take(count).nth(count - 1).unwrap_or(last);
        self.gate = (open < last).then_some((open, last));
        self.gate.is_some()
    }

    /// The connection ended; messages may go out on another. Of the bytes that its socket took
    /// last, `proof` never left. How many messages are sent again, and how many are proven.
    pub(crate) fn rewind(&mut self, proof: u64, epoch: Epoch, max_attempts: u32) -> (u64, u64) {
        let affected = self.end_epoch(proof, epoch, |message, proven, reach| {
            let whole = reach == message.body.len();
            let goes_back = match message.wish.resend {
                Resend::Never => reach == 0,
                Resend::Incomplete => !whole,
                Resend::Untransmitted => !whole || proven,
                Resend::Unacked => true,
            };
            if message.wish.pinned || !goes_back {
                Some(FailCause::Disconnected)
            } else {
                (reach > 0 && message.attempts >= max_attempts).then_some(FailCause::Attempts)
            }
        });
        self.resent += affected.0;
        affected
    }

    /// There will be no other connection.
    pub(crate) fn finish(&mut self, proof: u64, epoch: Option<Epoch>) -> (u64, u64) {
        match epoch {
            Some(epoch) => self.end_epoch(proof, epoch, |_, _, _| Some(FailCause::Closed)),
            None => {
                let waiting = self.pending_mut();
                waiting.for_each(|m| m.outcome = Some(m.given_up(FailCause::Closed)));
                (0, 0)
            }
        }
    }

    /// What was not begun is given up; the rest may still be finished, and acknowledged.
    pub(crate) fn close(&mut self) {
        for message in self.pending_mut().filter(|m| m.waits()) {
            message.outcome = Some(message.given_up(FailCause::Closed));
        }
    }

    fn end_epoch(
        &mut self,
        proof: u64,
        epoch: Epoch,
        gives_up: impl Fn(&Message, bool, usize) -> Option<FailCause>,
    ) -> (u64, u64) {
        let proof = if self.is_lent() { 0 } else { proof };
        let streamed = self.streamed;
        let (mut again, mut proven_unsent) = (0, 0);
        for message in self.pending_mut() {
            let reach = message.taken + message.lent;
            let proven = message.last_byte.is_some_and(|last| (streamed - last) as u64 <= proof);
            if proven {
                message.reached = message.reached.max(Certainty::NotTransmitted);
                proven_unsent += 1;
            } else if reach == message.body.len() {
                message.reached = Certainty::InDoubt;
                message.acked |= message.acked_ahead && message.retains();
            }
            assert!(message.is_truth(), "{:?} of what has left", message.reached);
            message.attempts += u32::from(reach > 0);
            let written = message.is_whole() && !proven;
            let is_kept_for_proof = message.wish.resend == Resend::Untransmitted;
            match gives_up(message, proven, reach) {
                _ if message.acked => message.outcome = Some(Outcome::Acked),
                None => again += u64::from(reach > 0),
                Some(_) if written && is_kept_for_proof => {
                    message.outcome = Some(Outcome::Written { epoch });
                }
                Some(cause) => message.outcome = Some(message.given_up(cause)),
            }
            (message.taken, message.lent, message.last_byte) = (0, 0, None);
            (message.acked_ahead, message.called) = (false, false);
        }
        self.proven_unsent += proven_unsent;
        (self.streamed, self.blind, self.gate) = (0, false, None);
        (again, proven_unsent)
    }

    /// The last ticket up to which everything was written or settled.
    pub(crate) fn written_through(&self) -> u64 {
        let unwritten = |m: &Message| m.outcome.is_none() && m.taken < m.body.len();
        self.messages.iter().position(unwritten).unwrap_or(self.messages.len()) as u64
    }

    pub(crate) fn check_ledger(&self, ledger: Ledger) {
        let count = |wanted: &dyn Fn(Outcome) -> bool| {
            self.messages.iter().filter(|m| m.outcome.is_some_and(wanted)).count() as u64
        };
        let dropped = failed(Certainty::NotSent, FailCause::Overflow);
        let is_certain = |outcome: Outcome, wanted: Certainty| {
            outcome != dropped
                && matches!(outcome, Outcome::Failed { certainty, .. } if certainty == wanted)
        };
        assert!(ledger.adds_up(), "{ledger}");
        assert_eq!(ledger.admitted, self.messages.len() as u64);
        assert_eq!(ledger.pending, self.queued().0 as u64);
        assert_eq!(ledger.written, count(&|o| matches!(o, Outcome::Written { .. })));
        assert_eq!(ledger.acked, count(&|o| o == Outcome::Acked));
        assert_eq!(ledger.dropped, count(&|o| o == dropped));
        assert_eq!(ledger.not_sent, count(&|o| is_certain(o, Certainty::NotSent)));
        assert_eq!(ledger.not_transmitted, count(&|o| is_certain(o, Certainty::NotTransmitted)));
        assert_eq!(ledger.in_doubt, count(&|o| is_certain(o, Certainty::InDoubt)));
        assert_eq!((ledger.resent, ledger.proven_unsent), (self.resent, self.proven_unsent));
        assert_eq!(ledger.bytes_written, self.bytes_written);
    }
}

/// The body that message `number` has, of `len` bytes.
pub(crate) fn body(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 89 + at * 7 + at / 256) as u8).collect()
}
