//! What became of every message, from the stream of outcomes.

use rebelay::{Outcome, Outcomes};

/// Outcomes by number, each heard of once.
#[derive(Debug)]
pub(crate) struct Accounts {
    outcomes: Vec<Option<Outcome>>,
    /// Outcomes of messages that were never sent, or had one.
    pub(crate) surplus: u64,
}

impl Accounts {
    /// Reads the stream to its end: that is when the connection is closed.
    pub(crate) async fn read(mut stream: Outcomes, messages: usize) -> Self {
        let mut accounts = Self { outcomes: vec![None; messages], surplus: 0 };
        while let Some(run) = stream.next().await {
            for number in run.first.number()..=run.last.number() {
                accounts.note(number, run.outcome);
            }
        }
        accounts
    }

    /// The messages in order, from number 1, and what became of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Option<Outcome>)> {
        (1..).zip(self.outcomes.iter().copied())
    }

    fn note(&mut self, number: u64, outcome: Outcome) {
        let index = number.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let account = index.and_then(|index| self.outcomes.get_mut(index));
        match account.filter(|account| account.is_none()) {
            Some(account) => *account = Some(outcome),
            None => self.surplus += 1,
        }
    }
}
