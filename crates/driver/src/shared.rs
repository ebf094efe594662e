//! What the handles and the driver share: the machine behind a short lock, the socket beside it,
//! and who is to be woken.
//!
//! The lock is never held across a system call or an await: whoever wants to read or write takes
//! the memory for it out of the machine, unlocks, does it, locks, and reports. The machine lends
//! to one writer and one reader at a time, so the two need no locks of their own.
//!
//! **Writing.** Bytes wait in the machine until somebody flushes. A `send` flushes from its own
//! task if it may: `may_write` is set when the driver found nothing to do and when data came in,
//! and taken by the send that uses it, so the first message of a conversation leaves without a
//! hop and a burst is left to one flush of the driver's. Whenever bytes are left and nobody is
//! writing, the driver has been called, or the socket will wake it: the waker of every write is
//! the driver's, whoever writes.
//!
//! **Waking the driver.** Whoever changes the machine ends with `publish`, which calls the driver
//! if the machine has bytes, an action or an earlier timeout for it.
//!
//! **Reading.** The task that waits in `recv` reads for itself; the waker of the socket is then
//! its own. It keeps that turn when it leaves, because it mostly comes back at once; the driver
//! looks every now and then (`watching`) and takes the turn back when it did not.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use event_listener::Event;
use rebelay_core::{
    Connection, Epoch, Fault, Instant, Item, Reason, Refusal, SendError, SendOptions, State, Ticket,
};

use crate::history::History;
use crate::runtime::{Runtime, Socket};

/// Slices of one write.
const MAX_SLICES: usize = 16;

pub(crate) struct Shared {
    inner: Mutex<Inner>,
    pub(crate) runtime: Arc<dyn Runtime>,
    /// The machine's instant zero.
    origin: std::time::Instant,
    /// Handles alive; at 0 the driver closes the connection.
    handles: AtomicUsize,
    /// There may be room in the outbox.
    pub(crate) room: Event,
    /// The state, an event, or how far the outbox is written may have changed.
    pub(crate) changed: Event,
}

pub(crate) struct Inner {
    pub(crate) machine: Connection,
    /// The socket of the machine's current epoch.
    pub(crate) socket: Option<Arc<dyn Socket>>,
    pub(crate) history: History,
    /// The latest instant read from the clock.
    now: Instant,
    /// The driver's waker, from its first poll on.
    driver: Option<Waker>,
    /// The driver was woken and has not looked yet.
    called: bool,
    /// When the driver's timer wakes it.
    pub(crate) armed: Option<Instant>,
    /// The next send may write for itself.
    may_write: bool,
    /// Memory for the slices of a write, while nobody writes.
    slices: Vec<Bytes>,
    /// Somebody is in a write, with the machine unlocked.
    writing: bool,
    /// Reading came to this end; reported to the machine once nobody is writing.
    ended: Option<(Epoch, Reason)>,
    pub(crate) turn: Turn,
    /// The waker of the task that waits in `recv`.
    receiver: Option<Waker>,
    /// The receiver asked for an item since the driver last looked.
    pub(crate) receiver_seen: bool,
    /// The driver will look whether the receiver comes back.
    pub(crate) watching: bool,
    /// The driver left bytes unread because the inbox was full.
    paused: bool,
    /// What the outbox held when it was last looked at.
    queued: (usize, usize),
    /// Who is to be woken once the lock is free.
    woken: Vec<Waker>,
    /// Sends that wait for room.
    pub(crate) waiting_sends: usize,
    /// Flushes that wait for the outbox.
    pub(crate) waiting_flushes: usize,
}

/// Whose task reads the socket.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Turn {
    Driver,
    Receiver,
}

/// What one try to read came to.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Read {
    /// Something for the machine: data, or the end of the connection.
    Something,
    /// Nothing there; the given waker will be woken.
    Pending,
    /// The machine wants nothing read, or somebody else is reading.
    Refused,
}

type Guard<'a> = MutexGuard<'a, Inner>;

impl Shared {
    pub(crate) fn new(
        machine: Connection,
        runtime: Arc<dyn Runtime>,
        origin: std::time::Instant,
    ) -> Self {
        Self {
            inner: Mutex::new(Inner {
                machine,
                socket: None,
                history: History::default(),
                now: Instant::ZERO,
                driver: None,
                called: false,
                armed: None,
                may_write: false,
                slices: Vec::with_capacity(MAX_SLICES),
                writing: false,
                ended: None,
                turn: Turn::Driver,
                receiver: None,
                receiver_seen: false,
                watching: false,
                paused: false,
                queued: (0, 0),
                woken: Vec::new(),
                waiting_sends: 0,
                waiting_flushes: 0,
            }),
            runtime,
            origin,
            handles: AtomicUsize::new(0),
            room: Event::new(),
            changed: Event::new(),
        }
    }

    pub(crate) fn lock(&self) -> Guard<'_> {
        // A panic elsewhere leaves the machine as it was between two of its methods.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> Instant {
        let nanos = self.runtime.now().saturating_duration_since(self.origin).as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Does `change` to the machine, as a user's call that is not on the hot path.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Connection, Instant) -> T) -> T {
        let now = self.now();
        let mut inner = self.lock();
        inner.now = now;
        let result = change(&mut inner.machine, now);
        self.publish(inner, true);
        result
    }

    /// Admits `message`, and writes it if this task may.
    pub(crate) fn send(&self, message: Bytes, options: SendOptions) -> Result<Ticket, SendError> {
        let mut inner = self.lock();
        // Admitting a message to an established connection starts no timer: the time of the
        // last look at the clock will do.
        let connected = inner.machine.state() == State::Connected;
        let now = if connected { inner.now } else { self.now() };
        let result = inner.machine.send(message, options, now);
        let may_write = inner.machine.can_transmit() && std::mem::take(&mut inner.may_write);
        if may_write {
            inner = self.flush(inner, 1);
        }
        self.publish(inner, false);
        result
    }

    /// Writes what waits, in at most `rounds` system calls.
    pub(crate) fn flush<'a>(&'a self, mut inner: Guard<'a>, rounds: usize) -> Guard<'a> {
        for _ in 0..rounds {
            let Some((epoch, socket, waker, mut slices)) = inner.lend_write() else {
                return inner;
            };
            drop(inner);
            let result = write(&*socket, &waker, &slices);
            slices.clear();
            let now = self.now();
            inner = self.lock();
            inner.take_write_back(epoch, slices, result, now);
        }
        inner
    }

    /// Reads once, for a task with the context `cx`.
    pub(crate) fn read<'a>(
        &'a self,
        mut inner: Guard<'a>,
        cx: &mut Context<'_>,
    ) -> (Guard<'a>, Read) {
        if inner.ended.is_some() {
            return (inner, Read::Refused);
        }
        let Some(socket) = inner.socket.clone() else { return (inner, Read::Refused) };
        let Some((epoch, mut buffer)) = inner.machine.poll_receive() else {
            return (inner, Read::Refused);
        };
        drop(inner);
        let result = socket.poll_read(cx, &mut buffer);
        let now = self.now();
        inner = self.lock();
        inner.now = now;
        inner.machine.handle_received(epoch, buffer, now);
        let read = match result {
            Poll::Ready(Ok(0)) => inner.end(epoch, Reason::PeerClosed),
            Poll::Ready(Ok(_)) => {
                inner.may_write = true;
                Read::Something
            }
            Poll::Ready(Err(error)) => inner.end(epoch, Reason::Io(fault(&error))),
            Poll::Pending => Read::Pending,
        };
        (inner, read)
    }

    /// The next item, read from the socket by this very task if none is there.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let mut inner = self.lock();
        inner.receiver = None;
        inner.receiver_seen = true;
        let mut read = Read::Something;
        let item = loop {
            if let Some(item) = inner.machine.poll_item() {
                break Poll::Ready(Some(item));
            }
            if inner.machine.state() == State::Closed {
                break Poll::Ready(None);
            }
            if read != Read::Something {
                inner.receiver = Some(cx.waker().clone());
                break Poll::Pending;
            }
            (inner, read) = self.read(inner, cx);
            if read != Read::Refused {
                inner.turn = Turn::Receiver;
            }
        };
        let call = if item.is_ready() { inner.receiver_left() } else { None };
        self.publish(inner, false);
        wake(call);
        item
    }

    /// The next item that was read already.
    pub(crate) fn try_recv(&self) -> Option<Item> {
        let mut inner = self.lock();
        let item = inner.machine.poll_item();
        let call = inner.receiver_left();
        drop(inner);
        wake(call);
        item
    }

    /// Nobody will receive any more: the driver reads, and throws away.
    pub(crate) fn drop_receiver(&self) {
        let mut inner = self.lock();
        inner.receiver = None;
        inner.turn = Turn::Driver;
        inner.machine.discard_received();
        let call = inner.call_driver();
        drop(inner);
        wake(call);
    }

    /// The task that waited in `recv` does not wait any more.
    pub(crate) fn stop_recv(&self) {
        let mut inner = self.lock();
        inner.receiver = None;
        let call = inner.receiver_left();
        drop(inner);
        wake(call);
    }

    /// Unlocks, and tells everybody whom the machine's changes concern. `stirred`: the state or
    /// an event may have changed.
    pub(crate) fn publish(&self, mut inner: Guard<'_>, stirred: bool) {
        inner.settle();
        let closed = inner.machine.state() == State::Closed;
        if inner.machine.has_item() || closed {
            let receiver = inner.receiver.take();
            inner.woken.extend(receiver);
        }
        let freed = inner.freed();
        let changed = stirred || inner.waiting_flushes > 0;
        if !inner.called && inner.needs_driver() {
            let driver = inner.call_driver();
            inner.woken.extend(driver);
        }
        let woken = std::mem::take(&mut inner.woken);
        drop(inner);
        if freed > 0 {
            self.room.notify(freed);
        }
        if changed {
            self.changed.notify(usize::MAX);
        }
        woken.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn drop_handle(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            let call = self.lock().call_driver();
            wake(call);
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0
    }
}

impl Inner {
    /// The waker of the driver, unless it was called already.
    #[must_use]
    pub(crate) fn call_driver(&mut self) -> Option<Waker> {
        if std::mem::replace(&mut self.called, true) { None } else { self.driver.clone() }
    }

    /// The driver looks: `waker` is its own from now on.
    pub(crate) fn driver_looks(&mut self, waker: &Waker) {
        self.called = false;
        match &mut self.driver {
            Some(known) => known.clone_from(waker),
            None => self.driver = Some(waker.clone()),
        }
    }

    /// Takes the machine's outcomes.
    pub(crate) fn settle(&mut self) {
        while let Some(settled) = self.machine.poll_outcome() {
            self.history.record(settled, &mut self.woken);
        }
    }

    /// How many sends that wait for room should try again: none unless the outbox has shrunk, so
    /// that one that tried in vain wakes nobody.
    fn freed(&mut self) -> usize {
        let (messages, bytes) = self.machine.queued();
        let (known_messages, known_bytes) = std::mem::replace(&mut self.queued, (messages, bytes));
        if self.waiting_sends == 0 {
            0
        } else if self.machine.is_ending() || self.machine.state() == State::Closed {
            usize::MAX
        } else if messages < known_messages || bytes < known_bytes {
            self.machine.config().max_queued_messages.saturating_sub(messages)
        } else {
            0
        }
    }

    /// The driver found nothing to do.
    pub(crate) fn driver_rests(&mut self) {
        self.may_write |= !self.machine.can_transmit();
    }

    /// The socket of the last epoch is to be closed.
    pub(crate) fn take_socket(&mut self) -> Option<Arc<dyn Socket>> {
        self.ended = None;
        self.turn = Turn::Driver;
        self.may_write = false;
        self.socket.take()
    }

    /// Takes the turn to read away from a receiver that does not come back. `true`: it does.
    pub(crate) fn watch_receiver(&mut self) -> bool {
        self.watching = self.turn == Turn::Receiver
            && self.receiver.is_none()
            && std::mem::take(&mut self.receiver_seen);
        if !self.watching && self.receiver.is_none() {
            self.turn = Turn::Driver;
        }
        self.watching
    }

    pub(crate) fn pause_reading(&mut self) {
        self.paused = true;
    }

    /// The receiver left: calls the driver to read on where it had paused, or to watch whether
    /// the receiver comes back.
    #[must_use]
    fn receiver_left(&mut self) -> Option<Waker> {
        let unwatched = self.turn == Turn::Receiver && !self.watching;
        self.watching |= unwatched;
        let paused = std::mem::take(&mut self.paused);
        if paused || unwatched { self.call_driver() } else { None }
    }

    /// Whether the machine has something for the driver that it does not know of yet.
    fn needs_driver(&self) -> bool {
        let earlier = |timeout| self.armed.is_none_or(|armed| timeout < armed);
        self.machine.can_transmit()
            || self.machine.has_action()
            || self.machine.poll_timeout().is_some_and(earlier)
    }

    fn lend_write(&mut self) -> Option<(Epoch, Arc<dyn Socket>, Waker, Vec<Bytes>)> {
        if !self.machine.can_transmit() {
            return None;
        }
        let (socket, waker) = (self.socket.clone()?, self.driver.clone()?);
        let mut slices = std::mem::take(&mut self.slices);
        let Some(epoch) = self.machine.poll_transmit(&mut slices) else {
            self.slices = slices;
            return None;
        };
        self.writing = true;
        Some((epoch, socket, waker, slices))
    }

    fn take_write_back(
        &mut self,
        epoch: Epoch,
        slices: Vec<Bytes>,
        result: Poll<io::Result<usize>>,
        now: Instant,
    ) {
        self.now = now;
        self.slices = slices;
        self.writing = false;
        match result {
            Poll::Ready(Ok(count)) if count > 0 => {
                self.machine.handle_transmitted(epoch, count, now);
            }
            Poll::Ready(Ok(_)) => {
                let fault = Fault::new("the socket takes no bytes any more");
                self.machine.handle_write_failed(epoch, fault, now);
            }
            Poll::Ready(Err(error)) => {
                self.machine.handle_write_failed(epoch, fault(&error), now);
            }
            Poll::Pending => self.machine.handle_transmitted(epoch, 0, now),
        }
        self.report_end(now);
    }

    fn end(&mut self, epoch: Epoch, reason: Reason) -> Read {
        self.ended = Some((epoch, reason));
        self.report_end(self.now);
        Read::Something
    }

    fn report_end(&mut self, now: Instant) {
        if self.writing {
            return;
        }
        if let Some((epoch, reason)) = &self.ended {
            self.machine.handle_disconnected(*epoch, reason.clone(), now);
        }
    }
}

/// One write, whose waker is the driver's whoever's task it runs on.
fn write(socket: &dyn Socket, waker: &Waker, slices: &[Bytes]) -> Poll<io::Result<usize>> {
    let mut borrowed = [IoSlice::new(&[]); MAX_SLICES];
    for (io, slice) in borrowed.iter_mut().zip(slices) {
        *io = IoSlice::new(slice);
    }
    let count = slices.len().min(MAX_SLICES);
    socket.poll_write(&mut Context::from_waker(waker), &borrowed[..count])
}

pub(crate) fn fault(error: &io::Error) -> Fault {
    Fault { errno: error.raw_os_error(), text: error.to_string() }
}

pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Whether a send that was refused like this should wait for room.
pub(crate) fn is_full(error: &SendError) -> bool {
    error.refusal == Refusal::Full
}
