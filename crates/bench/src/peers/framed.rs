//! A channel to a writer task, a channel from a reader task.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio_util::codec::{BytesCodec, Decoder, FramedRead, FramedWrite};

use super::{Result, Task, Work};

/// As many messages as rebelay's outbox holds.
const CHANNEL: usize = 1_024;

pub(super) async fn ping_pong(task: Task, feed: bool) -> Result<Vec<u64>> {
    let (sender, mut receiver) = open(task.dial().await?, task.size, feed);
    let mut times = Vec::with_capacity(task.count);
    for _ in 0..task.count {
        let start = Instant::now();
        sender.send(task.message()).await?;
        receiver.recv().await.ok_or("the server closed")?;
        times.push(start.elapsed().as_nanos() as u64);
    }
    Ok(times)
}

pub(super) async fn rate(task: Task, feed: bool) -> Result<f64> {
    let stream = task.dial().await?;
    let frame = if matches!(task.work, Work::OneWay { .. }) { 1 } else { task.size };
    let start = Instant::now();
    let (sender, mut receiver) = open(stream, frame, feed);
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
        got += receiver.recv().await.ok_or("the server closed")?.len();
    }
    Ok(task.rate_since(start))
}

fn open(
    stream: TcpStream,
    frame: usize,
    feed: bool,
) -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    let (read, write) = stream.into_split();
    let (to_writer, messages) = mpsc::channel(CHANNEL);
    let (to_user, received) = mpsc::channel(CHANNEL);
    tokio::spawn(async move {
        if feed { write_fed(write, messages).await } else { write_each(write, messages).await }
    });
    tokio::spawn(async move {
        let mut frames = FramedRead::new(read, Fixed(frame));
        while let Some(Ok(frame)) = frames.next().await {
            if to_user.send(frame).await.is_err() {
                break;
            }
        }
    });
    (to_writer, received)
}

async fn write_fed(
    write: OwnedWriteHalf,
    mut messages: mpsc::Receiver<Bytes>,
) -> std::io::Result<()> {
    let mut sink = FramedWrite::new(write, BytesCodec::new());
    while let Some(message) = messages.recv().await {
        sink.feed(message).await?;
        while let Ok(message) = messages.try_recv() {
            sink.feed(message).await?;
        }
        SinkExt::<Bytes>::flush(&mut sink).await?;
    }
    Ok(())
}

async fn write_each(
    mut write: OwnedWriteHalf,
    mut messages: mpsc::Receiver<Bytes>,
) -> std::io::Result<()> {
    while let Some(message) = messages.recv().await {
        write.write_all(&message).await?;
    }
    Ok(())
}

/// Frames of one length.
struct Fixed(usize);

impl Decoder for Fixed {
    type Item = Bytes;
    type Error = std::io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> std::io::Result<Option<Bytes>> {
        Ok((buffer.len() >= self.0).then(|| buffer.split_to(self.0).freeze()))
    }
}
