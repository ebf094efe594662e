//! The user's part of each new connection: what is said before any message (G9).

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};
use rebelay_core::{Epoch, Replay, SendError, Ticket};

use crate::runtime::{BoxFuture, Socket};
use crate::shared::Shared;

/// Why a handshake failed; its words end up in the [`Reason`](rebelay_core::Reason).
pub type HandshakeError = Box<dyn Error + Send + Sync>;

/// A new connection in the hands of the user's handshake. The methods here keep what they
/// received beyond what they return, and so does the `AsyncRead` implementation; a reader of the
/// user's that buffers by itself must give the rest back with [`unread`](Self::unread).
///
/// # Cancel safety
/// The methods are not cancel safe: a handshake that drops one of their futures half-way should
/// fail.
pub struct Handshake {
    epoch: Epoch,
    socket: Arc<dyn Socket>,
    shared: Arc<Shared>,
    received: BytesMut,
}

const READ_SIZE: usize = 4 << 10;

impl Handshake {
    pub(crate) fn new(epoch: Epoch, socket: Arc<dyn Socket>, shared: Arc<Shared>) -> Self {
        Self { epoch, socket, shared, received: BytesMut::new() }
    }

    /// The connection's number, from 1: above 1 it is a reconnect.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The messages that go out again once this handshake is done, in that order: each was begun
    /// on an earlier epoch. They may be released ([`ack_through`](Self::ack_through)), marked
    /// ([`replace`](Self::replace)) or left as they are.
    pub fn replays(&self) -> Vec<Replay> {
        self.shared.change(|machine, _| machine.replays())
    }

    /// The peer has every message up to `through`: they are not sent again. See
    /// [`Sender::ack_through`](crate::Sender::ack_through).
    pub fn ack_through(&self, through: Ticket) {
        self.shared.change(|machine, now| machine.ack_through(through, now));
    }

    /// Sends `message` in the place of the one with this ticket: the same one marked as a
    /// duplicate, for example. Ticket, deadline and policy stay. What is put in
    /// may take the outbox to twice `max_queued_bytes`; nothing is admitted until it is below that
    /// again.
    ///
    /// # Errors
    /// The message, handed back whole: the other one has its outcome, or this one is empty,
    /// or does not fit even so.
    pub fn replace(&self, ticket: Ticket, message: impl Into<Bytes>) -> Result<(), SendError> {
        let message = message.into();
        self.shared.change(|machine, _| machine.replace(ticket, message))?;
        // One that is shorter makes room.
        self.shared.room.notify(usize::MAX);
        Ok(())
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// Of the socket; `WriteZero` if it takes nothing any more.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|cx| self.socket.poll_write(cx, &[IoSlice::new(bytes)])).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[count.min(bytes.len())..];
        }
        Ok(())
    }

    /// The next bytes, one at least; what is there already, or what one read brings.
    ///
    /// # Errors
    /// Of the socket; `UnexpectedEof` if the peer closed.
    pub async fn read(&mut self) -> io::Result<Bytes> {
        if self.received.is_empty() {
            self.receive().await?;
        }
        Ok(self.received.split().freeze())
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// Of the socket; `UnexpectedEof` if the peer closed before.
    pub async fn read_exact(&mut self, count: usize) -> io::Result<Bytes> {
        while self.received.len() < count {
            self.receive().await?;
        }
        Ok(self.received.split_to(count).freeze())
    }

    /// The bytes up to and including the next `delimiter`, at most `limit`.
    ///
    /// # Errors
    /// Of the socket; `UnexpectedEof` if the peer closed before; `InvalidData` if the first
    /// `limit` bytes have no delimiter.
    pub async fn read_until(&mut self, delimiter: u8, limit: usize) -> io::Result<Bytes> {
        let mut searched = 0;
        loop {
            let new = self.received.get(searched..).unwrap_or_default();
            let found = new.iter().position(|byte| *byte == delimiter);
            match found.map(|at| searched + at + 1) {
                Some(end) if end <= limit => return Ok(self.received.split_to(end).freeze()),
                None if self.received.len() < limit => searched = self.received.len(),
                Some(_) | None => {
                    let text = format!("no delimiter {delimiter:#04x} in {limit} bytes");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
            self.receive().await?;
        }
    }

    /// Gives bytes back that were read too far: they come first in what is read next.
    pub fn unread(&mut self, bytes: &[u8]) {
        let rest = self.received.split();
        self.received.extend_from_slice(bytes);
        self.received.unsplit(rest);
    }

    /// What was received and not used.
    pub(crate) fn into_received(self) -> BytesMut {
        self.received
    }

    async fn receive(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_receive(cx)).await.and_then(|count| match count {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        })
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.received.reserve(READ_SIZE);
        self.socket.poll_read(cx, &mut self.received)
    }
}

impl AsyncRead for Handshake {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.received.is_empty() && ready!(self.poll_receive(cx))? == 0 {
            return Poll::Ready(Ok(0));
        }
        let count = buffer.len().min(self.received.len());
        self.received.copy_to_slice(&mut buffer[..count]);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Handshake {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.socket.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_shutdown(cx)
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("epoch", &self.epoch)
            .field("received", &self.received.len())
            .finish_non_exhaustive()
    }
}

/// The user's handshake, as the driver runs it.
#[derive(Clone)]
pub(crate) struct OnConnect(Arc<dyn Fn(Handshake) -> HandshakeFuture + Send + Sync>);

pub(crate) type HandshakeFuture = BoxFuture<Result<Handshake, HandshakeError>>;

impl OnConnect {
    pub(crate) fn new<F, Fut>(handshake: F) -> Self
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Handshake, HandshakeError>> + Send + 'static,
    {
        Self(Arc::new(move |io| Box::pin(handshake(io))))
    }

    pub(crate) fn begin(&self, io: Handshake) -> HandshakeFuture {
        (self.0)(io)
    }
}

/// The same closure, not one that does the same.
impl PartialEq for OnConnect {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for OnConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnConnect(..)")
    }
}
