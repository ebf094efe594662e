//! Lookups and dials that no real network gives on demand.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rebelay::{Event, Outcome, Reason, SendOptions, State};

use crate::support::runtimes::{Runtime as _, Smol};
use crate::support::scripted::{Does, Scripted};
use crate::support::server::{Peer, Server};
use crate::support::talk::{data, event, lazy, quick, soon, up};

/// An address at which nobody listens: the server listens on IPv4 alone.
fn dead(server: &Server) -> SocketAddr {
    SocketAddr::from((Ipv6Addr::LOCALHOST, server.address().port()))
}

#[test]
fn the_next_address_is_tried_when_the_first_is_dead() {
    Smol::run(async {
        let server = Server::start(Peer::echo);
        let addresses = vec![dead(&server), server.address()];
        let scripted = Scripted::at(addresses);
        let (sender, mut receiver) = scripted.open(quick());
        up(&mut receiver).await;
        sender.send("hello").await.unwrap();
        assert_eq!(data(&mut receiver, 5).await, b"hello");
        let mut events = sender.events();
        let failed = event(&mut events, |event| matches!(event, Event::AttemptFailed { .. })).await;
        assert!(
            matches!(failed, Event::AttemptFailed { attempt: 1, reason: Reason::Connect(_) }),
            "{failed:?}"
        );
        let next = Event::Connecting { attempt: 2, address: server.address() };
        assert_eq!(events.next().await, Some(next));
    });
}

#[test]
fn a_lookup_without_an_answer_is_backed_off_from() {
    Smol::run(async {
        let scripted = Scripted::at(Vec::new());
        let (sender, _receiver) = scripted.open(quick());
        let mut events = sender.events();
        for _ in 0..3 {
            event(&mut events, |event| matches!(event, Event::BackingOff { .. })).await;
        }
        assert_eq!(sender.last_error(), Some(Reason::NoAddress));
        assert_eq!(sender.ledger().epochs, 0);
    });
}

#[test]
fn a_lookup_that_hangs_times_out() {
    Smol::run(async {
        let scripted = Scripted { lookup: Does::Hang, ..Scripted::at(Vec::new()) };
        let mut config = quick();
        config.connection.resolve_timeout = Duration::from_millis(10);
        let (sender, _receiver) = scripted.open(config);
        let failed = |event: &Event| {
            matches!(event, Event::AttemptFailed { reason: Reason::ResolveTimeout, .. })
        };
        let mut events = sender.events();
        event(&mut events, failed).await;
        event(&mut events, failed).await;
    });
}

#[test]
fn a_dial_that_hangs_times_out() {
    Smol::run(async {
        let server = Server::start(Peer::echo);
        let addresses = vec![dead(&server), server.address()];
        let scripted = Scripted { dial: Does::Hang, ..Scripted::at(addresses) };
        let mut config = quick();
        config.connection.connect_timeout = Duration::from_millis(10);
        let (sender, _receiver) = scripted.open(config);
        let mut events = sender.events();
        for attempt in 1..=4 {
            let failed =
                event(&mut events, |event| matches!(event, Event::AttemptFailed { .. })).await;
            assert_eq!(failed, Event::AttemptFailed { attempt, reason: Reason::ConnectTimeout });
        }
    });
}

#[test]
fn g11_close_while_looking_up() {
    closes_from(State::Resolving, Does::Hang);
}

#[test]
fn g11_close_while_dialling() {
    closes_from(State::Connecting, Does::Work);
}

fn closes_from(state: State, lookup: Does) {
    Smol::run(async {
        let addresses = vec![SocketAddr::from((Ipv6Addr::LOCALHOST, 1))];
        let (sender, mut receiver) =
            Scripted { lookup, dial: Does::Hang, ..Scripted::at(addresses) }.open(lazy());
        sender.send("hello").await.unwrap();
        while sender.state() != state {
            smol::future::yield_now().await;
        }
        let ledger = soon(sender.close()).await;
        assert_eq!((ledger.not_sent, ledger.adds_up()), (1, true));
        assert_eq!(receiver.recv().await, None);
    });
}

#[test]
fn g13_handles_dropped_while_dialling() {
    Smol::run(async {
        let addresses = vec![SocketAddr::from((Ipv6Addr::LOCALHOST, 1))];
        let scripted = Scripted { dial: Does::Hang, ..Scripted::at(addresses) };
        let (held, gone) = smol::channel::bounded::<()>(1);
        let config = quick().on_connect(move |io| {
            let _ = &held;
            async { Ok(io) }
        });
        drop(scripted.open(config));
        assert!(gone.recv().await.is_err());
    });
}

#[test]
fn a_deadline_counts_from_when_the_message_is_sent() {
    Smol::run(async {
        let server = Server::start(Peer::keep);
        let scripted = Scripted::at(vec![server.address()]);
        let clock = Arc::clone(&scripted.fast);
        let (sender, mut receiver) = scripted.open(quick());
        up(&mut receiver).await;
        // The connection rests, and so does what it knows of the time.
        clock.store(3_600, Ordering::SeqCst);
        let options = SendOptions::expires_after(Duration::from_secs(600));
        let ticket = sender.send_with("in time", options).await.unwrap();
        let outcome = soon(sender.outcome(ticket)).await;
        assert!(matches!(outcome, Some(Outcome::Written { .. })), "{outcome:?}");
    });
}
