//! The real handles and the real driver under shuttle, which runs their tasks in thousands of
//! orders: no wake-up is lost (shuttle reports a deadlock), and no message.
//!
//! A scenario that fails prints its schedule: `MODEL_SCHEDULE`, in one line, replays it.
//! `MODEL_RUNS` is how often each scenario runs under each scheduler, 1,000 times by itself.
//! `checks/model/planted.sh` shows that the scenarios find bugs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod clock;
mod network;
mod tasks;
mod world;

mod closing;
mod giving_up;
mod outages;
mod reading;
mod writing;
