//! The actions that the driver has not taken yet: at most one of each kind, so they are bounded
//! however rarely it asks.

use alloc::boxed::Box;
use core::mem::take;

use crate::event::Action;
use crate::outcome::Epoch;

/// What goes is ordered before what comes. A number that is 0 orders nothing.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// An attempt.
    abandon: u64,
    /// The epochs whose sockets these are for.
    close: u64,
    measure: u64,
    /// On the heap, for it is large and mostly not there.
    start: Option<Box<Action>>,
}

impl Orders {
    /// Orders a lookup, a dial, a handshake or a FIN, in place of what was not taken.
    pub(crate) fn start(&mut self, action: Action) {
        self.start = Some(Box::new(action));
    }

    pub(crate) fn start_nothing(&mut self) {
        self.start = None;
    }

    pub(crate) fn abandon(&mut self, attempt: u64) {
        let dials =
            |action: &Action| matches!(action, Action::Dial { attempt: a, .. } if *a == attempt);
        if self.start.take_if(|untaken| dials(untaken)).is_none() {
            self.abandon = attempt;
        }
    }

    pub(crate) fn measure(&mut self, epoch: Epoch) {
        self.measure = epoch.0;
    }

    pub(crate) fn close_socket(&mut self, epoch: Epoch) {
        self.measure = 0;
        self.start = None;
        self.close = epoch.0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        [self.abandon, self.close, self.measure] == [0; 3] && self.start.is_none()
    }

    pub(crate) fn pop(&mut self) -> Option<Action> {
        if let attempt @ 1.. = take(&mut self.abandon) {
            return Some(Action::Abandon { attempt });
        }
        if let epoch @ 1.. = take(&mut self.close) {
            return Some(Action::CloseSocket { epoch: Epoch(epoch) });
        }
        if let epoch @ 1.. = take(&mut self.measure) {
            return Some(Action::Measure { epoch: Epoch(epoch) });
        }
        self.start.take().map(|action| *action)
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

        orders.start(Action::ShutdownWrite { epoch: Epoch(1) });
        orders.measure(Epoch(1));
        orders.close_socket(Epoch(1));
        orders.start(Action::Resolve { round: 2 });
        assert_eq!(orders.pop(), Some(Action::CloseSocket { epoch: Epoch(1) }));
        assert_eq!(orders.pop(), Some(Action::Resolve { round: 2 }));
        assert_eq!(orders.pop(), None);
    }
}
