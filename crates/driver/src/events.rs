//! The handle that tells what happens.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use event_listener::EventListener;
use futures_core::Stream;
use rebelay_core::{Event, State};

use crate::handle::Handle;

/// What happens on a connection, for people and metrics: attempts, outages, waits. The last
/// `max_events` are kept; the oldest make room, and [`Event::Lost`] says how many did. Nothing
/// ever waits for them to be read.
///
/// Several `Events` of one connection share its events: each goes to one of them.
pub struct Events {
    handle: Handle,
    listener: Option<EventListener>,
}

impl Events {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, listener: None }
    }

    /// The next event; `None` when the connection is closed and all were taken.
    ///
    /// # Cancel safety
    /// An event is taken only by a future that returns it.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// The next event if there is one.
    pub fn try_next(&mut self) -> Option<Event> {
        self.handle.shared().lock().machine.poll_event()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            let mut inner = self.handle.shared().lock();
            if let Some(event) = inner.machine.poll_event() {
                return Poll::Ready(Some(event));
            }
            if inner.machine.state() == State::Closed {
                return Poll::Ready(None);
            }
            drop(inner);
            match &mut self.listener {
                Some(listener) => match Pin::new(listener).poll(cx) {
                    Poll::Ready(()) => self.listener = None,
                    Poll::Pending => return Poll::Pending,
                },
                None => self.listener = Some(self.handle.shared().changed.listen()),
            }
        }
    }
}

/// Ends after the last event of a closed connection.
impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
