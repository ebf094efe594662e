//! The server, in a process of its own: what it costs is not counted, and it can be killed.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::{Result, process};

/// A port that stays ours while no server listens on it, so that no client is handed it as its
/// own end and met by itself.
pub(crate) struct Port {
    address: SocketAddr,
    _holder: TcpSocket,
}

/// A server that listens; it is killed when this is dropped.
pub(crate) struct Server(Child);

impl Port {
    pub(crate) fn new() -> Result<Self> {
        let holder = TcpSocket::new_v4()?;
        holder.set_reuseport(true)?;
        holder.bind(([127, 0, 0, 1], 0).into())?;
        Ok(Self { address: holder.local_addr()?, _holder: holder })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address, as an argument of a part.
    pub(crate) fn text(&self) -> String {
        self.address.to_string()
    }

    /// Starts a server that does `kind`: `echo` sends everything back, `late` some time later;
    /// `sink` reads a count (8 bytes, little endian), then so many bytes, then answers with one
    /// byte; `flood` reads a count, then sends so many bytes.
    pub(crate) fn serve(&self, kind: &str) -> Result<Server> {
        let mut command = process::part("server", &[kind, &self.text()])?;
        let mut server = Server(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let output = server.0.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line == "ready\n" { Ok(server) } else { Err("the server did not start".into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already, or goes with its input.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server's process; it ends with its input, so it never outlives who started it.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let [kind, address] = words else { return Err("a server needs a kind and an address".into()) };
    let (kind, address) = (kind.to_string(), address.parse::<SocketAddr>()?);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    process::runtime("current")?.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        let listener = socket.listen(4_096)?;
        println!("ready");
        loop {
            let (stream, _) = listener.accept().await?;
            let kind = kind.clone();
            tokio::spawn(async move {
                // How a connection ends is the client's business.
                let _ = serve(&kind, stream).await;
            });
        }
    })
}

async fn serve(kind: &str, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let echoes = ["echo", "late"].contains(&kind);
    let mut buffer = vec![0; if echoes { 4 << 10 } else { 256 << 10 }];
    if echoes {
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            if kind == "late" {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            stream.write_all(&buffer[..count]).await?;
        }
    }
    loop {
        let mut left = usize::try_from(stream.read_u64_le().await?).unwrap_or(usize::MAX);
        while left > 0 {
            let most = buffer.len().min(left);
            left -= match kind {
                "flood" => stream.write(&buffer[..most]).await?,
                _ => match stream.read(&mut buffer[..most]).await? {
                    0 => return Ok(()),
                    count => count,
                },
            };
        }
        if kind == "sink" {
            stream.write_all(b"!").await?;
        }
    }
}
