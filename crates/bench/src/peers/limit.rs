//! One task, one buffer each way, each message copied into a batch: as fast as it gets by hand.

use std::io::ErrorKind;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use super::{Result, Task};

const BATCH: usize = 64 << 10;

pub(super) async fn ping_pong(task: Task) -> Result<Vec<u64>> {
    let mut stream = task.dial().await?;
    let (message, mut buffer) = (task.message(), vec![0; BATCH]);
    let mut times = Vec::with_capacity(task.count);
    for _ in 0..task.count {
        let start = Instant::now();
        stream.write_all(&message).await?;
        let mut got = 0;
        while got < task.size {
            got += stream.read(&mut buffer).await?;
        }
        times.push(start.elapsed().as_nanos() as u64);
    }
    Ok(times)
}

pub(super) async fn rate(task: Task) -> Result<f64> {
    let stream = task.dial().await?;
    let start = Instant::now();
    let mut left = task.share() * task.producers();
    let mut batch = BytesMut::with_capacity(BATCH);
    let (message, mut buffer, mut got) = (task.message(), vec![0; BATCH], 0);
    while got < task.expected() {
        while left > 0 && batch.len() + task.size <= BATCH {
            batch.extend_from_slice(&message);
            left -= 1;
        }
        let interest = if batch.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let ready = stream.ready(interest).await?;
        if ready.is_writable() && !batch.is_empty() {
            batch.advance(done(stream.try_write(&batch))?.unwrap_or(0));
        }
        if ready.is_readable() {
            got += read(&stream, &mut buffer)?;
        }
    }
    Ok(task.rate_since(start))
}

fn read(stream: &TcpStream, buffer: &mut [u8]) -> Result<usize> {
    match done(stream.try_read(buffer))? {
        Some(0) => Err("the server closed".into()),
        count => Ok(count.unwrap_or(0)),
    }
}

fn done(result: std::io::Result<usize>) -> Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
