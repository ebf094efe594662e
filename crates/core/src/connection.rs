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
//!            disconnected and settled,        │    ┌───────────┐             │
//!            stalled                          └─── │ Connected │ ◀───────────┘
//!                                                  └───────────┘
//!                      close, drained, or half_close │ FIN sent
//!                                                     ▼
//!   ┌────────┐  their FIN, an error, or time is up ┌──────────┐
//!   │ Closed │ ◀────────────────────────────────── │ Draining │
//!   └────────┘                                     └──────────┘
//! ```
//!
//! A connection that has ended may take a while to be settled: after a failed write what had
//! arrived is read, after the peer's FIN the operating system may yet say what never left.
//!
//! `reconnect_now` takes Handshaking and Connected to Resolving. `close`, the end of a drain, and
//! (with `FailFast`) the failure of the first round take every state to Closed; Connected goes
//! there by way of Draining unless the connection ends, or time is up, before all is written.

mod aside;
mod explain;
mod leaving;
mod reaching;
mod user;
mod view;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::SocketAddr;

use bytes::BytesMut;

use crate::backoff::Backoff;
use crate::config::{Config, ConfigError, FirstConnect, PeerFin};
use crate::dial::Dial;
use crate::error::{Fault, Reason};
use crate::event::{Action, Event, Events};
use crate::evidence::Evidence;
use crate::inbox::Inbox;
use crate::orders::Orders;
use crate::outbox::Outbox;
use crate::outcome::Epoch;
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
    /// `close`, `drain` or `half_close` was called: nothing is admitted any more.
    ending: Option<Ending>,
    /// The socket took nothing of what was last offered, and has not said that it would.
    blocked: bool,
    /// The peer sent its FIN on this epoch: nothing more is read.
    peer_finished: bool,
    /// This epoch has ended and is not settled yet: nothing more is written.
    parting: Option<Box<Parting>>,
    /// How often in a row evidence has let no message go.
    fruitless: u8,
    /// No connection was up yet, and the failure of the first round is the end.
    fail_fast: bool,
    last_error: Option<Box<LastError>>,
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
    /// Write what is queued, over new connections if need be, and have it answered.
    Drain,
    /// Write what is queued, over new connections if need be; then the peer has all the time.
    HalfClose,
    /// Finish the message that is half written, on this connection or not at all.
    Close,
}

/// Why this epoch has ended, and what is known of its bytes.
#[derive(Debug)]
struct Parting {
    reason: Reason,
    evidence: Option<Evidence>,
}

impl Parting {
    /// The operating system says this too. What is final stays.
    fn hear(&mut self, evidence: Option<Evidence>) {
        if self.evidence.is_none_or(|known| !known.is_final) {
            self.evidence = evidence.or(self.evidence);
        }
    }
}

/// Why the last attempt failed or the last connection ended.
#[derive(Debug)]
struct LastError {
    reason: Reason,
    /// Of the connection that ended; `None`: it was an attempt.
    epoch: Option<Epoch>,
    round: u64,
    attempt: u64,
    /// Where to; `None`: it was a lookup.
    address: Option<SocketAddr>,
    at: Instant,
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
            ending: None,
            blocked: false,
            peer_finished: false,
            parting: None,
            fruitless: 0,
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
        let epoch = self.outbox.begin_epoch();
        if self.config.handshake {
            self.enter(State::Handshaking);
            self.timers.set(Timer::Handshake, self.now + self.config.handshake_timeout);
            self.orders.start(Action::Handshake { epoch });
        } else {
            self.come_up();
        }
        Some(epoch)
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
        if self.state == State::Handshaking && epoch == self.current() {
            self.timers.stop(Timer::Handshake);
            self.come_up();
        }
    }

    /// The handshake of `epoch` failed.
    pub fn handle_handshake_failed(&mut self, epoch: Epoch, fault: Fault, now: Instant) {
        self.observe(now);
        if self.state == State::Handshaking && epoch == self.current() {
            self.leave_epoch(Reason::Handshake(fault));
        }
    }

    /// The socket of `epoch` took `count` bytes of what was lent; 0: it would block, and nothing
    /// more is lent before [`handle_writable`](Self::handle_writable).
    pub fn handle_transmitted(&mut self, epoch: Epoch, count: usize, now: Instant) {
        self.observe(now);
        if self.state != State::Connected || epoch != self.current() || !self.outbox.is_lent() {
            return;
        }
        self.outbox.taken(count);
        self.blocked = count == 0;
        if count > 0 {
            self.timers.stop(Timer::Stall);
            self.fruitless = 0;
            self.ask_for_evidence();
            self.wind_down();
        } else if self.parting.is_none() {
            let deadline = self.now + self.config.write_stall_timeout;
            self.timers.set_earlier(Timer::Stall, deadline);
        }
    }

    /// The socket of `epoch` may take bytes again.
    pub fn handle_writable(&mut self, epoch: Epoch) {
        self.blocked &= epoch != self.current();
    }

    /// The socket of `epoch` took none of what was lent and never will; `evidence` is what the
    /// operating system says after that. What was received before is still to be read, for
    /// `read_out_timeout` at most, up to the report of
    /// [`handle_disconnected`](Self::handle_disconnected).
    pub fn handle_write_failed(
        &mut self,
        epoch: Epoch,
        fault: Fault,
        evidence: Option<Evidence>,
        now: Instant,
    ) {
        self.observe(now);
        let is_news = self.parting.is_none() || self.outbox.is_lent();
        if self.state == State::Connected && epoch == self.current() && is_news {
            self.outbox.taken(0);
            self.part(Reason::Io(fault), evidence);
        }
    }

    /// What the operating system says of the bytes that the socket of `epoch` took, as
    /// [`Action::Measure`] asked; `None`: it says nothing of such a socket.
    pub fn handle_evidence(&mut self, epoch: Epoch, evidence: Option<Evidence>, now: Instant) {
        self.observe(now);
        if !self.is_up() || epoch != self.current() || !self.outbox.answered() {
            return;
        }
        match evidence {
            None => self.outbox.go_blind(),
            Some(Evidence { untransmitted, .. }) => {
                let fruitful = self.outbox.transmitted(untransmitted);
                self.fruitless = if fruitful { 0 } else { self.fruitless.saturating_add(1) };
            }
        }
        if let Some(parting) = &mut self.parting {
            parting.hear(evidence);
        }
        if evidence.is_some_and(|evidence| evidence.is_final) && self.peer_finished {
            // Nothing is read any more that would tell.
            self.part(Reason::PeerClosed, evidence);
        } else if self.is_settled() {
            self.leave();
        } else {
            self.ask_for_evidence();
            self.wind_down();
        }
    }

    /// The memory that [`poll_receive`](Self::poll_receive) lent comes back, with what was read.
    pub fn handle_received(&mut self, epoch: Epoch, buffer: BytesMut, now: Instant) {
        self.observe(now);
        if self.is_up() && epoch == self.current() {
            let received = self.inbox.accept(buffer, self.config.max_received_bytes);
            self.outbox.ledger_mut().bytes_received += received as u64;
        }
    }

    /// Reading the socket of `epoch` came to its end: [`Reason::PeerClosed`] or [`Reason::Io`].
    /// All that was read must have been handed in before. `evidence` is what the operating system
    /// says after that; a write that is still out with a writer counts as if the socket had taken
    /// it, and then nothing is proven.
    pub fn handle_disconnected(
        &mut self,
        epoch: Epoch,
        reason: Reason,
        evidence: Option<Evidence>,
        now: Instant,
    ) {
        self.observe(now);
        let is_known = self.peer_finished && reason == Reason::PeerClosed;
        if !self.is_up() || epoch != self.current() || is_known {
            return;
        }
        let is_fin = reason == Reason::PeerClosed;
        self.peer_finished |= is_fin;
        if !is_fin || self.state == State::Draining {
            let reason = self.reason_to_tell(reason);
            self.hear(reason.clone(), evidence);
            return self.leave_epoch(reason);
        }
        if self.config.peer_fin == PeerFin::KeepWriting && self.parting.is_none() {
            self.inbox.peer_finished(epoch);
            self.tell(Event::PeerFinished { epoch });
            return self.wind_down();
        }
        self.part(reason, evidence);
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
                Timer::Settle => self.leave(),
                Timer::Close => self.finish(Reason::Closed),
                Timer::Measure => self.measure(),
                Timer::Replay => self.let_replays_go(),
                Timer::Expire => self.expire(),
            }
        }
    }

    #[inline]
    fn observe(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// The latest established connection; 0 before the first.
    fn current(&self) -> Epoch {
        self.outbox.epoch()
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
}
