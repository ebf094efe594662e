//! A client for redis and whatever else speaks RESP2, over one rebelay connection that any number
//! of tasks share.
//!
//! RESP has no request numbers: the replies of a connection come in the order of its requests. On
//! a connection that comes back by itself this leaves one question: which requests were written
//! on which connection? rebelay knows it:
//!
//! * [`Sender::send`] gives every request a ticket, and writes requests in the order of their
//!   tickets. So the ticket is the request's number, and all that is needed to match replies is
//!   the ticket that the next one answers ([`table`]). No lock has to be held while sending.
//! * A request is sent under [`Resend::Incomplete`]: what the kernel took whole is never sent
//!   twice, all else goes out on the next connection. So an INCR never counts double, and a
//!   request that met an outage before it was written only waits for the end of it.
//! * When an epoch is down, the requests up to some ticket were written on it, and those after it
//!   were not. [`Sender::outcome`] tells which. The former fail as [`Error::Unanswered`]: the
//!   server may have carried them out. The next reply answers the first of the latter.
//!
//! Replies are slices of the memory they were received in, which is up to 64 KiB. Who keeps one
//! for long should copy it.

mod decode;
mod encode;
mod error;
mod reader;
mod table;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rebelay::{Config, Handshake, HandshakeError, Receiver, Resend, SendOptions, Sender, Ticket};

pub(crate) use self::decode::Reply;
pub(crate) use self::error::Error;
use self::reader::Reader;
use self::table::{Answer, Table};

/// Sends requests. Cheap to clone; when the last clone is dropped the connection is closed.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<Owner>);

/// What to open the connection with. An overflow policy that drops requests would leave them
/// without replies; the default makes tasks wait.
pub(crate) fn config() -> Config {
    Config::default().on_connect(greet)
}

impl Client {
    /// A client, and the task that hands it its replies, which is to be spawned. It ends with the
    /// connection.
    pub(crate) fn new(
        sender: Sender,
        receiver: Receiver,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let table = Arc::new(Mutex::new(Table::default()));
        let reader = Reader::new(sender.clone(), receiver, Arc::clone(&table));
        (Self(Arc::new(Owner { sender, table })), reader.run())
    }

    /// The value of `key`, if it has one.
    ///
    /// # Errors
    /// Those of [`command`](Self::command), and an error that the server answered.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.command(&[b"GET", key]).await? {
            Reply::Bulk(value) => Ok(Some(value)),
            Reply::Null => Ok(None),
            other @ (Reply::Simple(_) | Reply::Error(_) | Reply::Integer(_) | Reply::Array(_)) => {
                Err(Error::Unexpected(other))
            }
        }
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    pub(crate) async fn set(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let reply = self.command(&[b"SET", key, value]).await?;
        if let Reply::Simple(_) = reply { Ok(()) } else { Err(Error::Unexpected(reply)) }
    }

    /// The reply to any command. It is sent when the future is first polled, and it is not for
    /// commands that have no reply, or many: SUBSCRIBE, MONITOR.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unanswered`]; what the server answers is a reply.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the request back once it was sent; its reply is then
    /// thrown away.
    pub(crate) fn command(
        &self,
        parts: &[&[u8]],
    ) -> impl Future<Output = Result<Reply, Error>> + Send + '_ {
        let request = encode::request(parts);
        async {
            let options = SendOptions::resend(Resend::Incomplete);
            let ticket = self.0.sender.send_with(request, options).await?;
            Response { table: &self.0.table, ticket, slot: None }.await
        }
    }
}

/// The first words on every connection: requests are written only to a server that answers.
async fn greet(mut io: Handshake) -> Result<Handshake, HandshakeError> {
    io.write_all(&encode::request(&[b"PING"])).await?;
    let line = io.read_until(b'\n', 512).await?;
    if &line[..] == b"+PONG\r\n" {
        return Ok(io);
    }
    Err(format!("PING was answered by {}", line.escape_ascii()).into())
}

/// The last client's end is the connection's.
#[derive(Debug)]
struct Owner {
    sender: Sender,
    table: Arc<Mutex<Table>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Once begun, closing goes on by itself.
        now(self.sender.close());
    }
}

/// The reply to one request.
struct Response<'a> {
    table: &'a Mutex<Table>,
    ticket: Ticket,
    /// Where the reply will be; `None` before the first poll and after the last.
    slot: Option<usize>,
}

impl Future for Response<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut table = lock(self.table);
        let polled = match self.slot {
            None => table.ask(self.ticket, cx.waker()),
            Some(slot) => table.take(slot, cx.waker()),
        };
        drop(table);
        match polled {
            Ok(answer) => {
                self.slot = None;
                Poll::Ready(answer)
            }
            Err(slot) => {
                self.slot = Some(slot);
                Poll::Pending
            }
        }
    }
}

impl Drop for Response<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            lock(self.table).abandon(self.ticket, slot);
        }
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // No method of the table panics half-way.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `future` has to say without waiting.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
