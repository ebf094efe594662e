//! A connection on which nothing moves holds no buffers. An allocator counts them, so this file has
//! a single test.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod support;

use std::alloc::System;
use std::future::ready;
use std::time::{Duration, Instant};

use smol::future::{or, yield_now};
use smol::io::sink;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::pipe::Silent;
use support::talk::{quick, up};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Messages of a burst, all in the outbox at once: 64 kB.
const BURST: usize = 1_000;

/// More than a connection keeps of what happened to it, and less than any of its buffers.
const SLACK: usize = 900;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn g05_an_idle_connection_holds_no_buffers() {
    let dial = || ready(Ok((Silent, sink())));
    let (sender, mut receiver, driver) = rebelay::io::connect(dial, quick()).unwrap();
    let client = async {
        up(&mut receiver).await;
        let before = allocated();
        // The first is begun by a send that writes for itself, the others are the driver's alone.
        for _ in 0..3 {
            for _ in 0..BURST {
                sender.send(vec![7; 64]).await.unwrap();
            }
            sender.flush().await;
            assert!(allocated() > before + SLACK, "there are buffers to give back");
            // No timer limits this wait: the memory of timers would be counted too.
            let begun = Instant::now();
            while allocated() > before + SLACK {
                assert!(begun.elapsed() < PATIENCE, "{} bytes are kept", allocated() - before);
                yield_now().await;
            }
        }
    };
    smol::block_on(or(client, async {
        driver.await;
        unreachable!("nobody closes the connection");
    }));
}

/// Bytes of the heap in use.
fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}
