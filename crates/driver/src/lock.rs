//! The lock around the machine: held for the admission of a message, never for a system call.
//!
//! Releasing it is a plain store. A lock that can wake a sleeper needs a second atomic operation
//! for that, and every message would pay for it. Whoever finds this one taken lets other threads
//! run, and sleeps if the holder still does not get to.

use std::thread;
use std::time::Duration;

use spin::mutex::{SpinMutex, SpinMutexGuard};

pub(crate) type Guard<'a, T> = SpinMutexGuard<'a, T>;

pub(crate) struct Lock<T>(SpinMutex<T>);

/// How often a thread gives way before it sleeps: enough for a holder that runs. One that does
/// not, for instance because the waiting thread has a higher real-time priority, needs the sleep.
const YIELDS: usize = 1_000;
const NAP: Duration = Duration::from_micros(100);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(SpinMutex::new(value))
    }

    /// A panic of another holder has left the value as it was between two of its methods.
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.0.try_lock().unwrap_or_else(|| self.wait())
    }

    #[cold]
    fn wait(&self) -> Guard<'_, T> {
        for _ in 0..YIELDS {
            thread::yield_now();
            if let Some(guard) = self.0.try_lock() {
                return guard;
            }
        }
        loop {
            thread::sleep(NAP);
            if let Some(guard) = self.0.try_lock() {
                return guard;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_however_long_it_holds() {
        let lock = Lock::new((0, false));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..1_000 {
                        let mut guard = lock.lock();
                        assert!(!std::mem::replace(&mut guard.1, true), "somebody else holds it");
                        if round % 250 == 0 {
                            // Longer than whoever waits gives way.
                            thread::sleep(20 * NAP);
                        }
                        guard.0 += 1;
                        guard.1 = false;
                    }
                });
            }
        });
        assert_eq!(lock.lock().0, 4_000);
    }
}
