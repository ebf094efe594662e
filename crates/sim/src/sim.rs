//! The simulation: what its user calls, and how time passes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rebelay_core::{
    Config, ConfigError, Connection, Instant, SendError, SendOptions, SplitMix64, State, Ticket,
};

use crate::audit::Audit;
use crate::fate::Fate;
use crate::network::{Lookup, Network};
use crate::pipe::Packet;
use crate::queue::Queue;
use crate::record::{Digest, Record, Wire};
use crate::server::Server;
use crate::tcp::{Side, Tcp};

/// A client machine, a server program and a network between them, in virtual time.
///
/// Every method that puts something in carries out at once all that the machine decides then, and
/// checks what a machine must keep to: it comes to rest, a timeout that ran out is gone, it has
/// one dial or socket at a time and none once it is closed, each message has one outcome, and its
/// ledger adds up.
///
/// # Panics
/// All these methods do, with the seed in the message, when the machine does not keep to that.
#[derive(Debug)]
pub struct Sim<S> {
    pub(crate) connection: Connection,
    pub(crate) network: Network,
    pub(crate) server: S,
    pub(crate) seed: u64,
    pub(crate) rng: SplitMix64,
    pub(crate) now: Instant,
    pub(crate) queue: Queue<Happening>,
    /// Every connection that one of the two sides still has, by its epoch.
    pub(crate) links: BTreeMap<u64, Tcp>,
    /// The link whose socket the client holds.
    pub(crate) socket: Option<u64>,
    /// The dial that is under way.
    pub(crate) dialling: Option<(u64, Fate)>,
    pub(crate) handshake: Option<Handshake>,
    /// The machine was told that the socket would block.
    pub(crate) blocked: bool,
    pub(crate) reading: bool,
    pub(crate) watching: bool,
    pub(crate) record: Record,
    pub(crate) audit: Audit,
    pub(crate) digest: Digest,
    pub(crate) wires: Vec<Wire>,
    /// The state before the latest input.
    pub(crate) before: State,
    /// Decisions that the machine made without time passing.
    pub(crate) restless: u32,
    /// Memory for lending slices.
    pub(crate) slices: Vec<Bytes>,
}

/// What the network does later.
#[derive(Debug)]
pub(crate) enum Happening {
    LookedUp { round: u64, lookup: Lookup },
    Dialled { attempt: u64 },
    Arrives { link: u64, side: Side, packet: Packet },
    Resumes { link: u64 },
    IsCut { link: u64 },
    GivesUp { link: u64 },
    Wakes { link: u64 },
}

/// A handshake that runs.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) unsent: Bytes,
    pub(crate) awaited: usize,
    pub(crate) reply: BytesMut,
}

impl<S: Server> Sim<S> {
    /// A simulation at time zero. `seed` starts the machine's jitter and the network's draws.
    ///
    /// # Errors
    /// The first field of `config` outside its range.
    pub fn new(
        config: Config,
        network: Network,
        server: S,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        let mut rng = SplitMix64::new(seed);
        let connection = Connection::new(config, rng.next_u64(), Instant::ZERO)?;
        let record = Record::default();
        let mut sim = Self {
            before: State::Idle,
            connection,
            network,
            server,
            seed,
            rng,
            now: Instant::ZERO,
            queue: Queue::default(),
            links: BTreeMap::new(),
            socket: None,
            dialling: None,
            handshake: None,
            blocked: false,
            reading: true,
            watching: true,
            record,
            audit: Audit::new(format!("seed {seed}")),
            digest: Digest::new(),
            wires: Vec::new(),
            restless: 0,
            slices: Vec::with_capacity(16),
        };
        sim.note_transition();
        sim.carry_out();
        Ok(sim)
    }

    /// Admits a message with the connection's own resend policy.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send(&mut self, message: impl Into<Bytes>) -> Result<Ticket, SendError> {
        let message = message.into();
        self.with(|connection, now| connection.send(message, SendOptions::default(), now))
    }

    /// Calls [`Connection::close`].
    pub fn close(&mut self) {
        self.with(Connection::close);
    }

    /// Calls [`Connection::drain`] with a deadline `patience` from now.
    pub fn drain(&mut self, patience: Duration) {
        self.with(|connection, now| connection.drain(now + patience, now));
    }

    /// Makes any other call to the machine.
    pub fn with<R>(&mut self, call: impl FnOnce(&mut Connection, Instant) -> R) -> R {
        self.restless = 0;
        let result = self.input(call);
        self.carry_out();
        result
    }

    /// Whether the reader takes items (it does at first). One that does not fills the inbox.
    pub fn set_reading(&mut self, reading: bool) {
        self.reading = reading;
        self.carry_out();
    }

    /// Whether anyone reads events (at first: yes).
    pub fn set_watching(&mut self, watching: bool) {
        self.watching = watching;
        self.carry_out();
    }

    /// Lets time come to the next thing that is due. `false`: nothing ever is.
    pub fn step(&mut self) -> bool {
        let (timeout, happening) = (self.connection.poll_timeout(), self.queue.next());
        let Some(next) = self.next_due() else { return false };
        if next > self.now {
            self.now = next;
            self.restless = 0;
        }
        if timeout.is_some_and(|at| happening.is_none_or(|happening| at < happening)) {
            self.decided();
            let ahead = self.input(|connection, now| {
                connection.handle_timeout(now);
                connection.poll_timeout().is_none_or(|at| at > now)
            });
            assert!(ahead, "a timeout that ran out is still due (seed {})", self.seed);
        } else if let Some(happening) = self.queue.pop() {
            self.happen(happening);
        }
        self.carry_out();
        true
    }

    /// Steps until `condition` holds, for `limit` of virtual time at most. Whether it holds.
    pub fn run_until(&mut self, limit: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if condition(self) {
                return true;
            }
            if self.next_due().is_none_or(|next| next > end) {
                self.now = self.now.max(end);
                return false;
            }
            self.step();
        }
    }

    /// Lets `duration` pass.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    /// The client's host sleeps for `duration`: the clock jumps, and whatever was due meanwhile
    /// comes late.
    pub fn suspend(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.restless = 0;
    }
}

/// What can be seen at any time.
impl<S> Sim<S> {
    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The machine.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The server program.
    pub fn server(&self) -> &S {
        &self.server
    }

    /// The server program, to change what it does next.
    pub fn server_mut(&mut self) -> &mut S {
        &mut self.server
    }

    /// All that came out of the machine so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// All that came out of the machine since the last call of this, which forgets it.
    pub fn take_record(&mut self) -> Record {
        std::mem::take(&mut self.record)
    }

    /// The audit that every outcome goes into, to be told what the server program received.
    pub fn audit_mut(&mut self) -> &mut Audit {
        &mut self.audit
    }

    /// What became of the bytes written on each connection; the first is epoch 1.
    pub fn wires(&self) -> &[Wire] {
        &self.wires
    }

    /// A hash of everything that went into the machine and came out of it so far: equal digests,
    /// equal runs.
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// When the next thing is due.
    pub fn next_due(&self) -> Option<Instant> {
        let due = [self.connection.poll_timeout(), self.queue.next()];
        due.into_iter().flatten().min()
    }
}
