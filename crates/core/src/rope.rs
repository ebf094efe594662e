//! The bytes of the outbox, in order: small messages side by side in flat buffers, long ones as
//! the caller's own `Bytes`.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

/// A message of fewer bytes is copied beside its neighbours, so that many leave in one slice; a
/// longer one stays the caller's allocation.
const COPY_BELOW: usize = 1_024;

/// The least and the most that a flat buffer has: as much as is queued, so that a lone message
/// takes little and a long queue few buffers.
const FLAT_CAPACITY: (usize, usize) = (1 << 10, 64 << 10);

/// An append-only sequence of bytes that can be read from any position, released from the front
/// and cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct Rope {
    segments: VecDeque<Bytes>,
    /// Where small messages are still being appended; it comes after all segments.
    flat: BytesMut,
    /// Bytes in `segments` and `flat` together.
    len: usize,
    /// A segment, and the bytes in front of it: where the last reading began.
    bookmark: (usize, usize),
}

impl Rope {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &mut Bytes) {
        self.len += bytes.len();
        if bytes.len() < COPY_BELOW {
            if self.flat.capacity() - self.flat.len() < bytes.len() {
                self.freeze();
                let (least, most) = FLAT_CAPACITY;
                self.flat.reserve(self.len.clamp(least, most));
            }
            self.flat.extend_from_slice(bytes);
        } else {
            self.freeze();
            self.segments.push_back(core::mem::take(bytes));
        }
    }

    /// Gives back the memory that is kept for bytes to come.
    pub(crate) fn rest(&mut self) {
        self.segments.shrink_to_fit();
        if self.flat.is_empty() {
            self.flat = BytesMut::new();
        }
    }

    /// Fills `slices`, up to its capacity, with the bytes from `start` on, `limit` at most.
    /// Returns how many bytes that is.
    pub(crate) fn read(&mut self, start: usize, limit: usize, slices: &mut Vec<Bytes>) -> usize {
        let (index, before) = self.seek(start);
        let mut offset = start - before;
        let mut taken = 0;
        for segment in self.segments.range(index.min(self.segments.len())..) {
            if taken == limit || slices.len() == slices.capacity() {
                break;
            }
            let count = (segment.len() - offset).min(limit - taken);
            slices.push(segment.slice(offset..offset + count));
            taken += count;
            offset = 0;
        }
        taken
    }

    /// Drops `count` bytes from the front.
    pub(crate) fn release(&mut self, mut count: usize) {
        if count == 0 {
            return;
        }
        if count == self.len {
            // Whatever was read last has gone; the flat buffer's memory can be used again.
            self.segments.clear();
            self.flat.clear();
            self.bookmark = (0, 0);
            self.len = 0;
            return;
        }
        self.freeze();
        self.len -= count;
        self.bookmark.1 = self.bookmark.1.saturating_sub(count);
        while let Some(front) = self.segments.front_mut() {
            if count < front.len() {
                let _ = front.split_to(count);
                break;
            }
            count -= front.len();
            self.segments.pop_front();
            self.bookmark.0 = self.bookmark.0.saturating_sub(1);
        }
        if self.bookmark.0 == 0 {
            self.bookmark.1 = 0;
        }
    }

    /// The `count` bytes from `start` on, uncopied where they lie in one piece.
    pub(crate) fn slice(&mut self, start: usize, count: usize) -> Bytes {
        let (index, before) = self.seek(start);
        let (mut offset, mut joined) = (start - before, BytesMut::new());
        for segment in self.segments.range(index.min(self.segments.len())..) {
            let end = segment.len().min(offset + count - joined.len());
            if end - offset == count {
                return segment.slice(offset..end);
            }
            joined.extend_from_slice(&segment[offset..end]);
            if joined.len() == count {
                break;
            }
            offset = 0;
        }
        joined.freeze()
    }

    /// Takes the bytes of `cuts` out, each from where it begins so many, in order and apart from
    /// each other, and joins what is left.
    pub(crate) fn cut(&mut self, cuts: &[(usize, usize)]) {
        self.freeze();
        self.bookmark = (0, 0);
        self.len -= cuts.iter().map(|(_, count)| count).sum::<usize>();
        let mut kept = VecDeque::with_capacity(self.segments.len() + cuts.len());
        let mut cuts = cuts.iter().copied().peekable();
        let mut before = 0;
        for segment in self.segments.drain(..) {
            let (mut from, end) = (before, before + segment.len());
            while let Some((start, count)) = cuts.peek().copied().filter(|(start, _)| *start < end)
            {
                if from < start {
                    kept.push_back(segment.slice(from - before..start - before));
                }
                from = end.min(start + count);
                if start + count > end {
                    // It goes on in the next segment.
                    break;
                }
                cuts.next();
            }
            if from < end {
                kept.push_back(segment.slice(from - before..));
            }
            before = end;
        }
        self.segments = kept;
    }

    /// Puts `bytes` in the place of the `count` bytes from `start` on.
    pub(crate) fn replace(&mut self, start: usize, count: usize, bytes: Bytes) {
        let (index, before) = self.seek(start);
        let fits = |segment: &&mut Bytes| before == start && segment.len() == count;
        if let Some(segment) = self.segments.get_mut(index).filter(fits) {
            self.len = self.len - count + bytes.len();
            *segment = bytes;
            return;
        }
        self.cut(&[(start, count)]);
        let (index, _) = self.seek(start);
        self.len += bytes.len();
        self.segments.insert(index, bytes);
    }

    /// The segment that holds the byte at `start`, and the bytes in front of it. The next search
    /// begins there.
    fn seek(&mut self, start: usize) -> (usize, usize) {
        self.freeze();
        if start < self.bookmark.1 {
            self.bookmark = (0, 0);
        }
        let (mut index, mut before) = self.bookmark;
        while let Some(segment) = self.segments.get(index) {
            if start < before + segment.len() {
                break;
            }
            before += segment.len();
            index += 1;
        }
        self.bookmark = (index, before);
        self.bookmark
    }

    /// Makes the flat buffer's bytes a segment.
    fn freeze(&mut self) {
        if !self.flat.is_empty() {
            self.segments.push_back(self.flat.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(rope: &mut Rope, start: usize) -> Vec<u8> {
        let mut slices = Vec::with_capacity(64);
        rope.read(start, usize::MAX, &mut slices);
        slices.concat()
    }

    fn mixed() -> (Rope, Vec<u8>) {
        let mut rope = Rope::default();
        let mut expected = Vec::new();
        for (number, len) in [3, 2_000, 5, 1_024, 1_023, 7].into_iter().enumerate() {
            let message = alloc::vec![number as u8; len];
            expected.extend_from_slice(&message);
            rope.push(&mut message.into());
        }
        (rope, expected)
    }

    #[test]
    fn bytes_come_back_in_order_from_any_position() {
        let (mut rope, expected) = mixed();
        for start in [0, 2, 3, 4, 2_003, 2_010, 3_031, expected.len() - 1, 1, expected.len()] {
            assert_eq!(all(&mut rope, start), &expected[start..], "from {start}");
        }
    }

    #[test]
    fn small_neighbours_leave_as_one_slice_and_long_ones_uncopied() {
        let mut rope = Rope::default();
        rope.push(&mut Bytes::from_static(b"one"));
        rope.push(&mut Bytes::from_static(b"two"));
        let long = Bytes::from(alloc::vec![7; 4_096]);
        rope.push(&mut long.clone());
        let mut slices = Vec::with_capacity(8);
        assert_eq!(rope.read(0, usize::MAX, &mut slices), 6 + 4_096);
        assert_eq!(slices.len(), 2);
        assert_eq!(slices[1].as_ptr(), long.as_ptr());
    }

    #[test]
    fn reading_stops_at_the_limit_and_at_the_capacity() {
        let (mut rope, expected) = mixed();
        let mut slices = Vec::with_capacity(64);
        assert_eq!(rope.read(1, 2_500, &mut slices), 2_500);
        assert_eq!(slices.concat(), &expected[1..2_501]);
        let mut one = Vec::with_capacity(1);
        assert_eq!(rope.read(0, usize::MAX, &mut one), one[0].len());
    }

    #[test]
    fn releasing_and_cutting_at_every_position_leaves_the_rest() {
        for at in (0..5_000).step_by(61) {
            let (mut rope, mut expected) = mixed();
            let at = at.min(expected.len());
            let _ = all(&mut rope, at / 2);
            rope.release(at);
            expected.drain(..at);
            assert_eq!(all(&mut rope, 0), expected, "released {at}");
            let count = (expected.len() / 3).max(1).min(expected.len());
            let start = expected.len() / 2;
            let count = count.min(expected.len() - start);
            let first = (at / 3).min(start / 2);
            rope.cut(&[(first, first / 2), (start, count)]);
            expected.drain(start..start + count);
            expected.drain(first..first + first / 2);
            assert_eq!(all(&mut rope, 0), expected, "cut after {at}");
            assert_eq!(rope.len(), expected.len());
        }
    }

    #[test]
    fn bytes_anywhere_are_sliced_and_replaced() {
        for start in (0..5_000).step_by(67) {
            let (mut rope, mut expected) = mixed();
            let start = start.min(expected.len());
            let count = (expected.len() - start).min(1_500);
            assert_eq!(rope.slice(start, count), expected[start..start + count], "from {start}");
            for new in [&b"new"[..], &[9; 2_000]] {
                let old = count.min(expected.len() - start);
                rope.replace(start, old, Bytes::copy_from_slice(new));
                expected.splice(start..start + old, new.iter().copied());
                assert_eq!(all(&mut rope, 0), expected, "replaced from {start}");
                assert_eq!(rope.len(), expected.len());
            }
        }
    }
}
