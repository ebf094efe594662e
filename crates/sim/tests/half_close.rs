//! One side has said all it has to say, and the other goes on.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use std::time::Duration;

use common::{cut, link, ms, secs};
use rebelay_core::{
    Config, Connection, Epoch, Event, Instant, Item, Outcome, PeerFin, Reason, Resend, State,
    Ticket,
};
use rebelay_sim::{Cut, End, Fate, How, Network, Peer, Server, Sim, Stall, When};

/// Sends its FIN after the first bytes, and reads on.
#[derive(Debug, Default)]
struct Listener {
    connections: Vec<Vec<u8>>,
    ends: Vec<End>,
    /// How much it reads before it resets the connection.
    patience: Option<usize>,
}

impl Server for Listener {
    fn on_accept(&mut self, _: &mut Peer) {
        self.connections.push(Vec::new());
    }

    fn on_data(&mut self, peer: &mut Peer, data: &[u8]) {
        let bytes = &mut self.connections[peer.number() as usize - 1];
        if bytes.is_empty() {
            peer.send(b"last");
            peer.finish();
        }
        bytes.extend_from_slice(data);
        if self.patience.is_some_and(|most| bytes.len() > most) {
            peer.reset();
        }
    }

    fn on_end(&mut self, peer: &mut Peer, end: End) {
        self.ends.push(end);
        peer.close();
    }
}

fn listening(
    peer_fin: PeerFin,
    resend: Resend,
    network: Network,
    listener: Listener,
) -> Sim<Listener> {
    let mut config = Config::default();
    (config.peer_fin, config.resend) = (peer_fin, resend);
    let mut sim = Sim::new(config, network, listener, 1).unwrap();
    sim.send("first").unwrap();
    sim.run_for(ms(20));
    sim
}

fn finished<S: Server>(sim: &Sim<S>) -> Vec<Epoch> {
    let items = sim.record().items.iter();
    let epochs = items.filter_map(|item| match item {
        Item::PeerFinished { epoch } => Some(*epoch),
        Item::Up { .. } | Item::Data(_) | Item::Down { .. } => None,
    });
    epochs.collect()
}

fn last_down<S: Server>(sim: &Sim<S>) -> Option<Reason> {
    sim.record().items.iter().rev().find_map(|item| match item {
        Item::Down { reason, .. } => Some(reason.clone()),
        Item::Up { .. } | Item::Data(_) | Item::PeerFinished { .. } => None,
    })
}

#[test]
fn g11_a_peers_fin_ends_the_epoch_unless_the_user_writes_on() {
    let sim = |peer_fin| {
        listening(peer_fin, Resend::Untransmitted, Network::default(), Listener::default())
    };
    let leaves = sim(PeerFin::Leave);
    assert_eq!(leaves.record().received(1), b"last");
    assert_eq!((last_down(&leaves), finished(&leaves)), (Some(Reason::PeerClosed), vec![]));

    let mut sim = sim(PeerFin::KeepWriting);
    assert_eq!(finished(&sim).len(), 1);
    for word in ["second", "third"] {
        sim.send(word).unwrap();
        sim.run_for(secs(10));
    }
    assert_eq!((last_down(&sim), sim.connection().state()), (None, State::Connected));
    assert_eq!(sim.server().connections, [b"firstsecondthird"]);
    assert_eq!(sim.record().received(1), b"last");
    let told = sim.record().events.iter();
    let told = told.filter(|(_, event)| matches!(event, Event::PeerFinished { .. })).count();
    assert_eq!(told, 1);

    // Both have finished: there is nothing left to wait for.
    sim.drain(secs(10));
    sim.run_for(ms(10));
    assert_eq!(sim.connection().state(), State::Closed);
    assert_eq!(sim.server().ends, [End::Fin]);
    assert_eq!(sim.connection().ledger().written, 3);
}

#[test]
fn g03_g11_a_write_finds_that_a_peer_that_only_listened_has_gone() {
    let listener = Listener { patience: Some(8), ..Listener::default() };
    let network = Network::default();
    let mut sim = listening(PeerFin::KeepWriting, Resend::Incomplete, network, listener);
    sim.send("second").unwrap();
    sim.run_for(secs(1));
    assert_eq!(sim.connection().state(), State::Connected, "nobody reads, so nobody knows");
    sim.send("third").unwrap();
    sim.run_for(secs(5));
    assert_eq!(sim.server().connections.len(), 2);
    assert_eq!(sim.server().connections[1], b"third");
    assert!(matches!(last_down(&sim), Some(Reason::Io(_))));
}

#[test]
fn g02_g11_what_never_left_goes_out_again_though_nobody_reads_or_writes() {
    // The server finishes, then stops reading; its window closes, and later it is reset.
    let narrow = link(|link| {
        link.receive_buffer = 10;
        link.stall = Some(Stall { after: 5, lasts: Duration::MAX });
        link.cut = Some(Cut { when: When::After(secs(3)), how: How::Reset });
    });
    let network = Network::fates([narrow], Fate::default());
    let listener = Listener::default();
    let mut sim = listening(PeerFin::KeepWriting, Resend::Untransmitted, network, listener);
    assert_eq!(finished(&sim).len(), 1);
    for word in ["0123456", "789abcd", "efghijk"] {
        sim.send(word).unwrap();
    }
    sim.run_for(secs(10));
    assert_eq!(sim.server().connections[1..], [b"789abcdefghijk"]);
    assert_eq!(sim.connection().ledger().proven_unsent, 2);
    let outcome = sim.record().outcome(Ticket::from_number(2));
    assert!(matches!(outcome, Some(Outcome::Written { epoch }) if epoch.number() == 1));
}

/// Reads nothing for long, then sends a FIN, then a RST: it closed, and bytes came still.
#[derive(Debug, Default)]
struct Leaver {
    finished: bool,
    received: Vec<u8>,
}

impl Server for Leaver {
    fn on_accept(&mut self, peer: &mut Peer) {
        peer.wake_after(secs(20));
    }

    fn on_data(&mut self, _: &mut Peer, data: &[u8]) {
        self.received.extend_from_slice(data);
    }

    fn on_wake(&mut self, peer: &mut Peer) {
        if std::mem::replace(&mut self.finished, true) {
            peer.reset();
        } else {
            peer.finish();
            peer.wake_after(ms(50));
        }
    }
}

#[test]
fn g02_g11_the_verdict_after_a_fin_is_heard_however_long_there_was_none() {
    let narrow = link(|link| {
        link.receive_buffer = 10;
        link.stall = Some(Stall { after: 0, lasts: Duration::MAX });
    });
    let mut config = Config::default();
    config.resend = Resend::Untransmitted;
    let network = Network::fates([narrow], Fate::default());
    let mut sim = Sim::new(config, network, Leaver::default(), 4).unwrap();
    for word in ["0123456789", "abcdef", "ghijkl"] {
        sim.send(word).unwrap();
    }
    assert!(sim.run_until(secs(21), |sim| last_down(sim).is_some()));
    let waited = sim.now().saturating_since(Instant::ZERO + secs(20));
    assert!(waited < ms(200), "{waited:?} after the FIN");
    sim.run_for(secs(5));
    assert_eq!(sim.server().received, b"abcdefghijkl");
    assert_eq!(sim.connection().ledger().proven_unsent, 2);
}

/// Answers a request, whose end is the client's FIN, with a page every second.
#[derive(Debug, Default)]
struct Slow {
    request: usize,
    pages: u8,
}

const PAGES: u8 = 30;
const PAGE: usize = 100_000;

impl Server for Slow {
    fn on_data(&mut self, _: &mut Peer, data: &[u8]) {
        self.request += data.len();
    }

    fn on_end(&mut self, peer: &mut Peer, end: End) {
        if end == End::Fin {
            self.on_wake(peer);
        }
    }

    fn on_wake(&mut self, peer: &mut Peer) {
        self.pages += 1;
        peer.send(&vec![self.pages; PAGE]);
        if self.pages == PAGES {
            peer.close();
        } else {
            peer.wake_after(secs(1));
        }
    }
}

#[test]
fn g07_g11_a_client_that_has_finished_reads_an_answer_of_any_length() {
    for resend in [Resend::Incomplete, Resend::Untransmitted] {
        for peer_fin in [PeerFin::Leave, PeerFin::KeepWriting] {
            let mut config = Config::default();
            (config.resend, config.peer_fin) = (resend, peer_fin);
            // The request needs a second connection.
            let fates = [cut(When::Received(50_000), How::Reset)];
            let network = Network::fates(fates, Fate::default());
            let mut sim = Sim::new(config, network, Slow::default(), 2).unwrap();
            sim.send(vec![7; 200_000]).unwrap();
            sim.with(Connection::half_close);
            assert!(sim.send("more").is_err(), "the request has ended");
            sim.run_for(secs(20));
            assert_eq!(sim.connection().state(), State::Draining);
            sim.run_for(secs(20));
            assert_eq!(sim.server().request, 250_000);
            let expected: Vec<u8> = (1..=PAGES).flat_map(|page| vec![page; PAGE]).collect();
            assert!(sim.record().received(2) == expected, "{resend:?}");
            assert_eq!(sim.connection().state(), State::Closed);
            let ledger = sim.connection().ledger();
            assert_eq!((ledger.written, ledger.pending), (1, 0), "{ledger}");
        }
    }
}

#[test]
fn g04_g11_our_own_fin_is_no_byte_of_a_message() {
    // The window ends with a message; only the FIN, or also later messages, never leave.
    for (messages, proven) in [(2, 0), (3, 1), (5, 3)] {
        let narrow = link(|link| {
            link.receive_buffer = 20;
            link.stall = Some(Stall { after: 0, lasts: Duration::MAX });
            link.cut = Some(Cut { when: When::After(secs(1)), how: How::Reset });
        });
        let mut config = Config::default();
        config.resend = Resend::Unacked;
        let network = Network::fates([narrow], Fate::default());
        let mut sim = Sim::new(config, network, Listener::default(), 3).unwrap();
        for _ in 0..messages {
            sim.send(vec![7; 10]).unwrap();
        }
        sim.with(Connection::half_close);
        sim.run_for(secs(2));
        assert_eq!(sim.connection().state(), State::Closed);
        let ledger = sim.connection().ledger();
        assert_eq!((ledger.in_doubt, ledger.not_transmitted), (2, proven), "{ledger}");
    }
}
