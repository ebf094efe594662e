//! The writing half behind an async mutex, one write a message.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

use super::{Inlet, Outlet, Result, channel, dial, some};
use crate::task::{Done, Task};

pub(super) async fn run(task: Task) -> Result<Done> {
    let (read, write) = dial(task).await?.into_split();
    let reader = Reader { read, buffer: vec![0; 64 << 10] };
    channel::run(task, Arc::new(Mutex::new(write)), reader).await
}

impl Outlet for Arc<Mutex<OwnedWriteHalf>> {
    type Sent = ();
    type Error = Box<dyn Error + Send + Sync>;

    async fn send(&self, message: Bytes) -> Result<()> {
        Ok(self.lock().await.write_all(&message).await?)
    }
}

struct Reader {
    read: OwnedReadHalf,
    buffer: Vec<u8>,
}

impl Inlet for Reader {
    async fn recv(&mut self) -> Result<usize> {
        some(self.read.read(&mut self.buffer).await?)
    }
}
