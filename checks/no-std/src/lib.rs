//! Proves that `rebelay-core` needs no `std`: this library brings its own panic handler, so with
//! `std` linked in from anywhere it does not compile (E0152, duplicate lang item `panic_impl`).
//!
//! `cargo build --manifest-path checks/no-std/Cargo.toml --target-dir target/no-std`
#![no_std]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::net::{Ipv4Addr, SocketAddr};
use core::panic::PanicInfo;

use bytes::Bytes;
use rebelay_core::{Action, Config, Connection, Instant, Reason, SendOptions, State};

/// One life of a connection, so that the machine is compiled and linked, not only named.
/// Returns how many bytes were written.
#[unsafe(no_mangle)]
pub extern "C" fn rebelay_core_without_std(now: u64) -> u64 {
    let now = Instant::from_nanos(now);
    let Ok(mut connection) = Connection::new(Config::default(), 1, now) else { return 0 };
    let _ = connection.send(Bytes::from_static(b"message"), SendOptions::default(), now);
    while let Some(action) = connection.poll_action() {
        match action {
            Action::Resolve { round } => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
                connection.handle_resolved(round, &[address], now);
            }
            Action::Dial { attempt, .. } => {
                let _ = connection.handle_connected(attempt, now);
            }
            _ => {}
        }
    }
    let mut slices = Vec::with_capacity(8);
    if let Some(epoch) = connection.poll_transmit(&mut slices) {
        let count = slices.iter().map(Bytes::len).sum();
        connection.handle_transmitted(epoch, count, now);
        if let Some((epoch, mut buffer)) = connection.poll_receive() {
            buffer.extend_from_slice(b"answer");
            connection.handle_received(epoch, buffer, now);
        }
        connection.handle_disconnected(epoch, Reason::PeerClosed, None, now);
    }
    while connection.poll_item().is_some() || connection.poll_event().is_some() {}
    while connection.poll_outcome().is_some() {}
    connection.close(now);
    if let Some(timeout) = connection.poll_timeout() {
        connection.handle_timeout(timeout);
    }
    if connection.state() == State::Closed { connection.ledger().bytes_written } else { 0 }
}

/// Has no memory to give: nothing here is ever run.
struct NoMemory;

// SAFETY: `alloc` always reports failure with null, so no block exists that `dealloc` could get.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
