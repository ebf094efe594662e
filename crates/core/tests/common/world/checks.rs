//! What is checked after every call, and what comes out.

use std::time::Duration;

use rebelay_core::{
    Action, Certainty, Connection, Epoch, Event, Instant, Item, Outcome, Reason, State,
};

use super::super::ops::Which;
use super::super::stream::Mark;
use super::{Output, Told, World};

impl World {
    pub(super) fn check(&mut self) {
        let state = self.conn.state();
        let timeout = self.conn.poll_timeout();
        self.log.push(Output::At(state, timeout));
        assert_eq!(self.conn.queued(), self.model.queued());
        assert!(self.conn.queued().0 <= self.setup.messages);
        assert!(self.conn.queued().1 <= 2 * self.setup.bytes, "what was replaced included");
        self.model.check_ledger(self.conn.ledger());
        assert_eq!(self.conn.written_through().number(), self.model.written_through());
        assert!(self.stream.held() <= self.setup.received + self.leftovers);
        assert_eq!(self.conn.can_transmit(), self.may_transmit());
        assert_eq!(self.conn.has_item(), !self.stream.expected.is_empty());

        let connecting = state == State::Connecting;
        assert_eq!(self.dialling.is_some(), connecting, "an attempt is given up or goes on");
        let open = matches!(state, State::Handshaking | State::Connected | State::Draining);
        assert_eq!(self.sockets.len(), usize::from(open), "a socket is closed when it is done");

        let waits = connecting
            || matches!(state, State::Resolving | State::Backoff | State::Handshaking)
            || state == State::Draining && !self.patient
            || self.blocked
            || self.parting
            || self.model.wants_evidence() && self.asked.is_none();
        let near_the_end = self.now + Duration::from_secs(86_400) == Instant::from_nanos(u64::MAX);
        assert!(timeout.is_some() || !waits || near_the_end, "{state:?} may last for ever");
        assert!(self.conn.explain(self.now).ends_with('.'));
        let replays = self.conn.replays();
        let replays =
            replays.iter().map(|r| (r.ticket.number(), r.attempts, r.certainty, &r.message[..]));
        assert!(replays.eq(self.model.replays()), "what goes out again");
        if state == State::Closed {
            assert_eq!(timeout, None);
            assert!(self.conn.poll_receive().is_none());
        }
    }

    pub(super) fn may_transmit(&self) -> bool {
        self.conn.state() == State::Connected
            && !self.blocked
            && !self.parting
            && !self.model.is_lent()
            && !self.model.unwritten().is_empty()
    }

    /// Reports something about an epoch; it must change nothing unless it is `fresh` and current.
    pub(super) fn report(
        &mut self,
        which: Which,
        fresh: bool,
        call: impl FnOnce(&mut Connection, Epoch),
    ) {
        if let Some(epoch) = self.epoch(which) {
            let stale = !fresh || which != Which::Current;
            self.check_stale(stale, |conn| call(conn, epoch));
        }
    }

    pub(super) fn check_stale(&mut self, stale: bool, call: impl FnOnce(&mut Connection)) {
        let before = stale.then(|| format!("{:?}", self.conn));
        call(&mut self.conn);
        if let Some(before) = before {
            assert_eq!(format!("{:?}", self.conn), before, "a stale report changes nothing");
        }
    }

    pub(super) fn take_actions(&mut self) {
        for taken in 0.. {
            let Some(action) = self.conn.poll_action() else { break };
            assert!(taken < 4, "actions without end");
            self.log.push(Output::Action(action.clone()));
            if let Action::Resolve { round } = action {
                assert_eq!(round, self.round + 1);
                self.round = round;
            } else if let Action::Dial { attempt, .. } = action {
                assert_eq!(attempt, self.attempt + 1);
                self.attempt = attempt;
                self.dialling = Some(attempt);
            } else if let Action::Abandon { attempt } = action {
                assert_eq!(self.dialling.take(), Some(attempt), "only what goes on is given up");
            } else if let Action::CloseSocket { epoch } = action {
                assert!(self.sockets.remove(&epoch), "only an open socket is closed");
            } else if let Action::ShutdownWrite { epoch } = action {
                assert!(self.sockets.contains(&epoch), "only an open socket gets a FIN");
            } else if let Action::Measure { epoch } = action {
                assert!(self.sockets.contains(&epoch), "only an open socket is measured");
                let asked = self.asked.replace(self.model.streamed);
                assert_eq!(asked, None, "one question at a time");
            } else if let Action::Handshake { epoch } = action {
                assert!(self.setup.handshake && self.sockets.contains(&epoch));
            }
        }
    }

    pub(super) fn take_events(&mut self) -> Told {
        let mut told = Told::default();
        for taken in 0.. {
            let Some(event) = self.conn.poll_event() else { break };
            assert!(taken <= self.setup.events, "events without end");
            self.log.push(Output::Event(event.clone()));
            assert!(!matches!(event, Event::Lost { .. }), "they are taken after every call");
            told.waits |= matches!(event, Event::BackingOff { .. });
            told.handshake_was_the_end |= matches!(
                event,
                Event::Closed { reason: Reason::Handshake(_) | Reason::HandshakeTimeout }
            );
            if let Event::Disconnected { resent, proven_unsent, .. } = event {
                told.disconnected = Some((resent.into(), proven_unsent.into()));
            } else if let Event::DeadlinePassed { ticket } = event {
                let message = &self.model.messages[ticket.number() as usize - 1];
                assert!(message.was_due(self.now), "{ticket} is not late");
            }
        }
        told
    }

    pub(super) fn take_items(&mut self, count: usize) {
        for _ in 0..count {
            let Some(item) = self.conn.poll_item() else {
                assert_eq!(self.stream.expected, [], "nothing more comes");
                break;
            };
            match &item {
                Item::Data(data) => assert_eq!(self.stream.take(data.len()), data[..]),
                Item::Up { epoch } => {
                    assert_eq!(self.stream.expected.pop_front(), Some(Mark::Up(*epoch)));
                }
                Item::PeerFinished { epoch } => {
                    let mark = self.stream.expected.pop_front();
                    assert_eq!(mark, Some(Mark::PeerFinished(*epoch)));
                }
                Item::Down { epoch, .. } => {
                    assert_eq!(self.stream.expected.pop_front(), Some(Mark::Down(*epoch)));
                }
            }
            self.log.push(Output::Item(item));
        }
    }

    pub(super) fn take_outcomes(&mut self, count: usize) {
        for _ in 0..count {
            let Some(settled) = self.conn.poll_outcome() else {
                assert_eq!(self.model.unreported(), 0, "nothing more comes");
                break;
            };
            for number in settled.first.number()..=settled.last.number() {
                let message = &mut self.model.messages[number as usize - 1];
                let is_expected = message.outcome == Some(settled.outcome)
                    || message.would_be_expired() == Some(settled.outcome);
                assert!(is_expected, "{:?} of {number}: {message:?}", settled.outcome);
                let is_sure = matches!(settled.outcome, Outcome::Failed { certainty, .. }
                    if certainty < Certainty::InDoubt);
                let has_left = message.transmitted && !message.lied_about;
                assert!(!is_sure || !has_left, "{number} has left");
                assert!(!std::mem::replace(&mut message.reported, true), "{number} came twice");
            }
            self.log.push(Output::Settled(settled));
        }
    }

    pub(super) fn mark(&mut self, mark: Mark) {
        if !self.discarded {
            self.stream.expected.push_back(mark);
        }
    }
}
