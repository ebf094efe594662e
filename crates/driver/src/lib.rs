//! The handles and the one drive loop of [rebelay](https://docs.rs/rebelay), generic over a
//! small [`Runtime`] trait.
//!
//! Most people want the facade crate `rebelay`, or one of its runtime adapters. This crate alone
//! is for two: who writes an adapter calls [`connect`], and who brings streams of their own
//! calls [`io::connect`].

mod config;
mod connect;
mod drive;
mod endpoint;
mod events;
mod handle;
mod handshake;
mod history;
pub mod io;
#[cfg(not(rebelay_shuttle))]
mod lock;
mod options;
mod outcomes;
mod receiver;
mod runtime;
mod sender;
mod sending;
mod shared;
mod sync;

pub use config::{Config, ConnectError};
pub use connect::{connect, open};
pub use drive::Driver;
pub use endpoint::Endpoint;
pub use events::Events;
pub use handshake::{Handshake, HandshakeError};
pub use options::{Keepalive, SocketOptions, finish_connect};
pub use outcomes::Outcomes;
pub use rebelay_core::{
    BackoffConfig, Certainty, ConfigError, Epoch, Event, Evidence, FailCause, Fault, FirstConnect,
    Item, Jitter, Ledger, Outcome, Overflow, PeerFin, Reason, Refusal, Replay, Resend, SendError,
    SendOptions, Settled, State, Ticket,
};
pub use rebelay_evidence::evidence;
pub use receiver::{Receiver, RecvTimeout};
pub use runtime::{BoxFuture, Runtime, Socket};
pub use sender::Sender;
pub use sending::Sending;
pub use socket2::SockRef;
