//! One user, one server and a handful of connections that end anywhere: all drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use rebelay_core::{
    Config, Connection, Overflow, Refusal, Resend, SendOptions, SplitMix64, State, Ticket,
};
use rebelay_sim::{Cut, Fate, Hello, How, Network, Sim, Stall, When};

use super::clerk::{Answers, Clerk, message};
use super::common::{link, ms, secs};

/// How many messages are sent in each run.
pub(crate) const MESSAGES: u64 = 10;

/// What kind of user draws the schedule.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// All messages have one policy, and the connection is closed when there is nothing to do.
    Plain(Resend),
    /// So it is, but that each message has its own.
    Mixed,
    /// And cancels, pins, limits, paces, and closes at any moment.
    Rough,
}

/// What was drawn, and what came of it.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) user: User,
    pub(crate) sim: Sim<Clerk>,
    /// The length of each message by its number, the hello's first.
    pub(crate) lengths: Vec<usize>,
    /// The policy of each message that was admitted.
    pub(crate) policies: BTreeMap<u64, Resend>,
    /// Whether the client's kernel tells what it did not transmit.
    pub(crate) evidence: bool,
    /// The epochs that the user left.
    pub(crate) left: BTreeSet<u64>,
}

/// Enough to play it again.
impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the run of {:?} with seed {}", self.user, self.seed)
    }
}

impl Run {
    /// Draws a schedule and plays it to its end.
    pub(crate) fn play(user: User, seed: u64) -> Self {
        let mut rng = SplitMix64::new(seed);
        let (evidence, answers) = (rng.up_to(3) > 0, rng.up_to(2) > 0);
        let lengths: Vec<usize> = (0..=MESSAGES).map(|_| length(&mut rng)).collect();
        let config = config(user, answers, &mut rng);
        let mut misfortunes = rng.up_to(4);
        let network = Network::new(move |_, rng| {
            let fate = if misfortunes == 0 { Fate::default() } else { misfortune(rng) };
            misfortunes = misfortunes.saturating_sub(1);
            with_evidence(fate, evidence)
        });
        let network = network.hello(Hello { send: message(0, lengths[0]).into(), reply: 1 });
        let clerk = Clerk { lengths: lengths.clone(), answers, connections: BTreeMap::new() };
        let sim = Sim::new(config, network, clerk, rng.next_u64()).unwrap();
        let (policies, left) = (BTreeMap::new(), BTreeSet::new());
        let mut run = Self { seed, user, sim, lengths, policies, evidence, left };
        run.act(&mut rng);
        run.sim.run_for(secs(2));
        run.sim.close();
        run.sim.run_for(secs(1));
        assert_eq!(run.sim.connection().state(), State::Closed, "seed {seed}");
        run
    }

    /// Sends, steps and meddles until there is nothing more to expect.
    fn act(&mut self, rng: &mut SplitMix64) {
        let mut answers = Answers::default();
        let mut progress = (self.sim.now(), 0);
        let gives_up = (self.user == User::Rough && rng.up_to(1) == 0).then(|| rng.up_to(150));
        for step in 0_u64.. {
            if gives_up == Some(step) {
                return;
            }
            if self.sent() < MESSAGES && rng.up_to(2) == 0 {
                self.send(rng);
            }
            if rng.up_to(150) == 0 {
                self.reconnect();
            }
            if self.user == User::Rough && rng.up_to(20) == 0 {
                let ticket = Ticket::from_number(1 + rng.up_to(MESSAGES - 1));
                self.sim.with(|connection, now| connection.cancel(ticket, now));
            }
            let moves = self.sim.step();
            answers.pass_on(&mut self.sim);
            if self.sent() == MESSAGES && self.is_done() {
                return;
            }
            let moved: u64 = self.sim.wires().iter().map(|wire| wire.written + wire.read).sum();
            if moved != progress.1 {
                progress = (self.sim.now(), moved);
            }
            // Of a silence nothing tells but a heartbeat, which is the user's.
            let is_silent = self.sim.now().saturating_since(progress.0) > secs(5) || !moves;
            if is_silent && self.sim.connection().ledger().pending > 0 {
                self.reconnect();
                progress.0 = self.sim.now();
            }
            assert!(step < 20_000, "stuck: {} in {self:?}", self.sim.connection().ledger());
        }
    }

    fn sent(&self) -> u64 {
        self.policies.len() as u64
    }

    /// Whether all has its outcome but what waits for an answer that never comes.
    fn is_done(&self) -> bool {
        let connection = self.sim.connection();
        let waits_in_vain = |(number, resend): (&u64, &Resend)| {
            !self.sim.server().answers && *resend == Resend::Unacked
                || !connection.is_pending(Ticket::from_number(*number))
        };
        let is_written = connection.written_through().number() == MESSAGES;
        connection.ledger().pending == 0
            || connection.state() == State::Connected
                && is_written
                && self.is_all_read()
                && self.policies.iter().all(waits_in_vain)
    }

    /// Whether the server has read all of the last connection.
    fn is_all_read(&self) -> bool {
        self.sim.wires().last().is_some_and(|wire| wire.read == wire.written)
    }

    fn send(&mut self, rng: &mut SplitMix64) {
        let number = self.sent() + 1;
        let mut options = SendOptions::default();
        let own = match self.user {
            User::Plain(resend) => resend,
            User::Mixed | User::Rough => POLICIES[rng.up_to(3) as usize],
        };
        options.resend = Some(own);
        if self.user == User::Rough {
            let epoch = self.sim.connection().epoch();
            options.epoch = epoch.filter(|_| rng.up_to(5) == 0);
            options.expires_after = (rng.up_to(5) == 0).then(|| ms(rng.up_to(300)));
        }
        let message = message(number, self.lengths[number as usize]);
        let sent = self.sim.with(|connection, now| connection.send(message.into(), options, now));
        match sent {
            Ok(ticket) => {
                assert_eq!(ticket.number(), number);
                self.policies.insert(number, own);
            }
            Err(error) => assert!(
                matches!(error.refusal, Refusal::Full | Refusal::EpochOver),
                "{error} (seed {})",
                self.seed
            ),
        }
    }

    fn reconnect(&mut self) {
        let connection = self.sim.connection();
        if matches!(connection.state(), State::Connected | State::Handshaking) {
            self.left.extend(connection.epoch().map(rebelay_core::Epoch::number));
        }
        self.sim.with(Connection::reconnect_now);
    }
}

const POLICIES: [Resend; 4] =
    [Resend::Never, Resend::Incomplete, Resend::Untransmitted, Resend::Unacked];

/// Mostly a few bytes, often one, and up to 3,000.
fn length(rng: &mut SplitMix64) -> usize {
    let most = [1, 20, 100, 100, 400, 3_000][rng.up_to(5) as usize];
    1 + rng.up_to(most - 1) as usize
}

fn config(user: User, answers: bool, rng: &mut SplitMix64) -> Config {
    let mut config = Config::default();
    config.handshake = rng.up_to(2) == 0;
    config.connect_timeout = ms(200);
    config.handshake_timeout = ms(500);
    config.write_stall_timeout = ms(500);
    config.overflow = Overflow::Wait;
    // Nothing but an answer makes room for a message that waits for one.
    if answers && rng.up_to(1) == 0 {
        config.max_queued_messages = 4;
    }
    if user == User::Rough {
        config.max_attempts = [1, 2, u32::MAX][rng.up_to(2) as usize];
        config.max_resent_per_second = [20, 2_000, u32::MAX][rng.up_to(2) as usize];
    }
    config
}

/// A link of small buffers that ends or stalls somewhere.
fn misfortune(rng: &mut SplitMix64) -> Fate {
    match rng.up_to(19) {
        0 => return Fate::Refuse,
        1 => return Fate::Blackhole,
        _ => {}
    }
    let size = |rng: &mut SplitMix64| {
        let most = [20, 300, 3_000][rng.up_to(2) as usize];
        1 + rng.up_to(most - 1)
    };
    link(|link| {
        link.latency = ms(rng.up_to(20));
        link.receive_buffer = size(rng) as usize;
        link.send_buffer = size(rng) as usize;
        link.short_writes = rng.up_to(1) == 0;
        link.bandwidth = (rng.up_to(3) == 0).then_some(20_000);
        link.keepalive = (rng.up_to(2) > 0).then_some(ms(300));
        if rng.up_to(2) == 0 {
            let lasts = [ms(100), Duration::MAX][rng.up_to(1) as usize];
            link.stall = Some(Stall { after: size(rng), lasts });
        }
        let how = [How::Fin, How::Reset, How::Silence][rng.up_to(2) as usize];
        let when = match rng.up_to(3) {
            0 => When::Sent(rng.up_to(6)),
            1 => When::After(ms(rng.up_to(200))),
            _ => When::Received(size(rng)),
        };
        link.cut = Some(Cut { when, how });
    })
}

fn with_evidence(fate: Fate, evidence: bool) -> Fate {
    match fate {
        Fate::Accept(mut link) => {
            link.evidence = evidence;
            Fate::Accept(link)
        }
        Fate::Refuse | Fate::Blackhole => fate,
    }
}
