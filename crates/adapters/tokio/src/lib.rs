//! [rebelay](https://docs.rs/rebelay) on tokio, current-thread or multi-thread.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rebelay_driver::{
    BoxFuture, Config, ConnectError, Endpoint, Evidence, Receiver, Runtime, Sender, SockRef,
    Socket, SocketOptions, evidence, finish_connect,
};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// Opens a connection to `endpoint`, driven by a task of the tokio runtime that this runs on
/// (its `net` and `time` drivers must be enabled). The handles may be used anywhere.
///
/// # Errors
/// A setting outside its range, or no tokio runtime, before anything is dialled; with
/// [`FirstConnect::FailFast`](rebelay_driver::FirstConnect::FailFast), why connecting failed.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub async fn connect<E>(endpoint: E, config: Config) -> Result<(Sender, Receiver), ConnectError>
where
    E: TryInto<Endpoint>,
    ConnectError: From<E::Error>,
{
    let handle = Handle::try_current().map_err(|_| ConnectError::NoRuntime { runtime: "tokio" })?;
    let runtime = Tokio { handle: handle.clone() };
    rebelay_driver::connect(runtime, endpoint, config, |driver| drop(handle.spawn(driver))).await
}

struct Tokio {
    handle: Handle,
}

impl Runtime for Tokio {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let _context = self.handle.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn resolve(&self, endpoint: &Endpoint) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        let (host, port) = (endpoint.host().to_owned(), endpoint.port());
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }

    fn dial(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> BoxFuture<io::Result<Arc<dyn Socket>>> {
        let begun = options.begin_connect(address);
        Box::pin(async {
            let stream = TcpStream::from_std(begun?)?;
            loop {
                stream.writable().await?;
                let finish = || finish_connect(SockRef::from(&stream));
                match stream.try_io(Interest::WRITABLE, finish) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => break result?,
                }
            }
            Ok(Arc::new(Tcp(stream)) as Arc<dyn Socket>)
        })
    }
}

struct Tcp(TcpStream);

impl Socket for Tcp {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            if let Some(result) = settled(self.0.try_read_buf(buffer)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            if let Some(result) = settled(self.0.try_write_vectored(slices)) {
                return Poll::Ready(result);
            }
        }
    }

    fn evidence(&self) -> Option<Evidence> {
        evidence(&self.0)
    }

    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0).shutdown(std::net::Shutdown::Write))
    }
}

/// What a try came to; `None`: wait, or where a signal interrupted it, try again.
fn settled(result: io::Result<usize>) -> Option<io::Result<usize>> {
    let again = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
    match result {
        Err(error) if again.contains(&error.kind()) => None,
        result => Some(result),
    }
}
