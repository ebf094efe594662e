//! When messages expire.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::RangeInclusive;

use crate::outcome::Ticket;
use crate::time::Instant;

/// The deadlines of messages without an outcome.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    of: BTreeMap<Ticket, Instant>,
    /// Those that were not called yet, the earliest first.
    uncalled: BTreeSet<(Instant, Ticket)>,
}

impl Deadlines {
    pub(crate) fn set(&mut self, ticket: Ticket, deadline: Instant) {
        self.of.insert(ticket, deadline);
        self.uncalled.insert((deadline, ticket));
    }

    /// The messages with these tickets have their outcome.
    pub(crate) fn forget(&mut self, tickets: RangeInclusive<Ticket>) {
        while let Some((ticket, deadline)) = self.of.range(tickets.clone()).next() {
            let (ticket, deadline) = (*ticket, *deadline);
            self.of.remove(&ticket);
            self.uncalled.remove(&(deadline, ticket));
        }
    }

    /// Calls every message once more whose deadline was called already.
    pub(crate) fn call_again(&mut self) {
        self.uncalled = self.of.iter().map(|(ticket, deadline)| (*deadline, *ticket)).collect();
    }

    /// The earliest that was not called.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.uncalled.first().map(|(deadline, _)| *deadline)
    }

    /// The next message whose deadline is not after `now`; it is not called again by this.
    pub(crate) fn call(&mut self, now: Instant) -> Option<Ticket> {
        let (_, ticket) = *self.uncalled.first().filter(|(deadline, _)| *deadline <= now)?;
        self.uncalled.pop_first();
        Some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deadline_is_called_once_in_order_and_forgotten_with_its_message() {
        let (at, ticket) = (Instant::from_nanos, Ticket::from_number);
        let mut deadlines = Deadlines::default();
        for (number, nanos) in [(1, 30), (2, 10), (3, 20), (4, 20)] {
            deadlines.set(ticket(number), at(nanos));
        }
        deadlines.forget(ticket(3)..=ticket(3));
        assert_eq!(deadlines.next(), Some(at(10)));
        let mut called =
            || core::iter::from_fn(|| deadlines.call(at(20))).collect::<alloc::vec::Vec<_>>();
        assert_eq!(called(), [ticket(2), ticket(4)]);
        assert_eq!(called(), []);
        deadlines.call_again();
        assert_eq!(deadlines.call(at(9)), None);
        assert_eq!(deadlines.call(at(10)), Some(ticket(2)));
        deadlines.forget(ticket(1)..=ticket(4));
        assert_eq!(deadlines.next(), None);
        assert!(deadlines.of.is_empty());
    }
}
