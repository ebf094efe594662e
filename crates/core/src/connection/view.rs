//! What comes out of a connection, and what it says of itself. Nothing here changes its state.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::{Connection, State};
use crate::config::Config;
use crate::error::Reason;
use crate::event::{Action, Event, Item};
use crate::outcome::{Epoch, Ledger, Settled, Ticket};
use crate::time::Instant;

/// For the user.
impl Connection {
    /// The next of the one ordered stream of epochs and received bytes.
    pub fn poll_item(&mut self) -> Option<Item> {
        self.inbox.pop()
    }

    /// Whether [`poll_item`](Self::poll_item) would give anything.
    pub fn has_item(&self) -> bool {
        self.inbox.has_item()
    }

    /// The next run of messages with an outcome. They must be taken: as many runs as
    /// `max_queued_messages` left lying refuse the next message.
    pub fn poll_outcome(&mut self) -> Option<Settled> {
        self.outbox.pop_settled()
    }

    /// Whether [`poll_outcome`](Self::poll_outcome) would give anything.
    pub fn has_outcome(&self) -> bool {
        self.outbox.has_settled()
    }

    /// The next event; reading them is optional.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// When the current state was entered.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// The latest instant seen.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Whether `close`, `drain` or `half_close` was called.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// The latest established connection, if there was one.
    pub fn epoch(&self) -> Option<Epoch> {
        Some(self.current()).filter(|epoch| epoch.0 > 0)
    }

    /// Why the last attempt failed or the last connection ended.
    pub fn last_error(&self) -> Option<&Reason> {
        self.last_error.as_deref().map(|last| &last.reason)
    }

    /// Every message, counted once.
    pub fn ledger(&self) -> Ledger {
        self.outbox.ledger()
    }

    /// The last ticket up to which every message was handed to a socket or has its outcome.
    pub fn written_through(&self) -> Ticket {
        self.outbox.written_through()
    }

    /// How many messages have their outcome.
    pub fn settled(&self) -> u64 {
        self.outbox.settled()
    }

    /// Whether the message with this ticket was admitted and has no outcome yet.
    pub fn is_pending(&self, ticket: Ticket) -> bool {
        self.outbox.is_pending(ticket)
    }

    /// Messages in the outbox, and their bytes.
    pub fn queued(&self) -> (usize, usize) {
        (self.outbox.messages(), self.outbox.bytes())
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

/// For the driver.
impl Connection {
    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.orders.pop()
    }

    /// Whether [`poll_action`](Self::poll_action) would give anything.
    pub fn has_action(&self) -> bool {
        !self.orders.is_empty()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Lends the next bytes to write, in up to `slices.capacity()` slices, and the epoch whose
    /// socket they are for. What became of them must be reported with
    /// [`handle_transmitted`](Self::handle_transmitted) or
    /// [`handle_write_failed`](Self::handle_write_failed); until then, and while the socket is
    /// blocked, nothing more is lent: one writer at a time.
    pub fn poll_transmit(&mut self, slices: &mut Vec<Bytes>) -> Option<Epoch> {
        slices.clear();
        if self.can_transmit() {
            self.outbox.lend(slices);
        }
        (!slices.is_empty()).then_some(self.current())
    }

    /// Whether a writer has what [`poll_transmit`](Self::poll_transmit) lent.
    pub fn is_transmitting(&self) -> bool {
        self.outbox.is_lent()
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) would lend anything.
    #[inline]
    pub fn can_transmit(&self) -> bool {
        self.state == State::Connected
            && !self.blocked
            && self.parting.is_none()
            && self.outbox.has_unwritten()
    }

    /// Lends memory for one read of the current epoch's socket; it must come back with
    /// [`handle_received`](Self::handle_received). `None`: do not read.
    pub fn poll_receive(&mut self) -> Option<(Epoch, BytesMut)> {
        if !self.is_up() || self.peer_finished {
            return None;
        }
        let buffer = self.inbox.lend(self.config.max_received_bytes)?;
        Some((self.current(), buffer))
    }
}
