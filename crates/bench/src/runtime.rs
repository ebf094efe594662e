//! The runtimes, each as a user gets it.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;

use rebelay::{Config, ConnectError, Receiver, Sender};

/// What everything here may fail with.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Runtime {
    TokioCurrent,
    /// Two threads.
    TokioMulti,
    /// Its global executor: one thread, unless the environment asks for more.
    Smol,
    /// Its global executor: a thread a core.
    AsyncStd,
}

impl Runtime {
    pub(crate) const ALL: [Self; 4] =
        [Self::TokioCurrent, Self::TokioMulti, Self::Smol, Self::AsyncStd];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TokioCurrent => "current",
            Self::TokioMulti => "multi",
            Self::Smol => "smol",
            Self::AsyncStd => "async-std",
        }
    }

    pub(crate) fn is_tokio(self) -> bool {
        matches!(self, Self::TokioCurrent | Self::TokioMulti)
    }

    /// Runs `future` in a task, as users run theirs; tokio's runtimes start and end with it.
    pub(crate) fn run<T: Send + 'static>(
        self,
        future: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        use tokio::runtime::Builder;

        let mut tokio = match self {
            Self::Smol => return smol::block_on(smol::spawn(future)),
            Self::AsyncStd => {
                return async_std::task::block_on(async_std::task::spawn(future));
            }
            Self::TokioCurrent => Builder::new_current_thread(),
            Self::TokioMulti => Builder::new_multi_thread(),
        };
        let tokio = tokio.worker_threads(2).enable_all().build()?;
        tokio.block_on(async { tokio::spawn(future).await? })
    }

    /// Starts a task from one that runs on this runtime.
    pub(crate) fn spawn(self, future: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::TokioCurrent | Self::TokioMulti => drop(tokio::spawn(future)),
            Self::Smol => smol::spawn(future).detach(),
            Self::AsyncStd => drop(async_std::task::spawn(future)),
        }
    }

    /// rebelay on this runtime.
    pub(crate) async fn connect(
        self,
        server: SocketAddr,
        config: Config,
    ) -> std::result::Result<(Sender, Receiver), ConnectError> {
        match self {
            Self::TokioCurrent | Self::TokioMulti => rebelay::tokio::connect(server, config).await,
            Self::Smol => rebelay::smol::connect(server, config).await,
            Self::AsyncStd => rebelay::async_std::connect(server, config).await,
        }
    }
}
