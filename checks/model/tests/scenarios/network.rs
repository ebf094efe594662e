//! A network in memory: every dial is taken, by a peer that the scenario plays.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use rebelay_driver::Socket;
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicBool, Ordering};

/// Dials that no peer has taken yet.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<Dials>>);

#[derive(Default)]
struct Dials {
    wires: VecDeque<Arc<Wire>>,
    accepting: Option<Waker>,
}

/// The client's end of a connection.
struct Near(Arc<Wire>);

/// The other end; dropping it ends nothing.
pub struct Peer(Arc<Wire>);

#[derive(Default)]
struct Wire {
    state: Mutex<State>,
    /// Somebody is in a read, or in a write.
    reading: AtomicBool,
    writing: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Bytes that the socket holds at most.
    capacity: usize,
    /// Bytes that the socket took and the peer has not read.
    outgoing: VecDeque<u8>,
    /// All that the socket ever took.
    taken: Vec<u8>,
    /// The client shut down, or dropped the socket.
    near_ended: bool,
    writes_fail: bool,
    incoming: VecDeque<u8>,
    /// How reading ends after `incoming`.
    far_ended: Option<Result<(), io::ErrorKind>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    peer: Option<Waker>,
}

impl Network {
    /// Makes a socket that holds `capacity` bytes.
    pub fn dial(&self, capacity: usize) -> Arc<dyn Socket> {
        let wire = Arc::new(Wire::default());
        wire.state.lock().unwrap().capacity = capacity;
        let mut dials = self.0.lock().unwrap();
        dials.wires.push_back(Arc::clone(&wire));
        let accepting = dials.accepting.take();
        drop(dials);
        wake([accepting]);
        Arc::new(Near(wire))
    }

    /// The peer of the next dial.
    pub async fn accept(&self) -> Peer {
        poll_fn(|cx| {
            let mut dials = self.0.lock().unwrap();
            if let Some(wire) = dials.wires.pop_front() {
                return Poll::Ready(Peer(wire));
            }
            dials.accepting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Peer {
    /// What the client wrote since; `None` once it ended.
    pub async fn read(&self) -> Option<Vec<u8>> {
        poll_fn(|cx| {
            let mut state = self.0.state.lock().unwrap();
            if state.outgoing.is_empty() && !state.near_ended {
                state.peer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let read: Vec<u8> = state.outgoing.drain(..).collect();
            let writer = state.writer.take();
            drop(state);
            wake([writer]);
            Poll::Ready((!read.is_empty()).then_some(read))
        })
        .await
    }

    pub fn write(&self, bytes: &[u8]) {
        let mut state = self.0.state.lock().unwrap();
        state.incoming.extend(bytes);
        let reader = state.reader.take();
        drop(state);
        wake([reader]);
    }

    /// Waits until the client has read everything.
    pub async fn is_read(&self) {
        poll_fn(|cx| {
            let mut state = self.0.state.lock().unwrap();
            state.peer = Some(cx.waker().clone());
            if state.incoming.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Reads until the client ends, then ends too.
    pub async fn keep(&self) {
        while self.read().await.is_some() {}
        self.end();
    }

    /// Sends everything back until the client ends.
    pub async fn echo(&self) {
        while let Some(bytes) = self.read().await {
            self.write(&bytes);
        }
        self.end();
    }

    pub fn end(&self) {
        self.change(|state| state.far_ended = Some(Ok(())));
    }

    pub fn reset(&self) {
        self.change(|state| {
            state.writes_fail = true;
            state.far_ended = Some(Err(io::ErrorKind::ConnectionReset));
        });
    }

    /// Writing fails; reading does not end yet.
    pub fn fail_writes(&self) {
        self.change(|state| state.writes_fail = true);
    }

    /// All that the socket ever took from the client.
    pub fn taken(&self) -> Vec<u8> {
        self.0.state.lock().unwrap().taken.clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.state.lock().unwrap();
        change(&mut state);
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wake(wakers);
    }
}

impl Near {
    fn end(&self) {
        let mut state = self.0.state.lock().unwrap();
        state.near_ended = true;
        let peer = state.peer.take();
        drop(state);
        wake([peer]);
    }
}

impl Socket for Near {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        alone(&self.0.reading, || {
            let mut state = self.0.state.lock().unwrap();
            let count = state.incoming.len().min(buffer.capacity() - buffer.len());
            if count > 0 {
                buffer.extend(state.incoming.drain(..count));
                let peer = state.peer.take();
                drop(state);
                wake([peer]);
                return Poll::Ready(Ok(count));
            }
            match state.far_ended {
                Some(Ok(())) => Poll::Ready(Ok(0)),
                Some(Err(kind)) => Poll::Ready(Err(kind.into())),
                None => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        alone(&self.0.writing, || {
            let mut state = self.0.state.lock().unwrap();
            assert!(!state.near_ended, "a write after the end");
            if state.writes_fail {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let room = state.capacity - state.outgoing.len();
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter()).copied().collect();
            let taken = &bytes[..room.min(bytes.len())];
            if taken.is_empty() {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            state.outgoing.extend(taken);
            state.taken.extend(taken);
            let peer = state.peer.take();
            drop(state);
            wake([peer]);
            Poll::Ready(Ok(taken.len()))
        })
    }

    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        self.end();
    }
}

/// Requires that nobody else is in the same direction of the socket.
fn alone<T>(busy: &AtomicBool, call: impl FnOnce() -> T) -> T {
    assert!(!busy.swap(true, Ordering::SeqCst), "two tasks in one direction of a socket");
    let result = call();
    busy.store(false, Ordering::SeqCst);
    result
}

fn wake<const N: usize>(wakers: [Option<Waker>; N]) {
    wakers.into_iter().flatten().for_each(Waker::wake);
}
