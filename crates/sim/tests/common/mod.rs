//! Numbered messages, a server that acknowledges them, and links of every misfortune.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::time::Duration;

use rebelay_core::{Item, SplitMix64, State, Ticket};
use rebelay_sim::{Audit, Cut, Fate, How, Link, Peer, Server, Sim, When};

/// Bytes in front of a message's body: its number, and the length of the body.
const HEAD: usize = 6;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A link as `change` makes it.
pub(crate) fn link(change: impl FnOnce(&mut Link)) -> Fate {
    let mut link = Link::default();
    change(&mut link);
    Fate::Accept(link)
}

pub(crate) fn cut(when: When, how: How) -> Fate {
    link(|link| link.cut = Some(Cut { when, how }))
}

/// The message with this number: its head, and `body` bytes that no other message has.
pub(crate) fn message(number: u64, body: usize) -> Vec<u8> {
    let mut message = (number as u32).to_be_bytes().to_vec();
    message.extend_from_slice(&(body as u16).to_be_bytes());
    message.extend((0..body).map(|index| pattern(number as u32, index)));
    message
}

/// The numbers of the whole messages in `bytes`, and how many bytes they have. What is behind
/// them must be the beginning of one more.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<u64>, usize) {
    let (mut numbers, mut at) = (Vec::new(), 0);
    while let Some(head) = bytes.get(at..at + HEAD) {
        let number = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let end = at + HEAD + usize::from(u16::from_be_bytes([head[4], head[5]]));
        let body = &bytes[at + HEAD..end.min(bytes.len())];
        let right = body.iter().enumerate().all(|(index, byte)| *byte == pattern(number, index));
        assert!(right, "message {number} is torn in the middle");
        if end > bytes.len() {
            break;
        }
        numbers.push(u64::from(number));
        at = end;
    }
    (numbers, at)
}

fn pattern(number: u32, index: usize) -> u8 {
    (number as u8).wrapping_mul(31) ^ (index as u8) ^ 0xa5
}

/// A server that records what each connection brought and answers each whole message with the
/// four bytes of its number.
#[derive(Debug, Default)]
pub(crate) struct Acker {
    pub(crate) connections: BTreeMap<u64, Vec<u8>>,
    parsed: BTreeMap<u64, usize>,
}

impl Acker {
    /// The whole messages that each connection brought.
    pub(crate) fn messages(&self) -> Vec<Vec<u64>> {
        self.connections.values().map(|bytes| parse(bytes).0).collect()
    }
}

impl Server for Acker {
    fn on_accept(&mut self, peer: &mut Peer) {
        self.connections.entry(peer.number()).or_default();
    }

    fn on_data(&mut self, peer: &mut Peer, data: &[u8]) {
        let bytes = self.connections.entry(peer.number()).or_default();
        bytes.extend_from_slice(data);
        let at = self.parsed.entry(peer.number()).or_default();
        let (numbers, len) = parse(&bytes[*at..]);
        *at += len;
        for number in numbers {
            peer.send(&(number as u32).to_be_bytes());
        }
    }
}

/// The client's side of [`Acker`]: its decoder starts afresh each epoch.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements {
    seen: usize,
    torn: Vec<u8>,
}

impl Acknowledgements {
    /// Passes on what the server acknowledged since the last call.
    pub(crate) fn pass_on<S: Server>(&mut self, sim: &mut Sim<S>) {
        let mut through = 0;
        let items = &sim.record().items;
        for item in &items[self.seen..] {
            match item {
                Item::Up { .. } | Item::PeerFinished { .. } | Item::Down { .. } => {
                    self.torn.clear()
                }
                Item::Data(data) => {
                    self.torn.extend_from_slice(data);
                    while let Some(number) = self.torn.first_chunk::<4>().copied() {
                        through = through.max(u64::from(u32::from_be_bytes(number)));
                        self.torn.drain(..4);
                    }
                }
            }
        }
        self.seen = items.len();
        if through > 0 {
            sim.with(|connection, now| connection.ack_through(Ticket::from_number(through), now));
        }
    }
}

/// A link of small buffers, short writes and, mostly, a cut.
pub(crate) fn misfortune(rng: &mut SplitMix64) -> Fate {
    match rng.up_to(9) {
        0 => Fate::Refuse,
        1 => Fate::Blackhole,
        _ => link(|link| {
            link.latency = ms(rng.up_to(20));
            link.send_buffer = 1 + rng.up_to(400) as usize;
            link.receive_buffer = 1 + rng.up_to(400) as usize;
            link.short_writes = rng.up_to(1) == 0;
            link.bandwidth = (rng.up_to(2) == 0).then_some(20_000);
            link.keepalive = Some(ms(300));
            let how = [How::Fin, How::Reset, How::Silence][rng.up_to(2) as usize];
            let when = match rng.up_to(3) {
                0 => When::Sent(rng.up_to(60)),
                1 => When::After(ms(rng.up_to(100))),
                _ => When::Received(rng.up_to(1_200)),
            };
            link.cut = Some(Cut { when, how });
        }),
    }
}

/// Asserts that the connection is closed, that each of `tickets` got exactly one outcome, and
/// that none denies what was received whole.
pub(crate) fn assert_settled<S: Server>(
    sim: &Sim<S>,
    tickets: u64,
    received: &[Vec<u64>],
    seed: u64,
) {
    assert_eq!(sim.connection().state(), State::Closed, "seed {seed}");
    let mut audit = Audit::new(format!("seed {seed}"));
    audit.settled(&sim.record().settled);
    for number in received.iter().flatten() {
        audit.received(Ticket::from_number(*number));
    }
    let ledger = sim.connection().ledger();
    audit.balance(&ledger);
    assert_eq!((ledger.admitted, ledger.pending), (tickets, 0), "seed {seed}");
}
