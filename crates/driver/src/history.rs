//! The outcomes of the latest messages, by ticket, and who waits for one.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use rebelay_core::{Outcome, Settled, Ticket};

/// Runs of equal outcomes that are remembered; one run is as long as nothing else happens.
const MAX_RUNS: usize = 4_096;

#[derive(Debug, Default)]
pub(crate) struct History {
    /// In order of tickets, and no two overlap.
    runs: VecDeque<Settled>,
    /// While anybody is to be told.
    audience: Option<Box<Audience>>,
}

/// Who is told.
#[derive(Debug, Default)]
struct Audience {
    /// By ticket, and a number of its own where several wait for one.
    waiters: BTreeMap<WaiterKey, Waiter>,
    /// For the one who reads them all.
    stream: Option<Stream>,
}

/// The runs that [`Outcomes`](crate::Outcomes) has not read.
#[derive(Debug, Default)]
struct Stream {
    unread: VecDeque<Settled>,
    reader: Option<Waker>,
}

pub(crate) type WaiterKey = (Ticket, u64);

#[derive(Debug)]
enum Waiter {
    Waiting(Waker),
    Told(Outcome),
}

impl History {
    /// Whether one more run can be remembered: not while `limit` of them wait to be read.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        let stream = self.audience.as_ref().and_then(|audience| audience.stream.as_ref());
        stream.is_none_or(|stream| stream.unread.len() < limit)
    }

    /// Keeps every run from now on until it is read. `false`: that is done already.
    pub(crate) fn open_stream(&mut self) -> bool {
        let stream = &mut self.audience.get_or_insert_default().stream;
        let is_new = stream.is_none();
        stream.get_or_insert_default();
        is_new
    }

    /// The next run that was not read; if there is none, `waker` is woken when there is.
    pub(crate) fn read(&mut self, waker: &Waker) -> Option<Settled> {
        let stream = self.audience.as_mut()?.stream.as_mut()?;
        let run = stream.unread.pop_front();
        stream.reader = if run.is_none() { Some(waker.clone()) } else { None };
        run
    }

    /// Nobody reads them any more. The waker is to be dropped without the lock.
    pub(crate) fn close_stream(&mut self) -> Option<Waker> {
        self.audience.as_mut()?.stream.take()?.reader
    }

    /// Who waits for a run; to be woken when the connection is closed.
    pub(crate) fn reader(&mut self) -> Option<Waker> {
        self.audience.as_mut()?.stream.as_mut()?.reader.take()
    }

    /// Remembers `settled`. Whoever waits for a ticket of it is told, and returned to be woken.
    pub(crate) fn record(&mut self, settled: Settled, woken: &mut Vec<Waker>) {
        if let Some(audience) = &mut self.audience {
            audience.tell(settled, woken);
        }
        let at = self.runs.partition_point(|run| run.first < settled.first);
        let before = at.checked_sub(1).and_then(|before| self.runs.get_mut(before));
        if let Some(run) = before.filter(|run| continues(run, settled)) {
            run.last = settled.last;
        } else {
            self.runs.insert(at, settled);
        }
        if self.runs.len() > MAX_RUNS {
            // The oldest, and not the one that has just come.
            self.runs.remove(usize::from(at == 0));
        }
    }

    /// The outcome of `ticket`, if it is remembered.
    pub(crate) fn outcome(&self, ticket: Ticket) -> Option<Outcome> {
        let at = self.runs.partition_point(|run| run.last < ticket);
        let run = self.runs.get(at).filter(|run| run.first <= ticket)?;
        Some(run.outcome)
    }

    /// Waits for `ticket`: `waker` is woken once it has an outcome. Call
    /// [`forget`](Self::forget) with the key in the end.
    pub(crate) fn wait(&mut self, ticket: Ticket, waker: Waker) -> WaiterKey {
        let waiters = &mut self.audience.get_or_insert_default().waiters;
        let last = waiters.range((ticket, 0)..=(ticket, u64::MAX)).next_back();
        let key = (ticket, last.map_or(0, |((_, number), _)| number + 1));
        waiters.insert(key, Waiter::Waiting(waker));
        key
    }

    /// What the waiter was told; before that, `waker` is the one to wake from now on.
    pub(crate) fn told(&mut self, key: WaiterKey, waker: &Waker) -> Option<Outcome> {
        match self.audience.as_mut()?.waiters.get_mut(&key)? {
            Waiter::Told(outcome) => Some(*outcome),
            Waiter::Waiting(waiting) => {
                waiting.clone_from(waker);
                None
            }
        }
    }

    pub(crate) fn forget(&mut self, key: WaiterKey) {
        if let Some(audience) = &mut self.audience {
            audience.waiters.remove(&key);
        }
    }

    pub(crate) fn rest(&mut self) {
        self.runs.shrink_to_fit();
        self.audience.take_if(|audience| audience.is_empty());
        if let Some(stream) = self.audience.as_mut().and_then(|audience| audience.stream.as_mut()) {
            stream.unread.shrink_to_fit();
        }
    }
}

impl Audience {
    fn is_empty(&self) -> bool {
        self.waiters.is_empty() && self.stream.is_none()
    }

    fn tell(&mut self, settled: Settled, woken: &mut Vec<Waker>) {
        let keys = (settled.first, 0)..=(settled.last, u64::MAX);
        for (_, waiter) in self.waiters.range_mut(keys) {
            let told = Waiter::Told(settled.outcome);
            if let Waiter::Waiting(waker) = std::mem::replace(waiter, told) {
                woken.push(waker);
            }
        }
        if let Some(stream) = &mut self.stream {
            match stream.unread.back_mut().filter(|run| continues(run, settled)) {
                Some(run) => run.last = settled.last,
                None => stream.unread.push_back(settled),
            }
            woken.extend(stream.reader.take());
        }
    }
}

/// Whether `settled` makes `run` longer.
fn continues(run: &Settled, settled: Settled) -> bool {
    run.outcome == settled.outcome && run.last.number() + 1 == settled.first.number()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, last: u64, outcome: Outcome) -> Settled {
        Settled { first: Ticket::from_number(first), last: Ticket::from_number(last), outcome }
    }

    #[test]
    fn outcomes_are_found_in_whatever_order_they_came() {
        let mut history = History::default();
        let dropped = Outcome::Failed {
            certainty: rebelay_core::Certainty::NotSent,
            cause: rebelay_core::FailCause::Overflow,
        };
        for settled in [run(5, 6, dropped), run(1, 2, Outcome::Acked), run(3, 3, Outcome::Acked)] {
            history.record(settled, &mut Vec::new());
        }
        let outcomes: Vec<_> =
            (0..8).map(|number| history.outcome(Ticket::from_number(number))).collect();
        let (acked, dropped) = (Some(Outcome::Acked), Some(dropped));
        assert_eq!(outcomes, [None, acked, acked, acked, None, dropped, dropped, None]);
        assert_eq!(history.runs.len(), 2);
    }

    #[test]
    fn g05_outcomes_that_nobody_asks_for_take_bounded_memory() {
        let mut history = History::default();
        for number in (1..=100_000).step_by(2) {
            history.record(run(number, number, Outcome::Acked), &mut Vec::new());
        }
        assert_eq!(history.runs.len(), MAX_RUNS);
        assert_eq!(history.outcome(Ticket::from_number(99_999)), Some(Outcome::Acked));
        assert_eq!(history.outcome(Ticket::from_number(1)), None);
    }

    #[test]
    fn g03_the_outcome_that_has_just_come_is_remembered() {
        let mut history = History::default();
        for number in (3..=9_001).step_by(2) {
            history.record(run(number, number, Outcome::Acked), &mut Vec::new());
        }
        history.record(run(1, 1, Outcome::Acked), &mut Vec::new());
        assert_eq!(history.runs.len(), MAX_RUNS);
        assert_eq!(history.outcome(Ticket::from_number(1)), Some(Outcome::Acked));
    }

    #[test]
    fn g03_whoever_waits_is_told_however_much_happens_before_it_asks() {
        let mut history = History::default();
        let key = history.wait(Ticket::from_number(1), Waker::noop().clone());
        let mut woken = Vec::new();
        for number in (1..=100_000).step_by(2) {
            history.record(run(number, number, Outcome::Acked), &mut woken);
        }
        assert_eq!(woken.len(), 1);
        assert_eq!(history.told(key, Waker::noop()), Some(Outcome::Acked));
        history.forget(key);
        history.rest();
        assert!(history.audience.is_none(), "nobody waits any more");
    }
}
