//! One task that owns the socket: as fast as it gets by hand on each runtime.

mod outgoing;
mod polled;
mod tokio;

use self::outgoing::Outgoing;
use super::{Result, some};
use crate::runtime::Runtime;
use crate::task::{Done, Task};

/// How much is gathered before it is written, and read at a time.
const BATCH: usize = 64 << 10;

pub(super) async fn run(task: Task) -> Result<Done> {
    match task.runtime {
        Runtime::TokioCurrent | Runtime::TokioMulti => tokio::run(task).await,
        Runtime::Smol => {
            let stream = smol::Async::<std::net::TcpStream>::connect(task.server).await?;
            stream.get_ref().set_nodelay(true)?;
            polled::run(task, stream).await
        }
        Runtime::AsyncStd => {
            let stream = async_std::net::TcpStream::connect(task.server).await?;
            stream.set_nodelay(true)?;
            polled::run(task, stream).await
        }
    }
}
