//! What is refused, and why attempts and connections end.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use bytes::Bytes;

/// A message that was not admitted, handed back whole.
#[derive(Clone, PartialEq, Eq)]
pub struct SendError {
    /// The message, as it was given.
    pub message: Bytes,
    /// Why it was refused.
    pub refusal: Refusal,
}

/// Why a message was refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The outbox has no room for it.
    Full,
    /// It could never fit: it has more bytes than `max_queued_bytes`.
    TooLong {
        /// The configured `max_queued_bytes`.
        limit: usize,
    },
    /// It has no byte, so nothing could ever be said of it.
    Empty,
    /// It may go out on one epoch alone ([`SendOptions::epoch`](crate::SendOptions::epoch)), and
    /// that is not the current one.
    EpochOver,
    /// It was to take the place of another ([`replace`](crate::Connection::replace)), which is
    /// being written, or was, or has its outcome.
    Begun,
    /// The connection is closing, draining or closed.
    Closed,
}

/// Why an attempt failed or a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The lookup of the endpoint failed.
    Resolve(Fault),
    /// The lookup gave no address.
    NoAddress,
    /// The lookup took longer than `resolve_timeout`.
    ResolveTimeout,
    /// The dial failed.
    Connect(Fault),
    /// The dial took longer than `connect_timeout`.
    ConnectTimeout,
    /// The handshake failed.
    Handshake(Fault),
    /// The handshake took longer than `handshake_timeout`.
    HandshakeTimeout,
    /// The peer closed its side (FIN).
    PeerClosed,
    /// Reading or writing failed.
    Io(Fault),
    /// The socket took no byte for `write_stall_timeout`.
    Stalled,
    /// [`reconnect_now`](crate::Connection::reconnect_now) was called.
    Reconnect,
    /// [`close`](crate::Connection::close) was called, or a drain came to its end.
    Closed,
}

/// An error of the operating system, or of the user's handshake, in words. Clones share it, for a
/// failed attempt is reported in several places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault(Arc<(Option<i32>, String)>);

impl Fault {
    /// A fault that is known by its words alone.
    pub fn new(text: impl Into<String>) -> Self {
        Self::with_errno(None, text)
    }

    /// A fault with the operating system's number, where there is one.
    pub fn with_errno(errno: Option<i32>, text: impl Into<String>) -> Self {
        Self(Arc::new((errno, text.into())))
    }

    /// The operating system's number, where there is one (errno(3)).
    pub fn errno(&self) -> Option<i32> {
        self.0.0
    }

    /// What happened.
    pub fn text(&self) -> &str {
        &self.0.1
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendError({:?}, a message of {} bytes)", self.refusal, self.message.len())
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message of {} bytes refused: {}", self.message.len(), self.refusal)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the outbox is full"),
            Self::TooLong { limit } => write!(f, "longer than max_queued_bytes ({limit})"),
            Self::Empty => f.write_str("it is empty"),
            Self::EpochOver => f.write_str("the epoch that it is pinned to is not the current one"),
            Self::Begun => f.write_str("the message that it was to replace is out or finished"),
            Self::Closed => f.write_str("the connection is closing or closed"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(fault) => write!(f, "lookup failed: {fault}"),
            Self::NoAddress => f.write_str("the lookup gave no address"),
            Self::ResolveTimeout => f.write_str("the lookup took too long"),
            Self::Connect(fault) => write!(f, "connecting failed: {fault}"),
            Self::ConnectTimeout => f.write_str("connecting took too long"),
            Self::Handshake(fault) => write!(f, "the handshake failed: {fault}"),
            Self::HandshakeTimeout => f.write_str("the handshake took too long"),
            Self::PeerClosed => f.write_str("the peer closed the connection"),
            Self::Io(fault) => write!(f, "the connection failed: {fault}"),
            Self::Stalled => f.write_str("the peer took no bytes for too long"),
            Self::Reconnect => f.write_str("reconnecting was asked for"),
            Self::Closed => f.write_str("the connection was closed"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for SendError {}
impl core::error::Error for Refusal {}
impl core::error::Error for Reason {}
impl core::error::Error for Fault {}
