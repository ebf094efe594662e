//! One connection, the network it is on, and messages that say who sent them.

use std::future::ready;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rebelay_driver::{
    BoxFuture, Config, Endpoint, Item, Jitter, Ledger, Receiver, Runtime, Sender, Socket,
    SocketOptions, open,
};
use shuttle::future::{JoinHandle, spawn};

use crate::clock::Clock;
use crate::network::Network;
use crate::tasks::Late;

/// Bytes of every message.
pub const LEN: usize = 2;

pub struct World {
    pub network: Network,
    pub clock: Clock,
    pub driver: JoinHandle<()>,
}

struct InMemory {
    network: Network,
    clock: Clock,
    capacity: usize,
}

/// A connection on sockets that hold `capacity` bytes, with room for `messages` in the outbox.
pub fn connect(capacity: usize, messages: usize) -> (World, Sender, Receiver) {
    let mut config = Config::default();
    config.connection.max_queued_messages = messages;
    connect_with(capacity, config)
}

/// [`connect`], with more to choose.
pub fn connect_with(capacity: usize, mut config: Config) -> (World, Sender, Receiver) {
    config.connection.backoff.jitter = Jitter::None;
    config.connection.backoff.initial = Duration::from_millis(1);
    config.connection.backoff.floor = Duration::from_millis(1);
    let (network, clock) = (Network::default(), Clock::new());
    let runtime = InMemory { network: network.clone(), clock: clock.clone(), capacity };
    let (sender, receiver, driver) = open(runtime, Endpoint::new("memory", 0), config).unwrap();
    (World { network, clock, driver: spawn(Late::new(driver)) }, sender, receiver)
}

/// Message `number` of `from`.
pub fn message(from: u8, number: u8) -> Bytes {
    Bytes::copy_from_slice(&[from, number])
}

/// Closes the connection, whose peer ends when it does: no time has to pass.
pub async fn close(world: World, sender: &Sender) -> Ledger {
    let ledger = sender.close().await;
    world.driver.await.unwrap();
    assert!(ledger.adds_up() && ledger.pending == 0, "{ledger}");
    ledger
}

/// The messages that a socket took whole.
pub fn whole(taken: &[u8]) -> Vec<Bytes> {
    taken.chunks_exact(LEN).map(Bytes::copy_from_slice).collect()
}

/// Requires messages 0 to `count` of `from`, in this order, among others'.
pub fn require_all(messages: &[Bytes], from: u8, count: u8) {
    let numbers: Vec<u8> = messages.iter().filter(|m| m[0] == from).map(|m| m[1]).collect();
    let expected: Vec<u8> = (0..count).collect();
    assert_eq!(numbers, expected, "of sender {from}");
}

/// The next `count` bytes that are received.
pub async fn data(receiver: &mut Receiver, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        match Late::new(receiver.recv()).await {
            Some(Item::Data(data)) => all.extend_from_slice(&data),
            Some(Item::Up { .. }) if all.is_empty() => {}
            other => panic!("instead of data: {other:?}"),
        }
    }
    all
}

impl Runtime for InMemory {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(self.clock.sleep(duration))
    }

    fn resolve(&self, _endpoint: &Endpoint) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        Box::pin(ready(Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 1))])))
    }

    fn dial(
        &self,
        _address: SocketAddr,
        _options: &SocketOptions,
    ) -> BoxFuture<io::Result<Arc<dyn Socket>>> {
        Box::pin(ready(Ok(self.network.dial(self.capacity))))
    }
}
