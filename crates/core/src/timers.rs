//! One slot per kind of timer, and the earliest of them.

use crate::time::Instant;

/// What a timer is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The lookup of the endpoint's addresses takes too long.
    Resolve,
    /// The current dial takes too long.
    Connect,
    /// The handshake takes too long.
    Handshake,
    /// The wait before the next round is over.
    Backoff,
    /// The socket took nothing for too long although bytes were waiting.
    Stall,
    /// Writing failed, and what was received has had its time to be read.
    ReadOut,
    /// Closing or draining has had its time.
    Close,
}

impl Timer {
    const ALL: [Self; 7] = [
        Self::Resolve,
        Self::Connect,
        Self::Handshake,
        Self::Backoff,
        Self::Stall,
        Self::ReadOut,
        Self::Close,
    ];
}

/// The last instant there is: it never comes, or a deadline that saturated there would be due
/// again and again.
const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// The deadline of each kind of timer; `NEVER` where it is not set.
#[derive(Clone, Debug)]
pub(crate) struct Timers {
    deadlines: [Instant; Timer::ALL.len()],
}

impl Default for Timers {
    fn default() -> Self {
        Self { deadlines: [NEVER; Timer::ALL.len()] }
    }
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Instant) {
        self.deadlines[timer as usize] = deadline;
    }

    /// Sets `timer` unless it would run out earlier anyway.
    pub(crate) fn set_earlier(&mut self, timer: Timer, deadline: Instant) {
        self.set(timer, deadline.min(self.deadlines[timer as usize]));
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = NEVER;
    }

    /// Stops every timer but `Close`, which belongs to no connection and no attempt.
    pub(crate) fn stop_all_but_close(&mut self) {
        for timer in Timer::ALL {
            if timer != Timer::Close {
                self.stop(timer);
            }
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.deadlines.into_iter().min().filter(|deadline| *deadline < NEVER)
    }

    /// Takes one timer that is due at `now`, the earliest first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let due = Timer::ALL
            .into_iter()
            .filter(|timer| self.deadlines[*timer as usize] < NEVER)
            .filter(|timer| self.deadlines[*timer as usize] <= now)
            .min_by_key(|timer| self.deadlines[*timer as usize])?;
        self.stop(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_out_earliest_first_and_once() {
        let at = Instant::from_nanos;
        let mut timers = Timers::default();
        timers.set(Timer::Close, at(30));
        timers.set(Timer::Stall, at(10));
        timers.set(Timer::Backoff, at(20));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.take_due(at(9)), None);
        assert_eq!(timers.take_due(at(25)), Some(Timer::Stall));
        assert_eq!(timers.take_due(at(25)), Some(Timer::Backoff));
        assert_eq!(timers.take_due(at(25)), None);
        timers.set_earlier(Timer::Close, at(40));
        assert_eq!(timers.next(), Some(at(30)));
    }
}
