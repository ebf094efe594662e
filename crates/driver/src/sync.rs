//! What tasks meet in: locks, atomics, events. `checks/model` builds these sources with
//! `cfg(rebelay_shuttle)`, which takes all of it from a model checker.

#[cfg(not(rebelay_shuttle))]
pub(crate) use crate::lock::{Guard, Lock};
#[cfg(not(rebelay_shuttle))]
pub(crate) use event_listener::Event;
#[cfg(not(rebelay_shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(rebelay_shuttle)]
pub(crate) use event::Event;
#[cfg(rebelay_shuttle)]
pub(crate) use lock::{Guard, Lock};
#[cfg(rebelay_shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};

#[cfg(rebelay_shuttle)]
mod event {
    use event_listener::EventListener;

    use super::atomic::{AtomicBool, Ordering};

    /// The real event, with other tasks run before each step: shuttle would make one step of
    /// unlocking and of what follows. The event's own lock is one of the standard library. That
    /// is sound: shuttle's tasks share a thread, and none is switched to while that lock is held,
    /// since waking a task does not run it.
    pub(crate) struct Event {
        event: event_listener::Event,
        step: AtomicBool,
    }

    impl Event {
        pub(crate) fn new() -> Self {
            Self { event: event_listener::Event::new(), step: AtomicBool::new(false) }
        }

        pub(crate) fn listen(&self) -> EventListener {
            self.let_others_run();
            self.event.listen()
        }

        pub(crate) fn total_listeners(&self) -> usize {
            self.let_others_run();
            self.event.total_listeners()
        }

        pub(crate) fn notify(&self, count: usize) {
            self.let_others_run();
            self.event.notify(count);
        }

        fn let_others_run(&self) {
            self.step.load(Ordering::SeqCst);
        }
    }
}

#[cfg(rebelay_shuttle)]
mod lock {
    use std::sync::PoisonError;

    use super::{Mutex, MutexGuard};

    pub(crate) type Guard<'a, T> = MutexGuard<'a, T>;

    /// A lock that the checker knows, in place of one that waits by trying.
    pub(crate) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
