//! Allocations of each message in steady state, on tokio's current-thread runtime.

use std::net::SocketAddr;

use bytes::Bytes;
use rebelay::{Config, Item, Receiver, Sender};

use crate::server::Port;
use crate::{ALLOCATOR, Result, process};

const SIZE: usize = 64;
const MESSAGES: usize = 100_000;

pub(crate) fn report() -> Result<()> {
    let port = Port::new()?;
    println!("allocations of each of {MESSAGES} messages of {SIZE} B, current thread");
    for (work, server) in [("sending", "sink"), ("receiving", "flood"), ("ping-pong", "echo")] {
        let _server = port.serve(server)?;
        print!("{work:<12}{}", process::output("allocations", &[work, &port.text()])?);
    }
    Ok(())
}

pub(crate) fn run(words: &[&str]) -> Result<()> {
    let [work, address] = words else { return Err("work, address".into()) };
    let (work, address) = (work.to_string(), address.parse()?);
    process::runtime("current")?.block_on(async {
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await?;
            connection.work(&work).await?;
            let before = allocations();
            connection.work(&work).await?;
            println!("{:.4}", (allocations() - before) as f64 / MESSAGES as f64);
            Ok(())
        })
        .await?
    })
}

fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

struct Connection {
    sender: Sender,
    receiver: Receiver,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let (sender, mut receiver) = rebelay::tokio::connect(address, Config::default()).await?;
        receiver.recv().await.ok_or("closed")?;
        Ok(Self { sender, receiver })
    }

    /// Sends, receives or exchanges all messages once.
    async fn work(&mut self, work: &str) -> Result<()> {
        const MESSAGE: Bytes = Bytes::from_static(&[7; SIZE]);
        let bytes = SIZE * MESSAGES;
        match work {
            "sending" => {
                self.sender.send(bytes.to_le_bytes().to_vec()).await?;
                for _ in 0..MESSAGES {
                    self.sender.send(MESSAGE).await?;
                }
                self.receive(1).await
            }
            "receiving" => {
                self.sender.send(bytes.to_le_bytes().to_vec()).await?;
                self.receive(bytes).await
            }
            _ => {
                for _ in 0..MESSAGES {
                    self.sender.send(MESSAGE).await?;
                    self.receive(SIZE).await?;
                }
                Ok(())
            }
        }
    }

    async fn receive(&mut self, bytes: usize) -> Result<()> {
        let mut got = 0;
        while got < bytes {
            match self.receiver.recv().await {
                Some(Item::Data(data)) => got += data.len(),
                other => return Err(format!("{other:?}").into()),
            }
        }
        Ok(())
    }
}
