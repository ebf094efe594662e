//! What becomes of one dial, and of the connection it may establish.

use std::time::Duration;

/// What becomes of one dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Refused, one millisecond later.
    Refuse,
    /// Never answered.
    Blackhole,
    /// Established, two latencies later, on this link.
    Accept(Link),
}

/// A healthy link.
impl Default for Fate {
    fn default() -> Self {
        Self::Accept(Link::default())
    }
}

/// The properties of one established connection. Every field has a default; change what you need.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Time from one end to the other. Default 1 ms.
    pub latency: Duration,
    /// Bytes per second in each direction. Default: unlimited.
    pub bandwidth: Option<u64>,
    /// The client kernel's send buffer: bytes written and not acknowledged. Default 64 KiB.
    pub send_buffer: usize,
    /// Each kernel's receive buffer: bytes arrived and not read. Default 64 KiB.
    pub receive_buffer: usize,
    /// Each of the client's writes is cut short at a random place, as a busy kernel may do.
    /// Default: no.
    pub short_writes: bool,
    /// When and how the connection is cut. Default: it is not.
    pub cut: Option<Cut>,
    /// When the server program stops reading. Default: never.
    pub stall: Option<Stall>,
    /// How long after [`How::Silence`] the client's kernel reports that the peer is gone, as
    /// keepalive and `TCP_USER_TIMEOUT` do. Default: never.
    pub keepalive: Option<Duration>,
    /// Whether the client's kernel tells how many bytes it did not transmit, as that of Linux
    /// does. Default: yes.
    pub evidence: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(1),
            bandwidth: None,
            send_buffer: 64 << 10,
            receive_buffer: 64 << 10,
            short_writes: false,
            cut: None,
            stall: None,
            keepalive: None,
            evidence: true,
        }
    }
}

/// A connection's violent end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// When it comes.
    pub when: When,
    /// What it is.
    pub how: How,
}

/// When a cut comes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// When this many bytes of the client have arrived at the server's kernel. The program still
    /// reads them; of the rest nothing arrives.
    Received(u64),
    /// When this many bytes of the server have gone out to the client.
    Sent(u64),
    /// This long after the connection was established.
    After(Duration),
}

/// What a cut is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// The server closes: a FIN, and a RST in answer to whatever still arrives.
    Fin,
    /// A RST from the server's side.
    Reset,
    /// Nothing arrives any more, on either side, and nobody is told: a half-open connection.
    Silence,
}

/// A server program that stops reading.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// How many bytes it reads first.
    pub after: u64,
    /// How long it reads nothing then; [`Duration::MAX`]: for ever.
    pub lasts: Duration,
}
