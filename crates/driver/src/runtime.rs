//! What the driver needs of a runtime: a clock, a sleep, a lookup, a dial, and the socket that
//! comes of it. An adapter implements these two traits and decides nothing.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rebelay_core::Evidence;

use crate::endpoint::Endpoint;
use crate::options::SocketOptions;

/// A future on the heap, as the runtime traits return it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A runtime, or anything else that can dial and tell the time.
pub trait Runtime: Send + Sync + 'static {
    /// The runtime's clock; it must not run backwards.
    fn now(&self) -> Instant;

    /// Completes after `duration`, not before. May be called, and its future polled, on any
    /// task.
    fn sleep(&self, duration: Duration) -> BoxFuture<()>;

    /// Looks `endpoint` up. Dropping the future gives up.
    fn resolve(&self, endpoint: &Endpoint) -> BoxFuture<io::Result<Vec<SocketAddr>>>;

    /// Connects to `address` with `options` set. Dropping the future gives up.
    fn dial(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> BoxFuture<io::Result<Arc<dyn Socket>>>;
}

/// A connected byte stream that can be read and written through a shared reference.
///
/// At any moment at most one task reads and at most one writes. `Pending` means that the waker
/// of the latest call in that direction will be woken. `ErrorKind::Interrupted` is retried
/// inside, never returned. Dropping the last reference closes the socket.
pub trait Socket: Send + Sync + 'static {
    /// Reads once into the spare capacity of `buffer`, which is not empty; 0: the peer's end.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>>;

    /// Writes once from `slices`, which hold at least one byte.
    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Passes on what a stream with a buffer of its own took and kept back. A write does so too;
    /// this is for what was left then.
    fn poll_flush(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// What the operating system says about the bytes that the socket took, at once; `None`: it
    /// says nothing of such a stream. It is asked again and again, and after an end for the last
    /// time.
    fn evidence(&self) -> Option<Evidence> {
        None
    }

    /// Says that nothing more will be written (FIN); reading goes on.
    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}
