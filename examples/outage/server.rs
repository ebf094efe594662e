//! A server that keeps numbered lines, acknowledges them by number, and is killed again and
//! again with unread bytes in its buffers.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rebelay::core::SplitMix64;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Small, so that a kill costs what it costs in a file of megabytes.
const RECEIVE_BUFFER: usize = 1;

/// What survives a kill: the server's disk, so to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// Each line by its number.
    pub(crate) lines: BTreeMap<u64, Vec<u8>>,
    /// Lines that came whole once more.
    pub(crate) repeated: u64,
    /// Lines that came after one with a higher number of the same connection.
    pub(crate) disordered: u64,
    /// What stood where a whole line should: the client joined two connections.
    pub(crate) garbled: u64,
    /// Times the server was killed.
    pub(crate) kills: usize,
    /// The highest number that came.
    pub(crate) reached: u64,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    /// No client will come any more.
    over: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Starts on a free port, to be killed `kills` times over `lines` lines.
    pub(crate) fn start(lines: usize, kills: usize, seed: u64) -> io::Result<Self> {
        // Holds the port while the server is dead.
        let port = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = TcpListener::from(port.try_clone()?).local_addr()?;
        let kept = Arc::new(Mutex::new(Kept::default()));
        let over = Arc::new(AtomicBool::new(false));
        let (shared, flag) = (Arc::clone(&kept), Arc::clone(&over));
        let thread = thread::spawn(move || {
            let mut rng = SplitMix64::new(seed);
            let longest_life = (lines / (kills + 1)).max(1) as u64;
            for _ in 0..kills {
                let life = 1 + rng.up_to(longest_life - 1);
                if live(address, &shared, &flag, Some(life))? == End::Done {
                    return Ok(());
                }
                lock(&shared).kills += 1;
                thread::sleep(Duration::from_millis(rng.up_to(4)));
            }
            live(address, &shared, &flag, None)?;
            drop(port);
            Ok(())
        });
        Ok(Self { address, kept, over, thread })
    }

    /// How far it came: the highest number, and the kills.
    pub(crate) fn progress(&self) -> (u64, usize) {
        let kept = lock(&self.kept);
        (kept.reached, kept.kills)
    }

    /// Waits until the last connection is read to its end; the client must be closed.
    pub(crate) fn join(self) -> io::Result<Kept> {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the server out of whatever life still waits for a connection.
        while !self.thread.is_finished() {
            drop(TcpStream::connect(self.address));
            thread::sleep(Duration::from_millis(1));
        }
        let end = self.thread.join().map_err(|_| io::Error::other("the server panicked"))?;
        end.map(|()| lock(&self.kept).clone())
    }
}

#[derive(PartialEq)]
enum End {
    /// It was killed.
    Killed,
    /// No client will come any more.
    Done,
    /// The client ended the connection.
    Left,
}

/// The server's life: from its start to its kill after `life` lines.
fn live(
    address: SocketAddr,
    kept: &Mutex<Kept>,
    over: &AtomicBool,
    life: Option<u64>,
) -> io::Result<End> {
    let socket = bind(address)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.listen(16)?;
    let listener = TcpListener::from(socket);
    let mut left = life;
    loop {
        let (stream, _) = listener.accept()?;
        match serve(&stream, kept, &mut left) {
            Ok(End::Killed) => return Ok(End::Killed),
            _ if over.load(Ordering::SeqCst) => return Ok(End::Done),
            Ok(_) | Err(_) => {}
        }
    }
}

fn serve(stream: &TcpStream, kept: &Mutex<Kept>, left: &mut Option<u64>) -> io::Result<End> {
    let mut last = 0;
    let mut reader = BufReader::with_capacity(64, stream);
    let mut message = Vec::new();
    loop {
        if *left == Some(0) {
            // Bytes that nobody will ever read make the end a hard one.
            if reader.buffer().is_empty() && stream.peek(&mut [0])? == 0 {
                return Ok(End::Left);
            }
            SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            return Ok(End::Killed);
        }
        message.clear();
        reader.read_until(b'\n', &mut message)?;
        if message.is_empty() {
            return Ok(End::Left);
        }
        let mut kept = lock(kept);
        let Some(number) = keep(&mut kept, &message) else { continue };
        kept.disordered += u64::from(number <= last);
        last = number;
        drop(kept);
        *left = left.map(|left| left - 1);
        let mut writer = stream;
        writeln!(writer, "{number}")?;
    }
}

/// Keeps a message `number TAB line LF`; `None` if it is not one.
fn keep(kept: &mut Kept, message: &[u8]) -> Option<u64> {
    let Some(whole) = message.strip_suffix(b"\n") else {
        // The client's end of a connection may tear a line; nothing of it is kept.
        return None;
    };
    let tab = whole.iter().position(|byte| *byte == b'\t');
    let number = tab.and_then(|tab| std::str::from_utf8(&whole[..tab]).ok()?.parse().ok());
    let (Some(tab), Some(number)) = (tab, number) else {
        kept.garbled += 1;
        return None;
    };
    let line = whole[tab + 1..].to_vec();
    kept.reached = kept.reached.max(number);
    match kept.lines.insert(number, line.clone()) {
        Some(before) if before != line => kept.garbled += 1,
        Some(_) => kept.repeated += 1,
        None => {}
    }
    Some(number)
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn lock(kept: &Mutex<Kept>) -> std::sync::MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
