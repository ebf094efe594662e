//! Messages that say where they begin and end, and random numbers that can be replayed.

use std::hash::{BuildHasher, RandomState};

const MAGIC: u8 = 0xA5;
const HEADER: usize = 13;
const TRAILER: usize = 8;

/// The message `number` with `len` bytes of payload: whatever is cut out of it or repeated in it
/// shows.
pub fn frame(number: u64, len: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + len + TRAILER);
    frame.push(MAGIC);
    frame.extend_from_slice(&number.to_be_bytes());
    frame.extend_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
    frame.resize(HEADER + len, filler(number));
    frame.extend_from_slice(&(!number).to_be_bytes());
    frame
}

/// The messages that `bytes` begin with, and how many bytes those have. Panics unless the bytes
/// are whole messages, and then at most a beginning of one.
pub fn frames(bytes: &[u8]) -> (Vec<u64>, usize) {
    let (mut numbers, mut at) = (Vec::new(), 0);
    while let Some(&magic) = bytes.get(at) {
        assert_eq!(magic, MAGIC, "no message begins at byte {at}, after {:?}", numbers.last());
        let rest = &bytes[at..];
        let Some(header) = rest.get(..HEADER) else { break };
        let number = u64::from_be_bytes(header[1..9].try_into().unwrap());
        let len = u32::from_be_bytes(header[9..].try_into().unwrap()) as usize;
        let whole = frame(number, len);
        let there = rest.len().min(whole.len());
        assert!(rest[..there] == whole[..there], "message {number} at byte {at} is torn");
        if there < whole.len() {
            break;
        }
        numbers.push(number);
        at += there;
    }
    (numbers, at)
}

fn filler(number: u64) -> u8 {
    number.to_be_bytes().iter().fold(0x3C, |sum, byte| sum ^ byte.wrapping_mul(31))
}

/// Random numbers (SplitMix64) from a seed that is told when the test fails; `REBELAY_SEED` in
/// the environment replays it.
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    pub fn new() -> Self {
        let seed = match std::env::var("REBELAY_SEED") {
            Ok(seed) => seed.parse().expect("REBELAY_SEED is a number"),
            Err(_) => RandomState::new().hash_one(0),
        };
        Self { seed, state: seed }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with REBELAY_SEED={}", self.seed);
        }
    }
}
