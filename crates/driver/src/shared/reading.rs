//! Who reads.
//!
//! The task that waits in `recv` reads for itself: the waker of the socket is then its own, and
//! no other task is woken for a message. It keeps that turn when it leaves, because it mostly
//! comes back at once. So that the end of the connection is noticed even if it does not, the
//! driver takes the turn back when the connection comes to rest (`resting`).

use std::task::{Context, Poll, Waker};

use rebelay_core::{Epoch, Evidence, Instant, Item, Reason, State};

use super::{Guard, Inner, Shared, fault};

#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) turn: Turn,
    /// The waker of the task that waits in `recv`.
    pub(crate) receiver: Option<Waker>,
    /// The driver left bytes unread because the inbox was full.
    pub(crate) paused: bool,
    /// Reading came to this end, which the machine learns once nobody is writing.
    ended: Option<Box<Ended>>,
}

struct Ended {
    epoch: Epoch,
    reason: Reason,
    /// What the operating system said then.
    evidence: Option<Evidence>,
}

/// Whose task reads the socket.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub(crate) enum Turn {
    #[default]
    Driver,
    Receiver,
}

/// What one try to read came to.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Read {
    /// Data, or the end of the connection, also if somebody else came to it first.
    Something,
    /// Nothing there; the given waker will be woken.
    Pending,
    /// The machine wants nothing read, or somebody else is reading.
    Refused,
}

impl Shared {
    /// Reads once, for a task with the context `cx`.
    pub(crate) fn read<'a>(
        &'a self,
        mut inner: Guard<'a>,
        cx: &mut Context<'_>,
    ) -> (Guard<'a>, Read) {
        if inner.reading.ended.is_some() {
            return (inner, Read::Refused);
        }
        let Some(socket) = inner.socket.clone() else { return (inner, Read::Refused) };
        let Some((epoch, mut buffer)) = inner.machine.poll_receive() else {
            return (inner, Read::Refused);
        };
        drop(inner);
        let result = socket.poll_read(cx, &mut buffer);
        let reason = match &result {
            Poll::Ready(Ok(0)) => Some(Reason::PeerClosed),
            Poll::Ready(Err(error)) => Some(Reason::Io(fault(error))),
            Poll::Ready(Ok(_)) | Poll::Pending => None,
        };
        let ended = reason.map(|reason| Ended { epoch, reason, evidence: socket.evidence() });
        let now = self.now();
        inner = self.lock();
        inner.machine.handle_received(epoch, buffer, now);
        if inner.socket.is_none() || inner.machine.epoch() != Some(epoch) {
            // The connection was left meanwhile: how reading it went is nobody's business.
            return (inner, Read::Something);
        }
        if result.is_pending() {
            return (inner, Read::Pending);
        }
        if let Some(ended) = ended {
            inner.reading.ended = Some(Box::new(ended));
            inner.report_end(now);
        } else {
            inner.writing.allow();
        }
        (inner, Read::Something)
    }

    /// The next item, read from the socket by this very task if none is there.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let mut inner = self.lock();
        let former = inner.reading.receiver.take();
        let mut read = Read::Something;
        let item = loop {
            if let Some(item) = inner.machine.poll_item() {
                break Poll::Ready(Some(item));
            }
            if inner.machine.state() == State::Closed {
                break Poll::Ready(None);
            }
            if read != Read::Something {
                inner.reading.receiver = Some(cx.waker().clone());
                break Poll::Pending;
            }
            let epoch = inner.machine.epoch();
            (inner, read) = self.read(inner, cx);
            // Of a connection that was left meanwhile there is no turn to take.
            let is_left = inner.socket.is_none() || inner.machine.epoch() != epoch;
            if read != Read::Refused && !is_left {
                inner.reading.turn = Turn::Receiver;
            }
        };
        if item.is_ready() {
            inner.receiver_left();
        }
        let ended = inner.reading.ended.is_some();
        self.publish(inner, ended);
        drop(former);
        item
    }

    /// Waits for the first item, for a receiver that nobody has yet: the connection was up, though
    /// it may be down again.
    pub(crate) fn poll_first_item(&self, cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        let mut inner = self.lock();
        if inner.machine.has_item() {
            return Poll::Ready(Ok(()));
        }
        if inner.machine.state() == State::Closed {
            let reason = inner.machine.last_error().cloned();
            return Poll::Ready(Err(reason.unwrap_or(Reason::Closed)));
        }
        let former = inner.reading.receiver.replace(cx.waker().clone());
        drop(inner);
        drop(former);
        Poll::Pending
    }

    /// The next item that was read already.
    pub(crate) fn try_recv(&self) -> Option<Item> {
        let mut inner = self.lock();
        let item = inner.machine.poll_item();
        inner.receiver_left();
        self.publish(inner, false);
        item
    }

    /// The task that waited in `recv` does not wait any more.
    pub(crate) fn stop_recv(&self) {
        let mut inner = self.lock();
        let waker = inner.reading.receiver.take();
        inner.receiver_left();
        self.publish(inner, false);
        drop(waker);
    }

    /// Nobody will receive any more: the driver reads, and throws away.
    pub(crate) fn drop_receiver(&self) {
        let mut inner = self.lock();
        let waker = inner.reading.receiver.take();
        inner.reading.turn = Turn::Driver;
        inner.machine.discard_received();
        inner.wanted = true;
        self.publish(inner, false);
        drop(waker);
    }
}

impl Inner {
    /// The end of reading is reported once nobody is in a write: only then is it known what the
    /// socket took.
    pub(crate) fn report_end(&mut self, now: Instant) {
        if self.machine.is_transmitting() {
            return;
        }
        if let Some(ended) = &self.reading.ended {
            let (epoch, reason) = (ended.epoch, ended.reason.clone());
            self.machine.handle_disconnected(epoch, reason, ended.evidence, now);
        }
    }

    /// The receiver left: the driver is to read on where it had paused, and to watch whether the
    /// receiver comes back.
    fn receiver_left(&mut self) {
        if self.reading.turn == Turn::Receiver {
            self.stir();
        }
        self.wanted |= std::mem::take(&mut self.reading.paused);
    }
}

impl Reading {
    /// The driver needs to read: the peer may have to be read from before it takes more, or the
    /// connection has failed. A receiver that waits does it for the driver. `true`: it is the
    /// driver's turn now, and was not.
    pub(crate) fn take_turn_back(&mut self) -> bool {
        let taken = self.turn == Turn::Receiver && self.receiver.is_none();
        if taken {
            self.turn = Turn::Driver;
        }
        taken
    }

    pub(crate) fn end_epoch(&mut self) {
        self.ended = None;
        self.turn = Turn::Driver;
    }
}
