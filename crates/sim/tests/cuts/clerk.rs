//! Messages that are known by their first byte, and a server that reads them.

use std::collections::BTreeMap;

use rebelay_core::{Item, Ticket};
use rebelay_sim::{Peer, Server, Sim};

/// What messages are cut from, each from another place.
static BODIES: [u8; 4_000] = bodies();

const fn bodies() -> [u8; 4_000] {
    let (mut bytes, mut index) = ([0; 4_000], 0);
    while index < bytes.len() {
        bytes[index] = ((index * index) >> 4) as u8;
        index += 1;
    }
    bytes
}

/// The bytes of message `number`; 0 is the hello of each connection.
pub(crate) fn message(number: u64, len: usize) -> Vec<u8> {
    [&[number as u8], body(number, len)].concat()
}

/// The bytes of a message behind the first, which is its number.
fn body(number: u64, len: usize) -> &'static [u8] {
    &BODIES[number as usize..][..len - 1]
}

/// One message, or the beginning of one, at its place on a connection.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Passage {
    pub(crate) number: u64,
    /// How far into the connection it would reach whole.
    pub(crate) end: u64,
}

/// The messages in `bytes`, which must be whole but for the last.
pub(crate) fn parse(bytes: &[u8], lengths: &[usize]) -> Vec<Passage> {
    let (mut passages, mut at) = (Vec::new(), 0);
    while let Some(number) = bytes.get(at).copied() {
        let (len, number) = (lengths[usize::from(number)], u64::from(number));
        let end = at + len;
        let there = &bytes[at + 1..end.min(bytes.len())];
        assert!(body(number, len).starts_with(there), "message {number} is torn");
        passages.push(Passage { number, end: end as u64 });
        at = end;
    }
    passages
}

/// Reads messages, and may answer each whole one with its number; it answers a hello always.
#[derive(Debug)]
pub(crate) struct Clerk {
    pub(crate) lengths: Vec<usize>,
    pub(crate) answers: bool,
    pub(crate) connections: BTreeMap<u64, Desk>,
}

/// What one connection brought.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) bytes: Vec<u8>,
    /// How many of them are whole messages.
    whole: usize,
}

impl Server for Clerk {
    fn on_data(&mut self, peer: &mut Peer, data: &[u8]) {
        let desk = self.connections.entry(peer.number()).or_default();
        desk.bytes.extend_from_slice(data);
        while let Some(number) = desk.bytes.get(desk.whole).copied() {
            let end = desk.whole + self.lengths[usize::from(number)];
            if end > desk.bytes.len() {
                break;
            }
            desk.whole = end;
            if self.answers || number == 0 {
                peer.send(&[number]);
            }
        }
    }
}

/// Tells the client what the server answered: how many items of the record were looked at.
#[derive(Debug, Default)]
pub(crate) struct Answers(usize);

impl Answers {
    pub(crate) fn pass_on(&mut self, sim: &mut Sim<Clerk>) {
        let items = &sim.record().items;
        let fresh = items[self.0..].iter().filter_map(|item| match item {
            Item::Data(data) => data.iter().max().copied(),
            Item::Up { .. } | Item::PeerFinished { .. } | Item::Down { .. } => None,
        });
        let through = fresh.max().unwrap_or(0);
        self.0 = items.len();
        if through > 0 {
            let through = Ticket::from_number(u64::from(through));
            sim.with(|connection, now| connection.ack_through(through, now));
        }
    }
}
