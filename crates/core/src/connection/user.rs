//! What the user asks of a connection.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Connection, Ending, State};
use crate::config::SendOptions;
use crate::error::{Reason, Refusal, SendError};
use crate::outbox::Replay;
use crate::outcome::{Epoch, FailCause, Ticket};
use crate::time::Instant;
use crate::timers::Timer;

impl Connection {
    /// Admits `message` at the end of the outbox. A lazy connection starts to connect.
    ///
    /// # Errors
    /// The message, handed back whole, and why it was refused.
    pub fn send(
        &mut self,
        mut message: Bytes,
        options: SendOptions,
        now: Instant,
    ) -> Result<Ticket, SendError> {
        let admitted = self.send_from(&mut message, &options, now);
        admitted.map_err(|refusal| SendError { message, refusal })
    }

    /// [`send`](Self::send) of the message that lies at `message`. One that is refused is left
    /// there; of one that is admitted it does not matter what is.
    ///
    /// This and what it calls are compiled into the caller. A message that is moved on its way
    /// must wait until its parts have reached memory, and that takes longer than all the rest.
    ///
    /// # Errors
    /// Why it was refused.
    #[inline]
    pub fn send_from(
        &mut self,
        message: &mut Bytes,
        options: &SendOptions,
        now: Instant,
    ) -> Result<Ticket, Refusal> {
        self.observe(now);
        let on_terms = options.expires_after.is_some() || options.epoch.is_some();
        let ticket = if self.state != State::Connected || self.ending.is_some() || on_terms {
            self.send_unusually(message, options)?
        } else {
            let resend = options.resend.unwrap_or(self.config.resend);
            self.outbox.admit(message, resend, &self.config)?
        };
        Ok(ticket)
    }

    /// The peer has every message up to `through`: those that were written and wait for that, or
    /// to go out again, are released. Naming a message that was never written, that is proven
    /// never to have left, or that is already settled, is harmless.
    pub fn ack_through(&mut self, through: Ticket, now: Instant) {
        self.observe(now);
        self.outbox.ack_through(through);
        self.nothing_left_to_stall();
        self.wind_down();
    }

    /// Fails the message with this ticket unless a byte of it is out on the current epoch or it
    /// has its outcome; whether it was failed. How sure it is that the peer does not have it, from
    /// an earlier epoch, is in its outcome.
    pub fn cancel(&mut self, ticket: Ticket, now: Instant) -> bool {
        self.observe(now);
        let cancelled = self.outbox.give_up(ticket, FailCause::Cancelled);
        if cancelled {
            self.nothing_left_to_stall();
            self.wind_down();
        }
        cancelled
    }

    /// The messages that were begun on an earlier epoch and of which no byte is out on this one,
    /// in the order in which they go out again. A handshake sees them all, and may name those that
    /// the peer has ([`ack_through`](Self::ack_through)) or change their bytes
    /// ([`replace`](Self::replace)) before any of them goes.
    pub fn replays(&mut self) -> Vec<Replay> {
        self.outbox.replays()
    }

    /// Puts `message` in the place of the one with this ticket, of which no byte may be out on
    /// the current epoch: to mark it as one that is sent again, for example. What
    /// is put in may take the outbox to twice `max_queued_bytes`; nothing is admitted until it is
    /// below that again.
    ///
    /// # Errors
    /// The message, handed back whole: the other one is being written, was, or has its outcome
    /// ([`Refusal::Begun`]), or this one is empty, or does not fit even so.
    pub fn replace(&mut self, ticket: Ticket, message: Bytes) -> Result<(), SendError> {
        let replaced = self.outbox.replace(ticket, &message, &self.config);
        replaced.map_err(|refusal| SendError { message, refusal })
    }

    /// Nobody will take items: what is received from now on is thrown away unseen, so that the
    /// peer is not held up and its end is noticed.
    pub fn discard_received(&mut self) {
        self.inbox.discard();
    }

    /// Nothing has moved for a while: gives back the memory that is kept only for speed. It costs
    /// nothing but the allocations that the next message needs.
    pub fn rest(&mut self) {
        self.outbox.rest();
        self.inbox.rest();
        self.events.rest();
    }

    /// Starts the next round at once: ends a wait, begins a lazy connection, and leaves an
    /// established connection for a new one. A round that is under way goes on.
    pub fn reconnect_now(&mut self, now: Instant) {
        self.observe(now);
        match self.state {
            State::Idle | State::Backoff => self.resolve(),
            State::Connected | State::Handshaking if self.ending != Some(Ending::Close) => {
                self.leave_epoch(Reason::Reconnect);
                if self.state == State::Backoff {
                    self.resolve();
                }
            }
            State::Connected
            | State::Handshaking
            | State::Resolving
            | State::Connecting
            | State::Draining
            | State::Closed => {}
        }
    }

    /// Refuses new messages, goes on until every message has its outcome (reconnecting if need
    /// be), sends a FIN, waits `close_timeout` for the peer's, and closes; at `deadline` at the
    /// latest, when what is left fails.
    pub fn drain(&mut self, deadline: Instant, now: Instant) {
        self.observe(now);
        if self.state != State::Closed {
            self.ending.get_or_insert(Ending::Drain);
            self.timers.set_earlier(Timer::Close, deadline.max(self.now));
            self.wind_down();
        }
    }

    /// Refuses new messages, goes on until every message was written (reconnecting if need be),
    /// sends a FIN, and keeps reading until the peer's: the end of a request whose answer may take
    /// any time. [`close`](Self::close) and the deadline of a [`drain`](Self::drain) still end it
    /// earlier; after a drain or a close this changes nothing. If the connection fails after the FIN, it closes with that reason.
    pub fn half_close(&mut self, now: Instant) {
        self.observe(now);
        if self.state != State::Closed {
            self.ending.get_or_insert(Ending::HalfClose);
            self.wind_down();
        }
    }

    /// Refuses new messages, fails those that were not begun, and closes: at once where no
    /// connection is up, else within `close_timeout`, in which a half-written message is
    /// finished, a FIN sent, and acknowledgements and the peer's FIN are awaited.
    pub fn close(&mut self, now: Instant) {
        self.observe(now);
        match self.state {
            State::Connected => {
                self.ending = Some(Ending::Close);
                self.timers.set_earlier(Timer::Close, self.now + self.config.close_timeout);
                self.outbox.fail_untouched(FailCause::Closed);
                self.wind_down();
            }
            State::Draining => {
                self.timers.set_earlier(Timer::Close, self.now + self.config.close_timeout);
            }
            State::Closed => {}
            State::Idle
            | State::Resolving
            | State::Connecting
            | State::Handshaking
            | State::Backoff => self.finish(Reason::Closed),
        }
    }

    /// Admits a message on terms of its own, or where no connection is up.
    #[cold]
    fn send_unusually(
        &mut self,
        message: &mut Bytes,
        options: &SendOptions,
    ) -> Result<Ticket, Refusal> {
        if self.ending.is_some() || self.state == State::Closed {
            return Err(Refusal::Closed);
        }
        if options.epoch.is_some_and(|epoch| !self.is_current(epoch)) {
            return Err(Refusal::EpochOver);
        }
        let resend = options.resend.unwrap_or(self.config.resend);
        let ticket = self.outbox.admit(message, resend, &self.config)?;
        if options.epoch.is_some() {
            self.outbox.pin(ticket);
        }
        if let Some(limit) = options.expires_after {
            self.expire_after(ticket, limit);
        }
        if self.state == State::Idle {
            self.resolve();
        }
        Ok(ticket)
    }

    /// Whether a message pinned to `epoch` may go out.
    fn is_current(&self, epoch: Epoch) -> bool {
        let has_socket = matches!(self.state, State::Handshaking | State::Connected);
        epoch == self.current() && has_socket && self.parting.is_none()
    }

    /// What the socket would not take, and need not be taken any more, cannot stall.
    pub(super) fn nothing_left_to_stall(&mut self) {
        if self.blocked && !self.outbox.has_unwritten() {
            self.blocked = false;
            self.timers.stop(Timer::Stall);
        }
    }
}
