//! [rebelay](https://docs.rs/rebelay) on async-std.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_io::Async;
use async_std::net::{TcpStream, ToSocketAddrs};
use rebelay_driver::io::ByRef;
use rebelay_driver::{
    BoxFuture, Config, ConnectError, Endpoint, Receiver, Runtime, Sender, SockRef, Socket,
    SocketOptions, finish_connect,
};

/// Opens a connection to `endpoint`, driven by a task of async-std's global executor, whose
/// threads start by themselves. It may be awaited, and the handles used, on any executor.
///
/// # Errors
/// A setting outside its range, before anything is dialled; with
/// [`FirstConnect::FailFast`](rebelay_driver::FirstConnect::FailFast), why connecting failed.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub async fn connect<E>(endpoint: E, config: Config) -> Result<(Sender, Receiver), ConnectError>
where
    E: TryInto<Endpoint>,
    ConnectError: From<E::Error>,
{
    let spawn = |driver| drop(async_std::task::spawn(driver));
    rebelay_driver::connect(AsyncStd, endpoint, config, spawn).await
}

struct AsyncStd;

impl Runtime for AsyncStd {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(async_std::task::sleep(duration))
    }

    fn resolve(&self, endpoint: &Endpoint) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        let (host, port) = (endpoint.host().to_owned(), endpoint.port());
        Box::pin(async move { Ok((host.as_str(), port).to_socket_addrs().await?.collect()) })
    }

    fn dial(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> BoxFuture<io::Result<Arc<dyn Socket>>> {
        let begun = options.begin_connect(address);
        Box::pin(async {
            // async-std cannot wait for a connect that it did not begin; the reactor it is
            // built on can.
            let connecting = Async::new(begun?)?;
            connecting.write_with(|stream| finish_connect(SockRef::from(stream))).await?;
            let stream = TcpStream::from(connecting.into_inner()?);
            Ok(Arc::new(ByRef::new(stream)) as Arc<dyn Socket>)
        })
    }
}
