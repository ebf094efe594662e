//! Which request the next reply answers, and who waits for it.
//!
//! ```text
//!            next
//!              │
//!   ─┬──┬──┬──┬┴─┬──┬──┬──┬──▶ tickets
//!     answered │ to be answered
//!              └─ queue: the slot of each, where its task and then its reply is
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use rebelay::Ticket;

use super::decode::Reply;
use super::error::Error;

pub(super) type Answer = Result<Reply, Error>;

#[derive(Debug)]
pub(super) struct Table {
    /// The ticket of the request that the next reply answers.
    next: u64,
    /// Who asked, by ticket from `next` on.
    queue: VecDeque<Asker>,
    /// A request has a slot from its first poll until its reply is taken.
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Answers to requests that were sent but not yet asked for: another thread was faster.
    early: BTreeMap<u64, Answer>,
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Asker {
    /// The request was sent, and its task will ask next.
    Unknown,
    Slot(usize),
    /// Nobody wants the reply.
    Nobody,
}

#[derive(Debug)]
enum Slot {
    Free,
    Waiting(Waker),
    Answered(Answer),
}

impl Default for Table {
    fn default() -> Self {
        Self {
            next: 1,
            queue: VecDeque::new(),
            slots: Vec::new(),
            free: Vec::new(),
            early: BTreeMap::new(),
        }
    }
}

/// For the tasks that ask.
impl Table {
    /// Asks for the reply to the request `ticket`, once: it is here already, or will be in the
    /// slot that is returned.
    pub(super) fn ask(&mut self, ticket: Ticket, waker: &Waker) -> Result<Answer, usize> {
        let ticket = ticket.number();
        if let Some(answer) = self.early.remove(&ticket) {
            return Ok(answer);
        }
        let index = ticket.saturating_sub(self.next) as usize;
        if index >= self.queue.len() {
            self.queue.resize(index + 1, Asker::Unknown);
        }
        let slot = self.occupy(Slot::Waiting(waker.clone()));
        self.queue[index] = Asker::Slot(slot);
        Err(slot)
    }

    /// Takes the reply out of `slot`, or waits on.
    pub(super) fn take(&mut self, slot: usize, waker: &Waker) -> Result<Answer, usize> {
        if let Slot::Waiting(waiting) = &mut self.slots[slot] {
            waiting.clone_from(waker);
            return Err(slot);
        }
        match self.vacate(slot) {
            Slot::Answered(answer) => Ok(answer),
            Slot::Waiting(_) | Slot::Free => Err(slot),
        }
    }

    /// Nobody wants the reply to the request `ticket`, which was to be in `slot`, any more.
    pub(super) fn abandon(&mut self, ticket: Ticket, slot: usize) {
        if let Slot::Waiting(_) = self.vacate(slot) {
            let index = ticket.number().saturating_sub(self.next) as usize;
            self.queue[index] = Asker::Nobody;
        }
    }

    fn occupy(&mut self, content: Slot) -> usize {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = content;
                slot
            }
            None => {
                self.slots.push(content);
                self.slots.len() - 1
            }
        }
    }

    fn vacate(&mut self, slot: usize) -> Slot {
        self.free.push(slot);
        std::mem::replace(&mut self.slots[slot], Slot::Free)
    }
}

/// For the task that reads.
impl Table {
    /// The ticket of the request that the next reply answers.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Answers the oldest request that has no answer. Whoever waits for it is to be woken.
    pub(super) fn answer(&mut self, answer: Answer) -> Option<Waker> {
        let ticket = self.next;
        self.next += 1;
        match self.queue.pop_front().unwrap_or(Asker::Unknown) {
            Asker::Unknown => {
                self.early.insert(ticket, answer);
                None
            }
            Asker::Slot(slot) => {
                match std::mem::replace(&mut self.slots[slot], Slot::Answered(answer)) {
                    Slot::Waiting(waker) => Some(waker),
                    Slot::Free | Slot::Answered(_) => None,
                }
            }
            Asker::Nobody => None,
        }
    }

    /// From now on `next` is the request that the next reply answers. Those before it that have
    /// no answer get that of `failed`; whoever waits for them is put into `woken`.
    pub(super) fn go_on_at(
        &mut self,
        next: u64,
        failed: impl Fn(Ticket) -> Error,
        woken: &mut Vec<Waker>,
    ) {
        while self.next < next {
            let error = failed(Ticket::from_number(self.next));
            woken.extend(self.answer(Err(error)));
        }
        // Answered by the server before it had them: the real replies are yet to come.
        while self.next > next {
            self.next -= 1;
            self.queue.push_front(Asker::Nobody);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]
mod tests {
    use super::*;
    use rebelay::{Certainty, Reason};

    fn ticket(number: u64) -> Ticket {
        Ticket::from_number(number)
    }

    fn reply(number: i64) -> Answer {
        Ok(Reply::Integer(number))
    }

    fn failed(ticket: Ticket) -> Error {
        let reason = Reason::Io(rebelay::Fault::new(ticket.to_string()));
        Error::Unanswered { certainty: Certainty::InDoubt, reason }
    }

    #[test]
    fn replies_are_matched_by_ticket_whoever_asks_first() {
        let mut table = Table::default();
        let waker = Waker::noop();
        let third = table.ask(ticket(3), waker).unwrap_err();
        assert!(table.answer(reply(1)).is_none(), "nobody has asked for the first");
        assert_eq!(table.ask(ticket(1), waker), Ok(reply(1)));
        let second = table.ask(ticket(2), waker).unwrap_err();
        assert_eq!(table.take(second, waker), Err(second));
        assert!(table.answer(reply(2)).is_some());
        assert!(table.answer(reply(3)).is_some());
        assert_eq!(table.take(third, waker), Ok(reply(3)));
        assert_eq!(table.take(second, waker), Ok(reply(2)));
        assert_eq!(table.free.len(), table.slots.len());
    }

    #[test]
    fn the_reply_to_a_request_that_was_given_up_reaches_nobody() {
        let mut table = Table::default();
        let waker = Waker::noop();
        let slots = [1, 2, 3].map(|number| table.ask(ticket(number), waker).unwrap_err());
        table.abandon(ticket(2), slots[1]);
        for number in [1, 2, 3] {
            assert_eq!(table.answer(reply(number)).is_some(), number != 2);
        }
        table.abandon(ticket(1), slots[0]);
        assert_eq!(table.take(slots[2], waker), Ok(reply(3)));
        assert_eq!((table.free.len(), table.queue.len()), (3, 0));
    }

    #[test]
    fn what_was_written_before_the_end_fails_and_the_rest_waits() {
        let mut table = Table::default();
        let waker = Waker::noop();
        let slots = [1, 2, 3].map(|number| table.ask(ticket(number), waker).unwrap_err());
        let mut woken = Vec::new();
        table.go_on_at(3, failed, &mut woken);
        assert_eq!(woken.len(), 2);
        assert_eq!(table.take(slots[1], waker), Ok(Err(failed(ticket(2)))));
        assert!(table.answer(reply(3)).is_some());
        assert_eq!(table.take(slots[2], waker), Ok(reply(3)));
    }

    #[test]
    fn an_answer_to_what_was_never_written_shifts_no_later_reply() {
        let mut table = Table::default();
        let waker = Waker::noop();
        let first = table.ask(ticket(1), waker).unwrap_err();
        assert!(table.answer(reply(-1)).is_some());
        table.go_on_at(1, failed, &mut Vec::new());
        let second = table.ask(ticket(2), waker).unwrap_err();
        assert!(table.answer(reply(1)).is_none(), "the first has its answer");
        assert!(table.answer(reply(2)).is_some());
        assert_eq!(table.take(first, waker), Ok(reply(-1)));
        assert_eq!(table.take(second, waker), Ok(reply(2)));
    }
}
