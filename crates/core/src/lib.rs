//! Everything that must be decided about a TCP client connection, and nothing that must be done.
//!
//! A [`Connection`] admits messages, says when to resolve, dial, write, read, wait and close, and
//! accounts for every message. It has no sockets, threads or clocks: a driver carries its
//! decisions out and reports back. The same decisions thus run on any runtime, under a fuzzer and
//! on a simulated network, and what happened once can be replayed. Most programs want one of the
//! ready drivers of `rebelay`; this crate is for writing another.
//!
//! What holds whatever is called, and in whatever order:
//!
//! 1. It never reads a clock, a socket, the environment or the system's random numbers. Time
//!    enters with `new`, `handle_*` and the user's calls, never with `poll_*`.
//! 2. Every method may be called in every state. A report about a past round, attempt or epoch
//!    changes nothing.
//! 3. No input makes it panic or spin: once nothing is due every `poll_*` answers `None`, and the
//!    next timeout lies in the future.
//! 4. Every buffer has a bound, in bytes and in number. What is refused is handed back whole.
//! 5. The same inputs and the same seed give the same outputs, bit for bit.
//!
//! # A driver
//!
//! After every report, poll until there is nothing left; then wait for the socket, for the user,
//! or until [`poll_timeout`](Connection::poll_timeout), whichever comes first.
//!
//! ```
//! use std::io::{self, ErrorKind, Read, Write};
//! use std::net::{Shutdown, TcpListener, TcpStream};
//! use std::time::Duration;
//!
//! use rebelay_core::{
//!     Action, Config, Connection, Fault, Instant, Item, Reason, SendOptions, State,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A server that sends everything back.
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let server = listener.local_addr()?;
//! std::thread::spawn(move || {
//!     let (stream, _) = listener.accept()?;
//!     io::copy(&mut &stream, &mut &stream)
//! });
//!
//! let start = std::time::Instant::now();
//! let now = || Instant::from_nanos(start.elapsed().as_nanos() as u64);
//! let is_quiet = |e: &io::Error| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
//! let fault = |error: io::Error| Fault::with_errno(error.raw_os_error(), error.to_string());
//!
//! let mut connection = Connection::new(Config::default(), 1, now())?;
//! connection.send("hello".into(), SendOptions::default(), now())?;
//!
//! let mut socket: Option<TcpStream> = None;
//! let mut echo = Vec::new();
//! while connection.state() != State::Closed {
//!     while let Some(action) = connection.poll_action() {
//!         match (action, &socket) {
//!             (Action::Resolve { round }, _) => {
//!                 connection.handle_resolved(round, &[server], now());
//!             }
//!             (Action::Dial { attempt, address }, _) => match TcpStream::connect(address) {
//!                 Ok(stream) => {
//!                     stream.set_read_timeout(Some(Duration::from_millis(10)))?;
//!                     socket = connection.handle_connected(attempt, now()).map(|_| stream);
//!                 }
//!                 Err(error) => connection.handle_connect_failed(attempt, fault(error), now()),
//!             },
//!             (Action::ShutdownWrite { .. }, Some(stream)) => stream.shutdown(Shutdown::Write)?,
//!             (Action::CloseSocket { .. }, _) => socket = None,
//!             _ => {} // handshakes, evidence, and attempts that go on meanwhile are not in this example
//!         }
//!     }
//!     if let Some(stream) = &mut socket {
//!         let mut slices = Vec::with_capacity(1);
//!         if let Some(epoch) = connection.poll_transmit(&mut slices) {
//!             match stream.write(&slices[0]) {
//!                 Ok(count) => connection.handle_transmitted(epoch, count, now()),
//!                 Err(error) => connection.handle_write_failed(epoch, fault(error), None, now()),
//!             }
//!         }
//!         if let Some((epoch, mut buffer)) = connection.poll_receive() {
//!             buffer.resize(buffer.capacity(), 0);
//!             let read = stream.read(&mut buffer);
//!             buffer.truncate(*read.as_ref().unwrap_or(&0));
//!             connection.handle_received(epoch, buffer, now());
//!             match read.map_err(|error| (is_quiet(&error), fault(error))) {
//!                 Ok(0) => connection.handle_disconnected(epoch, Reason::PeerClosed, None, now()),
//!                 Ok(_) | Err((true, _)) => {}
//!                 Err((false, fault)) => {
//!                     connection.handle_disconnected(epoch, Reason::Io(fault), None, now());
//!                 }
//!             }
//!         }
//!     } else if let Some(timeout) = connection.poll_timeout() {
//!         std::thread::park_timeout(timeout.saturating_since(now()));
//!     }
//!     connection.handle_timeout(now());
//!
//!     while let Some(item) = connection.poll_item() {
//!         println!("{item:?}");
//!         if let Item::Data(data) = item {
//!             echo.extend_from_slice(&data);
//!         }
//!     }
//!     if echo == b"hello" {
//!         connection.drain(now() + Duration::from_secs(1), now());
//!     }
//! }
//! assert_eq!(echo, b"hello");
//! assert_eq!(connection.ledger().written, 1);
//! # Ok(())
//! # }
//! ```
#![no_std]
extern crate alloc;
mod backoff;
mod config;
mod connection;
mod deadlines;
mod dial;
mod error;
mod event;
mod evidence;
mod inbox;
mod log;
mod orders;
mod outbox;
mod outcome;
mod rng;
mod rope;
mod time;
mod timers;

pub use config::{
    BackoffConfig, Config, ConfigError, FirstConnect, Jitter, Overflow, PeerFin, Resend,
    SendOptions,
};
pub use connection::{Connection, State};
pub use error::{Fault, Reason, Refusal, SendError};
pub use event::{Action, Event, Item};
pub use evidence::Evidence;
pub use outbox::Replay;
pub use outcome::{Certainty, Epoch, FailCause, Ledger, Outcome, Settled, Ticket};
pub use rng::SplitMix64;
pub use time::Instant;
