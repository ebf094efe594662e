#![doc = include_str!("../README.md")]
//!
//! # Where things are
//! [`tokio::connect`](crate::tokio), [`smol::connect`](crate::smol) and
//! [`async_std::connect`](crate::async_std) open a connection on a runtime, [`io::connect`] one
//! over streams of your own; they give a [`Sender`] and a [`Receiver`]. [`Config`] says how it
//! behaves. [`core`] is the state machine underneath, for tests, fuzzers and
//! drivers of your own.
//!
//! Names of runtimes are modules behind features of the same name; none is enabled by default,
//! and all can be side by side.

#[doc(inline)]
pub use rebelay_driver::{
    BackoffConfig, BoxFuture, Certainty, Config, ConfigError, ConnectError, Driver, Endpoint,
    Epoch, Event, Events, Evidence, FailCause, Fault, FirstConnect, Handshake, HandshakeError,
    Item, Jitter, Keepalive, Ledger, Outcome, Outcomes, Overflow, PeerFin, Reason, Receiver,
    RecvTimeout, Refusal, Replay, Resend, Runtime, SendError, SendOptions, Sender, Sending,
    Settled, SockRef, Socket, SocketOptions, State, Ticket, connect, evidence, finish_connect, io,
    open,
};

pub use rebelay_core as core;

#[cfg(feature = "async-std")]
pub use rebelay_async_std as async_std;
#[cfg(feature = "smol")]
pub use rebelay_smol as smol;
#[cfg(feature = "tokio")]
pub use rebelay_tokio as tokio;
