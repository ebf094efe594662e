//! A server that keeps numbered lines, acknowledges them by number, and is killed again and
//! again with unread bytes in its buffers.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;

use crate::mortal::{End, Life, Mortal, Plan, lock};

/// Small, so that a kill costs what it costs in a file of megabytes.
const RECEIVE_BUFFER: usize = 1;

/// What survives a kill: the server's disk, so to say.
#[derive(Debug, Default)]
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

pub(crate) struct Server(Mortal<Kept>);

impl Server {
    /// Starts on a free port, to be killed `kills` times over `lines` lines.
    pub(crate) fn start(lines: usize, kills: usize, seed: u64) -> io::Result<Self> {
        let longest_life = (lines / (kills + 1)) as u64;
        let plan = Plan { kills, longest_life, receive_buffer: RECEIVE_BUFFER, seed };
        Mortal::start(plan, Kept::default(), serve).map(Self)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// How far it came: the highest number, and the kills.
    pub(crate) fn progress(&self) -> (u64, usize) {
        (lock(&self.0.disk).reached, self.0.kills.load(Ordering::SeqCst))
    }

    /// Waits until the last connection is read to its end; the client must be closed.
    pub(crate) fn join(self) -> io::Result<Kept> {
        self.0.join().map(|(kept, kills)| Kept { kills, ..kept })
    }
}

fn serve(stream: &TcpStream, kept: &Mutex<Kept>, life: &mut Life) -> io::Result<End> {
    let mut last = 0;
    let mut reader = BufReader::with_capacity(64, stream);
    let mut message = Vec::new();
    loop {
        if life.is_over() {
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
        life.spend();
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
