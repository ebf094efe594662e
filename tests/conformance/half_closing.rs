//! One direction ends before the other.

use std::time::Duration;

use rebelay::{Item, PeerFin, Reason, Refusal, State};

use crate::support::runtimes::Runtime;
use crate::support::server::{Cut, Peer, Server};
use crate::support::talk::{data, quick, rest, soon, up};

pub(crate) async fn g11_half_close_waits_for_the_answer<R: Runtime>() {
    let server = Server::start(|peer| {
        peer.keep()?;
        peer.write(&[7; 1_000_000])
    });
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    sender.send("the whole question").await.unwrap();
    sender.half_close();
    let refused = sender.try_send("one more thing").unwrap_err();
    assert_eq!(refused.refusal, Refusal::Closed);
    let (answer, reason) = soon(rest(&mut receiver)).await;
    assert!(answer == [7; 1_000_000], "{} bytes", answer.len());
    assert_eq!((reason, receiver.recv().await), (Reason::PeerClosed, None));
    assert_eq!(server.received(1), b"the whole question");
    assert_eq!((sender.state(), sender.ledger().written), (State::Closed, 1));
}

pub(crate) async fn g11_a_half_closed_connection_can_be_closed<R: Runtime>() {
    let server = Server::start(Peer::stall);
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    sender.send("hello").await.unwrap();
    sender.half_close();
    while sender.state() != State::Draining {
        smol::future::yield_now().await;
    }
    let explained = sender.explain();
    assert!(explained.contains("waits for the peer's FIN"), "{explained}");
    let ledger = soon(sender.close()).await;
    assert_eq!((ledger.written, ledger.pending), (1, 0));
}

pub(crate) async fn g07_a_peer_that_has_finished_may_be_written_to<R: Runtime>() {
    let server = Server::start(|peer| {
        peer.write(b"all I have to say")?;
        peer.finish()?;
        peer.take(10)?;
        peer.cut(Cut::Rst)
    });
    let mut config = quick();
    config.connection.peer_fin = PeerFin::KeepWriting;
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    let epoch = up(&mut receiver).await;
    assert_eq!(data(&mut receiver, 17).await, b"all I have to say");
    assert_eq!(receiver.recv().await, Some(Item::PeerFinished { epoch }));
    sender.send("12345").await.unwrap();
    sender.send("67890").await.unwrap();
    server.got(1, b"1234567890").await;
    assert_eq!(sender.ledger().epochs, 1);
    server.ended(1).await;
    // The reset is noticed by writing; what is written then goes on a connection that lives.
    let more = async {
        loop {
            if sender.ledger().epochs > 1 {
                break;
            }
            sender.send("more").await.unwrap();
            smol::Timer::after(Duration::from_millis(1)).await;
        }
    };
    soon(more).await;
    assert!(matches!(receiver.recv().await, Some(Item::Down { reason: Reason::Io(_), .. })));
}
