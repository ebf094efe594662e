//! Time that stands still, so that no timer makes good for a wake-up that was lost. It passes
//! where a scenario says so, from one deadline to the next.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use shuttle::sync::Mutex;

#[derive(Clone)]
pub struct Clock {
    start: Instant,
    times: Arc<Mutex<Times>>,
}

#[derive(Default)]
struct Times {
    elapsed: Duration,
    /// By deadline, and a number of its own.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    last_sleep: u64,
    /// Who lets time pass, and waits for a deadline to pass to.
    passing: Option<Waker>,
}

impl Clock {
    pub fn new() -> Self {
        Self { start: Instant::now(), times: Arc::default() }
    }

    pub fn now(&self) -> Instant {
        self.start + self.times.lock().unwrap().elapsed
    }

    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        let mut times = self.times.lock().unwrap();
        times.last_sleep += 1;
        let key = (times.elapsed + duration, times.last_sleep);
        Sleep { times: Arc::clone(&self.times), key }
    }

    /// Lets time pass in the background, up to `limit` after the start, as long as somebody
    /// sleeps within it.
    pub fn run(&self, limit: Duration) {
        let times = Arc::clone(&self.times);
        let passing = poll_fn(move |cx| {
            while let Some(waker) = times.lock().unwrap().pass(limit, cx) {
                waker.wake();
            }
            Poll::<()>::Pending
        });
        // Detached: nobody has to wait for it.
        drop(shuttle::future::spawn(passing));
    }
}

impl Times {
    /// Goes to the next deadline; its sleeper is to be woken.
    fn pass(&mut self, limit: Duration, cx: &Context<'_>) -> Option<Waker> {
        match self.sleepers.first_entry() {
            Some(first) if first.key().0 <= limit => {
                self.elapsed = self.elapsed.max(first.key().0);
                Some(first.remove())
            }
            Some(_) | None => {
                self.passing = Some(cx.waker().clone());
                None
            }
        }
    }
}

struct Sleep {
    times: Arc<Mutex<Times>>,
    key: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut times = self.times.lock().unwrap();
        if times.elapsed >= self.key.0 {
            return Poll::Ready(());
        }
        times.sleepers.insert(self.key, cx.waker().clone());
        let passing = times.passing.take();
        drop(times);
        passing.into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.times.lock().unwrap().sleepers.remove(&self.key);
    }
}
