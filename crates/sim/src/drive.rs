//! The driver: carries the machine's decisions to the network, and the network's news back.

use std::time::Duration;

use bytes::BufMut;
use rebelay_core::{Action, Connection, Evidence, Fault, Instant, Reason, State};

use crate::fate::{Fate, When};
use crate::network::{Dialled, Lookup};
use crate::server::Server;
use crate::sim::{Handshake, Happening, Sim};
use crate::tcp::{Read, Side, Tcp};

/// How long a lookup and a refusal take.
const ANSWER: Duration = Duration::from_millis(1);

/// Decisions at one instant, without a byte written, that no sane machine makes.
const RESTLESS: u32 = 1_000;

impl<S: Server> Sim<S> {
    /// Puts one thing into the machine.
    pub(crate) fn input<R>(&mut self, call: impl FnOnce(&mut Connection, Instant) -> R) -> R {
        self.before = self.connection.state();
        let result = call(&mut self.connection, self.now);
        self.note_transition();
        result
    }

    pub(crate) fn note_transition(&mut self) {
        let after = self.connection.state();
        if after != self.before {
            self.record.transitions.insert((self.before, after));
            self.digest.note(self.now, &after);
        }
    }

    /// Counts a decision that the machine made.
    pub(crate) fn decided(&mut self) {
        self.restless += 1;
        assert!(
            self.restless < RESTLESS,
            "the machine spins in {:?} at {:?} (seed {})",
            self.connection.state(),
            self.now,
            self.seed
        );
    }

    /// Does all that the machine wants done.
    pub(crate) fn carry_out(&mut self) {
        loop {
            let mut busy = false;
            while let Some(action) = self.connection.poll_action() {
                self.decided();
                self.digest.note(self.now, &action);
                self.perform(action);
                busy = true;
            }
            busy |= self.shake_hands() | self.write() | self.read();
            // Taking an item makes room to read more.
            busy |= self.collect();
            if !busy {
                break;
            }
        }
        self.flush();
        self.check();
    }

    /// What the network does now.
    pub(crate) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::LookedUp { round, lookup } => self.input(|connection, now| match lookup {
                Lookup::Found(addresses) => connection.handle_resolved(round, &addresses, now),
                Lookup::Fails | Lookup::Never => {
                    connection.handle_resolve_failed(round, Fault::new("host not found"), now);
                }
            }),
            Happening::Dialled { attempt } => self.dialled(attempt),
            Happening::Arrives { link, side, packet } => self.arrive(link, side, packet),
            Happening::Resumes { link } => {
                if let Some(tcp) = self.links.get_mut(&link) {
                    tcp.stalled = false;
                    self.serve(link);
                }
            }
            Happening::IsCut { link } => self.cut(link),
            Happening::GivesUp { link } => {
                if let Some(tcp) = self.links.get_mut(&link) {
                    tcp.give_up();
                    self.wake_writer(link);
                }
            }
            Happening::Wakes { link } => {
                if self.links.get(&link).is_some_and(Tcp::is_served) {
                    self.call_server(link, Server::on_wake);
                }
            }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Resolve { round } => {
                let lookup = self.network.lookup(round, &mut self.rng);
                if lookup != Lookup::Never {
                    self.queue.push(self.now + ANSWER, Happening::LookedUp { round, lookup });
                }
            }
            Action::Dial { attempt, address } => {
                assert!(self.is_unconnected(), "a second socket is opened (seed {})", self.seed);
                self.record.transitions.insert((self.before, State::Connecting));
                let dialled = Dialled { attempt, address, at: self.now };
                let fate = self.network.dial(&dialled, &mut self.rng);
                let delay = match &fate {
                    Fate::Refuse => Some(ANSWER),
                    Fate::Blackhole => None,
                    Fate::Accept(link) => Some(link.latency * 2),
                };
                self.dialling = Some((attempt, fate));
                if let Some(delay) = delay {
                    self.queue.push(self.now + delay, Happening::Dialled { attempt });
                }
            }
            Action::Handshake { .. } => {
                let hello = self.network.handshake();
                let reply = bytes::BytesMut::new();
                let handshake = Handshake { unsent: hello.send, awaited: hello.reply, reply };
                self.handshake = Some(handshake);
            }
            Action::Abandon { .. } => self.dialling = None,
            Action::Measure { epoch } => {
                let evidence = self.evidence(epoch.number());
                self.input(|connection, now| connection.handle_evidence(epoch, evidence, now));
            }
            Action::ShutdownWrite { epoch } => {
                if let Some(tcp) = self.links.get_mut(&epoch.number()) {
                    tcp.finish(Side::Client);
                }
            }
            Action::CloseSocket { epoch } => {
                if let Some(tcp) = self.links.get_mut(&epoch.number()) {
                    tcp.close(Side::Client, self.now);
                }
                self.socket = None;
                self.handshake = None;
            }
        }
    }

    fn dialled(&mut self, attempt: u64) {
        let Some((_, fate)) = self.dialling.take_if(|(number, _)| *number == attempt) else {
            return;
        };
        let Fate::Accept(link) = fate else {
            let fault = Fault::with_errno(Some(111), "connection refused");
            return self.input(|connection, now| {
                connection.handle_connect_failed(attempt, fault, now);
            });
        };
        let Some(epoch) = self.input(|connection, now| connection.handle_connected(attempt, now))
        else {
            return;
        };
        let number = epoch.number();
        if let Some(When::After(delay)) = link.cut.map(|cut| cut.when) {
            self.queue.push(self.now + delay, Happening::IsCut { link: number });
        }
        let tcp = Tcp::new(link);
        self.wires.push(tcp.wire(number));
        self.links.insert(number, tcp);
        self.socket = Some(number);
        self.blocked = false;
        self.call_server(number, Server::on_accept);
        self.serve(number);
    }

    /// Takes what the machine has for its user. Whether any of it was an item.
    fn collect(&mut self) -> bool {
        let before = self.record.items.len();
        while let Some(settled) = self.connection.poll_outcome() {
            self.digest.note(self.now, &settled);
            self.audit.settled(&[settled]);
            self.record.settled.push(settled);
        }
        while self.reading
            && let Some(item) = self.connection.poll_item()
        {
            self.digest.item(self.now, &item);
            self.record.items.push(item);
        }
        while self.watching
            && let Some(event) = self.connection.poll_event()
        {
            self.digest.note(self.now, &event);
            self.record.events.push((self.now, event));
        }
        self.record.items.len() > before
    }

    fn check(&self) {
        self.audit.balance(&self.connection.ledger());
        let leaks = self.connection.state() == State::Closed && !self.is_unconnected();
        assert!(!leaks, "a closed machine leaves a socket open (seed {})", self.seed);
    }

    /// Whether no dial is under way and no socket open.
    fn is_unconnected(&self) -> bool {
        self.dialling.is_none() && self.socket.is_none()
    }
}

/// The client's socket.
impl<S: Server> Sim<S> {
    /// Goes on with the handshake that runs, if there is one.
    fn shake_hands(&mut self) -> bool {
        let (Some(handshake), Some(number)) = (&mut self.handshake, self.socket) else {
            return false;
        };
        let (Some(tcp), Some(epoch)) = (self.links.get_mut(&number), self.connection.epoch())
        else {
            return false;
        };
        let mut failure = None;
        if !handshake.unsent.is_empty() {
            match tcp.write(std::slice::from_ref(&handshake.unsent), &mut self.rng) {
                Ok(count) => {
                    let unsent = std::mem::take(&mut handshake.unsent);
                    self.record.note_written(number, std::slice::from_ref(&unsent), count);
                    handshake.unsent = unsent.slice(count..);
                }
                Err(fault) => failure = Some(fault),
            }
        }
        let mut done = handshake.unsent.is_empty() && handshake.reply.len() >= handshake.awaited;
        while !done && failure.is_none() {
            match tcp.read(usize::MAX) {
                Read::Data(data) => handshake.reply.extend_from_slice(&data),
                Read::End => failure = Some(Fault::new("the peer closed in the handshake")),
                Read::Failed(fault) => failure = Some(fault),
                Read::WouldBlock => break,
            }
            done = handshake.unsent.is_empty() && handshake.reply.len() >= handshake.awaited;
        }
        if let Some(fault) = failure {
            self.handshake = None;
            self.input(|connection, now| connection.handle_handshake_failed(epoch, fault, now));
            return true;
        }
        if done {
            let awaited = handshake.awaited;
            let surplus = handshake.reply.split_off(awaited);
            self.handshake = None;
            self.input(|connection, now| connection.handle_handshaken(epoch, now));
            if !surplus.is_empty() {
                self.input(|connection, now| connection.handle_received(epoch, surplus, now));
            }
        }
        done
    }

    /// Offers one lot of bytes to the socket.
    fn write(&mut self) -> bool {
        let mut slices = std::mem::take(&mut self.slices);
        let lent = self.connection.poll_transmit(&mut slices);
        if let Some(epoch) = lent {
            let result = match self.links.get_mut(&epoch.number()) {
                Some(tcp) => tcp.write(&slices, &mut self.rng),
                None => panic!("{epoch} has no socket to write to (seed {})", self.seed),
            };
            match result {
                Ok(count) => {
                    if count == 0 {
                        self.decided();
                    } else {
                        // Bytes that move are no spinning: there are only so many.
                        self.restless = 0;
                    }
                    self.record.note_written(epoch.number(), &slices, count);
                    self.blocked = count == 0;
                    self.digest.note(self.now, &count);
                    self.input(|connection, now| connection.handle_transmitted(epoch, count, now));
                }
                Err(fault) => {
                    self.decided();
                    let evidence = self.evidence(epoch.number());
                    self.input(|connection, now| {
                        connection.handle_write_failed(epoch, fault, evidence, now);
                    });
                }
            }
        }
        slices.clear();
        self.slices = slices;
        lent.is_some()
    }

    /// Reads once from the socket, if there is something to read and room for it.
    fn read(&mut self) -> bool {
        let Some(number) = self.socket.filter(|_| self.handshake.is_none()) else { return false };
        let Some(tcp) = self.links.get_mut(&number).filter(|tcp| tcp.is_readable()) else {
            return false;
        };
        let Some((epoch, mut buffer)) = self.connection.poll_receive() else { return false };
        let end = match tcp.read(buffer.capacity()) {
            Read::Data(data) => {
                buffer.put(data);
                None
            }
            Read::End => Some(Reason::PeerClosed),
            Read::Failed(fault) => Some(Reason::Io(fault)),
            Read::WouldBlock => return false,
        };
        self.input(|connection, now| connection.handle_received(epoch, buffer, now));
        if let Some(reason) = end {
            self.decided();
            let evidence = self.evidence(number);
            self.input(|connection, now| {
                connection.handle_disconnected(epoch, reason, evidence, now);
            });
        }
        true
    }

    /// What the client's kernel says of the bytes that its socket took.
    fn evidence(&mut self, link: u64) -> Option<Evidence> {
        let evidence = self.links.get(&link).and_then(Tcp::evidence);
        self.digest.note(self.now, &evidence);
        evidence
    }

    pub(crate) fn wake_writer(&mut self, link: u64) {
        let writable = self.links.get(&link).is_some_and(Tcp::is_writable);
        let Some(epoch) = self.connection.epoch().filter(|_| self.socket == Some(link)) else {
            return;
        };
        if self.blocked && writable {
            self.blocked = false;
            self.input(|connection, _| connection.handle_writable(epoch));
        }
    }
}
