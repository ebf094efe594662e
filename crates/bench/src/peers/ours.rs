//! rebelay, with its defaults.

use std::time::Instant;

use bytes::Bytes;
use rebelay::{Config, Item, Receiver, Sender};

use super::{Result, Task};

pub(super) async fn ping_pong(task: Task) -> Result<Vec<u64>> {
    let (sender, mut receiver) = open(task).await?;
    let mut times = Vec::with_capacity(task.count);
    for _ in 0..task.count {
        let start = Instant::now();
        sender.send(task.message()).await?;
        let mut got = 0;
        while got < task.size {
            got += data(&mut receiver).await?.len();
        }
        times.push(start.elapsed().as_nanos() as u64);
    }
    Ok(times)
}

pub(super) async fn rate(task: Task) -> Result<f64> {
    let (sender, mut receiver) = open(task).await?;
    let start = Instant::now();
    for _ in 0..task.producers() {
        let sender = sender.clone();
        tokio::spawn(async move {
            for _ in 0..task.share() {
                if sender.send(task.message()).await.is_err() {
                    return;
                }
            }
        });
    }
    let mut got = 0;
    while got < task.expected() {
        got += data(&mut receiver).await?.len();
    }
    Ok(task.rate_since(start))
}

async fn open(task: Task) -> Result<(Sender, Receiver)> {
    let (sender, mut receiver) = rebelay::tokio::connect(task.server, Config::default()).await?;
    match receiver.recv().await {
        Some(Item::Up { .. }) => {}
        other => return Err(format!("{other:?}").into()),
    }
    if let Some(header) = task.header() {
        sender.send(header.to_vec()).await?;
    }
    Ok((sender, receiver))
}

async fn data(receiver: &mut Receiver) -> Result<Bytes> {
    match receiver.recv().await {
        Some(Item::Data(data)) => Ok(data),
        other => Err(format!("{other:?}").into()),
    }
}
