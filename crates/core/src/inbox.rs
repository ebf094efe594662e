//! Received bytes, bounded, in one stream with the epochs they came on.

use alloc::collections::VecDeque;

use bytes::BytesMut;

use crate::error::Reason;
use crate::event::Item;
use crate::outcome::Epoch;

/// The smallest and the largest buffer lent to a reader; it grows while reads fill it.
const READ_SIZE: (usize, usize) = (1 << 10, 64 << 10);

/// Items that may wait; more are not read, and epochs without data leave no trace beyond it.
const MAX_ITEMS: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    items: VecDeque<Item>,
    /// Bytes in the `Data` items.
    bytes: usize,
    /// Memory for the next read; empty while it is lent.
    buffer: BytesMut,
    /// How often the smallest buffer was doubled for the next one.
    doublings: u8,
    lent: bool,
    /// The memory that is lent was made for that, and nothing was ever read into it.
    fresh: bool,
    /// Nobody will ever take an item: keep none, so that the peer can go on sending and its end
    /// is noticed.
    discard: bool,
}

impl Inbox {
    /// Lends the memory for one read; `None` while another reader has it, and when what it could
    /// bring would exceed `limit` bytes.
    pub(crate) fn lend(&mut self, limit: usize) -> Option<BytesMut> {
        if self.lent || self.items.len() >= MAX_ITEMS {
            return None;
        }
        // A buffer that grew in place, or that a reader brought, could be too long for an empty
        // inbox to lend: then nothing would be read for ever.
        let size = self.read_size();
        let too_short = self.buffer.capacity() < size / 2 && !self.buffer.try_reclaim(size);
        self.fresh = too_short || self.buffer.capacity() > limit;
        if self.fresh {
            self.buffer = BytesMut::with_capacity(size);
        }
        if self.bytes + self.buffer.capacity() > limit {
            return None;
        }
        self.lent = true;
        Some(core::mem::take(&mut self.buffer))
    }

    /// The reader gives the memory back, with what it read on the current epoch.
    pub(crate) fn accept(&mut self, mut buffer: BytesMut, limit: usize) -> usize {
        self.lent = false;
        if buffer.is_empty() && self.fresh {
            // A connection that waits for its first byte in a while holds no memory for it.
            return 0;
        }
        let data = buffer.split();
        let filled = buffer.capacity() == 0;
        // Memory beyond the limit could never be lent again.
        self.buffer = if buffer.capacity() <= limit { buffer } else { BytesMut::new() };
        let len = data.len();
        if len == 0 {
            return 0;
        }
        self.adapt(len, filled, limit);
        if !self.discard {
            self.bytes += len;
            self.items.push_back(Item::Data(data.freeze()));
        }
        len
    }

    /// Gives back what is kept for the next read.
    pub(crate) fn rest(&mut self) {
        self.buffer = BytesMut::new();
        self.items.shrink_to_fit();
        self.doublings = 0;
    }

    pub(crate) fn up(&mut self, epoch: Epoch) {
        // A reader of an earlier epoch may hold its memory for ever; nobody waits for it.
        self.lent = false;
        if self.items.len() >= MAX_ITEMS {
            // An epoch that brought no data and that nobody saw: its traces make room.
            let trace = self.items.iter().rev().take_while(|item| !matches!(item, Item::Data(_)));
            let is_up = |item: &Item| matches!(item, Item::Up { .. });
            if let Some(back) = trace.into_iter().position(is_up) {
                self.items.truncate(self.items.len() - 1 - back);
            }
        }
        self.mark(Item::Up { epoch });
    }

    pub(crate) fn peer_finished(&mut self, epoch: Epoch) {
        self.mark(Item::PeerFinished { epoch });
    }

    pub(crate) fn down(&mut self, epoch: Epoch, reason: Reason) {
        self.mark(Item::Down { epoch, reason });
    }

    pub(crate) fn has_item(&self) -> bool {
        !self.items.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        if let Item::Data(data) = &item {
            self.bytes -= data.len();
        }
        Some(item)
    }

    pub(crate) fn discard(&mut self) {
        self.discard = true;
        self.items.clear();
        self.bytes = 0;
    }

    fn mark(&mut self, item: Item) {
        if !self.discard {
            self.items.push_back(item);
        }
    }

    /// Doubles the next read while reads fill theirs, and halves it while they use little. It
    /// fits the limit, so an empty inbox always reads.
    fn adapt(&mut self, read: usize, filled: bool, limit: usize) {
        let size = self.read_size();
        if filled && size * 2 <= READ_SIZE.1.min(limit) {
            self.doublings += 1;
        } else if read < size / 4 {
            self.doublings = self.doublings.saturating_sub(1);
        }
    }

    fn read_size(&self) -> usize {
        READ_SIZE.0 << self.doublings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    const LIMIT: usize = 64 << 10;

    /// A read that fills the memory it is given; `None` when none is given.
    fn read(inbox: &mut Inbox, limit: usize) -> Option<usize> {
        let mut buffer = inbox.lend(limit)?;
        let space = buffer.capacity();
        buffer.put_bytes(7, space);
        Some(inbox.accept(buffer, limit))
    }

    #[test]
    fn g05_the_inbox_never_holds_more_than_its_limit() {
        for limit in [4 << 10, 5_000, 100_000, 256 << 10] {
            let mut inbox = Inbox::default();
            while read(&mut inbox, limit).is_some() {}
            assert!(inbox.bytes <= limit && inbox.bytes > limit / 2, "{} of {limit}", inbox.bytes);
            assert!(inbox.pop().is_some());
            while inbox.pop().is_some() {}
            assert!(read(&mut inbox, limit).is_some(), "an emptied inbox reads again");
        }
    }

    #[test]
    fn g05_epochs_that_nobody_watches_take_no_memory() {
        let mut inbox = Inbox::default();
        for number in 1..=10_000 {
            inbox.up(Epoch(number));
            if number % 3 == 0 {
                inbox.peer_finished(Epoch(number));
            }
            inbox.down(Epoch(number), Reason::PeerClosed);
        }
        assert!(inbox.items.len() <= MAX_ITEMS + 3);
        let mut up = None;
        while let Some(item) = inbox.pop() {
            match item {
                Item::Up { epoch } => assert!(up.replace(epoch).is_none()),
                Item::PeerFinished { epoch } => assert_eq!(up, Some(epoch)),
                Item::Down { epoch, .. } => assert_eq!(up.take(), Some(epoch)),
                Item::Data(_) => unreachable!("no data was received"),
            }
        }
        assert_eq!(up, None);
    }

    #[test]
    fn memory_is_kept_only_while_reads_use_it() {
        let mut inbox = Inbox::default();
        let read = |inbox: &mut Inbox, count| {
            let mut buffer = inbox.lend(LIMIT).unwrap_or_default();
            buffer.put_bytes(7, count);
            inbox.accept(buffer, LIMIT);
            inbox.buffer.capacity()
        };
        assert_eq!(read(&mut inbox, 0), 0, "nothing was there");
        assert!(read(&mut inbox, 10) > 0 && read(&mut inbox, 0) > 0, "more may come at once");
        inbox.rest();
        assert_eq!(inbox.buffer.capacity(), 0);
        assert_eq!(read(&mut inbox, 0), 0);
    }

    #[test]
    fn one_reader_at_a_time() {
        let mut inbox = Inbox::default();
        let buffer = inbox.lend(LIMIT);
        assert!(buffer.is_some() && inbox.lend(LIMIT).is_none());
        inbox.accept(buffer.unwrap_or_default(), LIMIT);
        assert!(inbox.lend(LIMIT).is_some());
    }
}
