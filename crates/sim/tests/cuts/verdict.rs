//! What became of a run's messages, held against what the two kernels and the server saw.

use std::collections::BTreeMap;

use rebelay_core::{Certainty, Outcome, Resend, Ticket};

use super::clerk::parse;
use super::schedule::{Run, User};

/// A message on one connection: a byte of it was taken at least.
#[derive(Copy, Clone, Debug)]
struct Attempt {
    epoch: u64,
    /// The client's kernel took all of it.
    whole: bool,
    /// The server program read all of it.
    read: bool,
    /// It was taken whole and did not leave whole, and the kernel could say so.
    proven: bool,
}

/// How often what the tests are about happened at all.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Probes {
    pub(crate) not_sent: u64,
    pub(crate) not_transmitted: u64,
    pub(crate) in_doubt: u64,
    /// Attempts that were not the last, by what was taken of them.
    pub(crate) torn_again: u64,
    pub(crate) proven_again: u64,
    pub(crate) whole_again: u64,
    /// Messages that a server read more than once.
    pub(crate) read_twice: u64,
    /// Messages that a kernel took whole, and no server ever read whole.
    pub(crate) lost: u64,
    pub(crate) proven_unsent: u64,
}

impl Run {
    /// Asserts that what is said of every message is true, and what was done right.
    pub(crate) fn judge(&mut self, probes: &mut Probes) {
        let attempts = self.attempts();
        let ledger = self.sim.connection().ledger();
        assert_eq!((ledger.admitted, ledger.pending), (self.policies.len() as u64, 0));
        probes.proven_unsent += ledger.proven_unsent;
        let mut proven = 0;
        for (number, resend) in self.policies.clone() {
            let ticket = Ticket::from_number(number);
            let none = Vec::new();
            let tried = attempts.get(&number).unwrap_or(&none);
            for _ in tried.iter().filter(|attempt| attempt.read) {
                self.sim.audit_mut().received(ticket);
            }
            let outcome = self.sim.audit_mut().outcome(ticket);
            let context = || format!("{number} {resend:?} {outcome:?} {tried:?} in {self:?}");
            let truth = outcome.is_some_and(|outcome| is_true(outcome, tried, self.user));
            assert!(truth, "untrue: {}", context());
            assert!(may_repeat(resend, tried), "sent again: {}", context());
            let served = outcome.is_some_and(|outcome| self.is_served(resend, outcome, tried));
            assert!(served || self.user == User::Rough, "not sent again: {}", context());
            probes.count(outcome, tried);
            let keeps = matches!(resend, Resend::Untransmitted | Resend::Unacked);
            proven += tried.iter().filter(|attempt| attempt.proven && keeps).count() as u64;
        }
        if self.user != User::Rough {
            assert_eq!(ledger.proven_unsent, proven, "{self:?}");
        }
    }

    /// Every attempt of every message, in order; what was written are whole messages in order but
    /// for the last of each connection, and the server read the beginning of that.
    fn attempts(&self) -> BTreeMap<u64, Vec<Attempt>> {
        let mut attempts: BTreeMap<u64, Vec<Attempt>> = BTreeMap::new();
        let mut connections = Vec::new();
        for wire in self.sim.wires() {
            let written = self.sim.record().written(wire.epoch);
            assert_eq!(wire.written, written.len() as u64, "{self:?}");
            let desk = self.sim.server().connections.get(&wire.epoch);
            let read = desk.map_or(&[][..], |desk| &desk.bytes);
            assert_eq!(wire.read, read.len() as u64, "{self:?}");
            assert!(written.starts_with(read), "{self:?}");
            let is_told = self.evidence && wire.lost && !self.left.contains(&wire.epoch);
            let mut numbers = Vec::new();
            for passage in parse(&written, &self.lengths) {
                let (whole, has_left) = (passage.end <= wire.written, passage.end <= wire.sent);
                numbers.push(passage.number);
                attempts.entry(passage.number).or_default().push(Attempt {
                    epoch: wire.epoch,
                    whole,
                    read: passage.end <= wire.read,
                    proven: whole && !has_left && is_told,
                });
            }
            connections.push(numbers);
        }
        self.assert_order(&connections);
        attempts
    }

    /// Asserts that messages go up on each connection, and that none goes before an older one
    /// that goes out later.
    fn assert_order(&self, connections: &[Vec<u64>]) {
        for (index, numbers) in connections.iter().enumerate() {
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?} in {self:?}");
            let Some(last) = numbers.last() else { continue };
            for later in connections[index + 1..].iter().flatten().filter(|later| **later > 0) {
                let kept_its_place = later > last || numbers.contains(later);
                assert!(kept_its_place, "{later} comes after {numbers:?} in {self:?}");
            }
        }
    }

    /// Whether the policy did for the message all that it promises, of a user who lets it.
    fn is_served(&self, resend: Resend, outcome: Outcome, tried: &[Attempt]) -> bool {
        let Some((last, before)) = tried.split_last() else { return false };
        let written = matches!(outcome, Outcome::Written { epoch } if epoch.number() == last.epoch);
        let read = tried.iter().any(|attempt| attempt.read);
        let acked = outcome == Outcome::Acked && read;
        match resend {
            Resend::Never => before.is_empty() && written == last.whole,
            Resend::Incomplete => written && last.whole,
            Resend::Untransmitted => (written || acked) && !last.proven && last.whole,
            Resend::Unacked if self.sim.server().answers => acked,
            Resend::Unacked => read,
        }
    }
}

/// Whether an outcome says how far the message came, neither more nor less.
fn is_true(outcome: Outcome, tried: &[Attempt], user: User) -> bool {
    let reached = |attempt: &Attempt| match attempt {
        Attempt { whole: false, .. } => Certainty::NotSent,
        Attempt { proven: true, .. } => Certainty::NotTransmitted,
        Attempt { .. } => Certainty::InDoubt,
    };
    let knowable = tried.iter().map(reached).max().unwrap_or_default();
    match outcome {
        Outcome::Written { epoch } => {
            let on_it = tried.iter().find(|attempt| attempt.epoch == epoch.number());
            on_it.is_some_and(|attempt| attempt.whole)
        }
        Outcome::Acked => tried.iter().any(|attempt| attempt.whole),
        // Who closes while the kernel may yet speak does not hear it.
        Outcome::Failed { certainty: Certainty::InDoubt, .. } if user == User::Rough => {
            knowable > Certainty::NotSent
        }
        Outcome::Failed { certainty, .. } => certainty == knowable,
    }
}

/// Whether the policy lets the message go out again after each attempt but the last.
fn may_repeat(resend: Resend, tried: &[Attempt]) -> bool {
    let repeated = tried.split_last().map_or(&[][..], |(_, repeated)| repeated);
    repeated.iter().all(|attempt| match resend {
        Resend::Never => false,
        Resend::Incomplete => !attempt.whole,
        Resend::Untransmitted => !attempt.whole || attempt.proven,
        Resend::Unacked => true,
    })
}

impl Probes {
    fn count(&mut self, outcome: Option<Outcome>, tried: &[Attempt]) {
        if let Some(Outcome::Failed { certainty, .. }) = outcome {
            self.not_sent += u64::from(certainty == Certainty::NotSent);
            self.not_transmitted += u64::from(certainty == Certainty::NotTransmitted);
            self.in_doubt += u64::from(certainty == Certainty::InDoubt);
        }
        let repeated = tried.split_last().map_or(&[][..], |(_, repeated)| repeated);
        for attempt in repeated {
            let again = match attempt {
                Attempt { whole: false, .. } => &mut self.torn_again,
                Attempt { proven: true, .. } => &mut self.proven_again,
                Attempt { .. } => &mut self.whole_again,
            };
            *again += 1;
        }
        let read = tried.iter().filter(|attempt| attempt.read).count();
        self.read_twice += u64::from(read > 1);
        self.lost += u64::from(read == 0 && tried.iter().any(|attempt| attempt.whole));
    }
}
