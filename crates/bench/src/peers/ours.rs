//! rebelay, with its defaults: the same on every runtime.

use bytes::Bytes;
use rebelay::{Config, Item, Receiver, SendError, Sender, Ticket};

use super::{Inlet, Outlet, Result, channel};
use crate::task::{Done, Task};

pub(super) async fn run(task: Task) -> Result<Done> {
    let (sender, mut receiver) = task.runtime.connect(task.server, Config::default()).await?;
    match receiver.recv().await {
        Some(Item::Up { .. }) => {}
        other => return Err(format!("{other:?}").into()),
    }
    if let Some(header) = task.header() {
        sender.send(header.to_vec()).await?;
    }
    channel::run(task, sender, receiver).await
}

impl Outlet for Sender {
    type Sent = Ticket;
    type Error = SendError;

    fn send(&self, message: Bytes) -> impl Future<Output = std::result::Result<Ticket, SendError>> {
        self.send(message)
    }
}

impl Inlet for Receiver {
    async fn recv(&mut self) -> Result<usize> {
        match self.recv().await {
            Some(Item::Data(data)) => Ok(data.len()),
            other => Err(format!("{other:?}").into()),
        }
    }
}
