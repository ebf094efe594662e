//! Who writes.
//!
//! Bytes wait in the machine until somebody flushes. A `send` flushes from its own task if it
//! may: `may_write` is set when the driver found nothing to do and when data came in, and taken
//! by the send that uses it. So the first message of a conversation leaves without a hop. While
//! flushes carry several messages each, they are left to the driver: a send that wrote would
//! only give its own message a system call more.
//!
//! The waker of every write is the driver's, whoever writes. So whenever bytes are left and
//! nobody is writing, either the driver was called or the socket will call it.

use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rebelay_core::{Epoch, Evidence, Fault, Instant, Refusal, SendOptions, State, Ticket};

use super::{Guard, Inner, Shared, fault};
use crate::runtime::Socket;

/// System calls that sends make for room before they leave it to the driver: then others may run.
const HELP: u8 = 8;

/// Slices of one write.
const MAX_SLICES: usize = 16;

#[derive(Default)]
pub(crate) struct Writing {
    /// The next send may write for itself.
    may_write: bool,
    /// System calls that sends made for room since the driver last looked.
    helped: u8,
    /// The last flush that finished a message finished several.
    burst: bool,
    /// The driver looked while somebody was writing.
    overtaken: bool,
    /// Flushes that wait for the outbox.
    pub(crate) waiting_flushes: u32,
    /// Memory for the slices of a write, while nobody is in one.
    slices: Vec<Bytes>,
}

/// What a writer needs while the machine is unlocked.
struct Loan {
    epoch: Epoch,
    socket: Arc<dyn Socket>,
    waker: Waker,
    slices: Vec<Bytes>,
}

/// What one write came to.
enum Wrote {
    Bytes(usize),
    /// The waker will be woken when there is room.
    Nothing,
    /// None, and there never will be; and what the operating system said then.
    Failed(Fault, Option<Evidence>),
}

impl Shared {
    /// Admits the message that lies at `message`, and writes it if this task may. A message that
    /// is refused is left there.
    pub(crate) fn send(
        &self,
        message: &mut Bytes,
        options: &SendOptions,
    ) -> Result<Ticket, Refusal> {
        let mut inner = self.lock();
        // Admitting a message to an established connection starts no timer, unless it expires:
        // the time of the last look at the clock will do.
        let is_timeless =
            inner.machine.state() == State::Connected && options.expires_after.is_none();
        let now = if is_timeless { inner.machine.now() } else { self.now() };
        let admitted = inner.machine.send_from(message, options, now);
        if is_timeless && admitted.is_ok() && inner.is_flushed_by_others() {
            // Under load a send is this: nobody has to be told.
            return admitted;
        }
        self.tell(inner);
        admitted
    }

    /// A message was admitted or refused: writes it if this task may, and tells whom it concerns.
    fn tell<'a>(&'a self, mut inner: Guard<'a>) {
        if inner.machine.can_transmit() && std::mem::take(&mut inner.writing.may_write) {
            inner = self.flush(inner, 1);
        }
        self.publish(inner, false);
    }

    /// Writes for room in the outbox. `false`: that is left to somebody else.
    pub(crate) fn make_room(&self) -> bool {
        let mut inner = self.lock();
        if inner.writing.helped == HELP {
            return false;
        }
        inner.writing.helped += 1;
        let settled = inner.machine.settled();
        inner = self.flush(inner, 1);
        let made = inner.machine.settled() > settled;
        self.publish(inner, false);
        made
    }

    /// Writes what waits, in at most `rounds` system calls.
    pub(crate) fn flush<'a>(&'a self, mut inner: Guard<'a>, rounds: usize) -> Guard<'a> {
        let before = inner.machine.written_through().number();
        for _ in 0..rounds {
            let Some(loan) = inner.lend_write() else { break };
            drop(inner);
            let result = loan.write();
            let now = self.now();
            inner = self.lock();
            inner.take_back(loan, result, now);
        }
        let finished = inner.machine.written_through().number().saturating_sub(before);
        if finished > 0 {
            inner.writing.burst = finished > 1;
        }
        inner
    }
}

impl Inner {
    /// Whether whoever writes, or was called to write, will find what was just admitted; and
    /// admitting it settled no other message.
    fn is_flushed_by_others(&self) -> bool {
        let left_to_others = self.is_called() && !self.writing.may_write;
        (left_to_others || !self.machine.can_transmit()) && !self.machine.has_outcome()
    }

    /// The driver looks, maybe because the socket takes bytes again.
    pub(crate) fn look_for_room(&mut self) {
        if let Some(epoch) = self.machine.epoch() {
            self.machine.handle_writable(epoch);
        }
        self.writing.overtaken = true;
    }

    fn lend_write(&mut self) -> Option<Loan> {
        if !self.machine.can_transmit() {
            return None;
        }
        let (socket, waker) = (self.socket.clone()?, self.driver.clone()?);
        let mut slices = std::mem::take(&mut self.writing.slices);
        slices.reserve(MAX_SLICES);
        let epoch = self.machine.poll_transmit(&mut slices)?;
        self.writing.overtaken = false;
        Some(Loan { epoch, socket, waker, slices })
    }

    fn take_back(&mut self, mut loan: Loan, wrote: Wrote, now: Instant) {
        let epoch = loan.epoch;
        loan.slices.clear();
        self.writing.slices = loan.slices;
        match wrote {
            Wrote::Bytes(count) => {
                self.machine.handle_transmitted(epoch, count, now);
                self.stir();
            }
            Wrote::Nothing => {
                self.machine.handle_transmitted(epoch, 0, now);
                if self.writing.overtaken {
                    // The wake-up of this write may be spent already.
                    self.machine.handle_writable(epoch);
                }
                self.let_driver_read();
            }
            Wrote::Failed(fault, evidence) => {
                self.machine.handle_write_failed(epoch, fault, evidence, now);
                self.let_driver_read();
            }
        }
        self.report_end(now);
    }

    fn let_driver_read(&mut self) {
        if self.reading.take_turn_back() {
            self.wanted = true;
        }
    }
}

impl Writing {
    /// The driver looks.
    pub(crate) fn driver_looks(&mut self) {
        self.helped = 0;
    }

    /// Nobody has anything to write just now.
    pub(crate) fn allow(&mut self) {
        self.may_write = !self.burst;
    }

    pub(crate) fn rest(&mut self) {
        self.slices = Vec::new();
    }

    pub(crate) fn end_epoch(&mut self) {
        self.may_write = false;
    }
}

impl Loan {
    fn write(&self) -> Wrote {
        let mut borrowed = [IoSlice::new(&[]); MAX_SLICES];
        for (io, slice) in borrowed.iter_mut().zip(&self.slices) {
            *io = IoSlice::new(slice);
        }
        let count = self.slices.len().min(MAX_SLICES);
        let mut context = Context::from_waker(&self.waker);
        let fault = match self.socket.poll_write(&mut context, &borrowed[..count]) {
            Poll::Pending => return Wrote::Nothing,
            Poll::Ready(Ok(count @ 1..)) => return Wrote::Bytes(count),
            Poll::Ready(Ok(0)) => Fault::new("the socket takes no bytes any more"),
            Poll::Ready(Err(error)) => fault(&error),
        };
        Wrote::Failed(fault, self.socket.evidence())
    }
}
