//! What the log no longer has of the bytes that a socket took.

use alloc::collections::VecDeque;

/// Messages that were settled out of the middle of what the socket of an epoch took: the log
/// closed up over them, but the socket took them between their neighbours.
#[derive(Debug, Default)]
pub(super) struct Holes(VecDeque<Hole>);

#[derive(Copy, Clone, Debug)]
struct Hole {
    /// The position in the log.
    at: u64,
    /// How many bytes were there.
    len: u64,
}

impl Holes {
    /// The log closes up over `len` bytes that began at `at`. It begins at `base`, where nothing
    /// before a hole is left to be asked for.
    pub(super) fn open(&mut self, at: u64, len: u64, base: u64) {
        let first = self.0.partition_point(|hole| hole.at < at);
        let mut len = len;
        let moved = len;
        // Those right behind the bytes that go join this one.
        while let Some(next) = self.0.get(first).filter(|next| next.at <= at + moved) {
            len += next.len;
            self.0.remove(first);
        }
        for later in self.0.range_mut(first..) {
            later.at -= moved;
        }
        self.0.insert(first, Hole { at, len });
        while self.0.front().is_some_and(|hole| hole.at <= base) {
            self.0.pop_front();
        }
    }

    /// The position in the log of the last `count` bytes that the socket took, where it took all
    /// before the position `taken`. One that would lie in a hole is at its place.
    pub(super) fn position_of_last(&self, count: u64, taken: u64) -> u64 {
        let (mut left, mut position) = (count, taken);
        for hole in self.0.iter().rev() {
            let between = position - hole.at;
            if left <= between {
                break;
            }
            position = hole.at;
            left = (left - between).saturating_sub(hole.len);
        }
        position.saturating_sub(left)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SplitMix64;
    use alloc::vec::Vec;

    /// The stream as it was taken, byte for byte: `Some(position)` where the log still has it.
    #[test]
    fn positions_agree_with_a_stream_that_is_kept_whole() {
        for seed in 0..500 {
            let mut rng = SplitMix64::new(seed);
            let mut messages: Vec<(u64, bool)> =
                (0..12).map(|_| (1 + rng.up_to(9), true)).collect();
            let mut holes = Holes::default();
            for _ in 0..8 {
                let index = 1 + rng.up_to(messages.len() as u64 - 2) as usize;
                if !messages[index].1 {
                    continue;
                }
                let kept = |messages: &[(u64, bool)]| -> u64 {
                    messages.iter().filter(|(_, kept)| *kept).map(|(len, _)| len).sum()
                };
                let at = kept(&messages[..index]);
                messages[index].1 = false;
                holes.open(at, messages[index].0, 0);
                let taken = kept(&messages);
                let total: u64 = messages.iter().map(|(len, _)| len).sum();
                for count in 0..=total {
                    let position = holes.position_of_last(count, taken);
                    let (mut end, mut stream_end) = (0, 0);
                    for (len, kept) in &messages {
                        stream_end += len;
                        if *kept {
                            end += len;
                            let among_the_last = total - stream_end < count;
                            assert_eq!(end > position, among_the_last, "seed {seed}");
                        }
                    }
                }
            }
        }
    }
}
