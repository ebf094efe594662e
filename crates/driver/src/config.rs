//! What a connection is opened with, and the errors of opening it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rebelay_core::{ConfigError, Reason};

use crate::endpoint::Endpoint;
use crate::handshake::{Handshake, HandshakeError, OnConnect};
use crate::options::SocketOptions;

/// What a connection is opened with.
///
/// ```
/// use rebelay_driver::{Config, Resend};
///
/// let mut config = Config::default();
/// config.connection.resend = Resend::Unacked;
/// config.socket.receive_buffer = Some(1 << 20);
/// let config = config.on_connect(|mut io| async move {
///     io.write_all(b"HELLO\n").await?;
///     io.read_until(b'\n', 512).await?;
///     Ok(io)
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// How the connection decides: policies, bounds, times.
    pub connection: rebelay_core::Config,
    /// Options of its TCP sockets; a stream that the user brings is left as it is.
    pub socket: SocketOptions,
    pub(crate) on_connect: Option<OnConnect>,
}

impl Config {
    /// Runs `handshake` on every new connection, before any queued message is written on it: a
    /// login, a subscription, the question where the peer stopped
    /// ([`Handshake::replays`]). It takes the connection and gives it back; bytes that it received
    /// and did not use reach the [`Receiver`](crate::Receiver). An error closes the connection
    /// and counts as a failed attempt; so does taking longer than
    /// [`handshake_timeout`](rebelay_core::Config::handshake_timeout).
    #[must_use]
    pub fn on_connect<F, Fut>(mut self, handshake: F) -> Self
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Handshake, HandshakeError>> + Send + 'static,
    {
        self.connection.handshake = true;
        self.on_connect = Some(OnConnect::new(handshake));
        self
    }

    /// Checks every field against its documented range; opening a connection does so too.
    ///
    /// # Errors
    /// The first field outside its range, with its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.connection.validate()?;
        self.socket.validate()?;
        if self.connection.handshake == self.on_connect.is_some() {
            return Ok(());
        }
        Err(ConfigError {
            field: "connection.handshake",
            value: self.connection.handshake.to_string(),
            allowed: "what on_connect sets".into(),
        })
    }
}

/// A configuration in use. Connections that are opened in a row with equal ones share it.
pub(crate) struct Settings {
    pub(crate) connection: Arc<rebelay_core::Config>,
    pub(crate) socket: SocketOptions,
    pub(crate) on_connect: Option<OnConnect>,
}

impl Settings {
    pub(crate) fn of(config: Config) -> Arc<Self> {
        static LATEST: Mutex<Weak<Settings>> = Mutex::new(Weak::new());
        let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(equal) = latest.upgrade().filter(|latest| latest.are(&config)) {
            return equal;
        }
        let Config { connection, socket, on_connect } = config;
        let settings = Arc::new(Self { connection: Arc::new(connection), socket, on_connect });
        *latest = Arc::downgrade(&settings);
        settings
    }

    fn are(&self, config: &Config) -> bool {
        *self.connection == config.connection
            && self.socket == config.socket
            && self.on_connect == config.on_connect
    }
}

/// Why a connection could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A setting is outside its range; nothing was dialled.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The first round of attempts failed and [`FirstConnect::FailFast`] was asked for, or the
    /// driver was dropped.
    ///
    /// [`FirstConnect::FailFast`]: rebelay_core::FirstConnect::FailFast
    #[error("could not connect to {endpoint}: {reason}")]
    Failed {
        /// Where to.
        endpoint: Endpoint,
        /// Why not.
        reason: Reason,
    },
    /// There is no runtime of the asked kind on this thread.
    #[error("no {runtime} runtime is running here")]
    NoRuntime {
        /// The kind.
        runtime: &'static str,
    },
}

impl From<Infallible> for ConnectError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
