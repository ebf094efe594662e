//! The handle that receives.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use rebelay_core::Item;

use crate::handle::Handle;
use crate::shared::Shared;

/// Receives the connection's one ordered stream of items: `Up` of an epoch, its data, its
/// `Down`, `Up` of the next. Dropping it throws away whatever arrives from then on.
///
/// While a `recv` waits, its task is the one that reads the socket. So do not keep a pending
/// `recv` (or `poll_next`) without polling it: nothing is read meanwhile. Drop it, and the
/// driver reads on, up to the bound of the inbox.
pub struct Receiver {
    handle: Handle,
}

/// No item came within the time limit. None is lost: the next `recv` gets it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing was received within the time limit")]
pub struct RecvTimeout;

impl Receiver {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.handle.shared()
    }

    /// The next item; `None` when the connection is closed and all items were taken.
    ///
    /// # Cancel safety
    /// An item is taken only by a future that returns it: dropping one that is pending loses
    /// nothing.
    pub async fn recv(&mut self) -> Option<Item> {
        Recv { receiver: self, waiting: false }.await
    }

    /// [`recv`](Self::recv), for at most `limit`.
    ///
    /// # Errors
    /// [`RecvTimeout`] when the time is over; the next call goes on where this one stopped.
    ///
    /// # Cancel safety
    /// That of [`recv`](Self::recv).
    pub async fn recv_timeout(&mut self, limit: Duration) -> Result<Option<Item>, RecvTimeout> {
        if let Some(item) = self.try_recv() {
            return Ok(Some(item));
        }
        let mut sleep = self.handle.shared().runtime.sleep(limit);
        let mut recv = Recv { receiver: self, waiting: false };
        poll_fn(|cx| match Pin::new(&mut recv).poll(cx) {
            Poll::Ready(item) => Poll::Ready(Ok(item)),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| Err(RecvTimeout)),
        })
        .await
    }

    /// The next item if one has arrived; nothing is read for it. `None` also when the connection
    /// is closed.
    pub fn try_recv(&mut self) -> Option<Item> {
        self.handle.shared().try_recv()
    }
}

/// Ends after the last item of a closed connection.
impl Stream for Receiver {
    type Item = Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.handle.shared().poll_recv(cx)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.handle.shared().drop_receiver();
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

struct Recv<'a> {
    receiver: &'a mut Receiver,
    waiting: bool,
}

impl Future for Recv<'_> {
    type Output = Option<Item>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let poll = self.receiver.handle.shared().poll_recv(cx);
        self.waiting = poll.is_pending();
        poll
    }
}

impl Drop for Recv<'_> {
    fn drop(&mut self) {
        if self.waiting {
            self.receiver.handle.shared().stop_recv();
        }
    }
}
