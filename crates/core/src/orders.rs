//! The actions that the driver has not taken yet: at most one of each kind, so they are bounded
//! however rarely it asks.

use crate::event::Action;
use crate::outcome::Epoch;

/// What goes is ordered before what comes.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    abandon: Option<u64>,
    close: Option<Epoch>,
    shutdown: Option<Epoch>,
    start: Option<Action>,
}

impl Orders {
    /// Orders a lookup, a dial or a handshake, in place of one that was not taken.
    pub(crate) fn start(&mut self, action: Action) {
        self.start = Some(action);
    }

    pub(crate) fn start_nothing(&mut self) {
        self.start = None;
    }

    pub(crate) fn abandon(&mut self, attempt: u64) {
        let untaken = matches!(self.start, Some(Action::Dial { attempt: a, .. }) if a == attempt);
        if untaken {
            self.start = None;
        } else {
            self.abandon = Some(attempt);
        }
    }

    pub(crate) fn shutdown_write(&mut self, epoch: Epoch) {
        self.shutdown = Some(epoch);
    }

    pub(crate) fn close_socket(&mut self, epoch: Epoch) {
        self.shutdown = None;
        self.start = None;
        self.close = Some(epoch);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.abandon.is_none()
            && self.close.is_none()
            && self.shutdown.is_none()
            && self.start.is_none()
    }

    pub(crate) fn pop(&mut self) -> Option<Action> {
        let abandon = self.abandon.take().map(|attempt| Action::Abandon { attempt });
        abandon
            .or_else(|| self.close.take().map(|epoch| Action::CloseSocket { epoch }))
            .or_else(|| self.shutdown.take().map(|epoch| Action::ShutdownWrite { epoch }))
            .or_else(|| self.start.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr, SocketAddr};

    #[test]
    fn an_order_that_was_not_taken_is_withdrawn_and_not_contradicted() {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
        let mut orders = Orders::default();
        orders.start(Action::Dial { attempt: 7, address });
        orders.abandon(7);
        assert_eq!(orders.pop(), None);

        orders.shutdown_write(Epoch(1));
        orders.close_socket(Epoch(1));
        orders.start(Action::Resolve { round: 2 });
        assert_eq!(orders.pop(), Some(Action::CloseSocket { epoch: Epoch(1) }));
        assert_eq!(orders.pop(), Some(Action::Resolve { round: 2 }));
        assert_eq!(orders.pop(), None);
    }
}
