//! What is still to be written: small messages copied into a batch, large ones as they are,
//! several in one call.

use std::io::IoSlice;

use bytes::{Buf, BytesMut};

use super::BATCH;
use crate::task::Task;

const SLICES: usize = 16;

pub(super) struct Outgoing {
    message: &'static [u8],
    /// Messages that are not in the batch, or not written whole.
    left: usize,
    batch: BytesMut,
    /// How much of the first large message is written.
    offset: usize,
}

impl Outgoing {
    pub(super) fn new(task: Task) -> Self {
        let batch = BytesMut::with_capacity(BATCH);
        Self { message: task.bytes(), left: task.outgoing(), batch, offset: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.left == 0
    }

    /// Calls `write` with what comes next.
    pub(super) fn write<T>(&mut self, write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        if self.message.len() < BATCH {
            self.fill();
            return write(&[IoSlice::new(&self.batch)]);
        }
        let mut slices = [IoSlice::new(self.message); SLICES];
        slices[0] = IoSlice::new(&self.message[self.offset..]);
        write(&slices[..SLICES.min(self.left)])
    }

    /// So many bytes were written.
    pub(super) fn advance(&mut self, count: usize) {
        if self.message.len() < BATCH {
            return self.batch.advance(count);
        }
        let written = self.offset + count;
        self.left -= written / self.message.len();
        self.offset = written % self.message.len();
    }

    fn fill(&mut self) {
        if !self.batch.is_empty() {
            return;
        }
        self.batch.reserve(BATCH);
        let messages = self.left.min(BATCH / self.message.len());
        for _ in 0..messages {
            self.batch.extend_from_slice(self.message);
        }
        self.left -= messages;
    }
}
