//! A connection beside its model: applies one [`Op`] after the other and checks, after each,
//! all that is promised of it.

mod calls;
mod checks;
mod kernel;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kernel::Kernel;
use rebelay_core::{
    Action, Connection, Epoch, Event, Evidence, Instant, Item, Refusal, Settled, State, Ticket,
};

use super::epoch as epoch_of;
use super::model::Model;
use super::ops::{Op, Setup, Which};
use super::stream::{Mark, Stream};

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
    kernel: Kernel,
    /// How much the socket had taken when evidence was asked for that is still to come.
    asked: Option<usize>,
    /// What the driver read of the counters and has not said yet.
    read: Option<Option<Evidence>>,
    /// The peer sent its FIN on this epoch.
    peer_finished: bool,
    /// This epoch has ended and is not settled yet.
    parting: bool,
    /// What is proven of this epoch: how many bytes never left.
    proof: Option<u64>,
    /// When more of what goes out again may go.
    next_go: Option<Instant>,
    closing: bool,
    /// Half-closing came first, and nothing that has a deadline after it.
    patient: bool,
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
            kernel: Kernel::default(),
            asked: None,
            read: None,
            peer_finished: false,
            parting: false,
            proof: None,
            next_go: None,
            closing: false,
            patient: false,
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
        let to = if let Op::Advance { time } = *op {
            self.now + time
        } else if let Op::Timeout { at } = *op {
            Instant::from_nanos(at)
        } else if *op == Op::AdvanceToTimeout {
            self.conn.poll_timeout().unwrap_or(self.now)
        } else {
            return self.step(op);
        };
        // What waits for its turn goes one at a time, so that it is clear what came first.
        while let Some(go) = self.next_go {
            let next = self.model.next_deadline().map_or(go, |deadline| deadline.min(go));
            if next >= to {
                break;
            }
            self.step(&Op::Timeout { at: next.as_nanos() });
        }
        self.step(&Op::Timeout { at: to.as_nanos() });
    }

    fn step(&mut self, op: &Op) {
        let (before, since) = (self.conn.state(), self.conn.since());
        self.call(op);
        let after = self.conn.state();
        let told = self.take_events();
        if has_socket(before) && !has_socket(after) {
            self.end_epoch(before, &told);
        }
        if told.waits {
            self.model.expire(self.now);
        }
        if after == State::Closed {
            self.model.finish(0, self.conn.epoch());
        }
        if matches!(op, Op::Timeout { .. }) {
            self.pass_time(after);
        }
        self.take_actions();
        if !is_up(before) && is_up(after) {
            self.mark(Mark::Up(self.current()));
            self.hold_back();
        }
        let by_hand = matches!(op, Op::ReconnectNow | Op::Progress { .. });
        if before == State::Backoff && after == State::Resolving && !by_hand {
            let pause = self.now.saturating_since(since);
            assert!(pause >= self.setup.config().backoff.floor, "a hot loop: {pause:?}");
        }
        self.check();
    }

    /// The socket of the current epoch is gone.
    fn end_epoch(&mut self, before: State, told: &Told) {
        let epoch = self.current();
        self.kernel.end(&mut self.model);
        // Our FIN counts as a byte.
        let fin = u64::from(before == State::Draining);
        let proof = self.proof.map_or(0, |untransmitted| untransmitted.saturating_sub(fin));
        // A connection that is given up for good tells no wait.
        let affected = if told.waits || told.handshake_was_the_end {
            self.model.rewind(proof, epoch, self.setup.max_attempts)
        } else {
            self.model.finish(proof, Some(epoch))
        };
        if is_up(before) {
            assert_eq!(told.disconnected, Some(affected));
            self.mark(Mark::Down(epoch));
        }
        (self.blocked, self.peer_finished, self.parting) = (false, false, false);
        (self.asked, self.read, self.proof, self.next_go) = (None, None, None, None);
    }

    /// A connection came up: what goes out again waits for its turn.
    fn hold_back(&mut self) {
        let last = self.model.replays().last().map(|replay| replay.0);
        if let Some(last) = last.filter(|_| self.setup.rate < u32::MAX) {
            self.model.gate = Some((0, last));
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        let (count, wait) = self.setup.pace();
        let next = self.model.let_go(count).then(|| self.now + wait);
        self.next_go = next.filter(|at| *at < Instant::from_nanos(u64::MAX));
    }

    /// Time has passed, whatever else that did.
    fn pass_time(&mut self, after: State) {
        if self.next_go.is_some_and(|at| at <= self.now) {
            self.let_go();
        }
        if after != State::Closed && self.model.expire(self.now) {
            self.nothing_left_to_stall();
        }
    }

    fn nothing_left_to_stall(&mut self) {
        self.blocked &= self.model.is_lent() || !self.model.unwritten().is_empty();
    }

    /// The ticket this many before the last one.
    fn back(&self, back: i8) -> u64 {
        (self.model.messages.len() as u64).saturating_add_signed(-i64::from(back))
    }

    fn current(&self) -> Epoch {
        self.conn.epoch().expect("an epoch has begun")
    }

    fn epoch(&self, which: Which) -> Option<Epoch> {
        let number = apart(self.conn.epoch()?.number(), which);
        (1..=64).contains(&number).then(|| epoch_of(number as usize))
    }
}

/// What the events after one call said.
#[derive(Debug, Default)]
struct Told {
    /// The next round waits.
    waits: bool,
    /// A failed handshake was the end of a connection that was to fail fast.
    handshake_was_the_end: bool,
    /// Messages that are sent again, and that are proven unsent.
    disconnected: Option<(u64, u64)>,
}

fn has_socket(state: State) -> bool {
    is_up(state) || state == State::Handshaking
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
