//! The one drive loop: carries the machine's actions to a runtime and the runtime's reports back.
//! It decides nothing.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rebelay_core::{Action, Epoch, Fault, Instant, State};

use crate::config::Settings;
use crate::endpoint::Endpoint;
use crate::handshake::{Handshake, HandshakeError};
use crate::runtime::{BoxFuture, Socket};
use crate::shared::reading::{Read, Turn};
use crate::shared::{Shared, fault};

/// System calls per direction, and rounds of everything, in one poll: then others may run.
const WRITES: usize = 8;
const READS: usize = 8;
const ROUNDS: usize = 8;

/// How often the driver looks whether anything moves: a receiver that left keeps its turn to read
/// for so long, and the connection its memory.
const WATCH: Duration = Duration::from_millis(100);

/// The task behind a connection. It ends when the connection is closed, also because all its
/// handles were dropped; dropping it closes the connection at once.
#[must_use = "nothing happens on the connection unless the driver is spawned or awaited"]
pub struct Driver {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    settings: Arc<Settings>,
    attempt: Option<Attempt>,
    shutdown: Option<Arc<dyn Socket>>,
    /// When to look whether anything has moved.
    watch: Option<Instant>,
    sleep: Option<BoxFuture<()>>,
}

/// What is under way, and what the machine calls it; it orders one at a time.
enum Attempt {
    Lookup(u64, BoxFuture<io::Result<Vec<SocketAddr>>>),
    Dial(u64, BoxFuture<io::Result<Arc<dyn Socket>>>),
    Handshake(Epoch, BoxFuture<Result<Handshake, HandshakeError>>),
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
            let reported = this.poll_attempt(cx).is_ready();
            let moved = this.poll_socket(cx);
            let shared = Arc::clone(&this.shared);
            let mut inner = shared.lock();
            if reported || moved {
                inner.reading.stir();
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
    pub(crate) fn new(shared: Arc<Shared>, endpoint: Endpoint, settings: Arc<Settings>) -> Self {
        Self { shared, endpoint, settings, attempt: None, shutdown: None, watch: None, sleep: None }
    }

    /// Tells the machine the time, and that nobody listens where that is so.
    fn tell_time(&mut self) {
        let now = self.shared.now();
        let mut inner = self.shared.lock();
        if self.shared.is_abandoned() {
            inner.machine.close(now);
        }
        inner.machine.handle_timeout(now);
        if inner.reading.watching && self.watch.is_none_or(|at| at <= now) {
            // The first look only starts the watch.
            let goes_on = self.watch.is_none() || inner.watch();
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
                    let lookup = self.shared.runtime.resolve(&self.endpoint);
                    self.attempt = Some(Attempt::Lookup(round, lookup));
                }
                Some(Action::Dial { attempt, address }) => {
                    let dial = self.shared.runtime.dial(address, &self.settings.socket);
                    self.attempt = Some(Attempt::Dial(attempt, dial));
                }
                Some(Action::Handshake { epoch }) => self.begin_handshake(epoch),
                Some(Action::Abandon { .. }) => self.attempt = None,
                Some(Action::ShutdownWrite { .. }) => {
                    self.shutdown = self.shared.lock().socket.clone();
                }
                Some(Action::CloseSocket { .. }) => {
                    self.attempt = None;
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
        if let (Some(on_connect), Some(socket)) = (&self.settings.on_connect, socket) {
            let handshake = on_connect.begin(Handshake::new(epoch, socket));
            self.attempt = Some(Attempt::Handshake(epoch, handshake));
        }
    }

    /// Reports what a lookup, a dial or a handshake came to. `Ready`: there was something.
    fn poll_attempt(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.attempt {
            None => return Poll::Pending,
            Some(Attempt::Lookup(round, lookup)) => {
                let result = ready!(lookup.as_mut().poll(cx));
                let now = self.shared.now();
                let machine = &mut self.shared.lock().machine;
                match result {
                    Ok(addresses) => machine.handle_resolved(*round, &addresses, now),
                    Err(error) => machine.handle_resolve_failed(*round, fault(&error), now),
                }
            }
            Some(Attempt::Dial(attempt, dial)) => {
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
            Some(Attempt::Handshake(epoch, handshake)) => {
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
        }
        self.attempt = None;
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
        f.debug_struct("Driver").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
