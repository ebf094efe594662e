//! What the operating system proves about bytes that it took, and what is sent again for it.

use std::time::Duration;

use rebelay::{Config, Event, Outcome, Resend, Sender, Ticket};

use crate::support::runtimes::Runtime;
use crate::support::server::{Cut, Peer, Server};
use crate::support::talk::{event, is_disconnected, quick, soon, up};
use crate::support::wire::{frame, frames};

const LONG: Duration = Duration::from_secs(600);
const LEN: usize = 16 << 10;
/// More than a socket takes while its peer reads nothing.
const MESSAGES: u64 = 1_000;

/// A configuration whose outbox holds all messages.
fn roomy() -> Config {
    let mut config = quick();
    config.connection.resend = Resend::Untransmitted;
    config.connection.max_queued_bytes = 64 << 20;
    config
}

/// The first connection reads nothing; the others read everything.
fn deaf_at_first(peer: &mut Peer) -> std::io::Result<()> {
    if peer.number == 1 { peer.stall() } else { peer.keep() }
}

/// Requires that of `MESSAGES` messages those that count as written on the first epoch are
/// missing, and that the others came once, in order, on the second.
async fn require_the_rest(sender: &Sender, server: &Server) {
    let ledger = sender.ledger();
    let received = frames(&server.received(2)).0;
    let mut expected = Vec::new();
    for number in 1..=MESSAGES {
        match sender.outcome(Ticket::from_number(number)).await {
            Some(Outcome::Written { epoch }) if epoch.number() == 1 => {}
            Some(Outcome::Written { epoch }) if epoch.number() == 2 => expected.push(number),
            other => panic!("{number}: {other:?}, {ledger}"),
        }
    }
    assert_eq!(received, expected, "{ledger}");
    let first = expected.first().copied().unwrap_or(MESSAGES + 1);
    assert!(expected.iter().copied().eq(first..=MESSAGES), "not the end of all: {ledger}");
    // Its receive buffer was all that the deaf peer's kernel could take.
    assert!(first < MESSAGES / 4, "{first} messages count as transmitted: {ledger}");
    assert!(ledger.proven_unsent > 50 && ledger.resent >= ledger.proven_unsent, "{ledger}");
}

pub(crate) async fn g04_what_never_left_arrives_on_the_next_epoch<R: Runtime>() {
    let mut server = Server::start(deaf_at_first);
    let (sender, mut receiver) = R::connect(server.address().into(), roomy()).await.unwrap();
    up(&mut receiver).await;
    drop(receiver);
    // Which connection is the first is decided when it is accepted.
    server.saw(|seen| seen.len() == 1).await;
    let mut events = sender.events();
    for number in 1..=MESSAGES {
        sender.send(frame(number, LEN)).await.unwrap();
    }
    while !sender.explain().contains("The socket takes no bytes") {
        smol::future::yield_now().await;
    }
    server.restart();
    let told = soon(event(&mut events, is_disconnected)).await;
    let Event::Disconnected { proven_unsent, .. } = told else { panic!("{told:?}") };
    assert!(proven_unsent > 50, "{told:?}");
    sender.drain(LONG).await;
    server.ended(2).await;
    require_the_rest(&sender, &server).await;
}

pub(crate) async fn g04_a_connection_that_times_out_tells_what_never_left<R: Runtime>() {
    let server = Server::start(deaf_at_first);
    let mut config = roomy();
    config.socket.user_timeout = Some(Duration::from_millis(500));
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    up(&mut receiver).await;
    drop(receiver);
    for number in 1..=MESSAGES {
        sender.send(frame(number, LEN)).await.unwrap();
    }
    soon(sender.drain(LONG)).await;
    let end = (!MESSAGES).to_be_bytes();
    server.saw(move |seen| seen.get(&2).is_some_and(|bytes| bytes.ends_with(&end))).await;
    require_the_rest(&sender, &server).await;
}

pub(crate) async fn g05_the_window_is_trimmed_while_the_connection_lives<R: Runtime>() {
    let server = Server::start(Peer::keep);
    let mut config = roomy();
    config.connection.max_queued_messages = 64;
    let (sender, receiver) = R::connect(server.address().into(), config).await.unwrap();
    drop(receiver);
    let all: Vec<u8> = (1..=10_000).flat_map(|number| frame(number, 200)).collect();
    for number in 1..=10_000 {
        sender.send(frame(number, 200)).await.unwrap();
    }
    let ledger = soon(sender.drain(LONG)).await;
    assert_eq!((ledger.written, ledger.epochs, ledger.resent), (10_000, 1, 0), "{ledger}");
    server.got(1, &all).await;
}

pub(crate) async fn g04_after_a_fin_what_was_taken_counts_as_written<R: Runtime>() {
    let first = frame(1, 100);
    let len = first.len();
    let server =
        Server::start(
            move |peer| {
                if peer.number == 1 { peer.cut_after(len, Cut::Fin) } else { peer.keep() }
            },
        );
    let (sender, mut receiver) = R::connect(server.address().into(), roomy()).await.unwrap();
    up(&mut receiver).await;
    let ticket = sender.send(first).await.unwrap();
    soon(event(&mut sender.events(), is_disconnected)).await;
    let outcome = sender.outcome(ticket).await;
    assert!(matches!(outcome, Some(Outcome::Written { epoch }) if epoch.number() == 1));
    sender.send(frame(2, 100)).await.unwrap();
    let ledger = soon(sender.drain(LONG)).await;
    assert_eq!((ledger.written, ledger.resent), (2, 0), "{ledger}");
    server.got(2, &frame(2, 100)).await;
}
