//! What the tests over real sockets share: the server, and the runtimes.
#![allow(
    unreachable_pub,
    dead_code,
    missing_debug_implementations,
    reason = "shared by test crates"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

pub mod pipe;
pub mod runtimes;
pub mod scripted;
pub mod server;
pub mod talk;
pub mod wire;
