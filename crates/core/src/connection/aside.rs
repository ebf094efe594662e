//! What runs beside the states: asking for evidence, pacing what goes out again, deadlines.

use core::time::Duration;

use super::Connection;
use crate::event::Event;
use crate::outbox::Deadline;
use crate::outcome::Ticket;
use crate::timers::Timer;

/// The wait between two questions for evidence, doubled while it lets nothing go: so many times,
/// and so many while the verdict on a connection that has ended is awaited.
const MEASURE: (Duration, u8, u8) = (Duration::from_millis(10), 7, 4);

/// How often a second messages that go out again are let go at most: several at once if need be.
const TICKS: u32 = 1_000;

impl Connection {
    /// Asks for evidence, if any is wanted: at once if many bytes were taken since the last time,
    /// else in a while.
    pub(super) fn ask_for_evidence(&mut self) {
        if self.outbox.wants_evidence() && self.outbox.has_taken_much(&self.config) {
            self.measure();
        } else {
            self.ask_later_for_evidence();
        }
    }

    /// Asks for evidence in a while, if any is wanted.
    fn ask_later_for_evidence(&mut self) {
        if self.outbox.wants_evidence() {
            let (first, alive, parting) = MEASURE;
            let doublings = if self.parting.is_some() { parting } else { alive };
            let wait = first * (1 << self.fruitless.min(doublings));
            self.timers.set_earlier(Timer::Measure, self.now + wait);
        } else {
            self.timers.stop(Timer::Measure);
        }
    }

    /// Asks for evidence.
    pub(super) fn measure(&mut self) {
        self.timers.stop(Timer::Measure);
        if self.is_up() && self.outbox.wants_evidence() && self.outbox.ask() {
            self.orders.measure(self.current());
        }
    }

    /// A connection is up: holds back what goes out again, if it is to be paced.
    pub(super) fn pace_replays(&mut self) {
        let is_paced = self.config.max_resent_per_second < u32::MAX;
        if is_paced && self.outbox.hold_back(self.replay_step().0) {
            self.timers.set(Timer::Replay, self.now + self.replay_step().1);
        }
    }

    pub(super) fn let_replays_go(&mut self) {
        let (count, wait) = self.replay_step();
        if self.outbox.let_go(count) {
            self.timers.set(Timer::Replay, self.now + wait);
        }
    }

    /// How many messages go at once, and how long the next then wait.
    fn replay_step(&self) -> (u32, Duration) {
        let rate = self.config.max_resent_per_second;
        let count = rate.div_ceil(TICKS);
        (count, Duration::from_nanos(u64::from(count) * 1_000_000_000 / u64::from(rate)))
    }

    /// The message with this ticket was admitted, and expires after `limit`.
    pub(super) fn expire_after(&mut self, ticket: Ticket, limit: Duration) {
        self.outbox.expire_after(ticket, limit, self.now);
        self.watch_deadlines();
    }

    pub(super) fn expire(&mut self) {
        while let Some(deadline) = self.outbox.call_deadline(self.now) {
            match deadline {
                Deadline::Expired => self.nothing_left_to_stall(),
                Deadline::Passed(ticket) => self.tell(Event::DeadlinePassed { ticket }),
            }
        }
        self.watch_deadlines();
        self.wind_down();
    }

    /// Sets the timer for the next deadline.
    fn watch_deadlines(&mut self) {
        match self.outbox.next_deadline() {
            Some(deadline) => self.timers.set(Timer::Expire, deadline),
            None => self.timers.stop(Timer::Expire),
        }
    }
}
