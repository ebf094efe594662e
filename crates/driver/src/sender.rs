//! The handle that sends, watches and ends a connection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use event_listener::EventListener;
use rebelay_core::{
    Connection, Epoch, Ledger, Outcome, Reason, SendError, SendOptions, State, Ticket,
};

use crate::events::Events;
use crate::handle::Handle;
use crate::history::WaiterKey;
use crate::outcomes::Outcomes;
use crate::sending::Sending;
use crate::shared::{Inner, Shared, Waiting};

/// Sends messages, and watches and ends the connection. Cheap to clone; clones share one
/// connection. When the last handle of a connection is dropped it is closed.
///
/// Its methods may be called on any thread, also outside the runtime.
#[derive(Clone)]
pub struct Sender {
    handle: Handle,
}

impl Sender {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Admits `message`: from then on it has exactly one outcome. Waits for room in the outbox
    /// if there is none and [`Overflow::Wait`](rebelay_core::Overflow::Wait) is configured. While
    /// the connection is idle the message is written before this is ready, in this very task.
    ///
    /// # Errors
    /// The message, handed back whole: it is empty, longer than the outbox, did not fit
    /// ([`Overflow::Reject`](rebelay_core::Overflow::Reject)), or the connection is closing or
    /// closed.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready leaves no trace of the message.
    pub fn send(&self, message: impl Into<Bytes>) -> Sending<'_> {
        self.send_with(message, SendOptions::default())
    }

    /// [`send`](Self::send), with options of this message.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    ///
    /// # Cancel safety
    /// That of [`send`](Self::send).
    #[inline]
    pub fn send_with(&self, message: impl Into<Bytes>, options: SendOptions) -> Sending<'_> {
        Sending::new(self.shared(), message.into(), options)
    }

    /// [`send`](Self::send) without waiting: [`Overflow::Wait`](rebelay_core::Overflow::Wait)
    /// refuses like [`Overflow::Reject`](rebelay_core::Overflow::Reject). Who receives when there
    /// is no room should race that with a `send`, not wait for data alone: room may come without.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn try_send(&self, message: impl Into<Bytes>) -> Result<Ticket, SendError> {
        self.try_send_with(message, SendOptions::default())
    }

    /// [`try_send`](Self::try_send), with options of this message.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn try_send_with(
        &self,
        message: impl Into<Bytes>,
        options: SendOptions,
    ) -> Result<Ticket, SendError> {
        let mut message = message.into();
        let admitted = self.shared().send(&mut message, &options);
        admitted.map_err(|refusal| SendError { message, refusal })
    }

    /// What finally becomes of the message with this ticket. `None`: this connection cannot say,
    /// because it never gave that ticket out, or because so much has happened since that it was
    /// forgotten (4,096 stretches of other outcomes at least; one that is being awaited is never
    /// forgotten).
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future; a ticket can be asked for again.
    pub async fn outcome(&self, ticket: Ticket) -> Option<Outcome> {
        OutcomeOf { shared: self.shared(), ticket, key: None }.await
    }

    /// Every outcome from now on, in runs of tickets: for who accounts for many messages. `None`:
    /// somebody has this stream already. While it lives it must be read: as many runs as
    /// `max_queued_messages` left lying hold further messages up. Like every handle it keeps the
    /// connection open.
    pub fn outcomes(&self) -> Option<Outcomes> {
        let is_new = self.shared().lock().history.open_stream();
        is_new.then(|| Outcomes::new(self.handle.clone()))
    }

    /// Fails the message with this ticket unless a byte of it is out on the current epoch or it
    /// has its outcome; whether it was failed. How sure it is that the peer does not have it, from
    /// an earlier epoch, is in its outcome.
    pub fn cancel(&self, ticket: Ticket) -> bool {
        self.shared().change(|machine, now| machine.cancel(ticket, now))
    }

    /// The peer has every message up to `through`: those that were written and wait for that, or
    /// to go out again ([`Resend::Unacked`](rebelay_core::Resend::Unacked)), are released. Naming
    /// one that was never written, that is proven never to have left, or that is already settled,
    /// is harmless.
    ///
    /// Tickets are numbered from 1 by each `connect`. A peer that counts on where an earlier
    /// process stopped must be asked for its number first, and its numbers be translated.
    pub fn ack_through(&self, through: Ticket) {
        self.shared().change(|machine, now| machine.ack_through(through, now));
    }

    /// Waits until every message admitted so far was handed to a socket or has its outcome.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn flush(&self) {
        let through = Ticket::from_number(self.ledger().admitted);
        let _waiting = Waiting::new(self.shared(), |inner| &mut inner.writing.waiting_flushes);
        self.until(|machine| (machine.written_through() >= through).then_some(())).await;
    }

    /// Waits until the connection is up (at once, if it is), and says which epoch that is. One
    /// that is down again before this task gets to run is not noticed; the receiver sees every
    /// epoch. A lazy connection does not start by this.
    ///
    /// # Errors
    /// Why it never will be: it is closed.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn wait_connected(&self) -> Result<Epoch, Reason> {
        self.until(|machine| match machine.state() {
            State::Connected | State::Draining => machine.epoch().map(Ok),
            State::Closed => Some(Err(machine.last_error().cloned().unwrap_or(Reason::Closed))),
            State::Idle
            | State::Resolving
            | State::Connecting
            | State::Handshaking
            | State::Backoff => None,
        })
        .await
    }

    /// Waits until the connection is closed, whoever closes it.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn wait_closed(&self) -> Ledger {
        self.until(|machine| (machine.state() == State::Closed).then(|| machine.ledger())).await
    }

    /// Closes the connection, within 100 ms: refuses new messages, fails those that were not
    /// begun, finishes one that is half written if the socket takes it, sends a FIN, and waits
    /// for acknowledgements and the peer's FIN. Returns the final ledger.
    ///
    /// # Cancel safety
    /// Closing goes on when the future is dropped.
    pub async fn close(&self) -> Ledger {
        self.shared().change(Connection::close);
        self.wait_closed().await
    }

    /// Refuses new messages and closes once every admitted one has its outcome, reconnecting
    /// meanwhile as usual; when `limit` is over, what is left fails. Returns the final ledger.
    ///
    /// # Cancel safety
    /// Draining goes on when the future is dropped.
    pub async fn drain(&self, limit: Duration) -> Ledger {
        self.shared().change(|machine, now| machine.drain(now + limit, now));
        self.wait_closed().await
    }

    /// Refuses new messages, goes on until every message was written (reconnecting if need be),
    /// sends a FIN, and goes on receiving until the peer's: the end of a request whose answer may
    /// take any time. [`wait_closed`](Self::wait_closed) waits for that, and
    /// [`close`](Self::close) and the limit of a [`drain`](Self::drain) still end it earlier; after
    /// a drain or a close this changes nothing.
    pub fn half_close(&self) {
        self.shared().change(Connection::half_close);
    }

    /// Starts connecting at once: ends a wait, begins a lazy connection, and leaves an
    /// established connection for a new one.
    pub fn reconnect_now(&self) {
        self.shared().change(Connection::reconnect_now);
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.shared().lock().machine.state()
    }

    /// The latest established connection, if there was one.
    pub fn epoch(&self) -> Option<Epoch> {
        self.shared().lock().machine.epoch()
    }

    /// Why the last attempt failed or the last connection ended.
    pub fn last_error(&self) -> Option<Reason> {
        self.shared().lock().machine.last_error().cloned()
    }

    /// What is going on, in a few sentences for people: the state, since when and why, what is
    /// waited for and until when, what the outbox holds, and the last error.
    pub fn explain(&self) -> String {
        let now = self.shared().now();
        self.shared().lock().machine.explain(now)
    }

    /// Every message, counted once.
    pub fn ledger(&self) -> Ledger {
        self.shared().lock().machine.ledger()
    }

    /// Messages in the outbox, and their bytes.
    pub fn queued(&self) -> (usize, usize) {
        self.shared().lock().machine.queued()
    }

    /// What happens on the connection, for people and metrics. Like every handle it keeps the
    /// connection open.
    pub fn events(&self) -> Events {
        Events::new(self.handle.clone())
    }

    fn shared(&self) -> &Shared {
        self.handle.shared()
    }

    /// Waits until `condition` holds of the machine.
    async fn until<T>(&self, condition: impl Fn(&Connection) -> Option<T>) -> T {
        let mut listener: Option<EventListener> = None;
        poll_fn(|cx| {
            loop {
                if let Some(value) = condition(&self.shared().lock().machine) {
                    return Poll::Ready(value);
                }
                match &mut listener {
                    Some(waiting) => match Pin::new(waiting).poll(cx) {
                        Poll::Ready(()) => listener = None,
                        Poll::Pending => return Poll::Pending,
                    },
                    None => listener = Some(self.shared().changed.listen()),
                }
            }
        })
        .await
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("state", &self.state()).finish_non_exhaustive()
    }
}

struct OutcomeOf<'a> {
    shared: &'a Shared,
    ticket: Ticket,
    key: Option<WaiterKey>,
}

impl Future for OutcomeOf<'_> {
    type Output = Option<Outcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut inner = this.shared.lock();
        let told = inner.settle();
        let outcome = this.look(&mut inner, cx.waker());
        drop(inner);
        told.into_iter().for_each(Waker::wake);
        outcome
    }
}

impl OutcomeOf<'_> {
    fn look(&mut self, inner: &mut Inner, waker: &Waker) -> Poll<Option<Outcome>> {
        if let Some(key) = self.key {
            return match inner.history.told(key, waker) {
                Some(outcome) => Poll::Ready(Some(outcome)),
                None => Poll::Pending,
            };
        }
        if let Some(outcome) = inner.history.outcome(self.ticket) {
            return Poll::Ready(Some(outcome));
        }
        // An outcome may wait in the machine, for others to be read.
        if !inner.machine.is_pending(self.ticket) && !inner.machine.has_outcome() {
            return Poll::Ready(None);
        }
        self.key = Some(inner.history.wait(self.ticket, waker.clone()));
        Poll::Pending
    }
}

impl Drop for OutcomeOf<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.lock().history.forget(key);
        }
    }
}
