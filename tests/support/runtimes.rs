//! The runtimes that every conformance test runs on.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rebelay::{Config, ConnectError, Endpoint, Receiver, Sender};

/// A test that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub type Connected = Result<(Sender, Receiver), ConnectError>;

/// One way to run rebelay.
pub trait Runtime: 'static {
    const NAME: &'static str;

    fn block_on<F: Future>(future: F) -> F::Output;

    fn connect(
        endpoint: Endpoint,
        config: Config,
    ) -> impl Future<Output = Connected> + Send + 'static;

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Runs a test on this runtime.
    fn run(test: impl Future<Output = ()>) {
        Self::block_on(async {
            let mut test = pin!(test);
            let mut patience = smol::Timer::after(PATIENCE);
            std::future::poll_fn(|cx| match test.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => pin!(&mut patience).poll(cx).map(|_| panic!("the test hangs")),
            })
            .await;
        });
    }
}

/// A [`Runtime`] that looks up and dials by itself.
pub trait Dials: Runtime {
    /// Connects to an endpoint in words.
    fn connect_to(text: String, config: Config) -> impl Future<Output = Connected> + Send;
}

pub struct TokioCurrent;
pub struct TokioMulti;
pub struct Smol;
pub struct AsyncStd;
/// A stream that the user brings, on an executor that rebelay knows nothing of.
pub struct Brought;

impl Runtime for TokioCurrent {
    const NAME: &'static str = "tokio, current thread";

    fn block_on<F: Future>(future: F) -> F::Output {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(future)
    }

    fn connect(endpoint: Endpoint, config: Config) -> impl Future<Output = Connected> + Send {
        rebelay::tokio::connect(endpoint, config)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = tokio::spawn(future);
        async { task.await.unwrap() }
    }
}

impl Runtime for TokioMulti {
    const NAME: &'static str = "tokio, multi-thread";

    fn block_on<F: Future>(future: F) -> F::Output {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().unwrap().block_on(future)
    }

    fn connect(endpoint: Endpoint, config: Config) -> impl Future<Output = Connected> + Send {
        rebelay::tokio::connect(endpoint, config)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        TokioCurrent::spawn(future)
    }
}

impl Runtime for Smol {
    const NAME: &'static str = "smol";

    fn block_on<F: Future>(future: F) -> F::Output {
        smol::block_on(future)
    }

    fn connect(endpoint: Endpoint, config: Config) -> impl Future<Output = Connected> + Send {
        rebelay::smol::connect(endpoint, config)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        smol::spawn(future)
    }
}

impl Runtime for AsyncStd {
    const NAME: &'static str = "async-std";

    fn block_on<F: Future>(future: F) -> F::Output {
        async_std::task::block_on(future)
    }

    fn connect(endpoint: Endpoint, config: Config) -> impl Future<Output = Connected> + Send {
        rebelay::async_std::connect(endpoint, config)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        async_std::task::spawn(future)
    }
}

impl Runtime for Brought {
    const NAME: &'static str = "a stream that the user brings";

    fn block_on<F: Future>(future: F) -> F::Output {
        smol::block_on(future)
    }

    async fn connect(endpoint: Endpoint, config: Config) -> Connected {
        let (first, target) = (config.connection.first_connect, endpoint.clone());
        let dial = move || {
            let (host, port) = (endpoint.host().to_owned(), endpoint.port());
            async move {
                let stream = smol::net::TcpStream::connect((host, port)).await?;
                io::Result::Ok((stream.clone(), stream))
            }
        };
        let (sender, receiver, driver) = rebelay::io::connect(dial, config)?;
        smol::spawn(driver).detach();
        if first != rebelay::FirstConnect::Lazy {
            let up = sender.wait_connected().await;
            up.map_err(|reason| ConnectError::Failed { endpoint: target, reason })?;
        }
        Ok((sender, receiver))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        smol::spawn(future)
    }
}

impl Dials for TokioCurrent {
    async fn connect_to(text: String, config: Config) -> Connected {
        rebelay::tokio::connect(text.as_str(), config).await
    }
}

impl Dials for TokioMulti {
    async fn connect_to(text: String, config: Config) -> Connected {
        rebelay::tokio::connect(text.as_str(), config).await
    }
}

impl Dials for Smol {
    async fn connect_to(text: String, config: Config) -> Connected {
        rebelay::smol::connect(text.as_str(), config).await
    }
}

impl Dials for AsyncStd {
    async fn connect_to(text: String, config: Config) -> Connected {
        rebelay::async_std::connect(text.as_str(), config).await
    }
}
