//! What will happen, in order.

use std::collections::BTreeMap;

use rebelay_core::Instant;

/// A queue by time; what falls on one instant happens in the order it was scheduled.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    scheduled: BTreeMap<(Instant, u64), T>,
    next: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { scheduled: BTreeMap::new(), next: 0 }
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&mut self, at: Instant, what: T) {
        self.scheduled.insert((at, self.next), what);
        self.next += 1;
    }

    /// When the next thing happens.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.scheduled.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.scheduled.pop_first().map(|(_, what)| what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_first_and_then_the_order_of_scheduling() {
        let at = Instant::from_nanos;
        let mut queue = Queue::default();
        for (time, name) in [(2, 'c'), (1, 'a'), (2, 'd'), (1, 'b')] {
            queue.push(at(time), name);
        }
        assert_eq!(queue.next(), Some(at(1)));
        let order: String = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, "abcd");
    }
}
