//! One direction of a TCP connection.
//!
//! ```text
//!   writer ─▶ send buffer ─▶ wire (latency, bandwidth) ─▶ receive buffer ─▶ reader
//!             unsent          segments in the queue        arrived
//!              ▲                                                │
//!              └── received, limit: acknowledgement and window ─┘
//! ```

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rebelay_core::Instant;

/// The most bytes of one segment.
const SEGMENT: u64 = 1_460;

/// What travels from one end to the other.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    Data(Bytes),
    Fin,
    Reset,
    Ack { received: u64, limit: u64 },
}

#[derive(Debug)]
pub(crate) struct Pipe {
    latency: Duration,
    bandwidth: Option<u64>,
    send_buffer: u64,
    receive_buffer: u64,
    /// Bytes in the send buffer that never went out.
    unsent: BytesMut,
    /// Bytes written since the beginning; those below are counted alike.
    pub(crate) written: u64,
    pub(crate) sent: u64,
    /// What the sender knows to have been received.
    pub(crate) acknowledged: u64,
    /// How far the sender may send.
    limit: u64,
    /// How far the sender ever sends: there the connection is cut.
    pub(crate) cut: u64,
    fin: Fin,
    /// When the wire has carried everything that was put on it.
    idle_at: Instant,
    /// Bytes in the receive buffer.
    arrived: BytesMut,
    pub(crate) received: u64,
    pub(crate) read: u64,
    /// The FIN has arrived.
    pub(crate) ended: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Fin {
    Open,
    Wanted,
    Sent,
    /// It was wanted and never will be sent.
    Lost,
}

impl Pipe {
    pub(crate) fn new(
        latency: Duration,
        bandwidth: Option<u64>,
        send_buffer: usize,
        receive_buffer: usize,
    ) -> Self {
        Self {
            latency,
            bandwidth,
            send_buffer: send_buffer as u64,
            receive_buffer: receive_buffer as u64,
            unsent: BytesMut::new(),
            written: 0,
            sent: 0,
            acknowledged: 0,
            limit: receive_buffer as u64,
            cut: u64::MAX,
            fin: Fin::Open,
            idle_at: Instant::ZERO,
            arrived: BytesMut::new(),
            received: 0,
            read: 0,
            ended: false,
        }
    }

    /// How many bytes the send buffer has room for.
    pub(crate) fn room(&self) -> usize {
        let used = self.written - self.acknowledged;
        usize::try_from(self.send_buffer.saturating_sub(used)).unwrap_or(usize::MAX)
    }

    /// Puts `bytes` into the send buffer, whatever room it has.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.written += bytes.len() as u64;
    }

    /// Nothing more is written: a FIN goes out behind the last byte.
    pub(crate) fn finish(&mut self) {
        if self.fin == Fin::Open {
            self.fin = Fin::Wanted;
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.fin != Fin::Open
    }

    /// Whether a FIN waits behind bytes that did not go out, or did when they were thrown away.
    pub(crate) fn is_fin_waiting(&self) -> bool {
        matches!(self.fin, Fin::Wanted | Fin::Lost)
    }

    /// Throws away what did not go out.
    pub(crate) fn abandon(&mut self) {
        self.unsent.clear();
    }

    /// Throws away what did not go out, and the FIN with it.
    pub(crate) fn abort(&mut self) {
        self.unsent.clear();
        self.fin = if self.is_fin_waiting() { Fin::Lost } else { Fin::Sent };
    }

    /// The next segment that the window lets go, and when it arrives.
    pub(crate) fn depart(&mut self, now: Instant) -> Option<(Instant, Packet)> {
        let window = self.limit.min(self.cut).saturating_sub(self.sent).min(SEGMENT);
        let len = self.unsent.len().min(usize::try_from(window).unwrap_or(usize::MAX));
        if len > 0 {
            self.sent += len as u64;
            let data = self.unsent.split_to(len).freeze();
            return Some((self.carry(len, now), Packet::Data(data)));
        }
        if self.fin == Fin::Wanted && self.unsent.is_empty() {
            self.fin = Fin::Sent;
            return Some((self.carry(0, now), Packet::Fin));
        }
        None
    }

    /// When `len` bytes, put on the wire behind all others, arrive.
    pub(crate) fn carry(&mut self, len: usize, now: Instant) -> Instant {
        let nanos = self.bandwidth.map_or(0, |per_second| {
            let nanos = len as u128 * 1_000_000_000 / u128::from(per_second.max(1));
            u64::try_from(nanos).unwrap_or(u64::MAX)
        });
        self.idle_at = self.idle_at.max(now) + Duration::from_nanos(nanos);
        self.idle_at + self.latency
    }

    pub(crate) fn arrive(&mut self, data: &[u8]) {
        self.arrived.extend_from_slice(data);
        self.received += data.len() as u64;
    }

    /// How many bytes can be read.
    pub(crate) fn readable(&self) -> usize {
        self.arrived.len()
    }

    pub(crate) fn read(&mut self, len: usize) -> Bytes {
        self.read += len as u64;
        self.arrived.split_to(len).freeze()
    }

    /// What the receiver tells the sender.
    pub(crate) fn acknowledgement(&self) -> Packet {
        Packet::Ack { received: self.received, limit: self.read + self.receive_buffer }
    }

    pub(crate) fn acknowledge(&mut self, received: u64, limit: u64) {
        self.acknowledged = self.acknowledged.max(received);
        self.limit = self.limit.max(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> Pipe {
        Pipe::new(Duration::from_millis(5), Some(1_000_000), 3_000, 2_000)
    }

    #[test]
    fn the_window_and_the_bandwidth_hold_segments_back() {
        let mut pipe = pipe();
        pipe.write(&[1; 3_000]);
        assert_eq!(pipe.room(), 0);
        let mut arrivals = Vec::new();
        while let Some((at, Packet::Data(data))) = pipe.depart(Instant::ZERO) {
            arrivals.push((at.as_nanos() / 1_000, data.len()));
            pipe.arrive(&data);
        }
        assert_eq!(arrivals, [(6_460, 1_460), (7_000, 540)]);

        let data = pipe.read(1_500);
        assert_eq!(data.len(), 1_500);
        let Packet::Ack { received, limit } = pipe.acknowledgement() else { unreachable!() };
        pipe.acknowledge(received, limit);
        assert_eq!((received, limit, pipe.room()), (2_000, 3_500, 2_000));
        assert!(
            matches!(pipe.depart(Instant::ZERO), Some((_, Packet::Data(d))) if d.len() == 1_000)
        );
    }

    #[test]
    fn the_fin_goes_behind_the_last_byte_and_once() {
        let mut pipe = pipe();
        pipe.write(b"bye");
        pipe.finish();
        assert!(matches!(pipe.depart(Instant::ZERO), Some((_, Packet::Data(_)))));
        assert!(matches!(pipe.depart(Instant::ZERO), Some((_, Packet::Fin))));
        pipe.finish();
        assert!(pipe.depart(Instant::ZERO).is_none());
    }
}
