//! A TCP network in virtual time: a client machine, a server program, and a network that does to
//! them what networks do.
//!
//! [`Sim`] owns a [`rebelay_core::Connection`], a [`Server`] and a [`Network`], and steps from
//! event to event. It never sleeps and never reads a clock: an outage of thirty hours takes
//! milliseconds, and the same seed gives the same run, bit for bit.
//!
//! ```
//! use std::time::Duration;
//!
//! use rebelay_core::{Config, Resend};
//! use rebelay_sim::{Cut, Fate, How, Link, Network, Sim, Sink, When};
//!
//! // The first connection is reset in the middle of the second message; later ones are healthy.
//! let mut torn = Link::default();
//! torn.cut = Some(Cut { when: When::Received(7), how: How::Reset });
//! let network = Network::fates([Fate::Accept(torn)], Fate::default());
//!
//! let mut config = Config::default();
//! config.resend = Resend::Unacked;
//! let mut sim = Sim::new(config, network, Sink::default(), 42)?;
//! sim.send("first").unwrap();
//! sim.send("second").unwrap();
//! assert!(sim.run_until(Duration::from_secs(5), |sim| sim.server().received(2).len() == 11));
//!
//! assert_eq!(sim.server().received(1), b"firstse");
//! assert_eq!(sim.server().received(2), b"firstsecond");
//! # Ok::<(), rebelay_core::ConfigError>(())
//! ```
//!
//! Every simulation keeps an [`Audit`] of its connection, which tests on real sockets can do too.
//!
//! What is modelled, for each direction of a connection: a bounded kernel send buffer, so that
//! writes are short or would block; segments with latency and bandwidth; acknowledgements and a
//! receive window; a bounded receive buffer; FIN, RST and silence. What had arrived before a RST
//! can still be read after it. Not modelled: loss and reordering of segments (TCP hides them),
//! slow start, and the kernel's own timers but for [`Link::keepalive`].

mod audit;
mod drive;
mod fate;
mod network;
mod pipe;
mod queue;
mod record;
mod serve;
mod server;
mod sim;
mod tcp;

pub use audit::{Audit, assert_ledger};
pub use fate::{Cut, Fate, How, Link, Stall, When};
pub use network::{Dialled, Hello, Lookup, Network};
pub use record::{Record, Wire};
pub use server::{Echo, End, Peer, Server, Sink};
pub use sim::Sim;
