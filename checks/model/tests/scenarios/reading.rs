//! The turn to read goes to and fro between the receiver and the driver.

use std::time::Duration;

use rebelay_driver::{Config, Item};
use shuttle::future::spawn;

use crate::tasks::{Late, below, check, give_up_after};
use crate::world::{close, connect, connect_with, data, message};

/// More bytes than the small inbox takes.
const MORE: usize = 10 << 10;

/// Enough for the wait before the next attempt.
const LESS_THAN_WATCHED: Duration = Duration::from_millis(50);

#[test]
fn what_is_sent_comes_back() {
    check(|| async {
        let (world, sender, mut receiver) = connect(3, 1_024);
        let network = world.network.clone();
        let echo = spawn(async move { network.accept().await.echo().await });
        for number in 0..3 {
            let message = message(0, number);
            sender.send(message.clone()).await.unwrap();
            assert_eq!(data(&mut receiver, message.len()).await, message);
        }
        close(world, &sender).await;
        echo.await.unwrap();
    });
}

#[test]
fn one_task_sends_and_one_receives() {
    check(|| async {
        let (world, sender, mut receiver) = connect(1, 2);
        let network = world.network.clone();
        let echo = spawn(async move { network.accept().await.echo().await });
        let receiving = spawn(async move {
            assert_eq!(data(&mut receiver, 6).await, [0, 0, 0, 1, 0, 2]);
            receiver
        });
        for number in 0..3 {
            sender.send(message(0, number)).await.unwrap();
        }
        let mut receiver = receiving.await.unwrap();
        close(world, &sender).await;
        assert!(matches!(receiver.recv().await, Some(Item::Down { .. })));
        assert_eq!(receiver.recv().await, None);
        echo.await.unwrap();
    });
}

#[test]
fn a_recv_that_is_given_up_loses_nothing() {
    check(|| async {
        let (world, sender, mut receiver) = connect(3, 1_024);
        let network = world.network.clone();
        let echo = spawn(async move { network.accept().await.echo().await });
        for number in 0..3 {
            let message = message(0, number);
            sender.send(message.clone()).await.unwrap();
            let mut received = Vec::new();
            if let Some(Some(Item::Data(data))) = give_up_after(below(3), receiver.recv()).await {
                received.extend_from_slice(&data);
            }
            if let Some(Item::Data(data)) = receiver.try_recv() {
                received.extend_from_slice(&data);
            }
            let missing = message.len() - received.len();
            received.extend(data(&mut receiver, missing).await);
            assert_eq!(received, message);
        }
        close(world, &sender).await;
        echo.await.unwrap();
    });
}

/// A receiver that read once and comes back no more keeps the turn: the driver takes it, after
/// the time that it watches, and sees the end of the connection.
#[test]
fn a_receiver_that_left_hides_no_end() {
    check(|| async {
        let (world, sender, mut receiver) = connect(3, 1_024);
        world.clock.run(Duration::from_secs(1));
        let peer = world.network.accept().await;
        let _ = give_up_after(1 + below(3), receiver.recv()).await;
        let _ = give_up_after(below(3), receiver.recv()).await;
        peer.end();
        let next = world.network.accept().await;
        let kept = spawn(async move { next.keep().await });
        close(world, &sender).await;
        kept.await.unwrap();
    });
}

/// A receiver that waits is told of the end.
#[test]
fn a_receiver_that_waits_hides_no_end() {
    check(|| async {
        let (world, sender, mut receiver) = connect(3, 1_024);
        world.clock.run(LESS_THAN_WATCHED);
        let network = world.network.clone();
        let served = spawn(async move {
            network.accept().await.end();
            network.accept().await.keep().await;
        });
        let mut items = Vec::new();
        while items.len() < 3 {
            items.push(Late::new(receiver.recv()).await);
        }
        assert!(
            matches!(
                items[..],
                [Some(Item::Up { .. }), Some(Item::Down { .. }), Some(Item::Up { .. })]
            ),
            "{items:?}"
        );
        close(world, &sender).await;
        served.await.unwrap();
    });
}

#[test]
fn a_receiver_that_is_dropped_hides_no_end() {
    check(|| async {
        let (world, sender, mut receiver) = connect_with(3, small_inbox());
        world.clock.run(LESS_THAN_WATCHED);
        let peer = world.network.accept().await;
        let receiving = spawn(async move {
            let _ = give_up_after(below(4), receiver.recv()).await;
        });
        peer.write(&vec![7; below(2) * MORE]);
        peer.write(b"more");
        peer.end();
        receiving.await.unwrap();
        let next = world.network.accept().await;
        let kept = spawn(async move { next.keep().await });
        close(world, &sender).await;
        kept.await.unwrap();
    });
}

/// The driver stops reading when the inbox is full, and goes on when there is room.
#[test]
fn a_full_inbox_is_read_on() {
    check(|| async {
        let (world, sender, mut receiver) = connect_with(3, small_inbox());
        let peer = world.network.accept().await;
        peer.write(&vec![7; MORE]);
        let kept = spawn(async move { peer.keep().await });
        let mut left = MORE;
        while left > 0 {
            let item = match below(3) {
                0 => receiver.try_recv(),
                1 => give_up_after(below(3), receiver.recv()).await.flatten(),
                _ => Late::new(receiver.recv()).await,
            };
            if let Some(Item::Data(data)) = item {
                left -= data.len();
            }
        }
        close(world, &sender).await;
        kept.await.unwrap();
    });
}

/// A peer that must be read from before it takes more: the receiver has left with its turn.
#[test]
fn a_receiver_that_left_blocks_no_send() {
    check(|| async {
        let (world, sender, mut receiver) = connect(1 + below(3), 1);
        let peer = world.network.accept().await;
        peer.write(b"x");
        assert_eq!(data(&mut receiver, 1).await, b"x");
        let served = spawn(async move {
            peer.write(b"y");
            peer.is_read().await;
            peer.keep().await;
        });
        for number in 0..4 {
            sender.send(message(0, number)).await.unwrap();
        }
        close(world, &sender).await;
        served.await.unwrap();
    });
}

fn small_inbox() -> Config {
    let mut config = Config::default();
    config.connection.max_received_bytes = 4 << 10;
    config
}
