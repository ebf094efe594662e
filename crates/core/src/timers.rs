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
    /// The connection has ended, and the rest has had its time to be read or said.
    Settle,
    /// Closing or draining has had its time.
    Close,
    /// Evidence may let messages go.
    Measure,
    /// More of the messages that go out again may go.
    Replay,
    /// A message's deadline has come.
    Expire,
}

/// The timers that run beside what the state waits for, each by itself.
const BESIDE: [Timer; 4] = [Timer::Close, Timer::Measure, Timer::Replay, Timer::Expire];

/// The last instant there is: it never comes, or a deadline that saturated there would be due
/// again and again.
const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// The timers that are set, and their deadlines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    /// What the state waits for, one thing at a time.
    step: Option<(Timer, Instant)>,
    /// Those of [`BESIDE`], `Close` first.
    beside: [Option<Instant>; 4],
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Instant) {
        let deadline = Some(deadline).filter(|deadline| *deadline < NEVER);
        match beside(timer) {
            Some(slot) => self.beside[slot] = deadline,
            None => self.step = deadline.map(|deadline| (timer, deadline)),
        }
    }

    /// Sets `timer` unless it would run out earlier anyway.
    pub(crate) fn set_earlier(&mut self, timer: Timer, deadline: Instant) {
        let slot = beside(timer);
        let set = slot.map_or(self.step.map(|(_, set)| set), |slot| self.beside[slot]);
        if set.is_none_or(|set| deadline < set) {
            self.set(timer, deadline);
        }
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        match beside(timer) {
            Some(slot) => self.beside[slot] = None,
            None => drop(self.step.take_if(|(set, _)| *set == timer)),
        }
    }

    /// Stops all that belongs to one attempt or epoch.
    pub(crate) fn stop_step(&mut self) {
        self.step = None;
        self.stop(Timer::Measure);
        self.stop(Timer::Replay);
    }

    /// When what the state waits for is given up.
    pub(crate) fn step(&self) -> Option<Instant> {
        self.step.map(|(_, deadline)| deadline)
    }

    /// When the whole connection is.
    pub(crate) fn close(&self) -> Option<Instant> {
        self.beside[0]
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        let step = self.step.map(|(_, deadline)| deadline);
        let earlier = |first: Instant, set: Option<Instant>| first.min(set.unwrap_or(NEVER));
        let first = self.beside.into_iter().fold(step.unwrap_or(NEVER), earlier);
        Some(first).filter(|first| *first < NEVER)
    }

    /// Takes one timer that is due at `now`, the earliest first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let (due, _) = self.earliest().filter(|(_, deadline)| *deadline <= now)?;
        self.stop(due);
        Some(due)
    }

    fn earliest(&self) -> Option<(Timer, Instant)> {
        let beside = BESIDE.into_iter().zip(self.beside);
        let beside = beside.filter_map(|(timer, deadline)| Some((timer, deadline?)));
        self.step.into_iter().chain(beside).min_by_key(|(_, deadline)| *deadline)
    }
}

fn beside(timer: Timer) -> Option<usize> {
    BESIDE.iter().position(|beside| *beside == timer)
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
    fn what_belongs_to_an_epoch_stops_with_it_and_is_no_limit_of_the_state() {
        let at = Instant::from_nanos;
        let mut timers = Timers::default();
        for (timer, nanos) in
            [(Timer::Measure, 1), (Timer::Replay, 2), (Timer::Expire, 3), (Timer::Stall, 4)]
        {
            timers.set(timer, at(nanos));
        }
        timers.set(Timer::Close, at(5));
        assert_eq!((timers.step(), timers.close()), (Some(at(4)), Some(at(5))));
        timers.stop_step();
        assert_eq!((timers.step(), timers.close()), (None, Some(at(5))));
        assert_eq!(timers.take_due(at(9)), Some(Timer::Expire));
        assert_eq!(timers.take_due(at(9)), Some(Timer::Close));
        assert_eq!(timers.take_due(at(9)), None);
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
