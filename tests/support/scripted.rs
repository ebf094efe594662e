//! A runtime whose lookups and dials a test decides.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rebelay::io::ByRef;
use rebelay::{
    BoxFuture, Config, Endpoint, Receiver, Runtime, Sender, SockRef, Socket, SocketOptions,
    finish_connect,
};
use smol::{Async, Timer};

/// What a lookup or a dial does.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Does {
    Work,
    Hang,
}

/// A runtime on which every lookup gives `addresses`.
pub struct Scripted {
    pub addresses: Vec<SocketAddr>,
    pub lookup: Does,
    pub dial: Does,
    /// By how many seconds the clock is fast.
    pub fast: Arc<AtomicU64>,
}

impl Scripted {
    /// One that does what a runtime does, with a right clock.
    pub fn at(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, lookup: Does::Work, dial: Does::Work, fast: Arc::default() }
    }

    /// Opens a connection, whose driver runs on smol's executor.
    pub fn open(self, config: Config) -> (Sender, Receiver) {
        let endpoint = Endpoint::new("scripted", 0);
        let (sender, receiver, driver) = rebelay::open(self, endpoint, config).unwrap();
        smol::spawn(driver).detach();
        (sender, receiver)
    }
}

impl Runtime for Scripted {
    fn now(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.fast.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(async move {
            Timer::after(duration).await;
        })
    }

    fn resolve(&self, _endpoint: &Endpoint) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        match self.lookup {
            Does::Hang => Box::pin(pending()),
            Does::Work => Box::pin(std::future::ready(Ok(self.addresses.clone()))),
        }
    }

    fn dial(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> BoxFuture<io::Result<Arc<dyn Socket>>> {
        if self.dial == Does::Hang {
            return Box::pin(pending());
        }
        let begun = options.begin_connect(address);
        Box::pin(async {
            let stream = Async::new(begun?)?;
            stream.write_with(|stream| finish_connect(SockRef::from(stream))).await?;
            let socket = ByRef::new(stream);
            Ok(Arc::new(socket) as Arc<dyn Socket>)
        })
    }
}
