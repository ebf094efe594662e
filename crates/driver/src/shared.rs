//! What the handles and the driver share: the machine behind a short lock, the socket beside it,
//! and who is to be woken.
//!
//! The lock is never held across a system call or an await: whoever wants to read or write takes
//! the memory for it out of the machine, unlocks, does it, locks, and reports (`reading`,
//! `writing`). The machine lends to one reader and one writer at a time, so the two need no
//! locks of their own.
//!
//! Whoever changes the machine ends with [`Shared::publish`], which wakes whom the change
//! concerns: the driver, if the machine has bytes, an action or an earlier timeout for it.

pub(crate) mod reading;
mod resting;
mod writing;

use std::io;
use std::sync::Arc;
use std::task::Waker;

use rebelay_core::{Connection, Fault, Instant, State};

use crate::config::Settings;
use crate::endpoint::Endpoint;
use crate::history::History;
use crate::runtime::{Runtime, Socket};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{self, Event, Lock};
use reading::Reading;
use resting::Resting;
use writing::Writing;

pub(crate) struct Shared {
    inner: Lock<Inner>,
    pub(crate) runtime: Box<dyn Runtime>,
    pub(crate) endpoint: Endpoint,
    pub(crate) settings: Arc<Settings>,
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
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    pub(crate) resting: Resting,
    pub(crate) history: History,
    /// The driver's waker, from its first poll on.
    pub(crate) driver: Option<Waker>,
    /// The driver was woken and has not looked yet.
    called: bool,
    /// The driver is to look, whatever the machine has for it.
    wanted: bool,
    /// When the driver's timer wakes it.
    pub(crate) armed: Option<Instant>,
    /// How many messages had their outcome when it was last looked at.
    settled: u64,
    /// The machine had to keep outcomes, because too many wait to be read: that refuses messages.
    held_up: bool,
    /// It could let go of some.
    relieved: bool,
    /// Sends that wait for room.
    pub(crate) waiting_sends: u32,
}

pub(crate) type Guard<'a> = sync::Guard<'a, Inner>;

impl Shared {
    pub(crate) fn new(
        machine: Connection,
        runtime: Box<dyn Runtime>,
        endpoint: Endpoint,
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            origin: runtime.now(),
            inner: Lock::new(Inner {
                machine,
                socket: None,
                reading: Reading::default(),
                writing: Writing::default(),
                resting: Resting::default(),
                history: History::default(),
                driver: None,
                called: false,
                wanted: false,
                armed: None,
                settled: 0,
                held_up: false,
                relieved: false,
                waiting_sends: 0,
            }),
            runtime,
            endpoint,
            settings,
            handles: AtomicUsize::new(0),
            room: Event::new(),
            changed: Event::new(),
        }
    }

    pub(crate) fn lock(&self) -> Guard<'_> {
        self.inner.lock()
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
        let result = change(&mut inner.machine, now);
        self.publish(inner, true);
        result
    }

    /// Unlocks, and wakes whom the machine's changes concern. `stirred`: the state or an event
    /// may have changed.
    pub(crate) fn publish(&self, mut inner: Guard<'_>, stirred: bool) {
        let told = inner.settle();
        let receives = inner.machine.has_item() || inner.machine.state() == State::Closed;
        let receiver = if receives { inner.reading.receiver.take() } else { None };
        let freed = inner.freed();
        let changed = stirred || inner.writing.waiting_flushes > 0;
        let needed = !inner.called && inner.needs_driver();
        let driver = if needed { inner.call_driver() } else { None };
        drop(inner);
        if freed > 0 {
            self.room.notify(freed);
        }
        // Whoever comes to listen after this looks at the machine once more. Telling nobody would
        // cost the connection a list of listeners.
        if changed && self.changed.total_listeners() > 0 {
            self.changed.notify(usize::MAX);
        }
        told.into_iter().chain(receiver).chain(driver).for_each(Waker::wake);
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

    /// Whether the driver was woken and has not looked yet.
    pub(crate) fn is_called(&self) -> bool {
        self.called
    }

    /// The driver looks: `waker` is its own from now on. The one before is to be dropped without
    /// the lock: with it may go a task, and with that its handles.
    #[must_use]
    pub(crate) fn driver_looks(&mut self, waker: &Waker) -> Option<Waker> {
        self.called = false;
        self.wanted = false;
        self.writing.driver_looks();
        if self.driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return None;
        }
        self.driver.replace(waker.clone())
    }

    /// Takes the socket of the last epoch, to close it.
    pub(crate) fn take_socket(&mut self) -> Option<Arc<dyn Socket>> {
        self.reading.end_epoch();
        self.writing.end_epoch();
        self.socket.take()
    }

    /// Takes the machine's outcomes. Returns who waited for one, to be woken without the lock.
    #[must_use]
    pub(crate) fn settle(&mut self) -> Vec<Waker> {
        let mut told = Vec::new();
        let limit = self.machine.config().max_queued_messages;
        // The end is told to everybody: nothing more comes that would have to be bounded.
        let is_closed = self.machine.state() == State::Closed;
        while (is_closed || self.history.has_room(limit))
            && let Some(settled) = self.machine.poll_outcome()
        {
            self.history.record(settled, &mut told);
            self.relieved |= self.held_up;
        }
        self.held_up = self.machine.has_outcome();
        if is_closed {
            told.extend(self.history.reader());
        }
        told
    }

    /// Whether the machine has something for the driver that it does not know of yet.
    fn needs_driver(&self) -> bool {
        let earlier = |timeout| self.armed.is_none_or(|armed| timeout < armed);
        self.wanted
            || self.machine.can_transmit()
            || self.machine.has_action()
            || self.machine.poll_timeout().is_some_and(earlier)
    }

    /// How many sends that wait for room should try again: none unless messages have left the
    /// outbox, so that one that tried in vain wakes nobody.
    fn freed(&mut self) -> usize {
        let settled = self.machine.settled();
        let known = std::mem::replace(&mut self.settled, settled);
        let is_relieved = std::mem::take(&mut self.relieved);
        if self.waiting_sends == 0 {
            0
        } else if self.machine.is_ending() || self.machine.state() == State::Closed {
            usize::MAX
        } else if settled > known || is_relieved {
            let limit = self.machine.config().max_queued_messages;
            limit.saturating_sub(self.machine.queued().0)
        } else {
            0
        }
    }
}

/// Counts somebody who waits, for as long as it lives.
pub(crate) struct Waiting<'a> {
    shared: &'a Shared,
    count: fn(&mut Inner) -> &mut u32,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(shared: &'a Shared, count: fn(&mut Inner) -> &mut u32) -> Self {
        *count(&mut shared.lock()) += 1;
        Self { shared, count }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *(self.count)(&mut self.shared.lock()) -= 1;
    }
}

pub(crate) fn fault(error: &io::Error) -> Fault {
    Fault::with_errno(error.raw_os_error(), error.to_string())
}

pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
