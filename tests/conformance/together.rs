//! All runtimes in one process, and handles that leave the runtime of their connection.

use std::time::Duration;

use rebelay::{Config, ConnectError, Item, Receiver, RecvTimeout, Sender, State};

use crate::support::runtimes::{AsyncStd, Runtime, Smol, TokioCurrent, TokioMulti};
use crate::support::server::{Peer, Server};
use crate::support::talk::{data, quick, up};

#[test]
fn all_runtimes_work_side_by_side() {
    TokioMulti::run(async {
        let server = Server::start(Peer::echo);
        let endpoint = || server.address().into();
        let connections = [
            TokioMulti::connect(endpoint(), quick()).await.unwrap(),
            Smol::connect(endpoint(), quick()).await.unwrap(),
            AsyncStd::connect(endpoint(), quick()).await.unwrap(),
        ];
        let mut senders = Vec::new();
        let mut receivers = Vec::new();
        for (sender, mut receiver) in connections {
            up(&mut receiver).await;
            senders.push(sender);
            receivers.push(receiver);
        }

        // Each connection is used in tasks of every runtime, and on a plain thread.
        for (sender, receiver) in senders.into_iter().zip(receivers) {
            let (sender, receiver) = TokioMulti::spawn(talk(sender, receiver)).await;
            let (sender, receiver) = Smol::spawn(talk(sender, receiver)).await;
            let (sender, receiver) = AsyncStd::spawn(talk(sender, receiver)).await;
            let thread = std::thread::spawn(move || {
                sender.try_send("from a thread").unwrap();
                (sender, receiver)
            });
            let (sender, mut receiver) = thread.join().unwrap();
            assert_eq!(data(&mut receiver, 13).await, b"from a thread");
            let ledger = Smol::spawn(async move { sender.close().await }).await;
            assert_eq!((ledger.written, ledger.epochs, ledger.adds_up()), (31, 1, true));
        }
    });
}

async fn talk(sender: Sender, mut receiver: Receiver) -> (Sender, Receiver) {
    for number in 0..10 {
        let message = format!("message {number}");
        sender.send(message.clone()).await.unwrap();
        assert_eq!(data(&mut receiver, message.len()).await, message.as_bytes());
    }
    assert_eq!(receiver.recv_timeout(Duration::from_millis(1)).await, Err(RecvTimeout));
    (sender, receiver)
}

#[test]
fn a_connection_of_tokio_is_used_where_tokio_is_not() {
    let server = Server::start(Peer::echo);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (sender, receiver) =
        runtime.block_on(TokioMulti::connect(server.address().into(), quick())).unwrap();
    Smol::run(async {
        let mut receiver = receiver;
        up(&mut receiver).await;
        talk(sender, receiver).await;
    });
}

#[test]
fn without_tokio_its_connect_says_so() {
    let connected = smol::block_on(rebelay::tokio::connect("127.0.0.1:1", Config::default()));
    assert_eq!(connected.err(), Some(ConnectError::NoRuntime { runtime: "tokio" }));
}

#[test]
fn g13_handles_outlive_a_tokio_runtime_that_ends() {
    let server = Server::start(Peer::stall);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (sender, mut receiver) =
        runtime.block_on(TokioCurrent::connect(server.address().into(), quick())).unwrap();
    sender.try_send(vec![0; 7 << 20]).unwrap();
    drop(runtime);
    assert_eq!(sender.state(), State::Closed);
    Smol::run(async {
        let ledger = sender.close().await;
        assert!(ledger.adds_up() && ledger.pending == 0, "{ledger}");
        assert!(sender.send("late").await.is_err());
        let mut items = Vec::new();
        while let Ok(Some(item)) = receiver.recv_timeout(Duration::from_secs(600)).await {
            items.push(item);
        }
        assert!(matches!(items[..], [Item::Up { .. }, Item::Down { .. }]), "{items:?}");
    });
}
