//! What the operating system can prove about bytes that a socket took.

/// What the operating system says about the bytes that one socket took.
///
/// It proves one thing: of the bytes that it took *last*, this many were never given to the
/// network. Bytes before those may have arrived, or not: an acknowledgement of TCP says that the
/// peer's kernel has them, and not that its program read them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How many of the bytes that the socket took last were never transmitted. A FIN that waits
    /// behind them counts as one byte.
    pub untransmitted: u64,
    /// The socket's connection is over: what was not transmitted never will be. Without this,
    /// bytes may leave right after they were counted.
    pub is_final: bool,
}
