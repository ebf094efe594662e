//! A message on its way into the outbox.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use event_listener::EventListener;
use rebelay_core::{Overflow, Refusal, SendError, SendOptions, Ticket};

use crate::shared::{Shared, Waiting};

/// What [`Sender::send`](crate::Sender::send) returns: ready once the message is admitted or
/// refused.
///
/// The message stays where it is until then. An `async fn` would move it from frame to frame,
/// which takes longer than admitting it.
#[must_use = "a message is not sent unless this is awaited"]
pub struct Sending<'a> {
    shared: &'a Shared,
    /// `None` once this is done.
    message: Option<Bytes>,
    options: SendOptions,
    room: Option<Room<'a>>,
}

/// Room that is waited for.
struct Room<'a> {
    listener: EventListener,
    _waiting: Waiting<'a>,
}

impl<'a> Sending<'a> {
    pub(crate) fn new(shared: &'a Shared, message: Bytes, options: SendOptions) -> Self {
        Self { shared, message: Some(message), options, room: None }
    }

    /// The message was refused: waits for room if that is why, and if it may.
    #[cold]
    fn refused(
        &mut self,
        refusal: Refusal,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ticket, SendError>> {
        let waits = || self.shared.lock().machine.config().overflow == Overflow::Wait;
        let result = if refusal == Refusal::Full && waits() {
            ready!(self.poll_when_room(cx))
        } else {
            Err(refusal)
        };
        self.room = None;
        let message = self.message.take().unwrap_or_default();
        Poll::Ready(result.map_err(|refusal| SendError { message, refusal }))
    }

    fn poll_when_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<Ticket, Refusal>> {
        let shared = self.shared;
        loop {
            // Listening first: room that comes between the try and the wait is not missed.
            let room = self.room.get_or_insert_with(|| Room::of(shared));
            let Some(message) = &mut self.message else { return Poll::Pending };
            match shared.send(message, &self.options) {
                Err(Refusal::Full) => {}
                result => return Poll::Ready(result),
            }
            if !shared.make_room() {
                ready!(Pin::new(&mut room.listener).poll(cx));
                room.listener = shared.room.listen();
            }
        }
    }
}

impl Future for Sending<'_> {
    type Output = Result<Ticket, SendError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(message) = &mut this.message else { return Poll::Pending };
        match this.shared.send(message, &this.options) {
            Ok(ticket) => {
                this.message = None;
                if this.room.is_some() {
                    this.room = None;
                }
                Poll::Ready(Ok(ticket))
            }
            Err(refusal) => this.refused(refusal, cx),
        }
    }
}

impl<'a> Room<'a> {
    fn of(shared: &'a Shared) -> Self {
        let _waiting = Waiting::new(shared, |inner| &mut inner.waiting_sends);
        Self { listener: shared.room.listen(), _waiting }
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (message, waits) = (&self.message, self.room.is_some());
        f.debug_struct("Sending").field("message", message).field("waits", &waits).finish()
    }
}
