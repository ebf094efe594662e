//! The plan of a network: what every lookup, dial and handshake meets.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use rebelay_core::{Instant, SplitMix64};

use crate::fate::Fate;

type Lookups = Box<dyn FnMut(u64, &mut SplitMix64) -> Lookup + Send>;
type Fates = Box<dyn FnMut(&Dialled, &mut SplitMix64) -> Fate + Send>;

/// What every lookup, dial and handshake meets. The default is healthy: one address, which
/// accepts, and no handshake.
pub struct Network {
    lookups: Lookups,
    fates: Fates,
    hello: Hello,
}

/// One dial of the client, for a plan to judge.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// The number of the attempt, from 1.
    pub attempt: u64,
    /// Where to.
    pub address: SocketAddr,
    /// When.
    pub at: Instant,
}

/// What a lookup meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// These addresses, one millisecond later; none is an empty answer.
    Found(Vec<SocketAddr>),
    /// An error, one millisecond later.
    Fails,
    /// No answer at all.
    Never,
}

/// The handshake that answers [`Action::Handshake`](rebelay_core::Action::Handshake): the client
/// writes `send`, then awaits `reply` bytes. It fails when the connection ends before that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// What the client writes first on each connection.
    pub send: Bytes,
    /// How many bytes it awaits; what comes behind them goes to the reader.
    pub reply: usize,
}

impl Network {
    /// A network where `fate` decides every dial. It may draw from the generator, which the
    /// simulation's seed started.
    pub fn new(fate: impl FnMut(&Dialled, &mut SplitMix64) -> Fate + Send + 'static) -> Self {
        Self { fates: Box::new(fate), ..Self::default() }
    }

    /// A network where the first dials meet `fates`, one each, and all others `rest`.
    pub fn fates(fates: impl IntoIterator<Item = Fate>, rest: Fate) -> Self {
        let mut fates = Vec::from_iter(fates).into_iter();
        Self::new(move |_, _| fates.next().unwrap_or_else(|| rest.clone()))
    }

    /// The same network, where `lookup` decides what each round's lookup meets.
    #[must_use]
    pub fn lookups(
        mut self,
        lookup: impl FnMut(u64, &mut SplitMix64) -> Lookup + Send + 'static,
    ) -> Self {
        self.lookups = Box::new(lookup);
        self
    }

    /// The same network with a handshake, for connections that are configured for one.
    #[must_use]
    pub fn hello(mut self, hello: Hello) -> Self {
        self.hello = hello;
        self
    }

    pub(crate) fn lookup(&mut self, round: u64, rng: &mut SplitMix64) -> Lookup {
        (self.lookups)(round, rng)
    }

    pub(crate) fn dial(&mut self, dialled: &Dialled, rng: &mut SplitMix64) -> Fate {
        (self.fates)(dialled, rng)
    }

    pub(crate) fn handshake(&self) -> Hello {
        self.hello.clone()
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            lookups: Box::new(|_, _| Lookup::default()),
            fates: Box::new(|_, _| Fate::default()),
            hello: Hello::default(),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("hello", &self.hello).finish_non_exhaustive()
    }
}

/// One address.
impl Default for Lookup {
    fn default() -> Self {
        Self::Found(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 1))])
    }
}
