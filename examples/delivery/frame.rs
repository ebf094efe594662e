//! A message as it travels: its number, the attempt, and as many bytes as it says.

use std::io::{self, ErrorKind, Read};

/// The number, the attempt and the length, big-endian: 8, 4 and 4 bytes.
const HEADER: usize = 16;
/// Where the attempt lies.
const ATTEMPT: std::ops::Range<usize> = 8..12;
/// A header that asks for more does not come from here.
const MAX_PAYLOAD: usize = 1 << 20;

/// Asks the server through which number it has everything. It is no message.
pub(crate) const QUESTION: [u8; HEADER] = [0; HEADER];

#[derive(Debug)]
pub(crate) struct Frame {
    /// From 1, in the order of sending; 0 is the question.
    pub(crate) number: u64,
    /// From 1. A second attempt may be a duplicate; a first one promises that it is not.
    pub(crate) attempt: u32,
    /// What the message is about has arrived as it was sent.
    pub(crate) is_intact: bool,
}

/// The message with this number, at its first attempt.
pub(crate) fn encode(number: u64, payload: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + payload);
    message.extend_from_slice(&number.to_be_bytes());
    message.extend_from_slice(&1_u32.to_be_bytes());
    message.extend_from_slice(&(payload as u32).to_be_bytes());
    message.resize(HEADER + payload, fill(number));
    message
}

/// The same message at another attempt.
pub(crate) fn mark(message: &[u8], attempt: u32) -> Vec<u8> {
    let mut marked = message.to_vec();
    marked[ATTEMPT].copy_from_slice(&attempt.to_be_bytes());
    marked
}

/// The next message that came whole; `None` at the end of the stream, wherever that is.
pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut header = [0; HEADER];
    if !fills(from, &mut header)? {
        return Ok(None);
    }
    let [number @ .., a, b, c, d, e, f, g, h] = header;
    let number = u64::from_be_bytes(number);
    let attempt = u32::from_be_bytes([a, b, c, d]);
    let len = u32::from_be_bytes([e, f, g, h]) as usize;
    let mut payload = vec![0; len.min(MAX_PAYLOAD)];
    if !fills(from, &mut payload)? {
        return Ok(None);
    }
    let is_intact = len <= MAX_PAYLOAD && payload.iter().all(|byte| *byte == fill(number));
    Ok(Some(Frame { number, attempt, is_intact }))
}

/// Every byte of a payload, so that a mix of two messages shows.
fn fill(number: u64) -> u8 {
    (number % 251) as u8
}

/// Whether there were bytes for all of `buffer`.
fn fills(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
