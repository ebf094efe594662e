//! The log of messages: entries in order of admission, and their bytes without gaps.
//!
//! Positions are absolute: they count every byte that ever was in front, so a cursor stays true
//! when the front is released.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use crate::config::Resend;
use crate::outcome::{Certainty, Outcome, Ticket};
use crate::rope::Rope;

#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    rope: Rope,
    /// The position of the first byte.
    base: u64,
    tally: Tally,
}

/// An entry that was taken out.
#[derive(Debug)]
pub(crate) struct Gone {
    pub(crate) ticket: Ticket,
    pub(crate) outcome: Outcome,
    /// Where it began, in the log that has closed up over those before it.
    pub(crate) start: u64,
    pub(crate) len: u64,
    /// All before it have gone too.
    pub(crate) was_front: bool,
}

/// How many entries stay once they are written.
#[derive(Debug, Default)]
struct Tally {
    /// Until they are known to have been transmitted.
    unproven: u32,
    /// Until they are acknowledged.
    unacked: u32,
}

/// A message without an outcome.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) ticket: Ticket,
    /// The position after its last byte.
    end: u64,
    /// How many epochs ended after any byte of it was handed over.
    pub(crate) attempts: u32,
    pub(crate) resend: Resend,
    /// How far its last byte may have come on the epochs that ended.
    pub(crate) reached: Certainty,
    /// It was acknowledged while it was being written again; it is finished, then forgotten.
    pub(crate) acked: bool,
    /// It is for the current epoch alone.
    pub(crate) pinned: bool,
}

impl Log {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rope.len()
    }

    /// Whether any entry stays once it is written.
    pub(crate) fn retains(&self) -> bool {
        self.awaits_acks() || self.awaits_evidence()
    }

    /// Whether any entry waits for an acknowledgement of the user's.
    pub(crate) fn awaits_acks(&self) -> bool {
        self.tally.unacked > 0
    }

    /// Whether any entry stays until it is known to have been transmitted.
    pub(crate) fn awaits_evidence(&self) -> bool {
        self.tally.unproven > 0
    }

    #[inline]
    pub(crate) fn push(&mut self, ticket: Ticket, resend: Resend, message: &mut Bytes) {
        self.rope.push(message);
        let end = self.end();
        self.entries.push_back(Entry {
            ticket,
            end,
            attempts: 0,
            resend,
            reached: Certainty::NotSent,
            acked: false,
            pinned: false,
        });
        if let Some(count) = self.tally.of(resend) {
            *count += 1;
        }
    }

    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    pub(crate) fn entry_mut(&mut self, index: usize) -> Option<&mut Entry> {
        self.entries.get_mut(index)
    }

    /// The position after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.rope.len() as u64
    }

    /// The position of the first byte of the entry at `index`, or after the last of all.
    pub(crate) fn start(&self, index: usize) -> u64 {
        let before = index.checked_sub(1).and_then(|before| self.entries.get(before));
        before.map_or(self.base, |before| before.end)
    }

    /// How many entries lie before `position` whole.
    pub(crate) fn whole_before(&self, position: u64) -> usize {
        self.entries.partition_point(|entry| entry.end <= position)
    }

    /// How many entries begin before `position`.
    pub(crate) fn begun_before(&self, position: u64) -> usize {
        let ended = self.entries.partition_point(|entry| entry.end < position);
        let begun = ended < self.entries.len() && self.start(ended) < position;
        ended + usize::from(begun)
    }

    /// How many entries, from the first, were begun on an earlier epoch.
    pub(crate) fn attempted(&self) -> usize {
        self.entries.partition_point(|entry| entry.attempts > 0)
    }

    /// How many entries have a ticket up to `through`.
    pub(crate) fn up_to(&self, through: Ticket) -> usize {
        self.entries.partition_point(|entry| entry.ticket <= through)
    }

    pub(crate) fn index_of(&self, ticket: Ticket) -> Option<usize> {
        self.entries.binary_search_by_key(&ticket, |entry| entry.ticket).ok()
    }

    /// Fills `slices`, up to its capacity, with the bytes from `position` on, `limit` at most.
    /// Returns how many bytes that is.
    pub(crate) fn read(&mut self, position: u64, limit: usize, slices: &mut Vec<Bytes>) -> usize {
        self.rope.read((position - self.base) as usize, limit, slices)
    }

    /// The bytes of the entry at `index`.
    pub(crate) fn message(&mut self, index: usize) -> Bytes {
        let (start, end) = (self.start(index), self.start(index + 1));
        self.rope.slice((start - self.base) as usize, (end - start) as usize)
    }

    /// Puts `message` in the place of the bytes of the entry at `index`.
    pub(crate) fn replace(&mut self, index: usize, message: Bytes) {
        let (start, end) = (self.start(index), self.start(index + 1));
        let len = message.len() as u64;
        self.rope.replace((start - self.base) as usize, (end - start) as usize, message);
        if end - start != len {
            for later in self.entries.range_mut(index..) {
                later.end = later.end - (end - start) + len;
            }
        }
    }

    /// Gives back the memory that is kept for entries to come.
    pub(crate) fn rest(&mut self) {
        self.entries.shrink_to_fit();
        self.rope.rest();
    }

    /// Takes the first `count` entries out.
    pub(crate) fn release(&mut self, count: usize) {
        let start = self.start(count);
        self.rope.release((start - self.base) as usize);
        self.base = start;
        if self.tally.unacked as usize == self.entries.len() {
            // All are alike, as they mostly are: none needs to be looked at.
            self.tally.unacked -= count as u32;
        } else if self.retains() {
            self.entries.range(..count).for_each(|entry| self.tally.forget(entry));
        }
        self.entries.drain(..count);
    }

    /// Takes the entry at `index` out. Where it is not the first, those after it move up.
    pub(crate) fn remove(&mut self, index: usize) -> Option<(Entry, usize)> {
        let start = self.start(index);
        let entry = self.entries.remove(index)?;
        let len = entry.end - start;
        self.tally.forget(&entry);
        if index == 0 {
            self.rope.release(len as usize);
            self.base = entry.end;
        } else {
            self.rope.cut(&[((start - self.base) as usize, len as usize)]);
            for later in self.entries.range_mut(index..) {
                later.end -= len;
            }
        }
        Some((entry, len as usize))
    }

    /// Takes those entries of `range` out that `judge` has an outcome for; it is asked once for
    /// each, by the index that it had. What is left is gone over once, however many go.
    pub(crate) fn sweep(
        &mut self,
        range: Range<usize>,
        mut judge: impl FnMut(usize, &mut Entry) -> Option<Outcome>,
    ) -> Vec<Gone> {
        let (mut gone, mut cuts) = (Vec::new(), Vec::new());
        let (mut start, mut moved, mut kept) = (self.start(range.start), 0, range.start);
        let (mut front, mut index) = (0, range.start);
        while let Some(entry) = self.entries.get_mut(index) {
            let (end, nth) = (entry.end, front + index);
            let outcome = if nth < range.end { judge(nth, entry) } else { None };
            if let Some(outcome) = outcome {
                self.tally.forget(entry);
                let (len, was_front) = (end - start, kept == 0);
                gone.push(Gone {
                    ticket: entry.ticket,
                    outcome,
                    start: start - moved,
                    len,
                    was_front,
                });
                if was_front {
                    self.entries.pop_front();
                    self.rope.release(len as usize);
                    (self.base, front) = (end, front + 1);
                    start = end;
                    continue;
                }
                cuts.push(((start - self.base) as usize, len as usize));
                moved += len;
            } else if nth >= range.end && cuts.is_empty() {
                return gone;
            } else {
                if kept < index {
                    entry.end -= moved;
                    self.entries.swap(kept, index);
                }
                kept += 1;
            }
            (start, index) = (end, index + 1);
        }
        self.entries.truncate(kept);
        if !cuts.is_empty() {
            self.rope.cut(&cuts);
        }
        gone
    }

    /// Takes out all entries but the first `count`.
    pub(crate) fn truncate(&mut self, count: usize) -> VecDeque<Entry> {
        let start = (self.start(count) - self.base) as usize;
        self.rope.cut(&[(start, self.rope.len() - start)]);
        let cut = self.entries.split_off(count);
        cut.iter().for_each(|entry| self.tally.forget(entry));
        cut
    }
}

impl Tally {
    #[inline]
    fn of(&mut self, resend: Resend) -> Option<&mut u32> {
        match resend {
            Resend::Never | Resend::Incomplete => None,
            Resend::Untransmitted => Some(&mut self.unproven),
            Resend::Unacked => Some(&mut self.unacked),
        }
    }

    fn forget(&mut self, entry: &Entry) {
        if let Some(count) = self.of(entry.resend) {
            *count -= 1;
        }
    }
}
