//! On smol and async-std, whose sockets try first and wait for readiness if that fails.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{BATCH, Outgoing, Result, some};
use crate::task::{Done, Laps, Task, Work};

pub(super) async fn run<S>(task: Task, stream: S) -> Result<Done>
where
    for<'s> &'s S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = &stream;
    if let Some(header) = task.header() {
        stream.write_all(&header).await?;
    }
    if task.work == Work::PingPong {
        ping_pong(task, stream).await
    } else {
        rate(task, stream).await
    }
}

async fn ping_pong<S>(task: Task, mut stream: &S) -> Result<Done>
where
    for<'s> &'s S: AsyncRead + AsyncWrite + Unpin,
{
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

async fn rate<S>(task: Task, stream: &S) -> Result<Done>
where
    for<'s> &'s S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut buffer, mut got) = (vec![0; BATCH], 0);
    let start = Instant::now();
    let mut outgoing = Outgoing::new(task);
    while got < task.expected() {
        got += poll_fn(|context| turn(stream, context, &mut outgoing, &mut buffer)).await?;
    }
    Ok(task.done_since(start))
}

/// One write and one read, or at least one of the two: how many bytes were read.
fn turn<S>(
    mut stream: &S,
    context: &mut Context<'_>,
    outgoing: &mut Outgoing,
    buffer: &mut [u8],
) -> Poll<Result<usize>>
where
    for<'s> &'s S: AsyncRead + AsyncWrite + Unpin,
{
    let wrote = if outgoing.is_empty() {
        Poll::Pending
    } else {
        outgoing.write(|slices| Pin::new(&mut stream).poll_write_vectored(context, slices))?
    };
    if let Poll::Ready(count) = wrote {
        outgoing.advance(count);
    }
    match (Pin::new(&mut stream).poll_read(context, buffer), wrote) {
        (Poll::Ready(count), _) => Poll::Ready(some(count?)),
        (Poll::Pending, Poll::Ready(_)) => Poll::Ready(Ok(0)),
        (Poll::Pending, Poll::Pending) => Poll::Pending,
    }
}
