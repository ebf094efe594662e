//! A redis-server of our own, on a free port of this host, which keeps nothing on disk.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct RedisServer {
    address: SocketAddr,
    process: Child,
}

/// Ports to try: another process may take one before the server does.
const TRIES: usize = 5;
/// How often, and how many times, a server that has just started is asked whether it is ready.
const PAUSE: Duration = Duration::from_millis(5);
const QUESTIONS: usize = 2_000;

impl RedisServer {
    /// Starts a server on a free port. `None`: no redis-server is in the PATH.
    pub(crate) fn start() -> io::Result<Option<Self>> {
        for _ in 0..TRIES {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            match Self::start_at(free) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                server => return server.map(Some),
            }
        }
        Err(io::Error::other(format!("redis-server did not start on {TRIES} free ports")))
    }

    /// Starts a server at `address`, and waits until it answers.
    pub(crate) fn start_at(address: SocketAddr) -> io::Result<Self> {
        let mut server = Self { address, process: spawn(address)? };
        if server.is_ready()? { Ok(server) } else { Err(io::ErrorKind::AddrInUse.into()) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the server answers. `false`: it ended.
    fn is_ready(&mut self) -> io::Result<bool> {
        for _ in 0..QUESTIONS {
            if self.process.try_wait()?.is_some() {
                return Ok(false);
            }
            if answers(self.address).is_ok() {
                return Ok(self.process.try_wait()?.is_none());
            }
            thread::sleep(PAUSE);
        }
        Ok(false)
    }
}

fn spawn(address: SocketAddr) -> io::Result<Child> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    Command::new("redis-server")
        .args(["--bind", &host, "--port", &port, "--save", "", "--appendonly", "no"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
}

fn answers(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    if &answer == b"+PONG\r\n" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Fails only for a process that is no more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
