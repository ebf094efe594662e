//! The transitions that leave an established connection, and the end.

use alloc::boxed::Box;

use super::{Connection, Ending, Parting, State};
use crate::error::Reason;
use crate::event::{Action, Event};
use crate::evidence::Evidence;
use crate::outcome::FailCause;
use crate::timers::{Timer, Timers};

impl Connection {
    /// The established connection has ended because of `reason`, and is left once the rest is
    /// read and said.
    pub(super) fn part(&mut self, reason: Reason, evidence: Option<Evidence>) {
        self.timers.stop(Timer::Stall);
        if self.parting.is_none() {
            self.timers.set(Timer::Settle, self.now + self.config.read_out_timeout);
            // However long the peer was stuck, the verdict is to be asked for in that time.
            self.fruitless = 0;
        }
        self.hear(reason, evidence);
        if self.is_settled() {
            self.leave();
        } else if self.peer_finished {
            self.measure();
        }
    }

    /// The connection has ended, and this is said of its bytes then; the first reason stays.
    pub(super) fn hear(&mut self, reason: Reason, evidence: Option<Evidence>) {
        let parting = Parting { reason, evidence: None };
        self.parting.get_or_insert_with(|| Box::new(parting)).hear(evidence);
    }

    /// Whether nothing more is to be read or said of the connection that has ended.
    pub(super) fn is_settled(&self) -> bool {
        let Some(parting) = &self.parting else { return false };
        let is_final = parting.evidence.is_none_or(|evidence| evidence.is_final);
        self.peer_finished && (is_final || !self.outbox.wants_evidence())
    }

    /// Leaves the connection that has ended.
    pub(super) fn leave(&mut self) {
        self.leave_epoch(self.reason_to_tell(Reason::Closed));
    }

    /// Why the connection ended, if `then` is what was heard of it last: an error of reading says
    /// more than what came before it.
    pub(super) fn reason_to_tell(&self, then: Reason) -> Reason {
        match &self.parting {
            Some(parting) if !matches!(then, Reason::Io(_)) => parting.reason.clone(),
            Some(_) | None => then,
        }
    }

    /// The established connection has ended and is settled, or is given up, because of `reason`.
    pub(super) fn leave_epoch(&mut self, reason: Reason) {
        if self.state == State::Draining || self.ending == Some(Ending::Close) {
            return self.finish(reason);
        }
        self.drop_socket(&reason, None);
        self.back_off(reason);
    }

    /// Where an ending connection has nothing left to wait for: says goodbye.
    pub(super) fn wind_down(&mut self) {
        let done = match self.ending {
            None => false,
            Some(Ending::Drain) => self.outbox.is_empty(),
            Some(Ending::HalfClose | Ending::Close) => self.outbox.is_written(),
        };
        if !done || self.parting.is_some() {
            return;
        }
        match self.state {
            State::Connected if self.peer_finished => self.finish(Reason::PeerClosed),
            State::Connected => {
                self.enter(State::Draining);
                self.orders.start(Action::ShutdownWrite { epoch: self.current() });
                if self.ending != Some(Ending::HalfClose) {
                    self.timers.set_earlier(Timer::Close, self.now + self.config.close_timeout);
                }
            }
            State::Draining | State::Closed => {}
            // The peer's last words may come on the connection that is about to be up.
            State::Handshaking if self.ending == Some(Ending::HalfClose) => {}
            State::Idle
            | State::Resolving
            | State::Connecting
            | State::Handshaking
            | State::Backoff => self.finish(Reason::Closed),
        }
    }

    /// The end: every message gets its outcome, every resource its order to go.
    pub(super) fn finish(&mut self, reason: Reason) {
        let has_socket = self.is_up() || self.state == State::Handshaking;
        if has_socket {
            self.drop_socket(&reason, Some(FailCause::Closed));
        } else {
            self.outbox.fail_all(0, FailCause::Closed);
            self.note_error(&reason);
        }
        if self.state == State::Connecting {
            self.orders.abandon(self.dial.attempt());
        }
        self.orders.start_nothing();
        self.timers = Timers::default();
        self.enter(State::Closed);
        self.tell(Event::Closed { reason });
    }

    /// Closes the socket of the current epoch, tells the reader, and takes the outbox back; or
    /// with `fail` settles all of it.
    fn drop_socket(&mut self, reason: &Reason, fail: Option<FailCause>) {
        self.note_error(reason);
        self.orders.close_socket(self.current());
        self.timers.stop_step();
        (self.blocked, self.peer_finished) = (false, false);
        let evidence = self.parting.take().and_then(|parting| parting.evidence);
        let untransmitted = evidence.filter(|evidence| evidence.is_final).map_or(0, |evidence| {
            // Our FIN may be among what did not leave.
            evidence.untransmitted.saturating_sub(u64::from(self.state == State::Draining))
        });
        let affected = match fail {
            Some(cause) => self.outbox.fail_all(untransmitted, cause),
            None => self.outbox.rewind(untransmitted, &self.config),
        };
        if !self.is_up() {
            let attempt = self.dial.attempt();
            self.tell(Event::AttemptFailed { attempt, reason: reason.clone() });
            return;
        }
        if self.now.saturating_since(self.since) >= self.config.backoff.reset_after {
            self.backoff.reset(&self.config.backoff);
        }
        self.inbox.down(self.current(), reason.clone());
        self.tell(Event::Disconnected {
            epoch: self.current(),
            reason: reason.clone(),
            resent: affected.resent,
            proven_unsent: affected.proven_unsent,
        });
    }
}
