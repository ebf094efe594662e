//! The servers: one thread a connection, blocking calls, buffers of 256 KiB. They only read and
//! write, so a client that handles single messages is slower than they are; the `limit` peer,
//! which does not, shows how fast they can go.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

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

const BUFFER: usize = 256 << 10;

/// Starts a server; its threads are pinned to `core`, if one is given.
pub(crate) fn start(kind: Kind, core: Option<usize>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || {
                pin(core);
                // How a connection ends is the client's business.
                let _ = serve(kind, stream);
            });
        }
    });
    Ok(address)
}

/// Pins this thread.
pub(crate) fn pin(core: Option<usize>) {
    if let Some(id) = core {
        core_affinity::set_for_current(core_affinity::CoreId { id });
    }
}

fn serve(kind: Kind, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    if kind == Kind::Echo {
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                count => stream.write_all(&buffer[..count])?,
            }
        }
    }
    loop {
        let mut count = [0; 8];
        stream.read_exact(&mut count)?;
        let mut left = u64::from_le_bytes(count);
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            left -= match kind {
                Kind::Flood => stream.write(&buffer[..most])?,
                Kind::Sink | Kind::Echo => match stream.read(&mut buffer[..most])? {
                    0 => return Ok(()),
                    count => count,
                },
            } as u64;
        }
        if kind == Kind::Sink {
            stream.write_all(b"!")?;
        }
    }
}
