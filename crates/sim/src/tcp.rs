//! One TCP connection as its two kernels see it.

use std::time::Duration;

use bytes::Bytes;
use rebelay_core::{Evidence, Fault, Instant, SplitMix64};

use crate::fate::{How, Link, Stall, When};
use crate::pipe::{Packet, Pipe};
use crate::record::Wire;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Tcp {
    plan: Link,
    client: End,
    server: End,
    /// Nothing arrives any more.
    silent: bool,
    /// What the client's next system call fails with.
    error: Option<Fault>,
    /// The server program does not read.
    pub(crate) stalled: bool,
    /// The server program knows that nothing more comes.
    pub(crate) told_end: bool,
    /// What goes out to a side, and when it arrives.
    pub(crate) out: Vec<(Instant, Side, Packet)>,
}

/// One side's kernel.
#[derive(Debug)]
struct End {
    /// What this side sends into.
    pipe: Pipe,
    /// The program has closed its socket.
    closed: bool,
    /// A RST came or went.
    broken: bool,
    /// That was while the program had its socket.
    lost: bool,
    owes_acknowledgement: bool,
}

/// What a read of the client gives.
#[derive(Debug)]
pub(crate) enum Read {
    Data(Bytes),
    End,
    Failed(Fault),
    WouldBlock,
}

impl Tcp {
    pub(crate) fn new(plan: Link) -> Self {
        let end = |send_buffer| End {
            pipe: Pipe::new(plan.latency, plan.bandwidth, send_buffer, plan.receive_buffer),
            closed: false,
            broken: false,
            lost: false,
            owes_acknowledgement: false,
        };
        let (mut client, mut server) = (end(plan.send_buffer), end(usize::MAX));
        match plan.cut.map(|cut| cut.when) {
            Some(When::Received(count)) => client.pipe.cut = count,
            Some(When::Sent(count)) => server.pipe.cut = count,
            Some(When::After(_)) | None => {}
        }
        Self {
            plan,
            client,
            server,
            silent: false,
            error: None,
            stalled: false,
            told_end: false,
            out: Vec::new(),
        }
    }

    pub(crate) fn wire(&self, epoch: u64) -> Wire {
        let up = &self.client.pipe;
        Wire {
            epoch,
            written: up.written,
            sent: up.sent,
            acknowledged: up.acknowledged,
            received: up.received,
            read: up.read,
            lost: self.client.lost,
        }
    }

    /// Whether nothing that still happens on it could be noticed by anyone.
    pub(crate) fn is_over(&self) -> bool {
        self.client.closed && (self.silent || self.server.closed || self.server.broken)
    }

    /// How long after a silence the client's kernel gives up.
    pub(crate) fn keepalive(&self) -> Option<Duration> {
        self.plan.keepalive
    }

    /// Sends what may be sent: segments, FINs, acknowledgements.
    pub(crate) fn flush(&mut self, now: Instant) {
        for side in [Side::Client, Side::Server] {
            while let Some((at, packet)) = self.end(side).pipe.depart(now) {
                self.emit(at, side.other(), packet);
            }
            if std::mem::take(&mut self.end(side).owes_acknowledgement) {
                let incoming = &self.end(side.other()).pipe;
                let packet = incoming.acknowledgement();
                self.emit(now + self.plan.latency, side.other(), packet);
            }
        }
    }

    /// `packet` reaches `side`.
    pub(crate) fn arrive(&mut self, side: Side, packet: Packet, now: Instant) {
        if self.silent || self.end(side).broken {
            return;
        }
        match packet {
            Packet::Data(_) if self.end(side).closed => self.reset(side, now),
            Packet::Data(data) => {
                self.end(side.other()).pipe.arrive(&data);
                self.end(side).owes_acknowledgement = true;
            }
            Packet::Fin => self.end(side.other()).pipe.ended = true,
            Packet::Ack { received, limit } => self.end(side).pipe.acknowledge(received, limit),
            Packet::Reset => {
                self.break_off(side);
                if side == Side::Client {
                    self.error = Some(fault(104, "connection reset by peer"));
                }
            }
        }
    }

    /// The kernel of the client finds that nothing comes back.
    pub(crate) fn give_up(&mut self) {
        self.break_off(Side::Client);
        self.error = Some(fault(110, "connection timed out"));
    }

    /// The program of `side` closes its socket.
    pub(crate) fn close(&mut self, side: Side, now: Instant) {
        self.end(side).closed = true;
        if self.end(side.other()).pipe.readable() > 0 {
            self.reset(side, now);
        } else {
            self.finish(side);
        }
    }

    /// The program of `side` has nothing more to send.
    pub(crate) fn finish(&mut self, side: Side) {
        self.end(side).pipe.finish();
    }

    pub(crate) fn reset(&mut self, side: Side, now: Instant) {
        if !self.end(side).broken {
            let at = self.end(side).pipe.carry(0, now);
            self.emit(at, side.other(), Packet::Reset);
            self.break_off(side);
        }
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn break_off(&mut self, side: Side) {
        let end = self.end(side);
        end.lost |= !end.closed;
        end.broken = true;
        end.owes_acknowledgement = false;
        end.pipe.abort();
    }

    fn emit(&mut self, at: Instant, to: Side, packet: Packet) {
        if !self.silent {
            self.out.push((at, to, packet));
        }
    }
}

/// The client's system calls.
impl Tcp {
    /// Takes from `slices` what the send buffer has room for; 0: it would block.
    pub(crate) fn write(&mut self, slices: &[Bytes], rng: &mut SplitMix64) -> Result<usize, Fault> {
        if let Some(fault) = self.error.take() {
            return Err(fault);
        }
        let pipe = &mut self.client.pipe;
        if self.client.broken || pipe.is_finished() {
            return Err(fault(32, "broken pipe"));
        }
        let offered: usize = slices.iter().map(Bytes::len).sum();
        let mut left = offered.min(pipe.room());
        if self.plan.short_writes && left > 1 {
            left = 1 + rng.up_to(left as u64 - 1) as usize;
        }
        let taken = left;
        for slice in slices {
            let count = slice.len().min(left);
            pipe.write(&slice[..count]);
            left -= count;
        }
        Ok(taken)
    }

    /// What the kernel counts (`TCP_INFO`), if the plan lets it.
    pub(crate) fn evidence(&self) -> Option<Evidence> {
        let up = &self.client.pipe;
        let waiting_fin = u64::from(up.is_fin_waiting());
        self.plan.evidence.then(|| Evidence {
            untransmitted: up.written - up.sent + waiting_fin,
            is_final: self.client.broken,
        })
    }

    /// Whether a write would not block.
    pub(crate) fn is_writable(&self) -> bool {
        self.error.is_some() || self.client.broken || self.client.pipe.room() > 0
    }

    /// Whether a read would not block.
    pub(crate) fn is_readable(&self) -> bool {
        let down = &self.server.pipe;
        down.readable() > 0 || self.error.is_some() || self.client.broken || down.ended
    }

    /// Reads `space` bytes at most. What had arrived before an error comes before the error.
    pub(crate) fn read(&mut self, space: usize) -> Read {
        let down = &mut self.server.pipe;
        let count = down.readable().min(space);
        if count > 0 {
            self.client.owes_acknowledgement = !self.client.broken;
            Read::Data(down.read(count))
        } else if let Some(fault) = self.error.take() {
            Read::Failed(fault)
        } else if down.ended || self.client.broken {
            Read::End
        } else {
            Read::WouldBlock
        }
    }
}

/// The server program's side.
impl Tcp {
    /// Whether the server program still has its socket.
    pub(crate) fn is_served(&self) -> bool {
        !self.server.closed && !self.server.broken
    }

    /// Whether the client's RST reached the server.
    pub(crate) fn is_reset_at_server(&self) -> bool {
        self.server.broken && !self.server.closed
    }

    /// The next bytes that the server program reads.
    pub(crate) fn server_read(&mut self) -> Option<Bytes> {
        let up = &mut self.client.pipe;
        let due = self.plan.stall.map_or(u64::MAX, |stall| stall.after - up.read);
        let count = up.readable().min(usize::try_from(due).unwrap_or(usize::MAX));
        if count == 0 || self.stalled {
            return None;
        }
        self.server.owes_acknowledgement = true;
        Some(up.read(count))
    }

    pub(crate) fn server_write(&mut self, bytes: &[u8]) {
        if self.is_served() && !self.server.pipe.is_finished() {
            self.server.pipe.write(bytes);
        }
    }

    /// Whether the client's FIN came and the program has read all before it.
    pub(crate) fn is_read_out(&self) -> bool {
        !self.stalled && self.client.pipe.ended && self.client.pipe.readable() == 0
    }

    /// The stall that begins here, once.
    pub(crate) fn begin_stall(&mut self) -> Option<Stall> {
        let read = self.client.pipe.read;
        let stall = self.plan.stall.take_if(|stall| read >= stall.after)?;
        self.stalled = true;
        Some(stall)
    }
}

/// The plan's cut.
impl Tcp {
    /// Whether the bytes after which the plan cuts have passed.
    pub(crate) fn is_cut_due(&self) -> bool {
        self.plan.cut.is_some_and(|cut| match cut.when {
            When::Received(count) => self.client.pipe.received >= count,
            When::Sent(count) => self.server.pipe.sent >= count,
            When::After(_) => false,
        })
    }

    /// Cuts, once.
    pub(crate) fn cut(&mut self, now: Instant) -> Option<How> {
        let cut = self.plan.cut.take()?;
        self.client.pipe.cut = u64::MAX;
        match cut.how {
            How::Fin => {
                if self.server.pipe.cut != u64::MAX {
                    self.server.pipe.abandon();
                }
                self.close(Side::Server, now);
            }
            How::Reset => {
                self.reset(Side::Server, now);
                self.server.closed = true;
            }
            How::Silence => self.silent = true,
        }
        Some(cut.how)
    }
}

fn fault(errno: i32, text: &str) -> Fault {
    Fault::with_errno(Some(errno), text)
}
