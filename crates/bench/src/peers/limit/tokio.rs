//! On tokio: wait for readiness, try.

use std::io::ErrorKind;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use super::super::dial;
use super::{BATCH, Outgoing, Result, some};
use crate::task::{Done, Laps, Task, Work};

pub(super) async fn run(task: Task) -> Result<Done> {
    let stream = dial(task).await?;
    if task.work == Work::PingPong {
        ping_pong(task, stream).await
    } else {
        rate(task, stream).await
    }
}

async fn ping_pong(task: Task, mut stream: TcpStream) -> Result<Done> {
    let mut buffer = vec![0; BATCH];
    let mut laps = Laps::new(&task);
    for _ in 0..task.count {
        stream.write_all(task.bytes()).await?;
        let mut got = 0;
        while got < task.size {
            got += some(stream.read(&mut buffer).await?)?;
        }
        laps.lap();
    }
    Ok(laps.done())
}

async fn rate(task: Task, stream: TcpStream) -> Result<Done> {
    let (mut buffer, mut got) = (vec![0; BATCH], 0);
    let start = Instant::now();
    let mut outgoing = Outgoing::new(task);
    while got < task.expected() {
        let interest = if outgoing.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let ready = stream.ready(interest).await?;
        if ready.is_writable() && !outgoing.is_empty() {
            let wrote = outgoing.write(|slices| stream.try_write_vectored(slices));
            outgoing.advance(tried(wrote)?.unwrap_or(0));
        }
        if ready.is_readable() {
            got += tried(stream.try_read(&mut buffer))?.map_or(Ok(0), some)?;
        }
    }
    Ok(task.done_since(start))
}

/// `None`: it was not ready after all.
fn tried(result: std::io::Result<usize>) -> Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
