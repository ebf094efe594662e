//! What the tests of the machine share: a script of calls in virtual time.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a script that does not fit the machine is a failed test"
)]

pub(crate) mod message;
pub(crate) mod model;
pub(crate) mod ops;
pub(crate) mod stream;
pub(crate) mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use rebelay_core::{
    Action, Certainty, Config, Connection, Epoch, Event, Evidence, FailCause, Fault, FirstConnect,
    Instant, Item, Outcome, Reason, Resend, SendError, SendOptions, State, Ticket,
};

/// Every state, in the order of a life.
pub(crate) const STATES: [State; 8] = [
    State::Idle,
    State::Resolving,
    State::Connecting,
    State::Handshaking,
    State::Connected,
    State::Backoff,
    State::Draining,
    State::Closed,
];

/// A connection, the time it is told, and all that came out of it so far.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) conn: Connection,
    pub(crate) now: Instant,
    pub(crate) actions: Vec<Action>,
    pub(crate) items: Vec<Item>,
    pub(crate) outcomes: Vec<(u64, Outcome)>,
    pub(crate) events: Vec<Event>,
}

impl Script {
    /// A connection with the defaults, changed by `change`.
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let now = Instant::from_nanos(1_000_000_000);
        let conn = Connection::new(config, 7, now).unwrap();
        Self { conn, now, actions: vec![], items: vec![], outcomes: vec![], events: vec![] }
    }

    /// The same, on its first epoch, of which the reader knows.
    pub(crate) fn connected(change: impl FnOnce(&mut Config)) -> Self {
        let mut script = Self::new(change);
        let epoch = script.connect();
        assert_eq!(script.items(), [Item::Up { epoch }]);
        script
    }

    /// The same, with messages of three bytes that have these policies, all written.
    pub(crate) fn written_with(policies: &[Resend]) -> Self {
        let mut script = Self::connected(|config| config.resend = Resend::Untransmitted);
        for (policy, letter) in policies.iter().zip(["a", "b", "c", "d", "e", "f"]) {
            script.send_with(&letter.repeat(3), SendOptions::resend(*policy)).unwrap();
        }
        script.write_all();
        script
    }

    /// A connection brought to `state` the shortest way that real reports allow.
    pub(crate) fn at(state: State) -> Self {
        let mut script = Self::new(|config| {
            config.handshake = true;
            if state == State::Idle {
                config.first_connect = FirstConnect::Lazy;
            }
        });
        script.poll();
        match state {
            State::Idle | State::Resolving => {}
            State::Connecting => script.resolve(1),
            State::Handshaking => {
                script.resolve(1);
                script.dialled();
            }
            State::Connected => {
                script.connect();
            }
            State::Backoff => {
                let round = script.round();
                script.conn.handle_resolve_failed(round, Fault::new("no name"), script.now);
            }
            State::Draining => {
                script.connect();
                script.conn.close(script.now);
            }
            State::Closed => script.conn.close(script.now),
        }
        script.poll();
        assert_eq!(script.conn.state(), state);
        script
    }

    /// Takes all that can be polled but bytes to write. What never ends is a failure.
    pub(crate) fn poll(&mut self) {
        let limit = 10_000;
        self.actions.extend(std::iter::from_fn(|| self.conn.poll_action()).take(limit));
        self.items.extend(std::iter::from_fn(|| self.conn.poll_item()).take(limit));
        self.events.extend(std::iter::from_fn(|| self.conn.poll_event()).take(limit));
        for settled in std::iter::from_fn(|| self.conn.poll_outcome()).take(limit) {
            for number in settled.first.number()..=settled.last.number() {
                self.outcomes.push((number, settled.outcome));
            }
        }
        assert!(self.conn.poll_action().is_none() && self.conn.poll_item().is_none());
        assert!(self.conn.poll_event().is_none() && self.conn.poll_outcome().is_none());
        assert!(self.conn.ledger().adds_up(), "{}", self.conn.ledger());
    }

    /// Lets time pass and tells the machine.
    pub(crate) fn advance(&mut self, time: Duration) {
        self.now = self.now + time;
        self.conn.handle_timeout(self.now);
        let next = self.conn.poll_timeout();
        assert!(next.is_none_or(|at| at > self.now), "{next:?} is not after {:?}", self.now);
    }

    /// Lets time pass up to the next timeout, and says how long that was.
    pub(crate) fn advance_to_timeout(&mut self) -> Duration {
        let at = self.conn.poll_timeout().unwrap();
        let time = at.saturating_since(self.now);
        self.advance(time);
        time
    }

    /// The round of the last order to resolve.
    pub(crate) fn round(&mut self) -> u64 {
        self.poll();
        let last = self.actions.iter().rev().find_map(|action| {
            if let Action::Resolve { round } = action { Some(*round) } else { None }
        });
        last.unwrap()
    }

    /// The attempt of the last order to dial.
    pub(crate) fn attempt(&mut self) -> u64 {
        self.poll();
        let last = self.actions.iter().rev().find_map(|action| {
            if let Action::Dial { attempt, .. } = action { Some(*attempt) } else { None }
        });
        last.unwrap()
    }

    /// Answers the lookup that is wanted with `count` addresses.
    pub(crate) fn resolve(&mut self, count: u16) {
        let round = self.round();
        self.conn.handle_resolved(round, &addresses(count), self.now);
    }

    /// The dial that is under way succeeds.
    pub(crate) fn dialled(&mut self) -> Epoch {
        let attempt = self.attempt();
        self.conn.handle_connected(attempt, self.now).unwrap()
    }

    /// From anywhere before it, by way of a wait if need be, to an established connection.
    pub(crate) fn connect(&mut self) -> Epoch {
        if self.conn.state() == State::Idle {
            self.conn.reconnect_now(self.now);
        }
        if self.conn.state() == State::Backoff {
            self.advance_to_timeout();
        }
        if self.conn.state() == State::Resolving {
            self.resolve(1);
        }
        let epoch = self.dialled();
        self.conn.handle_handshaken(epoch, self.now);
        assert_eq!(self.conn.state(), State::Connected);
        epoch
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.conn.epoch().unwrap()
    }

    /// Sends a message that must be admitted; its ticket's number.
    pub(crate) fn send(&mut self, message: &str) -> u64 {
        self.send_with(message, SendOptions::default()).unwrap().number()
    }

    pub(crate) fn send_with(
        &mut self,
        message: &str,
        options: SendOptions,
    ) -> Result<Ticket, SendError> {
        self.conn.send(Bytes::copy_from_slice(message.as_bytes()), options, self.now)
    }

    pub(crate) fn ack(&mut self, through: u64) {
        self.conn.ack_through(Ticket::from_number(through), self.now);
    }

    /// Takes what is lent, as text; empty when nothing is.
    pub(crate) fn lend(&mut self) -> String {
        let mut slices = Vec::with_capacity(64);
        let epoch = self.conn.poll_transmit(&mut slices);
        assert_eq!(epoch.is_some(), !slices.is_empty());
        String::from_utf8(slices.concat()).unwrap()
    }

    pub(crate) fn took(&mut self, count: usize) {
        self.conn.handle_transmitted(self.epoch(), count, self.now);
    }

    /// The socket takes at most `count` of the bytes lent; which those are.
    pub(crate) fn write(&mut self, count: usize) -> String {
        let mut lent = self.lend();
        lent.truncate(count);
        self.took(lent.len());
        lent
    }

    /// The socket takes all there is.
    pub(crate) fn write_all(&mut self) -> String {
        let mut all = String::new();
        while self.conn.can_transmit() {
            all += &self.write(usize::MAX);
        }
        all
    }

    /// The socket brings `bytes`; `false`: the inbox lends no memory.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> bool {
        let Some((epoch, mut buffer)) = self.conn.poll_receive() else { return false };
        assert!(buffer.is_empty() && buffer.capacity() >= bytes.len());
        buffer.extend_from_slice(bytes);
        self.conn.handle_received(epoch, buffer, self.now);
        true
    }

    pub(crate) fn disconnect(&mut self) {
        self.conn.handle_disconnected(self.epoch(), Reason::PeerClosed, None, self.now);
    }

    /// The connection fails; of the bytes that the socket took last, `untransmitted` never left.
    pub(crate) fn reset(&mut self, untransmitted: u64) {
        let evidence = Some(evidence(untransmitted, true));
        self.conn.handle_disconnected(self.epoch(), Reason::Io(fault()), evidence, self.now);
    }

    /// How often evidence was asked for since the last call that took actions.
    pub(crate) fn questions(&mut self) -> usize {
        self.actions().iter().filter(|action| matches!(action, Action::Measure { .. })).count()
    }

    /// Evidence is reported, of a connection that lives.
    pub(crate) fn answer(&mut self, untransmitted: u64) {
        let evidence = Some(evidence(untransmitted, false));
        self.conn.handle_evidence(self.epoch(), evidence, self.now);
    }

    /// Waits until evidence is asked for, and answers.
    pub(crate) fn answer_next(&mut self, untransmitted: u64) {
        if self.questions() == 0 {
            self.advance_to_timeout();
            assert_eq!(self.questions(), 1);
        }
        self.answer(untransmitted);
    }

    /// The outcomes that came since the last call.
    pub(crate) fn outcomes(&mut self) -> Vec<(u64, Outcome)> {
        self.poll();
        std::mem::take(&mut self.outcomes)
    }

    /// The items that came since the last call.
    pub(crate) fn items(&mut self) -> Vec<Item> {
        self.poll();
        std::mem::take(&mut self.items)
    }

    /// The actions that came since the last call.
    pub(crate) fn actions(&mut self) -> Vec<Action> {
        self.poll();
        std::mem::take(&mut self.actions)
    }

    /// The events that came since the last call.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.poll();
        std::mem::take(&mut self.events)
    }

    /// All there is to know about the connection. Two that show the same are the same.
    pub(crate) fn snapshot(&self) -> String {
        format!("{:?}", self.conn)
    }
}

pub(crate) fn addresses(count: u16) -> Vec<SocketAddr> {
    (1..=count).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).collect()
}

/// The epoch with this number, 1 to 64. Only a connection makes epochs, so one is asked.
pub(crate) fn epoch(number: usize) -> Epoch {
    static EPOCHS: OnceLock<Vec<Epoch>> = OnceLock::new();
    let epochs = EPOCHS.get_or_init(|| {
        let mut script = Script::new(|_| {});
        let each = |_| {
            let epoch = script.connect();
            script.disconnect();
            epoch
        };
        (0..64).map(each).collect()
    });
    epochs[number - 1]
}

pub(crate) fn evidence(untransmitted: u64, is_final: bool) -> Evidence {
    Evidence { untransmitted, is_final }
}

pub(crate) fn written(epoch: Epoch) -> Outcome {
    Outcome::Written { epoch }
}

pub(crate) fn not_sent(cause: FailCause) -> Outcome {
    Outcome::Failed { certainty: Certainty::NotSent, cause }
}

pub(crate) fn not_transmitted(cause: FailCause) -> Outcome {
    Outcome::Failed { certainty: Certainty::NotTransmitted, cause }
}

pub(crate) fn in_doubt(cause: FailCause) -> Outcome {
    Outcome::Failed { certainty: Certainty::InDoubt, cause }
}

pub(crate) fn fault() -> Fault {
    Fault::new("connection reset")
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
