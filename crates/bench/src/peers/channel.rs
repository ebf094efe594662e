//! The work of a user who holds both ends of a channel, whatever is behind it.

use std::time::Instant;

use super::{Inlet, Outlet, Result};
use crate::task::{Done, Laps, Task, Work};

pub(super) async fn run(task: Task, outlet: impl Outlet, mut inlet: impl Inlet) -> Result<Done> {
    if task.work == Work::PingPong {
        let mut laps = Laps::new(&task);
        for _ in 0..task.count {
            outlet.send(task.message()).await.map_err(Into::into)?;
            receive(&mut inlet, task.size).await?;
            laps.lap();
        }
        return Ok(laps.done());
    }
    let start = Instant::now();
    for _ in 0..task.producers() {
        let outlet = outlet.clone();
        task.runtime.spawn(async move {
            for _ in 0..task.share() {
                if outlet.send(task.message()).await.is_err() {
                    return;
                }
            }
        });
    }
    receive(&mut inlet, task.expected()).await?;
    Ok(task.done_since(start))
}

async fn receive(inlet: &mut impl Inlet, bytes: usize) -> Result<()> {
    let mut got = 0;
    while got < bytes {
        got += inlet.recv().await?;
    }
    Ok(())
}
