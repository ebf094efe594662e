//! Connections that end while messages are written, also by the senders' own tasks.

use std::time::Duration;

use bytes::Bytes;
use rebelay_driver::{Config, Outcome, Resend, Sender};
use shuttle::future::spawn;

use crate::network::Peer;
use crate::tasks::{Late, below, check};
use crate::world::{close, connect_with, message, require_all, whole};

/// Enough for the waits before the next attempts.
const WAITS: Duration = Duration::from_millis(50);

#[test]
fn incomplete_messages_are_sent_again_and_others_are_not() {
    check(|| async {
        let mut config = Config::default();
        config.connection.max_queued_messages = 2;
        let (world, sender, _receiver) = connect_with(3, config);
        world.clock.run(WAITS);
        let sending: Vec<_> = (0..2).map(|from| spawn(send(sender.clone(), from))).collect();
        let network = world.network.clone();
        let served = spawn(async move {
            let first = network.accept().await;
            for _ in 0..below(3) {
                let _ = first.read().await;
            }
            fail(&first);
            let second = network.accept().await;
            second.keep().await;
            [first.taken(), second.taken()]
        });
        for sent in sending {
            sent.await.unwrap();
        }
        sender.flush().await;
        assert_eq!(close(world, &sender).await.written, 6);
        let mut messages: Vec<Bytes> = Vec::new();
        for taken in served.await.unwrap() {
            messages.extend(whole(&taken));
        }
        for from in 0..2 {
            require_all(&messages, from, 3);
        }
    });
}

#[test]
fn messages_in_doubt_have_their_outcome_at_once() {
    check(|| async {
        let mut config = Config::default();
        config.connection.resend = Resend::Never;
        config.connection.max_queued_messages = 2;
        let (world, sender, mut receiver) = connect_with(3, config);
        world.clock.run(WAITS);
        let network = world.network.clone();
        let served = spawn(async move {
            let first = network.accept().await;
            let _ = first.read().await;
            fail(&first);
            network.accept().await.keep().await;
        });
        let receiving = spawn(async move { while Late::new(receiver.recv()).await.is_some() {} });
        for number in 0..3 {
            let ticket = sender.send(message(0, number)).await.unwrap();
            let outcome = Late::new(sender.outcome(ticket)).await.unwrap();
            assert!(matches!(outcome, Outcome::Written { .. } | Outcome::Failed { .. }));
        }
        close(world, &sender).await;
        receiving.await.unwrap();
        // All may have been written before the outage, and then nobody dials again.
        served.abort();
    });
}

/// Ends the connection, in one of three ways.
fn fail(peer: &Peer) {
    match below(3) {
        0 => peer.end(),
        1 => peer.reset(),
        _ => {
            peer.fail_writes();
            peer.end();
        }
    }
}

async fn send(sender: Sender, from: u8) {
    for number in 0..3 {
        sender.send(message(from, number)).await.unwrap();
    }
}
