//! Any `futures-io` stream that the user brings, on any executor: no runtime is needed.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};
use rebelay_core::Evidence;
use socket2::SockRef;

use crate::config::{Config, ConnectError};
use crate::connect::open;
use crate::drive::Driver;
use crate::endpoint::Endpoint;
use crate::options::SocketOptions;
use crate::receiver::Receiver;
use crate::runtime::{BoxFuture, Runtime, Socket};
use crate::sender::Sender;
use crate::sync::{Mutex, MutexGuard};

/// Opens a connection over streams that `dial` makes: a Unix socket, an in-memory duplex, TLS.
/// `dial` is called for every attempt and gives the two directions of a new stream, from which
/// they may be split or which may be the same type twice.
///
/// The [`Driver`] that is returned must be spawned on an executor of the user's choice, or
/// awaited; timers come from one thread of the `futures-timer` crate. The connection is opened
/// once the driver runs; [`Sender::wait_connected`] waits for it. `config.socket` is not used.
///
/// # Errors
/// A setting outside its range.
pub fn connect<D, Fut, R, W>(
    dial: D,
    config: Config,
) -> Result<(Sender, Receiver, Driver), ConnectError>
where
    D: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<(R, W)>> + Send + 'static,
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    open(Dialer { dial }, Endpoint::new("the user's stream", 0), config)
}

/// Ten years.
const LONGEST_SLEEP: Duration = Duration::from_secs(315_360_000);

struct Dialer<D> {
    dial: D,
}

impl<D, Fut, R, W> Runtime for Dialer<D>
where
    D: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<(R, W)>> + Send + 'static,
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        // A delay that ends after the end of the clock would panic.
        Box::pin(futures_timer::Delay::new(duration.min(LONGEST_SLEEP)))
    }

    /// The user's stream has no address: one dial a round, of the unspecified one.
    fn resolve(&self, _endpoint: &Endpoint) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        Box::pin(async { Ok(vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))]) })
    }

    fn dial(
        &self,
        _address: SocketAddr,
        _options: &SocketOptions,
    ) -> BoxFuture<io::Result<Arc<dyn Socket>>> {
        let stream = (self.dial)();
        Box::pin(async {
            let (read, write) = stream.await?;
            let write = Writer { stream: write, unflushed: false };
            let socket = Halves { read: Mutex::new(read), write: Mutex::new(write) };
            Ok(Arc::new(socket) as Arc<dyn Socket>)
        })
    }
}

/// Two directions with a lock each, held for one call of the stream that never blocks.
struct Halves<R, W> {
    read: Mutex<R>,
    write: Mutex<Writer<W>>,
}

struct Writer<W> {
    stream: W,
    /// The stream may keep back bytes that it took. Only then is it flushed: a flush in between
    /// may cancel the wake-up that a pending write waits for.
    unflushed: bool,
}

impl<R, W> Socket for Halves<R, W>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        poll_read(Pin::new(&mut *lock(&self.read)), cx, buffer)
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut writer = lock(&self.write);
        ready!(writer.poll_flush(cx))?;
        let count = ready!(poll_write(Pin::new(&mut writer.stream), cx, slices))?;
        writer.unflushed = true;
        // The bytes were taken, whatever becomes of the flush: its error is the next call's.
        let _ = writer.poll_flush(cx);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.write).poll_flush(cx)
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.write).stream).poll_close(cx)
    }
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(retry(|| Pin::new(&mut self.stream).poll_flush(cx)))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A TCP socket that can be read and written through a shared reference, as those of smol and
/// async-std can.
#[derive(Debug)]
pub struct ByRef<S>(S);

impl<S> ByRef<S> {
    /// The socket `stream`.
    pub fn new(stream: S) -> Self {
        Self(stream)
    }
}

impl<S> Socket for ByRef<S>
where
    S: Send + Sync + 'static,
    for<'a> &'a S: AsyncRead + AsyncWrite + Unpin,
    for<'a> SockRef<'a>: From<&'a S>,
{
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        poll_read(Pin::new(&mut &self.0), cx, buffer)
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        poll_write(Pin::new(&mut &self.0), cx, slices)
    }

    fn evidence(&self) -> Option<Evidence> {
        rebelay_evidence::evidence(&*SockRef::from(&self.0))
    }

    /// By the system call: `poll_close` of such a stream does not do it.
    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0).shutdown(Shutdown::Write))
    }
}

fn poll_read(
    mut stream: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    // `AsyncRead` wants initialised memory.
    let (filled, capacity) = (buffer.len(), buffer.capacity());
    buffer.resize(capacity, 0);
    let poll = retry(|| stream.as_mut().poll_read(cx, &mut buffer[filled..]));
    let count = if let Poll::Ready(Ok(count)) = poll { count } else { 0 };
    buffer.truncate(filled + count.min(capacity - filled));
    poll
}

fn poll_write(
    mut stream: Pin<&mut impl AsyncWrite>,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    retry(|| stream.as_mut().poll_write_vectored(cx, slices))
}

/// A call that a signal interrupted (EINTR) is made again.
fn retry<T>(mut call: impl FnMut() -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    loop {
        match call() {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(result) => return Poll::Ready(result),
            Poll::Pending => return Poll::Pending,
        }
    }
}
