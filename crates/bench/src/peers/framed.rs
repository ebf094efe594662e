//! A channel to a writer task, a channel from a reader task.

use std::error::Error;
use std::net::Shutdown;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use stubborn_io::StubbornTcpStream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::codec::{BytesCodec, Decoder, FramedRead, FramedWrite};
use tokio_util::compat::{FuturesAsyncReadCompatExt, FuturesAsyncWriteCompatExt};

use super::{Inlet, Outlet, Result, channel, dial};
use crate::runtime::Runtime;
use crate::task::{Done, Task, Work};

/// As many messages as rebelay's outbox holds.
const CHANNEL: usize = 1_024;

pub(super) async fn run(task: Task) -> Result<Done> {
    match task.runtime {
        Runtime::TokioCurrent | Runtime::TokioMulti => {
            let (read, write) = dial(task).await?.into_split();
            work(task, read, write, true).await
        }
        Runtime::Smol => {
            let stream = smol::net::TcpStream::connect(task.server).await?;
            stream.set_nodelay(true)?;
            begin(task, stream.clone().compat(), stream.compat_write()).await
        }
        Runtime::AsyncStd => {
            let stream = async_std::net::TcpStream::connect(task.server).await?;
            stream.set_nodelay(true)?;
            let (read, write) = (stream.clone().compat(), stream.clone().compat_write());
            let done = begin(task, read, write).await?;
            // Closing the writing half does nothing on async-std.
            stream.shutdown(Shutdown::Both)?;
            Ok(done)
        }
    }
}

pub(super) async fn run_naive(task: Task) -> Result<Done> {
    let (read, write) = dial(task).await?.into_split();
    work(task, read, write, false).await
}

pub(super) async fn run_stubborn(task: Task) -> Result<Done> {
    let stream = StubbornTcpStream::connect(task.server).await?;
    stream.set_nodelay(true)?;
    let (read, write) = tokio::io::split(stream);
    begin(task, read, write).await
}

/// Tells the server what will come, then works.
async fn begin(
    task: Task,
    read: impl AsyncRead + Unpin + Send + 'static,
    mut write: impl AsyncWrite + Unpin + Send + 'static,
) -> Result<Done> {
    if let Some(header) = task.header() {
        write.write_all(&header).await?;
    }
    work(task, read, write, true).await
}

async fn work(
    task: Task,
    read: impl AsyncRead + Unpin + Send + 'static,
    write: impl AsyncWrite + Unpin + Send + 'static,
    feed: bool,
) -> Result<Done> {
    let frame = if matches!(task.work, Work::OneWay { .. }) { 1 } else { task.size };
    let (to_writer, messages) = mpsc::channel(CHANNEL);
    let (to_user, received) = mpsc::channel(CHANNEL);
    task.runtime.spawn(async move {
        // How it ends is seen by the reader.
        let _ =
            if feed { write_fed(write, messages).await } else { write_each(write, messages).await };
    });
    task.runtime.spawn(async move {
        let mut frames = FramedRead::new(read, Fixed(frame));
        while let Some(Ok(frame)) = frames.next().await {
            if to_user.send(frame).await.is_err() {
                break;
            }
        }
    });
    channel::run(task, to_writer, received).await
}

async fn write_fed(
    write: impl AsyncWrite + Unpin,
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
    SinkExt::<Bytes>::close(&mut sink).await
}

async fn write_each(
    mut write: impl AsyncWrite + Unpin,
    mut messages: mpsc::Receiver<Bytes>,
) -> std::io::Result<()> {
    while let Some(message) = messages.recv().await {
        write.write_all(&message).await?;
    }
    write.shutdown().await
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

impl Outlet for mpsc::Sender<Bytes> {
    type Sent = ();
    type Error = Box<dyn Error + Send + Sync>;

    async fn send(&self, message: Bytes) -> Result<()> {
        Ok(self.send(message).await?)
    }
}

impl Inlet for mpsc::Receiver<Bytes> {
    async fn recv(&mut self) -> Result<usize> {
        Ok(self.recv().await.ok_or("the server closed")?.len())
    }
}
