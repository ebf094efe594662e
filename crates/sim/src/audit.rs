//! The books of a test: one outcome for each message, and none that the peer disproves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rebelay_core::{Certainty, FailCause, Ledger, Outcome, Settled, Ticket};

/// Asserts that `ledger` adds up and that `outcomes`, all there were so far, say the same.
///
/// ```
/// # use rebelay_core::Ledger;
/// # let (ledger, outcomes) = (Ledger::default(), []);
/// rebelay_sim::assert_ledger(&ledger, &outcomes);
/// ```
///
/// # Panics
/// As [`Audit::settled`] and [`Audit::balance`].
#[track_caller]
pub fn assert_ledger(ledger: &Ledger, outcomes: &[Settled]) {
    let mut audit = Audit::default();
    audit.settled(outcomes);
    audit.balance(ledger);
}

/// Holds what a connection says of its messages against its ledger, and against what its peer
/// received. It needs no simulation: tests on real sockets feed it from the outcomes of their
/// connection and from their own server.
///
/// ```
/// use rebelay_core::{Certainty, FailCause, Ledger, Outcome, Settled, Ticket};
/// use rebelay_sim::Audit;
///
/// let ticket = Ticket::from_number;
/// let failed = Outcome::Failed { certainty: Certainty::InDoubt, cause: FailCause::Closed };
/// let mut audit = Audit::new("seed 7");
/// audit.settled(&[
///     Settled { first: ticket(1), last: ticket(3), outcome: Outcome::Acked },
///     Settled { first: ticket(4), last: ticket(4), outcome: failed },
/// ]);
/// // The server has it after all; of a message in doubt that may be.
/// audit.received(ticket(4));
///
/// let mut ledger = Ledger::default();
/// (ledger.admitted, ledger.acked, ledger.in_doubt) = (4, 3, 1);
/// audit.balance(&ledger);
/// ```
///
/// Each call costs the logarithm of the number of runs of outcomes so far, so that an audit can
/// go along with every step of a test.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    context: String,
    /// The outcomes: by the first ticket of each run, its last one and what became of it.
    runs: BTreeMap<Ticket, (Ticket, Outcome)>,
    /// Messages that the peer received and that have no outcome yet.
    received: BTreeSet<Ticket>,
    totals: Totals,
}

/// Outcomes counted as a ledger does.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct Totals {
    written: u64,
    acked: u64,
    not_sent: u64,
    not_transmitted: u64,
    in_doubt: u64,
    dropped: u64,
}

impl Audit {
    /// An audit of one connection. What it panics with begins with `context`: a seed, the name of
    /// a case.
    pub fn new(context: impl Into<String>) -> Self {
        Self { context: context.into(), ..Self::default() }
    }

    /// Books the next outcomes.
    ///
    /// # Panics
    /// If a message has its second outcome, or one that denies what the peer
    /// [`received`](Self::received).
    #[track_caller]
    pub fn settled(&mut self, outcomes: &[Settled]) {
        for run in outcomes {
            self.book(*run);
        }
    }

    /// The peer's program received the message with this ticket whole; as often as it did, before
    /// or after the outcome is known.
    ///
    /// # Panics
    /// If the outcome says that no peer can have it: [`Certainty::NotSent`] and
    /// [`Certainty::NotTransmitted`].
    #[track_caller]
    pub fn received(&mut self, ticket: Ticket) {
        match self.outcome(ticket) {
            Some(outcome) => self.require(!denies(outcome), || denial(ticket, outcome)),
            None => drop(self.received.insert(ticket)),
        }
    }

    /// Holds the ledger against the outcomes booked so far. The two must be of one moment: take
    /// every outcome first, or ask when the connection is closed and there are no more.
    ///
    /// # Panics
    /// If a message is missing from the ledger or in it twice, if it counts other outcomes than
    /// those, or if a message has an outcome that was never admitted.
    #[track_caller]
    pub fn balance(&self, ledger: &Ledger) {
        let counted = Totals {
            written: ledger.written,
            acked: ledger.acked,
            not_sent: ledger.not_sent,
            not_transmitted: ledger.not_transmitted,
            in_doubt: ledger.in_doubt,
            dropped: ledger.dropped,
        };
        let sum = ledger.pending + counted.sum();
        self.require(sum == ledger.admitted, || {
            format!("the ledger does not add up, its sum is {sum}: {ledger}")
        });
        let last = self.runs.last_key_value().map_or(Ticket::default(), |(_, (last, _))| *last);
        self.require(last.number() <= ledger.admitted, || {
            format!("message {last} has an outcome and was never admitted: {ledger}")
        });
        self.require(counted == self.totals, || {
            format!("the ledger counts {counted:?}, the outcomes are {:?}", self.totals)
        });
    }

    /// What became of the message with this ticket, if that was booked.
    pub fn outcome(&self, ticket: Ticket) -> Option<Outcome> {
        let (_, (last, outcome)) = self.runs.range(..=ticket).next_back()?;
        (ticket <= *last).then_some(*outcome)
    }

    #[track_caller]
    fn book(&mut self, run: Settled) {
        let Settled { first, last, outcome } = run;
        self.require(Ticket::default() < first && first <= last, || {
            format!("no messages are those from {first} to {last}: {outcome:?}")
        });
        let before = self.runs.range(..=last).next_back();
        let before = before.map(|(first, (last, outcome))| (*first, *last, *outcome));
        if let Some((_, twice, earlier)) = before {
            self.require(twice < first, || {
                let twice = twice.min(last);
                format!("message {twice} has two outcomes: {earlier:?}, then {outcome:?}")
            });
        }
        while let Some(received) = self.received.range(first..=last).next().copied() {
            self.require(!denies(outcome), || denial(received, outcome));
            self.received.remove(&received);
        }
        self.totals.count(outcome, last.number() - first.number() + 1);
        let joins =
            before.filter(|(_, end, same)| *same == outcome && end.number() + 1 == first.number());
        let first = joins.map_or(first, |(first, ..)| first);
        self.runs.insert(first, (last, outcome));
    }

    #[track_caller]
    fn require<T: fmt::Display>(&self, holds: bool, complaint: impl FnOnce() -> T) {
        let colon = if self.context.is_empty() { "" } else { ": " };
        assert!(holds, "{}{colon}{}", self.context, complaint());
    }
}

impl Totals {
    fn count(&mut self, outcome: Outcome, messages: u64) {
        let total = match outcome {
            Outcome::Written { .. } => &mut self.written,
            Outcome::Acked => &mut self.acked,
            Outcome::Failed { cause: FailCause::Overflow, .. } => &mut self.dropped,
            Outcome::Failed { certainty: Certainty::NotSent, .. } => &mut self.not_sent,
            Outcome::Failed { certainty: Certainty::NotTransmitted, .. } => {
                &mut self.not_transmitted
            }
            Outcome::Failed { .. } => &mut self.in_doubt,
        };
        *total += messages;
    }

    const fn sum(&self) -> u64 {
        self.written
            + self.acked
            + self.not_sent
            + self.not_transmitted
            + self.in_doubt
            + self.dropped
    }
}

/// Whether it says that no peer can have the message whole.
fn denies(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Failed { certainty: Certainty::NotSent | Certainty::NotTransmitted, .. }
    )
}

fn denial(ticket: Ticket, outcome: Outcome) -> String {
    format!("message {ticket} was received whole, and its outcome is {outcome:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    const NOT_SENT: Outcome =
        Outcome::Failed { certainty: Certainty::NotSent, cause: FailCause::Closed };
    const NOT_TRANSMITTED: Outcome =
        Outcome::Failed { certainty: Certainty::NotTransmitted, cause: FailCause::Attempts };
    const IN_DOUBT: Outcome =
        Outcome::Failed { certainty: Certainty::InDoubt, cause: FailCause::Disconnected };
    const DROPPED: Outcome =
        Outcome::Failed { certainty: Certainty::NotSent, cause: FailCause::Overflow };

    fn ticket(number: u64) -> Ticket {
        Ticket::from_number(number)
    }

    fn run(first: u64, last: u64, outcome: Outcome) -> Settled {
        Settled { first: ticket(first), last: ticket(last), outcome }
    }

    fn complaint(of: impl FnOnce(&mut Audit)) -> Option<String> {
        let mut audit = Audit::new("case");
        let panic = catch_unwind(AssertUnwindSafe(|| of(&mut audit))).err()?;
        panic.downcast_ref::<String>().cloned()
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        (ledger.admitted, ledger.pending, ledger.acked) = (9, 1, 2);
        (ledger.not_sent, ledger.not_transmitted, ledger.in_doubt) = (2, 1, 1);
        ledger.dropped = 2;
        ledger
    }

    const BOOKED: [(u64, u64, Outcome); 6] = [
        (8, 9, DROPPED),
        (1, 1, Outcome::Acked),
        (2, 2, Outcome::Acked),
        (5, 5, IN_DOUBT),
        (6, 7, NOT_SENT),
        (3, 3, NOT_TRANSMITTED),
    ];

    #[test]
    fn g04_books_that_are_right_are_passed_at_every_moment() {
        let mut audit = Audit::default();
        let mut books = Ledger::default();
        (books.admitted, books.pending) = (9, 9);
        audit.balance(&books);
        for (first, last, outcome) in BOOKED {
            audit.settled(&[run(first, last, outcome)]);
        }
        audit.balance(&ledger());
        assert_eq!(audit.outcome(ticket(2)), Some(Outcome::Acked));
        assert_eq!(audit.outcome(ticket(4)), None);
        assert_eq!(audit.runs.len(), 5, "runs that go on are joined");
        assert_ledger(&ledger(), &BOOKED.map(|(first, last, outcome)| run(first, last, outcome)));
    }

    #[test]
    fn g04_a_ledger_that_lies_is_refused() {
        type Lie = fn(&mut Ledger);
        let lies: [(Lie, &str); 9] = [
            (|books| books.admitted += 1, "its sum is 9"),
            (|books| books.pending -= 1, "its sum is 8"),
            (|books| books.written += 1, "its sum is 10"),
            (|books| (books.acked, books.written) = (1, 1), "the ledger counts"),
            (|books| (books.not_sent, books.dropped) = (1, 3), "the ledger counts"),
            (|books| (books.not_sent, books.not_transmitted) = (1, 2), "the ledger counts"),
            (|books| (books.in_doubt, books.not_transmitted) = (2, 0), "the ledger counts"),
            (|books| (books.pending, books.in_doubt) = (0, 2), "the ledger counts"),
            (|books| (books.admitted, books.pending, books.acked) = (8, 0, 2), "never admitted"),
        ];
        for (lie, words) in lies {
            let said = complaint(|audit| {
                audit.settled(&BOOKED.map(|(first, last, outcome)| run(first, last, outcome)));
                let mut books = ledger();
                lie(&mut books);
                audit.balance(&books);
            });
            assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{words}: {said:?}");
            assert!(said.is_some_and(|said| said.starts_with("case: ")));
        }
    }

    #[test]
    fn g04_a_second_outcome_of_any_message_is_refused() {
        for (first, last) in [(3, 3), (1, 3), (3, 9), (5, 5), (4, 4), (1, 9), (5, 6)] {
            let said = complaint(|audit| {
                audit.settled(&[run(3, 5, Outcome::Acked), run(first, last, Outcome::Acked)]);
            });
            assert!(said.is_some_and(|said| said.contains("two outcomes")), "{first} to {last}");
        }
        for (first, last) in [(0, 1), (2, 1)] {
            assert!(complaint(|audit| audit.settled(&[run(first, last, IN_DOUBT)])).is_some());
        }
    }

    #[test]
    fn g04_an_outcome_that_denies_what_was_received_is_refused_in_either_order() {
        let complaint_of = |outcome| {
            let early = complaint(|audit| {
                audit.received(ticket(2));
                audit.received(ticket(2));
                audit.settled(&[run(1, 3, outcome)]);
            });
            let late = complaint(|audit| {
                audit.settled(&[run(1, 3, outcome)]);
                audit.received(ticket(2));
            });
            assert_eq!(early, late);
            early
        };
        for outcome in [NOT_SENT, NOT_TRANSMITTED, DROPPED] {
            assert!(
                complaint_of(outcome).is_some_and(|said| said.contains("message 2 was received"))
            );
        }
        for outcome in [Outcome::Acked, IN_DOUBT] {
            assert_eq!(complaint_of(outcome), None);
        }
    }
}
