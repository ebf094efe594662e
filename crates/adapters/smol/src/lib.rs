//! [rebelay](https://docs.rs/rebelay) on smol: its reactor, and its global executor.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rebelay_driver::io::ByRef;
use rebelay_driver::{
    BoxFuture, Config, ConnectError, Endpoint, Receiver, Runtime, Sender, SockRef, Socket,
    SocketOptions, finish_connect,
};
use smol::{Async, Timer};

/// Opens a connection to `endpoint`, driven by a task of smol's global executor, whose threads
/// start by themselves. It may be awaited, and the handles used, on any executor.
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
    rebelay_driver::connect(Smol, endpoint, config, |driver| smol::spawn(driver).detach()).await
}

struct Smol;

impl Runtime for Smol {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(async move {
            Timer::after(duration).await;
        })
    }

    fn resolve(&self, endpoint: &Endpoint) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        let (host, port) = (endpoint.host().to_owned(), endpoint.port());
        Box::pin(smol::net::resolve((host, port)))
    }

    fn dial(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> BoxFuture<io::Result<Arc<dyn Socket>>> {
        let begun = options.begin_connect(address);
        Box::pin(async {
            let stream = Async::new(begun?)?;
            stream.write_with(|stream| finish_connect(SockRef::from(stream))).await?;
            Ok(Arc::new(ByRef::new(stream)) as Arc<dyn Socket>)
        })
    }
}
