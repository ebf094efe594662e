//! One task, one buffer each way, each message copied into a batch: as fast as it gets by hand.

use std::io::ErrorKind;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
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
    let mut outgoing = Outgoing::new(task);
    let (mut buffer, mut got) = (vec![0; BATCH], 0);
    while got < task.expected() {
        let next = outgoing.next();
        let interest = if next.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let ready = stream.ready(interest).await?;
        if ready.is_writable() && !next.is_empty() {
            let count = done(stream.try_write(next))?.unwrap_or(0);
            outgoing.advance(count);
        }
        if ready.is_readable() {
            got += read(&stream, &mut buffer)?;
        }
    }
    Ok(task.rate_since(start))
}

/// What is still to be written: small messages copied into a batch, large ones as they are.
struct Outgoing {
    message: Bytes,
    left: usize,
    batch: BytesMut,
    large: Bytes,
}

impl Outgoing {
    fn new(task: Task) -> Self {
        let (message, left) = (task.message(), task.share() * task.producers());
        Self { message, left, batch: BytesMut::with_capacity(BATCH), large: Bytes::new() }
    }

    fn next(&mut self) -> &[u8] {
        if self.message.len() >= BATCH {
            if self.large.is_empty() && self.left > 0 {
                self.large = self.message.clone();
                self.left -= 1;
            }
            return &self.large;
        }
        if self.batch.is_empty() {
            self.batch.reserve(BATCH);
            while self.left > 0 && self.batch.len() + self.message.len() <= BATCH {
                self.batch.extend_from_slice(&self.message);
                self.left -= 1;
            }
        }
        &self.batch
    }

    fn advance(&mut self, count: usize) {
        if self.large.is_empty() { self.batch.advance(count) } else { self.large.advance(count) }
    }
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
