//! The server of both parts: it counts what its program receives, and dies at random with bytes
//! that it has not read, saying goodbye (FIN) or not (RST).

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use rebelay::Sender;
use socket2::SockRef;

use crate::frame::{self, Frame};
use crate::mortal::{End, Life, Mortal, Plan, lock};

/// Far less than a client's kernel takes: at a kill most of that has not left the client's host.
pub(crate) const RECEIVE_BUFFER: usize = 32 << 10;
/// What it reads at once.
pub(crate) const READ_SIZE: usize = 8 << 10;
/// It notes how far it is after so many messages, if not before.
const NOTED_AFTER: u64 = 32;
/// The most bytes that it lets lie unread before it dies; a kernel may take fewer.
const MOST_UNREAD: u64 = 3 << 20;
/// The client's kernel took no byte for so long: it is full, or the client is done.
const QUIET: Duration = Duration::from_millis(20);

/// What the server's program received in all its lives.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// How often each message came whole; that of number 1 is the first.
    pub(crate) times: Vec<u32>,
    /// How many came as a second or later attempt.
    pub(crate) marked: u64,
    /// How many came again.
    pub(crate) duplicates: u64,
    /// How many came again and said that it was their first attempt.
    pub(crate) unmarked_duplicates: u64,
    /// How many came behind a higher number of the same connection.
    pub(crate) disordered: u64,
    /// How many were not what was sent.
    pub(crate) garbled: u64,
    /// Everything through this number is done with. It is noted now and then alone: a server that
    /// starts again has forgotten what it did after that.
    noted: u64,
}

impl Received {
    /// Whether the message with this number came.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.index(number).is_some_and(|index| self.times[index] > 0)
    }

    /// Messages that never came.
    pub(crate) fn lost(&self) -> usize {
        self.times.iter().filter(|times| **times == 0).count()
    }

    /// Counts a message, `last` being the number before it on this connection.
    pub(crate) fn take(&mut self, frame: &Frame, last: u64) {
        let Some(index) = self.index(frame.number).filter(|_| frame.is_intact) else {
            self.garbled += 1;
            return;
        };
        let is_marked = frame.attempt > 1;
        let is_duplicate = self.times[index] > 0;
        self.times[index] += 1;
        self.marked += u64::from(is_marked);
        self.duplicates += u64::from(is_duplicate);
        self.unmarked_duplicates += u64::from(is_duplicate && !is_marked);
        self.disordered += u64::from(frame.number <= last);
    }

    fn index(&self, number: u64) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        (index < self.times.len()).then_some(index)
    }
}

/// A server that answers the question, and that acknowledges what it has noted.
pub(crate) fn acknowledging(
    messages: usize,
    kills: usize,
    seed: u64,
) -> io::Result<Mortal<Received>> {
    Mortal::start(plan(messages, kills, seed), disk(messages), acknowledge)
}

/// A server that says nothing, and dies once many bytes lie unread; `client`, when it is there,
/// is asked how many.
pub(crate) fn silent(
    messages: usize,
    payload: usize,
    kills: usize,
    seed: u64,
    client: Arc<OnceLock<Sender>>,
) -> io::Result<Mortal<Received>> {
    let plan = plan(messages, kills, seed);
    // So that the messages are enough for all the kills even if all that is unread is lost.
    let most_unread = MOST_UNREAD.min(plan.longest_life * payload as u64);
    let taken = move || client.get().map_or(0, |client| client.ledger().bytes_written);
    Mortal::start(plan, disk(messages), move |stream, received, life| {
        let before = taken();
        let read = swallow(stream, received, life)?;
        if read == End::Killed {
            wait_for_unread(&taken, before + life.rng.up_to(most_unread));
            die(stream, life)?;
        }
        Ok(read)
    })
}

fn plan(messages: usize, kills: usize, seed: u64) -> Plan {
    let longest_life = (messages / (kills + 1) / 2) as u64;
    Plan { kills, longest_life, receive_buffer: RECEIVE_BUFFER, seed }
}

/// Room to count so many messages.
pub(crate) fn disk(messages: usize) -> Received {
    Received { times: vec![0; messages], ..Received::default() }
}

fn acknowledge(stream: &TcpStream, received: &Mutex<Received>, life: &mut Life) -> io::Result<End> {
    let mut writer = stream;
    let mut reader = BufReader::with_capacity(READ_SIZE, stream);
    let mut last = 0;
    let mut done = lock(received).noted;
    while let Some(frame) = frame::read(&mut reader)? {
        if frame.number > 0 {
            let mut received = lock(received);
            received.take(&frame, last);
            last = frame.number;
            // Behind a gap nothing is done with: what is missing must come first.
            done += u64::from(frame.number == done + 1);
            life.spend();
            if life.is_over() && received.index(frame.number + 1).is_some() {
                drop(received);
                // The next message is on its way: far fewer are unacknowledged than may be.
                if reader.buffer().is_empty() && stream.peek(&mut [0])? == 0 {
                    return Ok(End::Left);
                }
                die(stream, life)?;
                return Ok(End::Killed);
            }
        }
        if reader.buffer().is_empty() || done >= lock(received).noted + NOTED_AFTER {
            lock(received).noted = done;
            writer.write_all(&done.to_be_bytes())?;
        }
    }
    Ok(End::Left)
}

/// Reads until the life is over, or to the client's end.
fn swallow(stream: &TcpStream, received: &Mutex<Received>, life: &mut Life) -> io::Result<End> {
    let mut reader = BufReader::with_capacity(READ_SIZE, stream);
    let mut last = 0;
    while !life.is_over() {
        let Some(frame) = frame::read(&mut reader)? else { return Ok(End::Left) };
        lock(received).take(&frame, last);
        last = frame.number;
        life.spend();
    }
    Ok(End::Killed)
}

/// Waits until the client's sockets took `enough` bytes, or take no more.
fn wait_for_unread(taken: &impl Fn() -> u64, enough: u64) {
    loop {
        let before = taken();
        if before >= enough {
            return;
        }
        thread::sleep(QUIET);
        if taken() == before {
            return;
        }
    }
}

/// Half of the deaths are announced: a FIN goes first, and what lies unread makes a RST of the
/// end.
fn die(stream: &TcpStream, life: &mut Life) -> io::Result<()> {
    if life.rng.up_to(1) == 0 {
        return SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
    match stream.shutdown(Shutdown::Write) {
        // The client was faster.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        end => end,
    }
}
