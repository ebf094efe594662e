//! Socket options: checked by name before anything is dialled, set before the connect.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rebelay_core::ConfigError;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Options of the TCP socket. `None` leaves the operating system's default.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// `TCP_NODELAY`: small writes leave at once. Default: on.
    pub nodelay: bool,
    /// `SO_KEEPALIVE` with its times. Default: 15 s idle, then every 5 s, 3 times.
    pub keepalive: Option<Keepalive>,
    /// `TCP_USER_TIMEOUT` (tcp(7)): how long sent bytes may stay unacknowledged. Default 30 s;
    /// 1 ms to 1 day. Linux, Android and Fuchsia; ignored elsewhere.
    pub user_timeout: Option<Duration>,
    /// `SO_SNDBUF` in bytes, which Linux doubles. 1 to 1 GiB.
    pub send_buffer: Option<usize>,
    /// `SO_RCVBUF` in bytes, which Linux doubles. 1 to 1 GiB.
    pub receive_buffer: Option<usize>,
    /// `SO_LINGER`: what closing does with unsent bytes; zero discards them and resets the
    /// connection. Whole seconds; 0 to 65,535 s.
    pub linger: Option<Duration>,
    /// The local address to connect from; port 0 for any.
    pub bind: Option<SocketAddr>,
    /// `IP_TOS` or `IPV6_TCLASS`: the type of service octet. 0 to 255.
    pub type_of_service: Option<u32>,
    raw: Option<RawHook>,
}

/// When an idle connection is probed, and when it is given up.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle time before the first probe. Whole seconds; 1 s to 32,767 s.
    pub time: Duration,
    /// Time between probes. Whole seconds; 1 s to 32,767 s.
    pub interval: Duration,
    /// Unanswered probes that end the connection. 1 to 127.
    pub retries: u32,
}

#[derive(Clone)]
struct RawHook(Arc<dyn Fn(SockRef<'_>) -> io::Result<()> + Send + Sync>);

/// The same hook, not one that does the same.
impl PartialEq for RawHook {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl SocketOptions {
    /// Runs `hook` on every new socket, after all other options and before it connects: for what
    /// has no field here. An error fails the attempt.
    pub fn raw<F>(&mut self, hook: F)
    where
        F: Fn(SockRef<'_>) -> io::Result<()> + Send + Sync + 'static,
    {
        self.raw = Some(RawHook(Arc::new(hook)));
    }

    /// Checks every field against its documented range.
    ///
    /// # Errors
    /// The first field outside its range, with its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (second, probe_max) = (Duration::from_secs(1), Duration::from_secs(32_767));
        let require_whole = |field, value: Duration, low, high| {
            ConfigError::require(field, value, low, high)?;
            if value.subsec_nanos() == 0 {
                return Ok(());
            }
            let allowed = format!("whole seconds, {low:?} to {high:?}");
            Err(ConfigError { field, value: format!("{value:?}"), allowed })
        };
        if let Some(keepalive) = self.keepalive {
            require_whole("socket.keepalive.time", keepalive.time, second, probe_max)?;
            require_whole("socket.keepalive.interval", keepalive.interval, second, probe_max)?;
            ConfigError::require("socket.keepalive.retries", keepalive.retries, 1, 127)?;
        }
        if let Some(timeout) = self.user_timeout {
            let (low, high) = (Duration::from_millis(1), Duration::from_secs(86_400));
            ConfigError::require("socket.user_timeout", timeout, low, high)?;
        }
        for (field, size) in [
            ("socket.send_buffer", self.send_buffer),
            ("socket.receive_buffer", self.receive_buffer),
        ] {
            if let Some(size) = size {
                ConfigError::require(field, size, 1, 1 << 30)?;
            }
        }
        if let Some(linger) = self.linger {
            let high = Duration::from_secs(65_535);
            require_whole("socket.linger", linger, Duration::ZERO, high)?;
        }
        if let Some(tos) = self.type_of_service {
            ConfigError::require("socket.type_of_service", tos, 0, 255)?;
        }
        Ok(())
    }

    /// Opens a non-blocking socket with these options and begins to connect it to `address`:
    /// wait until it is writable, then call [`finish_connect`].
    ///
    /// # Errors
    /// Of socket(2), setsockopt(2), bind(2) or connect(2); an option is named.
    pub fn begin_connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        self.apply(&socket, address)?;
        match socket.connect(&address.into()) {
            Err(error) if !in_progress(&error) => Err(error),
            Ok(()) | Err(_) => Ok(socket.into()),
        }
    }

    fn apply(&self, socket: &Socket, address: SocketAddr) -> io::Result<()> {
        named("nodelay", socket.set_tcp_nodelay(self.nodelay))?;
        if let Some(keepalive) = self.keepalive {
            named("keepalive", socket.set_tcp_keepalive(&keepalive.into()))?;
        }
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        if let Some(timeout) = self.user_timeout {
            named("user_timeout", socket.set_tcp_user_timeout(Some(timeout)))?;
        }
        if let Some(size) = self.send_buffer {
            named("send_buffer", socket.set_send_buffer_size(size))?;
        }
        if let Some(size) = self.receive_buffer {
            named("receive_buffer", socket.set_recv_buffer_size(size))?;
        }
        if let Some(linger) = self.linger {
            named("linger", socket.set_linger(Some(linger)))?;
        }
        if let Some(tos) = self.type_of_service {
            named("type_of_service", set_type_of_service(socket, address, tos))?;
        }
        if let Some(bind) = self.bind {
            named("bind", socket.bind(&bind.into()))?;
        }
        self.raw.as_ref().map_or(Ok(()), |hook| named("raw", (hook.0)(SockRef::from(socket))))
    }
}

/// Whether the connect that [`SocketOptions::begin_connect`] began has come through.
///
/// # Errors
/// `WouldBlock` while it has not; the connect's error if it failed; `ConnectionRefused` if the
/// socket met itself: dialling a local port on which nobody listens, TCP may take that very port
/// for the near end and connect the two (RFC 9293, simultaneous open).
pub fn finish_connect(socket: SockRef<'_>) -> io::Result<()> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(peer) if socket.local_addr().is_ok_and(|local| local == peer) => {
            let text = "nobody listens: the socket was connected to itself";
            Err(io::Error::new(io::ErrorKind::ConnectionRefused, text))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: Some(Keepalive {
                time: Duration::from_secs(15),
                interval: Duration::from_secs(5),
                retries: 3,
            }),
            user_timeout: Some(Duration::from_secs(30)),
            send_buffer: None,
            receive_buffer: None,
            linger: None,
            bind: None,
            type_of_service: None,
            raw: None,
        }
    }
}

impl fmt::Debug for SocketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketOptions")
            .field("nodelay", &self.nodelay)
            .field("keepalive", &self.keepalive)
            .field("user_timeout", &self.user_timeout)
            .field("send_buffer", &self.send_buffer)
            .field("receive_buffer", &self.receive_buffer)
            .field("linger", &self.linger)
            .field("bind", &self.bind)
            .field("type_of_service", &self.type_of_service)
            .field("raw", &self.raw.is_some())
            .finish()
    }
}

impl From<Keepalive> for TcpKeepalive {
    fn from(keepalive: Keepalive) -> Self {
        let times = Self::new().with_time(keepalive.time);
        #[cfg(not(any(target_os = "openbsd", target_os = "haiku")))]
        let times = times.with_interval(keepalive.interval).with_retries(keepalive.retries);
        times
    }
}

fn set_type_of_service(socket: &Socket, address: SocketAddr, tos: u32) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => socket.set_tos_v4(tos),
        SocketAddr::V6(_) => socket.set_tclass_v6(tos),
    }
}

/// connect(2) of a non-blocking socket goes on in the background after EINPROGRESS, and after
/// EINTR just as well; on Windows the error is WSAEWOULDBLOCK.
fn in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind())
}

fn named(option: &str, result: io::Result<()>) -> io::Result<()> {
    result.map_err(|error| io::Error::new(error.kind(), format!("socket.{option}: {error}")))
}
