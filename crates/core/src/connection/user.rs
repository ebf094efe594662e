//! What the user asks of a connection.

use bytes::Bytes;

use super::{Connection, Ending, State};
use crate::config::SendOptions;
use crate::error::{Reason, Refusal, SendError};
use crate::outcome::{FailCause, Ticket};
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
        if self.ending.is_some() || self.state == State::Closed {
            return Err(Refusal::Closed);
        }
        let resend = options.resend.unwrap_or(self.config.resend);
        let ticket = self.outbox.admit(message, resend, &self.config)?;
        if self.state == State::Idle {
            self.resolve();
        }
        Ok(ticket)
    }

    /// The peer has every message up to `through`: those with [`Resend::Unacked`] that were
    /// written are released. Naming a message that was never written, or is already settled, is
    /// harmless.
    ///
    /// [`Resend::Unacked`]: crate::Resend::Unacked
    pub fn ack_through(&mut self, through: Ticket, now: Instant) {
        self.observe(now);
        self.outbox.ack_through(through);
        if self.blocked && !self.outbox.has_unwritten() {
            // What the socket would not take need not be taken: it cannot stall with nothing.
            self.blocked = false;
            self.timers.stop(Timer::Stall);
        }
        self.wind_down();
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
            State::Draining | State::Closed => {}
            State::Idle
            | State::Resolving
            | State::Connecting
            | State::Handshaking
            | State::Backoff => self.finish(Reason::Closed),
        }
    }
}
