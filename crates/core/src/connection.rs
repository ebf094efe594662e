//! The machine: its states and every transition. Nothing else changes state.
//!
//! ```text
//!             send, reconnect_now, or at once
//!   ┌──────┐    unless the mode is Lazy     ┌───────────┐  addresses   ┌────────────┐
//!   │ Idle │ ─────────────────────────────▶ │ Resolving │ ───────────▶ │ Connecting │ ◀─┐ next
//!   └──────┘                                └───────────┘              └────────────┘ ──┘ address
//!                                             ▲       │ none, failed,    │   │ connected
//!                              wait over, or  │       │ too long         │   ▼
//!                              reconnect_now  │       ▼       none left  │ ┌─────────────┐
//!                                           ┌───────────┐ ◀──────────────┘ │ Handshaking │
//!                                           │  Backoff  │ ◀─────────────── └─────────────┘
//!                                           └───────────┘ failed, too long   │ done, or none
//!                                             ▲                              │ is configured
//!            disconnected, stalled,           │    ┌───────────┐             │
//!            write failed and read out        └─── │ Connected │ ◀───────────┘
//!                                                  └───────────┘
//!                                   close, or drained │ FIN sent
//!                                                     ▼
//!   ┌────────┐  their FIN, an error, or time is up ┌──────────┐
//!   │ Closed │ ◀────────────────────────────────── │ Draining │
//!   └────────┘                                     └──────────┘
//! ```
//!
//! `reconnect_now` takes Handshaking and Connected to Resolving. `close`, the end of a drain, and
//! (with `FailFast`) the failure of the first round take every state to Closed; Connected goes
//! there by way of Draining unless the connection ends, or time is up, before all is written.

mod user;
mod view;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::SocketAddr;

use bytes::BytesMut;

use crate::backoff::Backoff;
use crate::config::{Config, ConfigError, FirstConnect};
use crate::dial::Dial;
use crate::error::{Fault, Reason};
use crate::event::{Action, Event, Events};
use crate::inbox::Inbox;
use crate::orders::Orders;
use crate::outbox::Outbox;
use crate::outcome::{Epoch, FailCause};
use crate::time::Instant;
use crate::timers::{Timer, Timers};

/// Where a connection stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing was asked for yet.
    Idle,
    /// The endpoint is being looked up.
    Resolving,
    /// One address is being dialled.
    Connecting,
    /// The socket is connected and the user's handshake runs on it.
    Handshaking,
    /// Messages go out and bytes come in.
    Connected,
    /// The last round of attempts failed, or a connection ended; the next round waits.
    Backoff,
    /// All is written and our FIN is sent; what the peer still sends is read.
    Draining,
    /// The end: every message has its outcome, and nothing happens any more.
    Closed,
}

/// A TCP client's every decision, without IO.
///
/// Reports go in with `handle_*`, decisions come out of `poll_*`. Every method may be called in
/// every state: a report about a past attempt or epoch changes nothing, and time never runs
/// backwards (an earlier instant counts as the latest one seen). No method panics. After any
/// input, poll until every `poll_*` answers `None`.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
    /// When `state` was entered.
    since: Instant,
    /// The latest instant seen.
    now: Instant,
    /// The latest established connection; 0 before the first.
    epoch: Epoch,
    /// `close` or `drain` was called: nothing is admitted any more.
    ending: Option<Ending>,
    /// The socket took nothing of what was last offered, and has not said that it would.
    blocked: bool,
    /// Writing on this epoch failed: what was received is still read.
    write_failed: Option<Box<Reason>>,
    /// No connection was up yet, and the failure of the first round is the end.
    fail_fast: bool,
    last_error: Option<Box<Reason>>,
    dial: Dial,
    backoff: Backoff,
    timers: Timers,
    outbox: Outbox,
    inbox: Inbox,
    orders: Orders,
    events: Events,
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Ending {
    /// Write what is queued, over new connections if need be.
    Drain,
    /// Finish the message that is half written, on this connection or not at all.
    Close,
}

impl Connection {
    /// A connection that decides by `config`, which it may share with others. `seed` is where its
    /// jitter comes from.
    ///
    /// # Errors
    /// The first field of `config` outside its range.
    pub fn new(
        config: impl Into<Arc<Config>>,
        seed: u64,
        now: Instant,
    ) -> Result<Self, ConfigError> {
        let config = config.into();
        config.validate()?;
        let mut connection = Self {
            state: State::Idle,
            since: now,
            now,
            epoch: Epoch(0),
            ending: None,
            blocked: false,
            write_failed: None,
            fail_fast: config.first_connect == FirstConnect::FailFast,
            last_error: None,
            dial: Dial::default(),
            backoff: Backoff::new(&config.backoff, seed),
            timers: Timers::default(),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            orders: Orders::default(),
            events: Events::default(),
            config,
        };
        if connection.config.first_connect != FirstConnect::Lazy {
            connection.resolve();
        }
        Ok(connection)
    }
}

/// What the driver reports.
impl Connection {
    /// The lookup of `round` gave `addresses`, in the order to try.
    pub fn handle_resolved(&mut self, round: u64, addresses: &[SocketAddr], now: Instant) {
        self.observe(now);
        if self.state == State::Resolving && round == self.dial.round() {
            self.dial.load(addresses);
            if addresses.is_empty() {
                self.attempt_failed(Reason::NoAddress);
            } else {
                self.timers.stop(Timer::Resolve);
                self.dial_next(Reason::NoAddress);
            }
        }
    }

    /// The lookup of `round` failed.
    pub fn handle_resolve_failed(&mut self, round: u64, fault: Fault, now: Instant) {
        self.observe(now);
        if self.state == State::Resolving && round == self.dial.round() {
            self.attempt_failed(Reason::Resolve(fault));
        }
    }

    /// `attempt` is connected. The epoch it becomes; `None`: it came too late, drop the socket.
    pub fn handle_connected(&mut self, attempt: u64, now: Instant) -> Option<Epoch> {
        self.observe(now);
        if self.state != State::Connecting || attempt != self.dial.attempt() {
            return None;
        }
        self.timers.stop(Timer::Connect);
        self.epoch.0 += 1;
        self.outbox.ledger_mut().epochs += 1;
        if self.config.handshake {
            self.enter(State::Handshaking);
            self.timers.set(Timer::Handshake, self.now + self.config.handshake_timeout);
            self.orders.start(Action::Handshake { epoch: self.epoch });
        } else {
            self.come_up();
        }
        Some(self.epoch)
    }

    /// `attempt` failed.
    pub fn handle_connect_failed(&mut self, attempt: u64, fault: Fault, now: Instant) {
        self.observe(now);
        if self.state == State::Connecting && attempt == self.dial.attempt() {
            self.attempt_failed(Reason::Connect(fault));
        }
    }

    /// The handshake of `epoch` is done.
    pub fn handle_handshaken(&mut self, epoch: Epoch, now: Instant) {
        self.observe(now);
        if self.state == State::Handshaking && epoch == self.epoch {
            self.timers.stop(Timer::Handshake);
            self.come_up();
        }
    }

    /// The handshake of `epoch` failed.
    pub fn handle_handshake_failed(&mut self, epoch: Epoch, fault: Fault, now: Instant) {
        self.observe(now);
        if self.state == State::Handshaking && epoch == self.epoch {
            self.leave_epoch(Reason::Handshake(fault));
        }
    }

    /// The socket of `epoch` took `count` bytes of what was lent; 0: it would block, and nothing
    /// more is lent before [`handle_writable`](Self::handle_writable).
    pub fn handle_transmitted(&mut self, epoch: Epoch, count: usize, now: Instant) {
        self.observe(now);
        if self.state != State::Connected || epoch != self.epoch || !self.outbox.is_lent() {
            return;
        }
        self.outbox.taken(count, epoch);
        self.blocked = count == 0;
        if count > 0 {
            self.timers.stop(Timer::Stall);
            self.wind_down();
        } else {
            let deadline = self.now + self.config.write_stall_timeout;
            self.timers.set_earlier(Timer::Stall, deadline);
        }
    }

    /// The socket of `epoch` may take bytes again.
    pub fn handle_writable(&mut self, epoch: Epoch) {
        self.blocked &= epoch != self.epoch;
    }

    /// The socket of `epoch` took none of what was lent and never will. What was received before
    /// is still to be read, for `read_out_timeout` at most, up to the report of
    /// [`handle_disconnected`](Self::handle_disconnected).
    pub fn handle_write_failed(&mut self, epoch: Epoch, fault: Fault, now: Instant) {
        self.observe(now);
        if self.state == State::Connected && epoch == self.epoch && self.write_failed.is_none() {
            self.outbox.taken(0, epoch);
            self.write_failed = Some(Box::new(Reason::Io(fault)));
            self.timers.stop(Timer::Stall);
            self.timers.set(Timer::ReadOut, self.now + self.config.read_out_timeout);
        }
    }

    /// The memory that [`poll_receive`](Self::poll_receive) lent comes back, with what was read.
    pub fn handle_received(&mut self, epoch: Epoch, buffer: BytesMut, now: Instant) {
        self.observe(now);
        if self.is_up() && epoch == self.epoch {
            let received = self.inbox.accept(buffer, self.config.max_received_bytes);
            self.outbox.ledger_mut().bytes_received += received as u64;
        }
    }

    /// Reading the socket of `epoch` came to its end: [`Reason::PeerClosed`] or [`Reason::Io`].
    /// All that was read must have been handed in before; a write that is still out with a
    /// writer counts as if the socket had taken it.
    pub fn handle_disconnected(&mut self, epoch: Epoch, reason: Reason, now: Instant) {
        self.observe(now);
        if self.is_up() && epoch == self.epoch {
            let first = self.write_failed.take();
            self.leave_epoch(if reason == Reason::PeerClosed {
                first.map_or(reason, |first| *first)
            } else {
                reason
            });
        }
    }

    /// Time has come to `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.observe(now);
        while let Some(timer) = self.timers.take_due(self.now) {
            match timer {
                Timer::Resolve => self.attempt_failed(Reason::ResolveTimeout),
                Timer::Connect => {
                    self.orders.abandon(self.dial.attempt());
                    self.attempt_failed(Reason::ConnectTimeout);
                }
                Timer::Handshake => self.leave_epoch(Reason::HandshakeTimeout),
                Timer::Backoff => self.resolve(),
                Timer::Stall => self.leave_epoch(Reason::Stalled),
                Timer::ReadOut => {
                    let reason = self.write_failed.take().map_or(Reason::Closed, |first| *first);
                    self.leave_epoch(reason);
                }
                Timer::Close => self.finish(Reason::Closed),
            }
        }
    }
}

/// The transitions.
impl Connection {
    #[inline]
    fn observe(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn is_up(&self) -> bool {
        matches!(self.state, State::Connected | State::Draining)
    }

    fn tell(&mut self, event: Event) {
        self.events.push(event, self.config.max_events);
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.since = self.now;
    }

    fn resolve(&mut self) {
        self.timers.stop(Timer::Backoff);
        self.enter(State::Resolving);
        self.timers.set(Timer::Resolve, self.now + self.config.resolve_timeout);
        let round = self.dial.begin_round();
        self.tell(Event::Resolving { round });
        self.orders.start(Action::Resolve { round });
    }

    /// Dials the next address of this round, or waits for the next round, because of `reason`.
    fn dial_next(&mut self, reason: Reason) {
        let Some((attempt, address)) = self.dial.next_attempt() else {
            return self.back_off(reason);
        };
        self.enter(State::Connecting);
        self.timers.set(Timer::Connect, self.now + self.config.connect_timeout);
        self.tell(Event::Connecting { attempt, address });
        self.orders.start(Action::Dial { attempt, address });
    }

    fn attempt_failed(&mut self, reason: Reason) {
        self.timers.stop(Timer::Resolve);
        self.timers.stop(Timer::Connect);
        let attempt = self.dial.attempt();
        self.tell(Event::AttemptFailed { attempt, reason: reason.clone() });
        self.dial_next(reason);
    }

    /// Waits for the next round, unless the first was all that was wanted.
    fn back_off(&mut self, reason: Reason) {
        self.last_error = Some(Box::new(reason.clone()));
        self.enter(State::Backoff);
        self.orders.start_nothing();
        if self.fail_fast && reason != Reason::Reconnect {
            return self.finish(reason);
        }
        let delay = self.backoff.next_delay(&self.config.backoff);
        self.tell(Event::BackingOff { delay });
        self.timers.set(Timer::Backoff, self.now + delay);
        self.wind_down();
    }

    fn come_up(&mut self) {
        self.enter(State::Connected);
        self.fail_fast = false;
        self.inbox.up(self.epoch);
        self.tell(Event::Connected { epoch: self.epoch });
    }

    /// The established connection has ended, or is given up, because of `reason`.
    fn leave_epoch(&mut self, reason: Reason) {
        if self.state == State::Draining || self.ending == Some(Ending::Close) {
            return self.finish(reason);
        }
        self.drop_socket(&reason);
        self.back_off(reason);
    }

    /// Closes the socket of the current epoch, tells the reader, and takes the outbox back.
    fn drop_socket(&mut self, reason: &Reason) {
        self.orders.close_socket(self.epoch);
        self.timers.stop_all_but_close();
        self.blocked = false;
        self.write_failed = None;
        if !self.is_up() {
            let attempt = self.dial.attempt();
            self.tell(Event::AttemptFailed { attempt, reason: reason.clone() });
            return;
        }
        if self.now.saturating_since(self.since) >= self.config.backoff.reset_after {
            self.backoff.reset(&self.config.backoff);
        }
        let (epoch, resent) = (self.epoch, self.outbox.rewind());
        self.inbox.down(epoch, reason.clone());
        self.tell(Event::Disconnected { epoch, reason: reason.clone(), resent });
    }

    /// Where an ending connection has nothing left to wait for: says goodbye.
    fn wind_down(&mut self) {
        let done = match self.ending {
            None => false,
            Some(Ending::Drain) => self.outbox.is_empty(),
            Some(Ending::Close) => self.outbox.is_written(),
        };
        if !done {
            return;
        }
        match self.state {
            State::Connected => {
                self.enter(State::Draining);
                self.orders.shutdown_write(self.epoch);
                self.timers.set_earlier(Timer::Close, self.now + self.config.close_timeout);
            }
            State::Draining | State::Closed => {}
            State::Idle
            | State::Resolving
            | State::Connecting
            | State::Handshaking
            | State::Backoff => self.finish(Reason::Closed),
        }
    }

    /// The end: every message gets its outcome, every resource its order to go.
    fn finish(&mut self, reason: Reason) {
        self.outbox.fail_all(FailCause::Closed);
        match self.state {
            State::Connecting => self.orders.abandon(self.dial.attempt()),
            State::Handshaking | State::Connected | State::Draining => self.drop_socket(&reason),
            State::Idle | State::Resolving | State::Backoff | State::Closed => {}
        }
        self.orders.start_nothing();
        self.timers = Timers::default();
        self.enter(State::Closed);
        self.last_error = Some(Box::new(reason.clone()));
        self.tell(Event::Closed { reason });
    }
}
