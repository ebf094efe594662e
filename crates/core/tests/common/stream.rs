//! What the reader must get, in order.

use std::collections::VecDeque;

use rebelay_core::Epoch;

/// The stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) expected: VecDeque<Mark>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mark {
    Up(Epoch),
    Bytes(Vec<u8>),
    PeerFinished(Epoch),
    Down(Epoch),
}

impl Stream {
    /// Bytes that wait.
    pub(crate) fn held(&self) -> usize {
        let len = |mark: &Mark| if let Mark::Bytes(bytes) = mark { bytes.len() } else { 0 };
        self.expected.iter().map(len).sum()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Some(Mark::Bytes(last)) = self.expected.back_mut() {
            last.extend_from_slice(bytes);
        } else if !bytes.is_empty() {
            self.expected.push_back(Mark::Bytes(bytes.to_vec()));
        }
    }

    /// The next `count` bytes, all of one epoch.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let Some(Mark::Bytes(bytes)) = self.expected.front_mut() else {
            panic!("data where {:?} was to come", self.expected.front())
        };
        let rest = bytes.split_off(count.min(bytes.len()));
        let taken = std::mem::replace(bytes, rest);
        if bytes.is_empty() {
            self.expected.pop_front();
        }
        taken
    }
}
