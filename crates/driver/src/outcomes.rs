//! The handle that tells what became of all messages.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use rebelay_core::{Settled, State};

use crate::handle::Handle;

/// What becomes of every message, each once, as runs of consecutive tickets with one outcome:
/// nothing is allocated for a message. Runs come in the order in which their messages were
/// settled, not in that of their tickets.
///
/// It must be read while it lives: once `max_queued_messages` runs lie unread, further outcomes
/// wait in the outbox, [`outcome`](crate::Sender::outcome) does not learn of them, and the outbox
/// is full before long.
pub struct Outcomes {
    handle: Handle,
}

impl Outcomes {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// The next run; `None` when the connection is closed and all were taken.
    ///
    /// # Cancel safety
    /// A run is taken only by a future that returns it.
    pub async fn next(&mut self) -> Option<Settled> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Settled>> {
        let shared = self.handle.shared();
        let mut inner = shared.lock();
        let told = inner.settle();
        let run = inner.history.read(cx.waker());
        let is_over = inner.machine.state() == State::Closed && !inner.machine.has_outcome();
        // What was read makes room: for outcomes that wait in the outbox, and so for messages.
        shared.publish(inner, false);
        told.into_iter().for_each(Waker::wake);
        match run {
            Some(run) => Poll::Ready(Some(run)),
            None if is_over => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// Ends after the last run of a closed connection.
impl Stream for Outcomes {
    type Item = Settled;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Settled>> {
        self.poll(cx)
    }
}

/// Outcomes that were not read are forgotten, and hold nothing up.
impl Drop for Outcomes {
    fn drop(&mut self) {
        let shared = self.handle.shared();
        let mut inner = shared.lock();
        let waker = inner.history.close_stream();
        shared.publish(inner, false);
        drop(waker);
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").finish_non_exhaustive()
    }
}
