//! What must become of messages and of received bytes, computed message by message without any
//! cleverness, to hold the machine against.

use std::collections::VecDeque;

use rebelay_core::{Certainty, Epoch, FailCause, Ledger, Outcome, Overflow, Resend};

/// A message that was admitted.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) body: Vec<u8>,
    resend: Resend,
    /// Bytes that the socket of this epoch took, and bytes after those that a writer has.
    taken: usize,
    lent: usize,
    /// A socket may have taken it whole, ever.
    left_whole: bool,
    /// Acknowledged while a part of it was on its way again.
    acked: bool,
    /// Acknowledged before its writer reported.
    acked_ahead: bool,
    pub(crate) outcome: Option<Outcome>,
    /// The outcome came out.
    pub(crate) reported: bool,
}

/// All messages; the first has ticket 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) messages: Vec<Message>,
}

impl Model {
    /// The body of the message that is admitted next: no two neighbours look the same.
    pub(crate) fn next_body(&self, len: usize) -> Vec<u8> {
        let number = self.messages.len() + 1;
        (0..len).map(|at| (number * 89 + at * 7 + at / 256) as u8).collect()
    }

    pub(crate) fn admit(&mut self, body: Vec<u8>, resend: Resend) {
        self.messages.push(Message {
            body,
            resend,
            taken: 0,
            lent: 0,
            left_whole: false,
            acked: false,
            acked_ahead: false,
            outcome: None,
            reported: false,
        });
    }

    /// What admitting one more message than there is room for does.
    pub(crate) fn overflow(
        &mut self,
        policy: Overflow,
        room: impl Fn(&Self) -> bool,
        body: Vec<u8>,
        resend: Resend,
    ) {
        let dropped = failed(Certainty::NotSent, FailCause::Overflow);
        match policy {
            Overflow::DropNewest => {
                self.admit(body, resend);
                self.messages.last_mut().expect("just admitted").outcome = Some(dropped);
            }
            Overflow::DropOldest => {
                while !room(self) {
                    let untouched = |m: &&mut Message| m.taken + m.lent == 0 && !m.left_whole;
                    let oldest = self.pending_mut().find(untouched);
                    oldest.expect("something can be dropped").outcome = Some(dropped);
                }
                self.admit(body, resend);
            }
            Overflow::Wait | Overflow::Reject => panic!("admitted without room"),
        }
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

    /// The bytes that this epoch's socket is still to get, whole messages in order.
    pub(crate) fn unwritten(&self) -> Vec<u8> {
        self.pending().flat_map(|message| &message.body[message.taken..]).copied().collect()
    }

    pub(crate) fn is_lent(&self) -> bool {
        self.pending().any(|message| message.lent > 0)
    }

    pub(crate) fn lend(&mut self, mut count: usize) {
        for message in self.pending_mut() {
            message.lent = count.min(message.body.len() - message.taken);
            count -= message.lent;
        }
        assert_eq!(count, 0, "more was lent than there is");
    }

    pub(crate) fn took(&mut self, mut count: usize, epoch: Epoch) {
        for message in self.pending_mut() {
            let part = count.min(message.lent);
            count -= part;
            message.taken += part;
            if message.lent > 0 && message.taken == message.body.len() {
                let retained = message.resend == Resend::Unacked;
                let acked = message.acked || retained && message.acked_ahead;
                message.left_whole = true;
                message.outcome = match (acked, retained) {
                    (true, _) => Some(Outcome::Acked),
                    (false, true) => None,
                    (false, false) => Some(Outcome::Written { epoch }),
                };
            }
            (message.lent, message.acked_ahead) = (0, false);
        }
    }

    pub(crate) fn ack(&mut self, through: u64) {
        let any_lent = self.is_lent();
        let count = usize::try_from(through).unwrap_or(usize::MAX).min(self.messages.len());
        for message in &mut self.messages[..count] {
            let whole = message.taken == message.body.len();
            let under_way = message.taken + message.lent > 0 && !whole;
            if message.outcome.is_some() {
                continue;
            } else if message.left_whole && !under_way {
                message.outcome = Some(Outcome::Acked);
            } else if message.left_whole {
                message.acked = true;
            } else if any_lent {
                message.acked_ahead = true;
            }
        }
    }

    /// The connection ended; messages may go out on another.
    pub(crate) fn rewind(&mut self) {
        self.end_epoch(FailCause::Disconnected, |resend, reach, len| match resend {
            Resend::Never => reach == 0,
            Resend::Incomplete | Resend::Untransmitted => reach < len,
            Resend::Unacked => true,
        });
    }

    /// There will be no other connection.
    pub(crate) fn finish(&mut self) {
        self.end_epoch(FailCause::Closed, |_, _, _| false);
    }

    /// What was not begun is given up; the rest may still be finished, and acknowledged.
    pub(crate) fn close(&mut self) {
        for message in self.pending_mut() {
            if message.taken + message.lent == 0 {
                message.outcome = Some(message.given_up(FailCause::Closed));
            }
        }
    }

    fn end_epoch(&mut self, cause: FailCause, goes_back: impl Fn(Resend, usize, usize) -> bool) {
        for message in self.pending_mut() {
            let (reach, len) = (message.taken + message.lent, message.body.len());
            if reach == len {
                message.left_whole = true;
                message.acked |= message.acked_ahead && message.resend == Resend::Unacked;
            }
            if message.acked || !goes_back(message.resend, reach, len) {
                message.outcome = Some(message.given_up(cause));
            }
            (message.taken, message.lent, message.acked_ahead) = (0, 0, false);
        }
    }

    /// The last ticket up to which everything was written or settled.
    pub(crate) fn written_through(&self) -> u64 {
        let unwritten = |m: &Message| m.outcome.is_none() && m.taken < m.body.len();
        self.messages.iter().position(unwritten).unwrap_or(self.messages.len()) as u64
    }

    pub(crate) fn check_ledger(&self, ledger: Ledger) {
        let count = |wanted: fn(&Outcome) -> bool| {
            self.messages.iter().filter(|m| m.outcome.as_ref().is_some_and(wanted)).count() as u64
        };
        assert!(ledger.adds_up(), "{ledger}");
        assert_eq!(ledger.admitted, self.messages.len() as u64);
        assert_eq!(ledger.pending, self.queued().0 as u64);
        assert_eq!(ledger.written, count(|o| matches!(o, Outcome::Written { .. })));
        assert_eq!(ledger.acked, count(|o| *o == Outcome::Acked));
        let dropped = failed(Certainty::NotSent, FailCause::Overflow);
        assert_eq!(
            ledger.dropped,
            self.messages.iter().filter(|m| m.outcome == Some(dropped)).count() as u64
        );
        let in_doubt =
            |o: &Outcome| matches!(o, Outcome::Failed { certainty: Certainty::InDoubt, .. });
        assert_eq!(ledger.in_doubt, count(in_doubt));
    }
}

impl Message {
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

/// What the reader must get, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) expected: VecDeque<Mark>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mark {
    Up(Epoch),
    Bytes(Vec<u8>),
    Down(Epoch),
}

impl Stream {
    /// Bytes that wait.
    pub(crate) fn held(&self) -> usize {
        let len = |mark: &Mark| if let Mark::Bytes(bytes) = mark { bytes.len() } else { 0 };
        self.expected.iter().map(len).sum()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Some(Mark::Bytes(last)) = self.expected.back_mut() {
            last.extend_from_slice(bytes);
        } else if !bytes.is_empty() {
            self.expected.push_back(Mark::Bytes(bytes.to_vec()));
        }
    }

    /// The next `count` bytes, all of one epoch.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let Some(Mark::Bytes(bytes)) = self.expected.front_mut() else {
            panic!("data where {:?} was to come", self.expected.front())
        };
        let rest = bytes.split_off(count.min(bytes.len()));
        let taken = std::mem::replace(bytes, rest);
        if bytes.is_empty() {
            self.expected.pop_front();
        }
        taken
    }
}
