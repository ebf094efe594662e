//! The one drive loop: carries the machine's actions to a runtime and the runtime's reports back.
//! It decides nothing.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rebelay_core::{Action, Epoch, Fault, Instant, State};

use crate::handshake::{Handshake, HandshakeError};
use crate::runtime::{BoxFuture, Socket};
use crate::shared::reading::{Read, Turn};
use crate::shared::{Shared, fault};

/// System calls per direction, and rounds of everything, in one poll: then others may run.
const WRITES: usize = 8;
const READS: usize = 8;
const ROUNDS: usize = 8;

/// The task behind a connection. It ends when the connection is closed, also because all its
/// handles were dropped; dropping it closes the connection at once.
///
/// Its own memory is three words: of a fourth, tokio makes 128 bytes more.
#[must_use = "nothing happens on the connection unless the driver is spawned or awaited"]
pub struct Driver {
    shared: Arc<Shared>,
    work: Option<Box<Work>>,
    sleep: Option<Box<BoxFuture<()>>>,
}

/// What is under way, and what the machine calls it; it orders one at a time.
enum Work {
    Lookup(u64, BoxFuture<io::Result<Vec<SocketAddr>>>),
    Dial(u64, BoxFuture<io::Result<Arc<dyn Socket>>>),
    Handshake(Epoch, BoxFuture<Result<Handshake, HandshakeError>>),
    Shutdown(Arc<dyn Socket>),
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
            let reported = this.poll_work(cx).is_ready();
            let moved = this.poll_socket(cx);
            let shared = Arc::clone(&this.shared);
            let mut inner = shared.lock();
            if reported || moved {
                inner.stir();
            }
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
            let deadline =
                inner.machine.poll_timeout().into_iter().chain(inner.resting.begins_at()).min();
            // A timer that runs out too early is kept: then the driver looks once more.
            let rearm = this.sleep.is_none() || inner.armed > deadline;
            if rearm {
                inner.armed = deadline;
            }
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
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, work: None, sleep: None }
    }

    /// Tells the machine the time, and that nobody listens where that is so.
    fn tell_time(&mut self) {
        let now = self.shared.now();
        let mut inner = self.shared.lock();
        if self.shared.is_abandoned() {
            inner.machine.close(now);
        }
        inner.machine.handle_timeout(now);
        inner.rest_if_due(now);
    }

    /// Does what the machine wants done.
    fn obey(&mut self) {
        loop {
            let action = self.shared.lock().machine.poll_action();
            match action {
                None => return,
                Some(Action::Measure { epoch }) => self.measure(epoch),
                Some(action) => self.work = self.begin(action).map(Box::new),
            }
        }
    }

    /// Reads the counters of the socket. Nothing that is under way is disturbed.
    fn measure(&self, epoch: Epoch) {
        let socket = self.shared.lock().socket.clone();
        let evidence = socket.and_then(|socket| socket.evidence());
        let now = self.shared.now();
        self.shared.lock().machine.handle_evidence(epoch, evidence, now);
    }

    /// What is under way from `action` on.
    fn begin(&self, action: Action) -> Option<Work> {
        let Shared { runtime, endpoint, settings, .. } = &*self.shared;
        match action {
            Action::Resolve { round } => Some(Work::Lookup(round, runtime.resolve(endpoint))),
            Action::Dial { attempt, address } => {
                Some(Work::Dial(attempt, runtime.dial(address, &settings.socket)))
            }
            Action::Handshake { epoch } => {
                let socket = self.shared.lock().socket.clone()?;
                let io = Handshake::new(epoch, socket, Arc::clone(&self.shared));
                let handshake = settings.on_connect.as_ref()?.begin(io);
                Some(Work::Handshake(epoch, handshake))
            }
            Action::Abandon { .. } | Action::Measure { .. } => None,
            Action::ShutdownWrite { .. } => self.shared.lock().socket.clone().map(Work::Shutdown),
            Action::CloseSocket { .. } => {
                // Closed without the lock: close(2) may take its time.
                let socket = self.shared.lock().take_socket();
                drop(socket);
                // A send that waits for room and is pinned to that epoch waits in vain.
                self.shared.room.notify(usize::MAX);
                None
            }
        }
    }

    /// Reports what the work came to. `Ready`: there was something.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.work.as_deref_mut() {
            None => return Poll::Pending,
            Some(Work::Lookup(round, lookup)) => {
                let result = ready!(lookup.as_mut().poll(cx));
                let now = self.shared.now();
                let machine = &mut self.shared.lock().machine;
                match result {
                    Ok(addresses) => machine.handle_resolved(*round, &addresses, now),
                    Err(error) => machine.handle_resolve_failed(*round, fault(&error), now),
                }
            }
            Some(Work::Dial(attempt, dial)) => {
                let result = ready!(dial.as_mut().poll(cx));
                let now = self.shared.now();
                let mut inner = self.shared.lock();
                match result {
                    Ok(socket) if inner.machine.handle_connected(*attempt, now).is_some() => {
                        inner.socket = Some(socket);
                    }
                    Ok(too_late) => {
                        drop(inner);
                        drop(too_late);
                    }
                    Err(error) => inner.machine.handle_connect_failed(*attempt, fault(&error), now),
                }
            }
            Some(Work::Handshake(epoch, handshake)) => {
                let result = ready!(handshake.as_mut().poll(cx));
                let now = self.shared.now();
                let machine = &mut self.shared.lock().machine;
                match result {
                    Ok(io) => {
                        machine.handle_handshaken(*epoch, now);
                        machine.handle_received(*epoch, io.into_received(), now);
                    }
                    Err(error) => {
                        let text = || Fault::new(error.to_string());
                        let fault = error.downcast_ref().map_or_else(text, fault);
                        machine.handle_handshake_failed(*epoch, fault, now);
                    }
                }
            }
            Some(Work::Shutdown(socket)) => {
                // An error of shutdown(2) says that the connection is gone; reading says it too.
                let _ = ready!(socket.poll_shutdown(cx));
            }
        }
        self.work = None;
        Poll::Ready(())
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
            self.sleep = Some(Box::new(self.shared.runtime.sleep(duration)));
        }
        let poll = self.sleep.as_deref_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx));
        if poll.is_ready() {
            self.sleep = None;
        }
        poll
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
        f.debug_struct("Driver").field("endpoint", &self.shared.endpoint).finish_non_exhaustive()
    }
}
