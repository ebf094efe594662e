//! Futures that are dropped at any await, while others go on.

use std::sync::Arc;

use bytes::Bytes;
use rebelay_driver::{Item, Receiver, Sender, Ticket};
use shuttle::future::spawn;
use shuttle::sync::Mutex;

use crate::tasks::{below, check, give_up_after};
use crate::world::{World, close, connect, data, message, whole};

/// Messages by ticket.
type Admitted = Arc<Mutex<Vec<(Ticket, Bytes)>>>;

#[test]
fn a_send_that_is_given_up_leaves_no_trace_and_takes_no_room() {
    check(|| async {
        let (world, sender, _receiver) = connect(1, 1);
        let admitted = Admitted::default();
        let sending: Vec<_> = (0..3)
            .map(|from| spawn(send_some(sender.clone(), from, Arc::clone(&admitted))))
            .collect();
        let peer = world.network.accept().await;
        let kept = spawn(async move {
            peer.keep().await;
            peer
        });
        for sent in sending {
            sent.await.unwrap();
        }
        let written = close_after(world, &sender).await;
        let mut admitted = std::mem::take(&mut *admitted.lock().unwrap());
        admitted.sort_by_key(|(ticket, _)| *ticket);
        assert_eq!(written, admitted.len() as u64);
        let messages: Vec<Bytes> = admitted.into_iter().map(|(_, message)| message).collect();
        assert_eq!(whole(&kept.await.unwrap().taken()), messages);
    });
}

#[test]
fn whatever_is_given_up_the_echo_is_whole() {
    check(|| async {
        let (world, sender, receiver) = connect(3, 2);
        let network = world.network.clone();
        let echo = spawn(async move { network.accept().await.echo().await });
        let watching = spawn(watch_some(sender.clone()));
        let receiving = spawn(receive_some(receiver, 8));
        let mut sent = Vec::new();
        for number in 0..4 {
            let message = message(0, number);
            let ticket = sender.send(message.clone()).await.unwrap();
            let _ = give_up_after(below(3), sender.outcome(ticket)).await;
            sent.extend(message);
        }
        assert_eq!(receiving.await.unwrap(), sent);
        watching.await.unwrap();
        assert_eq!(close_after(world, &sender).await, 4);
        echo.await.unwrap();
    });
}

/// Sends three messages, some of which it gives up.
async fn send_some(sender: Sender, from: u8, admitted: Admitted) {
    for number in 0..3 {
        let message = message(from, number);
        let send = sender.send(message.clone());
        let sent = match from {
            // It never gives up, so it has to get the room that others leave.
            0 => Some(send.await),
            _ => give_up_after(below(4), send).await,
        };
        if let Some(ticket) = sent {
            admitted.lock().unwrap().push((ticket.unwrap(), message));
        }
    }
}

async fn watch_some(sender: Sender) {
    let mut events = sender.events();
    for _ in 0..2 {
        let _ = give_up_after(below(3), sender.flush()).await;
        let _ = give_up_after(below(3), sender.wait_connected()).await;
        let _ = give_up_after(below(3), sender.wait_closed()).await;
        let _ = give_up_after(below(3), events.next()).await;
        let _ = give_up_after(below(3), sender.outcome(Ticket::from_number(2))).await;
    }
}

/// The next `count` bytes, though many a recv is given up.
async fn receive_some(mut receiver: Receiver, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        match give_up_after(below(3), receiver.recv()).await.flatten() {
            Some(Item::Data(data)) => all.extend_from_slice(&data),
            Some(Item::Up { .. }) => {}
            Some(item) => panic!("instead of data: {item:?}"),
            // Now waiting for a byte, so that a wake-up that was lost shows.
            None => all.extend(data(&mut receiver, 1).await),
        }
    }
    all
}

async fn close_after(world: World, sender: &Sender) -> u64 {
    sender.flush().await;
    close(world, sender).await.written
}
