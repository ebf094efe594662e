//! How long to wait before the next round of attempts.

use core::time::Duration;

use crate::config::{BackoffConfig, Jitter};
use crate::rng::SplitMix64;

/// Exponential backoff: a ceiling that grows by a factor up to a cap, and a wait drawn below it.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    /// In nanoseconds.
    ceiling: u64,
    rng: SplitMix64,
}

impl Backoff {
    pub(crate) fn new(config: &BackoffConfig, seed: u64) -> Self {
        Self { ceiling: nanos(config.initial), rng: SplitMix64::new(seed) }
    }

    /// The next wait. Full jitter draws it between the floor and the ceiling, so that clients
    /// that lost one server together do not come back together.
    pub(crate) fn next_delay(&mut self, config: &BackoffConfig) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = ceiling.saturating_mul(config.factor.into()).min(nanos(config.max));
        let drawn = match config.jitter {
            Jitter::None => ceiling,
            Jitter::Full => self.rng.up_to(ceiling),
        };
        Duration::from_nanos(drawn).max(config.floor)
    }

    /// Starts again from the initial ceiling: the connection has proved healthy.
    pub(crate) fn reset(&mut self, config: &BackoffConfig) {
        self.ceiling = nanos(config.initial);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(jitter: Jitter) -> (Backoff, BackoffConfig) {
        let config = BackoffConfig { jitter, ..BackoffConfig::default() };
        (Backoff::new(&config, 42), config)
    }

    #[test]
    fn g08_without_jitter_the_wait_doubles_to_the_cap() {
        let (mut backoff, config) = backoff(Jitter::None);
        let waits: [u128; 11] = core::array::from_fn(|_| backoff.next_delay(&config).as_millis());
        let expected = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000];
        assert_eq!(waits, expected);
        backoff.reset(&config);
        assert_eq!(backoff.next_delay(&config), Duration::from_millis(100));
    }

    #[test]
    fn g08_jitter_stays_between_floor_and_ceiling_and_uses_the_range() {
        let (mut backoff, config) = backoff(Jitter::Full);
        let mut ceiling = Duration::from_millis(100);
        for _ in 0..10 {
            let delay = backoff.next_delay(&config);
            assert!(delay >= Duration::from_millis(10) && delay <= ceiling, "{delay:?}");
            ceiling = (ceiling * 2).min(Duration::from_secs(30));
        }
        let capped: [Duration; 1_000] = core::array::from_fn(|_| backoff.next_delay(&config));
        let longest = capped.iter().max().copied().unwrap_or_default();
        let shortest = capped.iter().min().copied().unwrap_or_default();
        assert!(longest <= Duration::from_secs(30));
        assert!(longest > Duration::from_secs(25) && shortest < Duration::from_secs(5));
    }

    #[test]
    fn g08_an_outage_of_any_length_never_overflows() {
        let (mut backoff, mut config) = backoff(Jitter::Full);
        config.max = Duration::MAX;
        config.factor = u32::MAX;
        for _ in 0..1_000_000 {
            assert!(backoff.next_delay(&config) >= config.floor);
        }
    }
}
