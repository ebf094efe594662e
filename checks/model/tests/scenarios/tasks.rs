//! Running scenarios, and futures in them.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use shuttle::future::{block_on, yield_now};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::{Config, MaxSteps, Runner};

/// How many preemptions that matter a bug may need for PCT to look for it.
const DEPTH: usize = 3;

/// Runs `scenario` in many orders of its tasks' steps.
pub fn check<F: Future<Output = ()> + 'static>(scenario: fn() -> F) {
    let runs = std::env::var("MODEL_RUNS").map_or(1_000, |runs| runs.parse().unwrap());
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.max_steps = MaxSteps::FailAfter(50_000);
    config.silence_warnings = true;
    let run = move || block_on(scenario());
    if let Ok(schedule) = std::env::var("MODEL_SCHEDULE") {
        Runner::new(ReplayScheduler::new_from_encoded(&schedule), config).run(run);
        return;
    }
    Runner::new(RandomScheduler::new(runs), config.clone()).run(run);
    Runner::new(PctScheduler::new(DEPTH, runs), config).run(run);
}

/// A number below `end`, which a replay repeats.
pub fn below(end: usize) -> usize {
    thread_rng().gen_range(0..end)
}

/// What `future` comes to if it does by `polls` polls, whoever wakes it; else it is dropped.
pub async fn give_up_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// Runs a future whose wakers let other tasks run before they wake it: shuttle would make one
/// step of unlocking and of waking whom it concerns. Not for one that waits for an `Event`,
/// which wakes under a lock.
pub struct Late<F> {
    future: Pin<Box<F>>,
    waker: Option<(Waker, Waker)>,
}

impl<F> Late<F> {
    pub fn new(future: F) -> Self {
        Self { future: Box::pin(future), waker: None }
    }
}

impl<F: Future> Future for Late<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let waker = match this.waker.take() {
            Some((inner, late)) if inner.will_wake(cx.waker()) => (inner, late),
            Some(_) | None => {
                let late = LateWaker { inner: cx.waker().clone(), step: AtomicBool::new(false) };
                (cx.waker().clone(), Arc::new(late).into())
            }
        };
        let (_, late) = this.waker.insert(waker);
        this.future.as_mut().poll(&mut Context::from_waker(late))
    }
}

struct LateWaker {
    inner: Waker,
    step: AtomicBool,
}

impl Wake for LateWaker {
    fn wake(self: Arc<Self>) {
        self.step.load(Ordering::SeqCst);
        self.inner.wake_by_ref();
    }
}
