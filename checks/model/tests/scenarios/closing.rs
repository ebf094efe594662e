//! Connections that are ended while they are used.

use std::time::Duration;

use rebelay_driver::{Receiver, Refusal, Sender, Ticket};
use shuttle::future::{JoinHandle, spawn};

use crate::tasks::{Late, below, check, give_up_after};
use crate::world::{World, connect, message};

/// More than a close waits for a peer that does not end, and the driver's looks before it.
const CLOSING: Duration = Duration::from_secs(1);

#[test]
fn whoever_sends_while_it_is_closed_is_told() {
    check(|| async {
        let (world, sender, receiver) = connect(1 + below(3), 1);
        world.clock.run(CLOSING);
        let used = Used::begin(&sender, receiver);
        let network = world.network.clone();
        let served = spawn(async move {
            let peer = network.accept().await;
            // One that reads nothing holds the close up.
            if below(2) == 0 {
                peer.keep().await;
            }
            peer
        });
        let ledger = if below(2) == 0 {
            sender.close().await
        } else {
            sender.drain(Duration::from_millis(20)).await
        };
        world.driver.await.unwrap();
        let tickets = used.end().await;
        assert!(ledger.adds_up() && ledger.pending == 0, "{ledger}");
        assert_eq!(ledger.admitted, tickets.len() as u64);
        for ticket in tickets {
            assert!(sender.outcome(ticket).await.is_some());
        }
        served.abort();
    });
}

#[test]
fn a_drain_ends_when_all_is_written() {
    check(|| async {
        let (world, sender, receiver) = connect(3, 2);
        let used = Used::begin(&sender, receiver);
        let network = world.network.clone();
        let served = spawn(async move {
            let peer = network.accept().await;
            peer.keep().await;
            peer
        });
        let ledger = sender.drain(Duration::from_secs(1)).await;
        world.driver.await.unwrap();
        let admitted = used.end().await.len();
        assert_eq!((ledger.admitted, ledger.written), (admitted as u64, admitted as u64));
        // Nobody may have been admitted, and then nothing had to be dialled for a drain.
        served.abort();
    });
}

#[test]
fn the_last_handle_ends_the_driver() {
    check(|| async {
        let (world, sender, mut receiver) = connect(3, 2);
        let network = world.network.clone();
        let served = spawn(async move { network.accept().await.keep().await });
        let using = [
            spawn(async move {
                let _ = give_up_after(below(3), receiver.recv()).await;
            }),
            spawn(async move {
                for number in 0..below(3) {
                    sender.send(message(0, number as u8)).await.unwrap();
                }
            }),
        ];
        for used in using {
            used.await.unwrap();
        }
        world.driver.await.unwrap();
        served.abort();
    });
}

#[test]
fn whoever_waits_is_told_that_the_driver_is_gone() {
    check(|| async {
        let (world, sender, receiver) = connect(1, 1);
        let used = Used::begin(&sender, receiver);
        let flushing = {
            let sender = sender.clone();
            spawn(async move { sender.flush().await })
        };
        let World { network, driver, .. } = world;
        let served = spawn(async move { while network.accept().await.read().await.is_some() {} });
        driver.abort();
        let _ = driver.await;
        let ledger = sender.wait_closed().await;
        assert!(ledger.adds_up() && ledger.pending == 0, "{ledger}");
        flushing.await.unwrap();
        used.end().await;
        served.abort();
    });
}

/// Two tasks that send until they are refused, and one that receives until the end.
struct Used {
    sending: Vec<JoinHandle<Vec<Ticket>>>,
    receiving: JoinHandle<()>,
}

impl Used {
    fn begin(sender: &Sender, mut receiver: Receiver) -> Self {
        let sending = (0..2).map(|from| spawn(send_until_refused(sender.clone(), from))).collect();
        let receiving = spawn(async move { while Late::new(receiver.recv()).await.is_some() {} });
        Self { sending, receiving }
    }

    async fn end(self) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        for sent in self.sending {
            tickets.extend(sent.await.unwrap());
        }
        self.receiving.await.unwrap();
        tickets
    }
}

async fn send_until_refused(sender: Sender, from: u8) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for number in 0..3 {
        match sender.send(message(from, number)).await {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => {
                assert_eq!(
                    (&error.message[..], error.refusal),
                    (&[from, number][..], Refusal::Closed)
                );
                break;
            }
        }
    }
    tickets
}
