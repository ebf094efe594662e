//! Senders, the driver and a socket that takes little at once.

use shuttle::future::spawn;

use rebelay_driver::{Config, Outcome, Resend, Sender, Ticket};

use crate::tasks::{Late, check};
use crate::world::{LEN, close, connect, connect_with, message, require_all, whole};

#[test]
fn what_two_tasks_send_is_written() {
    check(|| async {
        let (world, sender, _receiver) = connect(3, 1_024);
        let peer = world.network.accept().await;
        let sending: Vec<_> = (0..2).map(|from| spawn(send(sender.clone(), from, 3))).collect();
        let mut read = Vec::new();
        while read.len() < 6 * LEN {
            read.extend(peer.read().await.unwrap());
        }
        for sent in sending {
            sent.await.unwrap();
        }
        for from in 0..2 {
            require_all(&whole(&read), from, 3);
        }
        let kept = spawn(async move { peer.keep().await });
        assert_eq!(close(world, &sender).await.written, 6);
        kept.await.unwrap();
    });
}

#[test]
fn who_waits_for_room_gets_it() {
    check(|| async {
        let (world, sender, _receiver) = connect(3, 1);
        let sending: Vec<_> = (0..3).map(|from| spawn(send(sender.clone(), from, 2))).collect();
        let peer = world.network.accept().await;
        let kept = spawn(async move {
            peer.keep().await;
            peer
        });
        for sent in sending {
            sent.await.unwrap();
        }
        sender.flush().await;
        assert_eq!(sender.ledger().written, 6);
        assert_eq!(close(world, &sender).await.written, 6);
        let written = whole(&kept.await.unwrap().taken());
        for from in 0..3 {
            require_all(&written, from, 2);
        }
    });
}

#[test]
fn whoever_flushes_sees_the_end_of_it() {
    check(|| async {
        let (world, sender, _receiver) = connect(1, 2);
        let flushing: Vec<_> = (0..2)
            .map(|from| {
                let sender = sender.clone();
                spawn(async move {
                    for number in 0..2 {
                        let ticket = sender.send(message(from, number)).await.unwrap();
                        sender.flush().await;
                        assert!(sender.ledger().written >= ticket.number());
                    }
                })
            })
            .collect();
        let peer = world.network.accept().await;
        let kept = spawn(async move { peer.keep().await });
        for flushed in flushing {
            flushed.await.unwrap();
        }
        assert_eq!(close(world, &sender).await.written, 4);
        kept.await.unwrap();
    });
}

#[test]
fn outcomes_are_told_to_all_who_wait() {
    check(|| async {
        let mut config = Config::default();
        config.connection.max_queued_messages = 2;
        config.connection.resend = Resend::Unacked;
        let (world, sender, _receiver) = connect_with(3, config);
        let waiting: Vec<_> = (0..2)
            .map(|from| {
                let sender = sender.clone();
                spawn(async move {
                    for number in 0..2 {
                        let ticket = sender.send(message(from, number)).await.unwrap();
                        let outcome = Late::new(sender.outcome(ticket)).await;
                        assert_eq!(outcome, Some(Outcome::Acked));
                    }
                })
            })
            .collect();
        let early = {
            let sender = sender.clone();
            // A ticket that is not given out yet has no outcome.
            spawn(async move { sender.outcome(Ticket::from_number(1)).await })
        };
        let peer = world.network.accept().await;
        let mut read = 0;
        while read < 4 * LEN {
            read += peer.read().await.unwrap().len();
            sender.ack_through(Ticket::from_number((read / LEN) as u64));
        }
        for told in waiting {
            told.await.unwrap();
        }
        assert!([None, Some(Outcome::Acked)].contains(&early.await.unwrap()));
        let kept = spawn(async move { peer.keep().await });
        assert_eq!(close(world, &sender).await.acked, 4);
        kept.await.unwrap();
    });
}

async fn send(sender: Sender, from: u8, count: u8) {
    for number in 0..count {
        sender.send(message(from, number)).await.unwrap();
    }
}
