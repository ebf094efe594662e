//! The program at the other end, without IO.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rebelay_core::Instant;

/// A server program. Every connection has a number, the client's epoch: 1 for the first.
pub trait Server {
    /// A client connected.
    fn on_accept(&mut self, peer: &mut Peer) {
        let _ = peer;
    }

    /// The client's next bytes were read, in whatever pieces TCP delivered them.
    fn on_data(&mut self, peer: &mut Peer, data: &[u8]);

    /// Nothing more comes from the client. Unless told otherwise, the server closes too.
    fn on_end(&mut self, peer: &mut Peer, end: End) {
        let _ = end;
        peer.close();
    }

    /// The time asked for with [`Peer::wake_after`] has come.
    fn on_wake(&mut self, peer: &mut Peer) {
        let _ = peer;
    }
}

/// Why nothing more comes from a client.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It sent a FIN, and all before it was read.
    Fin,
    /// It sent a RST.
    Reset,
    /// The network plan cut the connection with a FIN or a RST.
    Cut,
}

/// The server's side of one connection, for the time of one call.
#[derive(Debug)]
pub struct Peer {
    number: u64,
    now: Instant,
    pub(crate) replies: BytesMut,
    pub(crate) farewell: Option<Farewell>,
    pub(crate) wake: Option<Duration>,
}

/// How the server program ends its side.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    Finish,
    Close,
    Reset,
}

impl Peer {
    pub(crate) fn new(number: u64, now: Instant) -> Self {
        Self { number, now, replies: BytesMut::new(), farewell: None, wake: None }
    }

    /// The number of the connection: the client's epoch.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Sends `bytes`. The server's queue has no bound.
    pub fn send(&mut self, bytes: &[u8]) {
        self.replies.extend_from_slice(bytes);
    }

    /// Sends a FIN after all that was sent, and goes on reading.
    pub fn finish(&mut self) {
        self.farewell = Some(Farewell::Finish);
    }

    /// Closes: a FIN after all that was sent, and a RST in answer to whatever still arrives.
    pub fn close(&mut self) {
        self.farewell = Some(Farewell::Close);
    }

    /// Sends a RST; what was sent and is not yet on its way is lost.
    pub fn reset(&mut self) {
        self.farewell = Some(Farewell::Reset);
    }

    /// Asks for a call of [`Server::on_wake`].
    pub fn wake_after(&mut self, delay: Duration) {
        self.wake = Some(delay);
    }
}

/// A server that sends back what it receives.
#[derive(Clone, Debug, Default)]
pub struct Echo;

impl Server for Echo {
    fn on_data(&mut self, peer: &mut Peer, data: &[u8]) {
        peer.send(data);
    }
}

/// A server that says nothing and records what each connection brought.
#[derive(Clone, Debug, Default)]
pub struct Sink {
    connections: BTreeMap<u64, BytesMut>,
}

impl Sink {
    /// What connection `number` brought.
    pub fn received(&self, number: u64) -> &[u8] {
        self.connections.get(&number).map_or(&[], |bytes| &bytes[..])
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> usize {
        self.connections.len()
    }

    /// What each connection brought, in their order.
    pub fn all(&self) -> impl Iterator<Item = (u64, Bytes)> {
        self.connections.iter().map(|(number, bytes)| (*number, bytes.clone().freeze()))
    }
}

impl Server for Sink {
    fn on_accept(&mut self, peer: &mut Peer) {
        self.connections.entry(peer.number()).or_default();
    }

    fn on_data(&mut self, peer: &mut Peer, data: &[u8]) {
        self.connections.entry(peer.number()).or_default().extend_from_slice(data);
    }
}
