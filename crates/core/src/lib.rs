//! Everything that must be decided about a TCP client connection, and nothing that must be done.
#![no_std]
extern crate alloc;
mod backoff;
mod config;
mod connection;
mod dial;
mod error;
mod event;
mod inbox;
mod orders;
mod outbox;
mod outcome;
mod rng;
mod rope;
mod time;
mod timers;

pub use config::{
    BackoffConfig, Config, ConfigError, FirstConnect, Jitter, Overflow, Resend, SendOptions,
};
pub use connection::{Connection, State};
pub use error::{Fault, Reason, Refusal, SendError};
pub use event::{Action, Event, Item};
pub use outcome::{Certainty, Epoch, FailCause, Ledger, Outcome, Settled, Ticket};
pub use rng::SplitMix64;
pub use time::Instant;
