//! A connection beside its model: applies one [`Op`] after the other and checks, after each,
//! all that is promised of it.

mod checks;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rebelay_core::{
    Action, Connection, Epoch, Event, Instant, Item, Overflow, Reason, Refusal, Resend,
    SendOptions, Settled, State, Ticket,
};

use super::model::{Mark, Model, Stream};
use super::ops::{Op, Setup, Which};
use super::{addresses, epoch as epoch_of, fault};

/// All that one op can make come out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    Action(Action),
    Item(Item),
    Settled(Settled),
    Event(Event),
    Sent(Result<Ticket, Refusal>),
    Lent(Vec<Bytes>),
    Room(usize),
    At(State, Option<Instant>),
}

#[derive(Debug)]
pub(crate) struct World {
    conn: Connection,
    setup: Setup,
    /// All that came out, in order.
    pub(crate) log: Vec<Output>,
    model: Model,
    stream: Stream,
    discarded: bool,
    /// The latest instant told.
    now: Instant,
    round: u64,
    attempt: u64,
    /// The attempt and the socket that the driver has under way.
    dialling: Option<u64>,
    sockets: BTreeSet<Epoch>,
    /// Memory out with readers, the latest last.
    readers: Vec<(Epoch, BytesMut)>,
    /// Bytes that came without lent memory: the inbox could not bound them.
    leftovers: usize,
    blocked: bool,
    write_failed: bool,
    closing: bool,
}

impl World {
    pub(crate) fn new(setup: &Setup) -> Self {
        let now = Instant::from_nanos(5_000_000_000);
        let conn = Connection::new(setup.config(), setup.seed, now).expect("a valid setup");
        let mut world = Self {
            conn,
            setup: setup.clone(),
            log: vec![],
            model: Model::default(),
            stream: Stream::default(),
            discarded: false,
            now,
            round: 0,
            attempt: 0,
            dialling: None,
            sockets: BTreeSet::new(),
            readers: vec![],
            leftovers: 0,
            blocked: false,
            write_failed: false,
            closing: false,
        };
        world.take_actions();
        world.take_events();
        world
    }

    /// Runs `ops`, then closes, and checks that nothing is left over.
    pub(crate) fn run(setup: &Setup, ops: &[Op]) -> Self {
        let mut world = Self::new(setup);
        for op in ops {
            world.apply(op);
        }
        world.apply(&Op::Close);
        world.apply(&Op::Advance { time: Duration::from_millis(100) });
        let end_of_time = world.now == Instant::from_nanos(u64::MAX);
        if !end_of_time {
            assert_eq!(world.conn.state(), State::Closed, "100 ms after close");
            world.take_items(usize::MAX);
            world.take_outcomes(usize::MAX);
            let reported = world.model.messages.iter().all(|message| message.reported);
            assert!(reported, "every message has its outcome");
            assert!(world.dialling.is_none() && world.sockets.is_empty(), "nothing is left open");
        }
        world
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        let (before, since) = (self.conn.state(), self.conn.since());
        let was_up = is_up(before);
        self.call(op);
        self.take_actions();
        let waited = self.take_events();

        let after = self.conn.state();
        if was_up && !is_up(after) {
            // A connection that is given up for good tells no wait.
            if waited {
                self.model.rewind();
            }
            self.mark(Mark::Down(self.current()));
        }
        if after == State::Closed {
            self.model.finish();
        }
        if !is_up(before) && is_up(after) {
            self.mark(Mark::Up(self.current()));
        }
        if !is_up(after) {
            (self.blocked, self.write_failed) = (false, false);
        }
        let by_hand = matches!(op, Op::ReconnectNow | Op::Progress { .. });
        if before == State::Backoff && after == State::Resolving && !by_hand {
            let pause = self.now.saturating_since(since);
            assert!(pause >= self.setup.config().backoff.floor, "a hot loop: {pause:?}");
        }
        self.check();
    }

    fn call(&mut self, op: &Op) {
        let now = self.now;
        let state = self.conn.state();
        match *op {
            Op::Progress { addresses } => self.progress(addresses),
            Op::Send { len, resend } => self.send(usize::from(len), resend),
            Op::Ack { back } => {
                let last = self.model.messages.len() as u64;
                let through = last.saturating_add_signed(-i64::from(back));
                self.conn.ack_through(Ticket::from_number(through), now);
                self.model.ack(through);
                let nothing = !self.model.is_lent() && self.model.unwritten().is_empty();
                self.blocked &= !nothing;
            }
            Op::Transmit { slices } => self.transmit(usize::from(slices)),
            Op::Transmitted { epoch, count } => {
                let fresh = state == State::Connected && self.model.is_lent();
                self.report(epoch, fresh, |conn, epoch| {
                    conn.handle_transmitted(epoch, count, now);
                });
                if fresh && epoch == Which::Current {
                    self.model.took(count, self.current());
                    self.blocked = count == 0;
                }
            }
            Op::Writable { epoch } => {
                self.report(epoch, self.blocked, Connection::handle_writable);
                self.blocked &= epoch != Which::Current;
            }
            Op::WriteFailed { epoch } => {
                let fresh = state == State::Connected && !self.write_failed;
                self.report(epoch, fresh, |conn, epoch| {
                    conn.handle_write_failed(epoch, fault(), None, now);
                });
                if fresh && epoch == Which::Current {
                    self.model.took(0, self.current());
                    self.write_failed = true;
                }
            }
            Op::Receive => self.lend_to_reader(),
            Op::Received { epoch, fill } => self.give_back(epoch, usize::from(fill)),
            Op::Leftover { epoch, len } => self.leftover(epoch, usize::from(len)),
            Op::Disconnected { epoch, fin } => {
                let reason = if fin { Reason::PeerClosed } else { Reason::Io(fault()) };
                self.report(epoch, is_up(state), |conn, epoch| {
                    conn.handle_disconnected(epoch, reason, None, now);
                });
            }
            Op::Resolved { round, addresses: count } => {
                let number = apart(self.round, round);
                self.check_stale(state != State::Resolving || number != self.round, |conn| {
                    conn.handle_resolved(number, &addresses(u16::from(count)), now);
                });
            }
            Op::ResolveFailed { round } => {
                let number = apart(self.round, round);
                self.check_stale(state != State::Resolving || number != self.round, |conn| {
                    conn.handle_resolve_failed(number, fault(), now);
                });
            }
            Op::Connected { attempt } => self.connected(apart(self.attempt, attempt)),
            Op::ConnectFailed { attempt } => {
                let number = apart(self.attempt, attempt);
                let stale = state != State::Connecting || number != self.attempt;
                if !stale {
                    self.dialling = None;
                }
                self.check_stale(stale, |conn| conn.handle_connect_failed(number, fault(), now));
            }
            Op::Handshaken { epoch } => {
                self.report(epoch, state == State::Handshaking, |conn, epoch| {
                    conn.handle_handshaken(epoch, now);
                });
            }
            Op::HandshakeFailed { epoch } => {
                self.report(epoch, state == State::Handshaking, |conn, epoch| {
                    conn.handle_handshake_failed(epoch, fault(), now);
                });
            }
            Op::Advance { time } => self.timeout(now + time),
            Op::AdvanceToTimeout => self.timeout(self.conn.poll_timeout().unwrap_or(now)),
            Op::Timeout { at } => self.timeout(Instant::from_nanos(at)),
            Op::ReconnectNow => self.conn.reconnect_now(now),
            Op::Discard => {
                self.conn.discard_received();
                self.discarded = true;
                self.stream.expected.clear();
            }
            Op::Drain { after } => {
                self.closing = true;
                self.conn.drain(now + after, now);
            }
            Op::Close => {
                self.closing = true;
                self.conn.close(now);
                if state == State::Connected {
                    self.model.close();
                }
            }
            Op::Take { count } => {
                self.take_items(usize::from(count));
                self.take_outcomes(usize::from(count));
            }
        }
    }

    fn progress(&mut self, count: u8) {
        match self.conn.state() {
            State::Idle | State::Backoff => self.conn.reconnect_now(self.now),
            State::Resolving => {
                let found = addresses(u16::from(count) + 1);
                self.conn.handle_resolved(self.round, &found, self.now);
            }
            State::Connecting => self.connected(self.attempt),
            State::Handshaking => self.conn.handle_handshaken(self.current(), self.now),
            State::Connected => self.transmit(64),
            State::Draining | State::Closed => {}
        }
    }

    fn connected(&mut self, attempt: u64) {
        let fresh = self.conn.state() == State::Connecting && attempt == self.attempt;
        let mut epoch = None;
        let now = self.now;
        self.check_stale(!fresh, |conn| epoch = conn.handle_connected(attempt, now));
        assert_eq!(epoch.is_some(), fresh);
        if let Some(epoch) = epoch {
            self.dialling = None;
            assert!(self.sockets.insert(epoch), "{epoch} came twice");
        }
    }

    fn send(&mut self, len: usize, resend: Option<Resend>) {
        let body = self.model.next_body(len);
        let mut options = SendOptions::default();
        options.resend = resend;
        let over = self.closing || self.conn.state() == State::Closed;
        let sent = self.conn.send(Bytes::from(body.clone()), options, self.now);
        let (messages, bytes) = (self.setup.messages, self.setup.bytes);
        let room = |model: &Model| {
            let queued = model.queued();
            queued.0 < messages && queued.1 + len <= bytes
        };
        let resend = resend.unwrap_or(self.setup.resend);
        match &sent {
            Ok(ticket) => {
                assert!(!over && len > 0 && len <= bytes);
                if room(&self.model) {
                    self.model.admit(body, resend);
                } else {
                    self.model.overflow(self.setup.overflow, room, body, resend);
                }
                assert_eq!(ticket.number(), self.model.messages.len() as u64);
            }
            Err(error) => {
                assert_eq!(error.message, body, "a refused message comes back whole");
                let full = !room(&self.model) || self.model.unreported() >= messages;
                let settles = self.model.unreported() < messages;
                let drops = self.setup.overflow == Overflow::DropNewest && settles;
                let expected = match () {
                    () if over => Refusal::Closed,
                    () if len == 0 => Refusal::Empty,
                    () if len > bytes => Refusal::TooLong { limit: bytes },
                    () => Refusal::Full,
                };
                assert_eq!(error.refusal, expected);
                assert!(expected != Refusal::Full || full && !drops);
            }
        }
        self.log.push(Output::Sent(sent.map_err(|error| error.refusal)));
    }

    fn transmit(&mut self, count: usize) {
        let may = self.may_transmit();
        let mut slices = Vec::with_capacity(count);
        let epoch = self.conn.poll_transmit(&mut slices);
        let expected = self.model.unwritten();
        assert_eq!(epoch, (may && slices.capacity() > 0).then(|| self.current()));
        let lent = slices.concat();
        assert!(expected.starts_with(&lent), "not the next bytes of whole messages in order");
        assert_eq!(lent.is_empty(), epoch.is_none());
        if epoch.is_some() {
            self.model.lend(lent.len());
        }
        self.log.push(Output::Lent(slices));
    }

    fn lend_to_reader(&mut self) {
        let lent = self.conn.poll_receive();
        let up = is_up(self.conn.state());
        let busy = up && self.readers.iter().any(|(epoch, _)| *epoch == self.current());
        if self.stream.held() == 0 && up && !busy {
            assert!(lent.is_some(), "an empty inbox reads");
        }
        let Some((epoch, buffer)) = lent else { return };
        assert!(up && !busy && epoch == self.current());
        assert!(buffer.is_empty() && buffer.capacity() > 0);
        assert!(self.stream.held() + buffer.capacity() <= self.setup.received + self.leftovers);
        self.log.push(Output::Room(buffer.capacity()));
        self.readers.push((epoch, buffer));
    }

    fn give_back(&mut self, which: Which, fill: usize) {
        let back = match which {
            Which::Current => 0,
            Which::Past(back) | Which::Future(back) => usize::from(back),
        };
        let Some(index) = self.readers.len().checked_sub(1 + back) else { return };
        let (epoch, mut buffer) = self.readers.remove(index);
        let count = buffer.capacity() * fill / 255;
        buffer.extend((0..count).map(|at| (at * 13 + count) as u8));
        self.receive(epoch, buffer);
    }

    fn leftover(&mut self, which: Which, len: usize) {
        let Some(epoch) = self.epoch(which) else { return };
        if self.readers.iter().any(|(reading, _)| *reading == epoch) {
            return;
        }
        self.leftovers += len;
        self.receive(epoch, (0..len).map(|at| at as u8).collect());
    }

    fn receive(&mut self, epoch: Epoch, buffer: BytesMut) {
        let fresh = is_up(self.conn.state()) && epoch == self.current();
        if fresh && !self.discarded {
            self.stream.push(&buffer);
        }
        let now = self.now;
        self.check_stale(!fresh, |conn| conn.handle_received(epoch, buffer, now));
    }

    fn timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.conn.handle_timeout(now);
        let next = self.conn.poll_timeout();
        assert!(next.is_none_or(|at| at > self.now), "{next:?} is not after {:?}", self.now);
    }

    fn current(&self) -> Epoch {
        self.conn.epoch().expect("an epoch has begun")
    }

    fn epoch(&self, which: Which) -> Option<Epoch> {
        let number = apart(self.conn.epoch()?.number(), which);
        (1..=64).contains(&number).then(|| epoch_of(number as usize))
    }
}

fn is_up(state: State) -> bool {
    matches!(state, State::Connected | State::Draining)
}

/// The number that `which` names, seen from `current`.
fn apart(current: u64, which: Which) -> u64 {
    match which {
        Which::Current => current,
        Which::Past(back) => current.wrapping_sub(1 + u64::from(back)),
        Which::Future(ahead) => current + 1 + u64::from(ahead),
    }
}
