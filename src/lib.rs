//! A TCP client that keeps the connection alive underneath.
pub use rebelay_driver::*;

/// rebelay on tokio.
#[cfg(feature = "tokio")]
pub use rebelay_tokio as tokio;

/// rebelay on smol.
#[cfg(feature = "smol")]
pub use rebelay_smol as smol;

/// rebelay on async-std.
#[cfg(feature = "async-std")]
pub use rebelay_async_std as async_std;
