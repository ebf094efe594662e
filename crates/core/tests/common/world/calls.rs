//! Each call, on the connection and on the model.

use bytes::{Bytes, BytesMut};
use rebelay_core::{
    Connection, Epoch, Instant, Overflow, PeerFin, Reason, Refusal, SendOptions, State, Ticket,
};

use super::super::message::Wish;
use super::super::model::{self, Model};
use super::super::ops::{Claim, Op, Which};
use super::super::stream::Mark;
use super::super::{addresses, fault};
use super::{Output, World, apart, is_up};

impl World {
    pub(super) fn call(&mut self, op: &Op) {
        let now = self.now;
        let state = self.conn.state();
        match *op {
            Op::Progress { addresses } => self.progress(addresses),
            Op::Send { len, resend, expires_after, epoch } => {
                let mut options = SendOptions::default();
                (options.resend, options.expires_after) = (resend, expires_after);
                options.epoch = epoch.and_then(|which| self.epoch(which));
                self.send(usize::from(len), options);
            }
            Op::Cancel { back } => self.cancel(self.back(back)),
            Op::Replace { back, len } => self.replace(self.back(back), usize::from(len)),
            Op::Ack { back } => {
                let through = self.back(back);
                self.conn.ack_through(Ticket::from_number(through), now);
                self.model.ack(through);
                self.nothing_left_to_stall();
            }
            Op::Transmit { slices } => self.transmit(usize::from(slices)),
            Op::Transmitted { epoch, count } => {
                let fresh = state == State::Connected && self.model.is_lent();
                let count = self.kernel.limit(count);
                self.report(epoch, fresh, |conn, epoch| {
                    conn.handle_transmitted(epoch, count, now);
                });
                if fresh && epoch == Which::Current {
                    self.model.took(count, self.current());
                    self.kernel.ahead = 0;
                    self.blocked = count == 0;
                }
            }
            Op::Writable { epoch } => {
                self.report(epoch, self.blocked, Connection::handle_writable);
                self.blocked &= epoch != Which::Current;
            }
            Op::WriteFailed { epoch, claim } => {
                let is_news = !self.parting || self.model.is_lent();
                let fresh = state == State::Connected && is_news;
                let evidence = if fresh && epoch == Which::Current {
                    self.kernel.took_nothing(&mut self.model);
                    self.model.took(0, self.current());
                    self.parting = true;
                    self.claim(claim).inspect(|evidence| self.hear(*evidence))
                } else {
                    None
                };
                self.report(epoch, fresh, |conn, epoch| {
                    conn.handle_write_failed(epoch, fault(), evidence, now);
                });
            }
            Op::Read { claim } => {
                if self.asked.is_some() && self.read.is_none() {
                    self.read = Some(self.claim(claim));
                }
            }
            Op::Answer { epoch, claim } => self.answer(epoch, claim),
            Op::Receive => self.lend_to_reader(),
            Op::Received { epoch, fill } => self.give_back(epoch, usize::from(fill)),
            Op::Leftover { epoch, len } => self.leftover(epoch, usize::from(len)),
            Op::Disconnected { epoch, fin, claim } => self.disconnected(epoch, fin, claim),
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
            Op::Timeout { at } => self.timeout(Instant::from_nanos(at)),
            Op::Advance { .. } | Op::AdvanceToTimeout => unreachable!("taken apart"),
            Op::ReconnectNow => self.conn.reconnect_now(now),
            Op::Discard => {
                self.conn.discard_received();
                self.discarded = true;
                self.stream.expected.clear();
            }
            Op::Drain { after } => {
                let is_set = now + after < Instant::from_nanos(u64::MAX);
                self.patient = self.patient && !is_set;
                self.closing = true;
                self.conn.drain(now + after, now);
            }
            Op::HalfClose => {
                self.patient |= !self.closing;
                self.closing = true;
                self.conn.half_close(now);
            }
            Op::Close => {
                (self.patient, self.closing) = (false, true);
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

    fn send(&mut self, len: usize, mut options: SendOptions) {
        let body = self.model.next_body(len);
        if self.now > Instant::from_nanos(u64::MAX >> 1) {
            // A deadline at the end of time never comes.
            options.expires_after = None;
        }
        let state = self.conn.state();
        let sendable = matches!(state, State::Handshaking | State::Connected) && !self.parting;
        let is_elsewhere = |epoch| !sendable || self.conn.epoch() != Some(epoch);
        let epoch_over = options.epoch.is_some_and(is_elsewhere);
        let over = self.closing || self.conn.state() == State::Closed;
        let sent = self.conn.send(Bytes::from(body.clone()), options, self.now);
        let (messages, bytes) = (self.setup.messages, self.setup.bytes);
        let room = |model: &Model| {
            let queued = model.queued();
            queued.0 < messages && queued.1 + len <= bytes
        };
        let wish = Wish {
            resend: options.resend.unwrap_or(self.setup.resend),
            deadline: options.expires_after.map(|limit| self.now + limit),
            pinned: options.epoch.is_some(),
        };
        match &sent {
            Ok(ticket) => {
                assert!(!over && !epoch_over && len > 0 && len <= bytes);
                if room(&self.model) {
                    self.model.admit(body, wish);
                } else {
                    self.model.overflow(self.setup.overflow, room, body, wish);
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
                    () if epoch_over => Refusal::EpochOver,
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

    fn cancel(&mut self, ticket: u64) {
        let (ticket, now) = (Ticket::from_number(ticket), self.now);
        let cancelled = self.model.cancel(ticket.number());
        let mut answer = false;
        self.check_stale(!cancelled, |conn| answer = conn.cancel(ticket, now));
        assert_eq!(answer, cancelled);
        if cancelled {
            self.nothing_left_to_stall();
        }
    }

    fn replace(&mut self, ticket: u64, len: usize) {
        let new = model::body(ticket as usize + 7, len);
        let (limit, queued) = (self.setup.bytes, self.model.queued().1);
        let waiting = self.model.waiting(ticket);
        let expected = match &waiting {
            None => Err(Refusal::Begun),
            Some(_) if len == 0 => Err(Refusal::Empty),
            Some(_) if len > limit => Err(Refusal::TooLong { limit }),
            Some(old) if queued - old.body.len() + len > 2 * limit => Err(Refusal::Full),
            Some(_) => Ok(()),
        };
        if let (Ok(()), Some(waiting)) = (expected, waiting) {
            waiting.body.clone_from(&new);
        }
        let mut answer = Ok(());
        self.check_stale(expected.is_err(), |conn| {
            answer = conn.replace(Ticket::from_number(ticket), Bytes::from(new.clone()));
        });
        if let Err(error) = &answer {
            assert_eq!(error.message, new, "a refused message comes back whole");
        }
        assert_eq!(answer.map_err(|error| error.refusal), expected);
    }

    fn disconnected(&mut self, which: Which, fin: bool, claim: Claim) {
        let (state, now) = (self.conn.state(), self.now);
        let fresh = is_up(state) && !(fin && self.peer_finished);
        let mut evidence = None;
        if fresh && which == Which::Current {
            evidence = self.claim(claim);
            let goes_on = fin && state == State::Connected && !self.parting;
            self.peer_finished |= fin;
            if goes_on && self.setup.peer_fin == PeerFin::KeepWriting {
                self.mark(Mark::PeerFinished(self.current()));
            } else {
                self.parting |= goes_on;
                evidence.iter().for_each(|evidence| self.hear(*evidence));
            }
        }
        let reason = if fin { Reason::PeerClosed } else { Reason::Io(fault()) };
        self.report(which, fresh, |conn, epoch| {
            conn.handle_disconnected(epoch, reason, evidence, now);
        });
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
        if self.stream.held() == 0 && up && !busy && !self.peer_finished {
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
        self.model.note_due(self.now);
        self.conn.handle_timeout(now);
        let next = self.conn.poll_timeout();
        assert!(next.is_none_or(|at| at > self.now), "{next:?} is not after {:?}", self.now);
    }
}
