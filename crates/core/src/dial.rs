//! Which address is tried next, and which attempt that is.

use alloc::boxed::Box;
use core::net::SocketAddr;

/// Addresses of one lookup that are tried; a longer answer is cut.
const MAX_ADDRESSES: usize = 64;

/// The addresses of one round that were not tried yet, and the counters of rounds and attempts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dial {
    untried: Option<Box<Untried>>,
    /// The current round of attempts: one lookup and a dial of each of its addresses.
    round: u64,
    /// The current attempt, numbered over all rounds.
    attempt: u64,
    /// Where the current attempt goes to; of the round's first dial on.
    address: Option<SocketAddr>,
}

/// An address, and those after it.
#[derive(Clone, Debug)]
struct Untried {
    address: SocketAddr,
    then: Option<Box<Untried>>,
}

impl Dial {
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    pub(crate) fn attempt(&self) -> u64 {
        self.attempt
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Begins a round with nothing to try yet.
    pub(crate) fn begin_round(&mut self) -> u64 {
        self.untried = None;
        self.address = None;
        self.round += 1;
        self.round
    }

    /// The lookup's answer, in the order to try.
    pub(crate) fn load(&mut self, addresses: &[SocketAddr]) {
        let tried = addresses.iter().take(MAX_ADDRESSES).copied();
        self.untried =
            tried.rev().fold(None, |then, address| Some(Box::new(Untried { address, then })));
    }

    /// The next attempt of this round.
    pub(crate) fn next_attempt(&mut self) -> Option<(u64, SocketAddr)> {
        let Untried { address, then } = *self.untried.take()?;
        self.untried = then;
        self.attempt += 1;
        self.address = Some(address);
        Some((self.attempt, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};

    #[test]
    fn each_address_is_one_attempt_and_a_new_round_forgets_the_old_answer() {
        let address = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let mut dial = Dial::default();
        assert_eq!(dial.begin_round(), 1);
        assert_eq!(dial.next_attempt(), None);
        dial.load(&[address(1), address(2), address(3)]);
        assert_eq!(dial.next_attempt(), Some((1, address(1))));
        assert_eq!(dial.next_attempt(), Some((2, address(2))));
        assert_eq!(dial.begin_round(), 2);
        assert_eq!(dial.next_attempt(), None);
        dial.load(&alloc::vec![address(9); 1_000]);
        assert_eq!(core::iter::from_fn(|| dial.next_attempt()).count(), MAX_ADDRESSES);
    }
}
