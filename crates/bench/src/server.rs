//! The servers: one thread a connection, blocking calls. Threads, not a process of their own,
//! since then one channel brings back what each of them used, and one call pins both ends.
//!
//! They are as cheap as a server can be: an echo hands the kernel's own memory back, a sink lets
//! the kernel drop what arrives, a flood sends pages of the kernel's. Whether that is cheap
//! enough is measured: each thread reports its CPU time when its connection ends.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::os::{cpu_time, discard, echo, flood};

/// What a server does with each of its connections.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Sends everything back.
    Echo,
    /// Reads a count (8 bytes, little endian), then so many bytes, then answers with one byte.
    Sink,
    /// Reads a count (8 bytes, little endian), then sends so many bytes.
    Flood,
}

/// A server that is up.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    ended: mpsc::Receiver<Option<Duration>>,
}

const BUFFER: usize = 256 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

impl Server {
    pub(crate) fn start(kind: Kind) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (report, ended) = mpsc::channel();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let report = report.clone();
                thread::spawn(move || {
                    // How a connection ends is the client's business.
                    let _ = serve(kind, stream);
                    // Nobody is left to hear it when the run is over.
                    let _ = report.send(cpu_time());
                });
            }
        });
        Ok(Self { address, ended })
    }

    /// Waits until the server is done with its only connection: the CPU time that took, `None`
    /// where the system does not say.
    pub(crate) fn wait_idle(&self) -> io::Result<Option<Duration>> {
        self.ended
            .recv_timeout(PATIENCE)
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "a peer left its connection open"))
    }
}

fn serve(kind: Kind, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if kind == Kind::Echo {
        return echo(&stream);
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        let mut count = [0; 8];
        stream.read_exact(&mut count)?;
        let mut left = u64::from_le_bytes(count);
        if kind == Kind::Flood {
            flood(&stream, left)?;
            continue;
        }
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match discard(&stream, &mut buffer[..most])? {
                0 => return Ok(()),
                count => left -= count as u64,
            }
        }
        stream.write_all(b"!")?;
    }
}
