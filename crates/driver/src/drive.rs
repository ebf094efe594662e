//! The one drive loop: carries the machine's actions to a runtime and the runtime's reports back.
//! It decides nothing.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rebelay_core::{Action, Epoch, Fault, Instant, State};

use crate::endpoint::Endpoint;
use crate::handshake::{Handshake, HandshakeError, OnConnect};
use crate::options::SocketOptions;
use crate::runtime::{BoxFuture, Socket};
use crate::shared::reading::{Read, Turn};
use crate::shared::{Shared, fault};

/// System calls per direction, and rounds of everything, in one poll: then others may run.
const WRITES: usize = 8;
const READS: usize = 8;
const ROUNDS: usize = 8;

/// How long a receiver that left keeps its turn to read.
const WATCH: Duration = Duration::from_millis(100);

/// The task behind a connection. It ends when the connection is closed, also because all its
/// handles were dropped; dropping it closes the connection at once.
#[must_use = "nothing happens on the connection unless the driver is spawned or awaited"]
pub struct Driver {
    shared: Arc<Shared>,
    target: Target,
    lookup: Slot<u64, io::Result<Vec<SocketAddr>>>,
    dial: Slot<u64, io::Result<Arc<dyn Socket>>>,
    handshake: Slot<Epoch, Result<Handshake, HandshakeError>>,
    shutdown: Option<Arc<dyn Socket>>,
    /// When to look whether the receiver came back.
    watch: Option<Instant>,
    sleep: Option<BoxFuture<()>>,
}

/// Something under way, and what the machine calls it.
type Slot<K, T> = Option<(K, BoxFuture<T>)>;

/// What is dialled, and how.
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) options: SocketOptions,
    pub(crate) on_connect: Option<OnConnect>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let former = this.shared.lock().driver_looks(cx.waker());
        drop(former);
        for _ in 0..ROUNDS {
            this.tell_time();
            this.obey();
            let reported = this.poll_attempts(cx);
            let moved = this.poll_socket(cx);
            let shared = Arc::clone(&this.shared);
            let mut inner = shared.lock();
            if inner.machine.has_action() || reported || moved {
                shared.publish(inner, true);
                continue;
            }
            if inner.machine.state() == State::Closed {
                inner.armed = None;
                shared.publish(inner, true);
                return Poll::Ready(());
            }
            inner.writing.allow();
            let deadline = inner.machine.poll_timeout().into_iter().chain(this.watch).min();
            let rearm = inner.armed != deadline || this.sleep.is_none();
            inner.armed = deadline;
            shared.publish(inner, true);
            if this.poll_sleep(deadline, rearm, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, target: Target) -> Self {
        Self {
            shared,
            target,
            lookup: None,
            dial: None,
            handshake: None,
            shutdown: None,
            watch: None,
            sleep: None,
        }
    }

    /// Tells the machine the time, and that nobody listens where that is so.
    fn tell_time(&mut self) {
        let now = self.shared.now();
        let mut inner = self.shared.lock();
        if self.shared.is_abandoned() {
            inner.machine.close(now);
        }
        inner.machine.handle_timeout(now);
        let reading = &mut inner.reading;
        if reading.watching && self.watch.is_none_or(|at| at <= now) {
            // The first look only starts the watch.
            let goes_on = self.watch.is_none() || reading.watch();
            self.watch = goes_on.then(|| now + WATCH);
        }
    }

    /// Does what the machine wants done.
    fn obey(&mut self) {
        loop {
            let action = self.shared.lock().machine.poll_action();
            match action {
                None => return,
                Some(Action::Resolve { round }) => {
                    let lookup = self.shared.runtime.resolve(&self.target.endpoint);
                    self.lookup = Some((round, lookup));
                }
                Some(Action::Dial { attempt, address }) => {
                    let dial = self.shared.runtime.dial(address, &self.target.options);
                    self.dial = Some((attempt, dial));
                }
                Some(Action::Handshake { epoch }) => self.begin_handshake(epoch),
                Some(Action::Abandon { .. }) => self.dial = None,
                Some(Action::ShutdownWrite { .. }) => {
                    self.shutdown = self.shared.lock().socket.clone();
                }
                Some(Action::CloseSocket { .. }) => {
                    self.handshake = None;
                    self.shutdown = None;
                    // Closed without the lock: close(2) may take its time.
                    let socket = self.shared.lock().take_socket();
                    drop(socket);
                }
            }
        }
    }

    fn begin_handshake(&mut self, epoch: Epoch) {
        let socket = self.shared.lock().socket.clone();
        if let (Some(on_connect), Some(socket)) = (&self.target.on_connect, socket) {
            self.handshake = Some((epoch, on_connect.begin(Handshake::new(epoch, socket))));
        }
    }

    /// Reports what lookups, dials and handshakes came to. `true`: there was something.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> bool {
        let lookup = poll_slot(&mut self.lookup, cx).map(|(round, result)| {
            let now = self.shared.now();
            let mut inner = self.shared.lock();
            match result {
                Ok(addresses) => inner.machine.handle_resolved(round, &addresses, now),
                Err(error) => inner.machine.handle_resolve_failed(round, fault(&error), now),
            }
        });
        let dial = poll_slot(&mut self.dial, cx).map(|(attempt, result)| {
            let now = self.shared.now();
            let mut inner = self.shared.lock();
            match result {
                Ok(socket) if inner.machine.handle_connected(attempt, now).is_some() => {
                    inner.socket = Some(socket);
                }
                Ok(too_late) => {
                    drop(inner);
                    drop(too_late);
                }
                Err(error) => inner.machine.handle_connect_failed(attempt, fault(&error), now),
            }
        });
        let handshake = poll_slot(&mut self.handshake, cx).map(|(epoch, result)| {
            let now = self.shared.now();
            let mut inner = self.shared.lock();
            match result {
                Ok(io) => {
                    inner.machine.handle_handshaken(epoch, now);
                    inner.machine.handle_received(epoch, io.into_received(), now);
                }
                Err(error) => {
                    let fault =
                        error.downcast_ref().map_or_else(|| Fault::new(error.to_string()), fault);
                    inner.machine.handle_handshake_failed(epoch, fault, now);
                }
            }
        });
        lookup.is_some() || dial.is_some() || handshake.is_some()
    }

    /// Writes, reads where it is the driver's turn, and shuts down. `true`: bytes may be left.
    fn poll_socket(&mut self, cx: &mut Context<'_>) -> bool {
        let shared = &*self.shared;
        let mut inner = shared.lock();
        inner.look_for_room();
        inner = shared.flush(inner, WRITES);
        let mut moved = inner.machine.can_transmit();
        if let Some(socket) = inner.socket.clone() {
            drop(inner);
            // An error of a flush is one of the next write or read.
            let _ = socket.poll_flush(cx);
            inner = shared.lock();
        }

        if inner.machine.state() == State::Draining {
            // What the peer says last, and its FIN, are awaited for a short time only.
            inner.reading.take_turn_back();
        }
        for _ in 0..READS {
            if inner.reading.turn != Turn::Driver || inner.socket.is_none() {
                break;
            }
            let read;
            (inner, read) = shared.read(inner, cx);
            moved |= read == Read::Something;
            match read {
                Read::Something => {}
                Read::Pending => break,
                Read::Refused => {
                    inner.reading.paused = true;
                    break;
                }
            }
        }
        drop(inner);

        if let Some(socket) = &self.shutdown {
            // An error of shutdown(2) says that the connection is gone; reading says it too.
            if socket.poll_shutdown(cx).is_ready() {
                self.shutdown = None;
            }
        }
        moved
    }

    /// Sleeps until `deadline`; `Ready` if that is over.
    fn poll_sleep(
        &mut self,
        deadline: Option<Instant>,
        rearm: bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(deadline) = deadline else {
            self.sleep = None;
            return Poll::Pending;
        };
        if rearm {
            let duration = deadline.saturating_since(self.shared.now());
            self.sleep = Some(self.shared.runtime.sleep(duration));
        }
        let poll = self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx));
        if poll.is_ready() {
            self.sleep = None;
        }
        poll
    }
}

/// Takes the future out of `slot` if it is done.
fn poll_slot<K: Copy, T>(slot: &mut Slot<K, T>, cx: &mut Context<'_>) -> Option<(K, T)> {
    let (key, future) = slot.as_mut()?;
    let key = *key;
    match future.as_mut().poll(cx) {
        Poll::Ready(output) => {
            *slot = None;
            Some((key, output))
        }
        Poll::Pending => None,
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let now = self.shared.now();
        let mut inner = self.shared.lock();
        if inner.machine.state() != State::Closed {
            inner.machine.close(now);
            // Nobody is left to finish a message or to wait for the peer's FIN.
            while let Some(end) = inner.machine.poll_timeout() {
                inner.machine.handle_timeout(end);
            }
        }
        // Without the lock: with the waker may go this task's memory.
        let left = (inner.take_socket(), inner.driver.take());
        self.shared.publish(inner, true);
        drop(left);
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("endpoint", &self.target.endpoint).finish_non_exhaustive()
    }
}
