//! What the operating system can prove about the bytes that a TCP socket took.
//!
//! A socket takes megabytes that it never transmits: whatever does not fit into the peer's
//! receive window waits in the send buffer, and is thrown away there when the connection ends.
//! The kernel's counters outlive the connection, until the descriptor is closed, so that
//! [`evidence`] can say how much that was.
//!
//! Linux (4.6 and later) and Android tell. Elsewhere there is no evidence.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use linux::evidence;

/// What the operating system says about the bytes that `socket` took: here it says nothing.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn evidence<S>(_socket: S) -> Option<rebelay_core::Evidence> {
    None
}
