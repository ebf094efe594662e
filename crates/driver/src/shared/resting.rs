//! When a connection rests: nothing has moved on it for a while, so nobody needs its buffers, and
//! a receiver that left has not come back.

use std::time::Duration;

use rebelay_core::Instant;

use super::Inner;

/// How long a connection keeps its memory, and a receiver that left its turn to read.
const PATIENCE: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(crate) struct Resting {
    /// When something last moved; `None`: the connection rests.
    moved: Option<Instant>,
}

impl Resting {
    /// When the connection will rest unless something moves.
    pub(crate) fn begins_at(&self) -> Option<Instant> {
        self.moved.map(|moved| moved + PATIENCE)
    }
}

impl Inner {
    /// Something moved. If the connection rested, the driver is to look when it may do so again.
    pub(crate) fn stir(&mut self) {
        let now = self.machine.now();
        self.wanted |= self.resting.moved.replace(now).is_none();
    }

    /// Where nothing has moved for a while, the driver takes the turn of a receiver that did not
    /// come back, and the connection gives back what it keeps only for speed.
    pub(crate) fn rest_if_due(&mut self, now: Instant) {
        if self.resting.begins_at().is_some_and(|at| at <= now) {
            self.resting.moved = None;
            self.reading.take_turn_back();
            self.machine.rest();
            self.history.rest();
            self.writing.rest();
        }
    }
}
