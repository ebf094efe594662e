//! The writing half behind an async mutex, one write a message.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use super::{Result, Task};

pub(super) async fn ping_pong(task: Task) -> Result<Vec<u64>> {
    let (mut read, write) = task.dial().await?.into_split();
    let (write, message, mut buffer) = (Mutex::new(write), task.message(), vec![0; 64 << 10]);
    let mut times = Vec::with_capacity(task.count);
    for _ in 0..task.count {
        let start = Instant::now();
        write.lock().await.write_all(&message).await?;
        let mut got = 0;
        while got < task.size {
            got += read.read(&mut buffer).await?;
        }
        times.push(start.elapsed().as_nanos() as u64);
    }
    Ok(times)
}

pub(super) async fn rate(task: Task) -> Result<f64> {
    let stream = task.dial().await?;
    let start = Instant::now();
    let (mut read, write) = stream.into_split();
    let write = Arc::new(Mutex::new(write));
    for _ in 0..task.producers() {
        let write = Arc::clone(&write);
        tokio::spawn(async move {
            for _ in 0..task.share() {
                if write.lock().await.write_all(&task.message()).await.is_err() {
                    return;
                }
            }
        });
    }
    let (mut buffer, mut got) = (vec![0; 64 << 10], 0);
    while got < task.expected() {
        match read.read(&mut buffer).await? {
            0 => return Err("the server closed".into()),
            count => got += count,
        }
    }
    Ok(task.rate_since(start))
}
