//! The transitions on the way to an established connection.

use alloc::boxed::Box;

use super::{Connection, LastError, State};
use crate::error::Reason;
use crate::event::{Action, Event};
use crate::timers::Timer;

impl Connection {
    pub(super) fn resolve(&mut self) {
        self.timers.stop(Timer::Backoff);
        self.enter(State::Resolving);
        self.timers.set(Timer::Resolve, self.now + self.config.resolve_timeout);
        let round = self.dial.begin_round();
        self.tell(Event::Resolving { round });
        self.orders.start(Action::Resolve { round });
    }

    /// Dials the next address of this round, or waits for the next round, because of `reason`.
    pub(super) fn dial_next(&mut self, reason: Reason) {
        let Some((attempt, address)) = self.dial.next_attempt() else {
            return self.back_off(reason);
        };
        self.enter(State::Connecting);
        self.timers.set(Timer::Connect, self.now + self.config.connect_timeout);
        self.tell(Event::Connecting { attempt, address });
        self.orders.start(Action::Dial { attempt, address });
    }

    pub(super) fn attempt_failed(&mut self, reason: Reason) {
        self.timers.stop(Timer::Resolve);
        self.timers.stop(Timer::Connect);
        let attempt = self.dial.attempt();
        self.note_error(&reason);
        self.tell(Event::AttemptFailed { attempt, reason: reason.clone() });
        self.dial_next(reason);
    }

    /// Waits for the next round, unless the first was all that was wanted.
    pub(super) fn back_off(&mut self, reason: Reason) {
        self.enter(State::Backoff);
        self.orders.start_nothing();
        if self.fail_fast && reason != Reason::Reconnect {
            return self.finish(reason);
        }
        let delay = self.backoff.next_delay(&self.config.backoff);
        self.tell(Event::BackingOff { delay });
        self.timers.set(Timer::Backoff, self.now + delay);
        // The deadlines of messages that came back may have passed while they were out.
        self.expire();
    }

    pub(super) fn come_up(&mut self) {
        self.enter(State::Connected);
        self.fail_fast = false;
        self.inbox.up(self.current());
        self.tell(Event::Connected { epoch: self.current() });
        self.pace_replays();
        self.wind_down();
    }

    /// Remembers why the current attempt failed or the current connection ended.
    pub(super) fn note_error(&mut self, reason: &Reason) {
        self.last_error = Some(Box::new(LastError {
            reason: reason.clone(),
            epoch: self.is_up().then_some(self.current()),
            round: self.dial.round(),
            attempt: self.dial.attempt(),
            address: self.dial.address(),
            at: self.now,
        }));
    }
}
