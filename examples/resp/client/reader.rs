//! The task that reads: replies to whoever asked, and errors to those whose connection ended.

use std::sync::{Arc, Mutex};
use std::task::Waker;

use bytes::Bytes;
use rebelay::{Certainty, Epoch, Fault, Item, Outcome, Reason, Receiver, Sender, Ticket};

use super::decode::{Decoder, Reply, Violation};
use super::error::Error;
use super::table::Table;
use super::{lock, now};

pub(super) struct Reader {
    sender: Sender,
    receiver: Receiver,
    table: Arc<Mutex<Table>>,
    decoder: Decoder,
    /// Memory for the replies of one read, and for whom they wake.
    replies: Vec<Reply>,
    woken: Vec<Waker>,
    violation: Option<Violation>,
}

impl Reader {
    pub(super) fn new(sender: Sender, receiver: Receiver, table: Arc<Mutex<Table>>) -> Self {
        Self {
            sender,
            receiver,
            table,
            decoder: Decoder::default(),
            replies: Vec::new(),
            woken: Vec::new(),
            violation: None,
        }
    }

    /// Runs until the connection is closed. A server that breaks the protocol is left for good:
    /// what it would say on another connection means as little.
    pub(super) async fn run(mut self) {
        while let Some(item) = self.receiver.recv().await {
            match item {
                Item::Up { .. } => self.decoder = Decoder::default(),
                Item::Data(data) => {
                    if let Err(violation) = self.receive(data) {
                        self.violation = Some(violation);
                        return;
                    }
                }
                // Not without `PeerFin::KeepWriting`.
                Item::PeerFinished { .. } => {}
                Item::Down { epoch, reason } => self.end_epoch(epoch, &reason),
            }
        }
    }

    fn receive(&mut self, data: Bytes) -> Result<(), Violation> {
        let decoded = self.decoder.decode(data, &mut self.replies);
        // Whatever these replies answer was admitted before they came.
        let admitted = self.sender.ledger().admitted;
        let mut table = lock(&self.table);
        let unasked = (table.next() + self.replies.len() as u64).saturating_sub(admitted + 1);
        self.replies.truncate(self.replies.len().saturating_sub(unasked as usize));
        for reply in self.replies.drain(..) {
            self.woken.extend(table.answer(Ok(reply)));
        }
        drop(table);
        self.wake();
        if unasked > 0 {
            return Err(Violation::new("a reply that nobody asked for"));
        }
        decoded
    }

    /// What was written on `epoch` will not be answered any more, what was not will go out on a
    /// later one.
    fn end_epoch(&mut self, epoch: Epoch, reason: &Reason) {
        let left = |ticket| match self.outcome(ticket) {
            Some(Outcome::Written { epoch: on }) => on <= epoch,
            Some(Outcome::Acked | Outcome::Failed { .. }) => true,
            None => false,
        };
        // Tickets are written in their order, so there is one border between the two kinds.
        let (mut border, mut end) = (1, self.sender.ledger().admitted + 1);
        while border < end {
            let middle = border.midpoint(end);
            if left(Ticket::from_number(middle)) {
                border = middle + 1;
            } else {
                end = middle;
            }
        }
        self.fail_before(border, reason);
    }

    fn fail_before(&mut self, border: u64, reason: &Reason) {
        let mut woken = std::mem::take(&mut self.woken);
        let failed = |ticket| {
            let certainty = match self.outcome(ticket) {
                Some(Outcome::Failed { certainty, .. }) => certainty,
                Some(Outcome::Written { .. } | Outcome::Acked) | None => Certainty::InDoubt,
            };
            Error::Unanswered { certainty, reason: reason.clone() }
        };
        lock(&self.table).go_on_at(border, failed, &mut woken);
        self.woken = woken;
        self.wake();
    }

    /// What became of the request so far. One that is so old that nobody remembers was written.
    fn outcome(&self, ticket: Ticket) -> Option<Outcome> {
        let forgotten = Outcome::Failed {
            certainty: Certainty::InDoubt,
            cause: rebelay::FailCause::Disconnected,
        };
        now(self.sender.outcome(ticket)).map(|outcome| outcome.unwrap_or(forgotten))
    }

    fn wake(&mut self) {
        self.woken.drain(..).for_each(Waker::wake);
    }
}

/// Whatever ends the reader, nobody is left waiting.
impl Drop for Reader {
    fn drop(&mut self) {
        // Nothing is admitted from here on.
        now(self.sender.close());
        let reason = match self.violation.take() {
            Some(violation) => Reason::Io(Fault::new(violation.to_string())),
            None => self.sender.last_error().unwrap_or(Reason::Closed),
        };
        self.fail_before(self.sender.ledger().admitted + 1, &reason);
    }
}
