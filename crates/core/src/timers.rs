//! What the connection waits for, and until when.

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

/// The last instant there is: it never comes, or a deadline that saturated there would be due
/// again and again.
const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// The timers that are set, and their deadlines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    /// What the state waits for, one thing at a time.
    step: Option<(Timer, Instant)>,
    /// `Close`, which belongs to no connection and no attempt.
    close: Option<(Timer, Instant)>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Instant) {
        *self.slot(timer) = (deadline < NEVER).then_some((timer, deadline));
    }

    /// Sets `timer` unless it would run out earlier anyway.
    pub(crate) fn set_earlier(&mut self, timer: Timer, deadline: Instant) {
        if self.slot(timer).is_none_or(|(_, set)| deadline < set) {
            self.set(timer, deadline);
        }
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.slot(timer).take_if(|(set, _)| *set == timer);
    }

    pub(crate) fn stop_all_but_close(&mut self) {
        self.step = None;
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.earliest().map(|(_, deadline)| deadline)
    }

    /// Takes one timer that is due at `now`, the earliest first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let (due, _) = self.earliest().filter(|(_, deadline)| *deadline <= now)?;
        self.stop(due);
        Some(due)
    }

    fn earliest(&self) -> Option<(Timer, Instant)> {
        self.step.into_iter().chain(self.close).min_by_key(|(_, deadline)| *deadline)
    }

    fn slot(&mut self, timer: Timer) -> &mut Option<(Timer, Instant)> {
        if timer == Timer::Close { &mut self.close } else { &mut self.step }
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
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.take_due(at(9)), None);
        assert_eq!(timers.take_due(at(25)), Some(Timer::Stall));
        assert_eq!(timers.take_due(at(25)), None);
        timers.set_earlier(Timer::Close, at(40));
        assert_eq!(timers.next(), Some(at(30)));
    }
    #[test]
    fn the_state_waits_for_one_thing_and_the_end_of_time_for_nothing() {
        let at = Instant::from_nanos;
        let mut timers = Timers::default();
        timers.set(Timer::Resolve, at(10));
        timers.set(Timer::Connect, at(20));
        timers.stop(Timer::Resolve);
        assert_eq!(timers.take_due(at(30)), Some(Timer::Connect));
        timers.set(Timer::Backoff, NEVER);
        timers.set_earlier(Timer::Close, NEVER);
        assert_eq!(timers.next(), None);
        assert_eq!(timers.take_due(NEVER), None);
    }
}
