//! How the tests talk to a connection: what they expect next, and for how long.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use rebelay::{
    BackoffConfig, Config, Epoch, Event, Events, FirstConnect, Item, Jitter, Outcome, Reason,
    Receiver, Sender, Ticket,
};

/// Far more than anything takes that is promised to be quick, and less than a test may take.
const QUICK: Duration = Duration::from_secs(20);

/// A configuration whose outages are short.
pub fn quick() -> Config {
    let mut config = Config::default();
    config.connection.backoff = backoff(1, 5);
    config
}

/// [`quick`], and nothing is dialled before the first message.
pub fn lazy() -> Config {
    let mut config = quick();
    config.connection.first_connect = FirstConnect::Lazy;
    config
}

/// Waits of `initial` milliseconds, doubled each time up to `max`.
pub fn backoff(initial: u64, max: u64) -> BackoffConfig {
    let mut backoff = BackoffConfig::default();
    backoff.initial = Duration::from_millis(initial);
    backoff.floor = Duration::from_millis(1);
    backoff.max = Duration::from_millis(max);
    backoff.jitter = Jitter::None;
    backoff
}

/// The next item, which must be an `Up`.
pub async fn up(receiver: &mut Receiver) -> Epoch {
    match receiver.recv().await {
        Some(Item::Up { epoch }) => epoch,
        other => panic!("instead of Up: {other:?}"),
    }
}

/// The next item, which must be a `Down`.
pub async fn down(receiver: &mut Receiver) -> (Epoch, Reason) {
    match receiver.recv().await {
        Some(Item::Down { epoch, reason }) => (epoch, reason),
        other => panic!("instead of Down: {other:?}"),
    }
}

/// The next `count` bytes, which must be all that is there.
pub async fn data(receiver: &mut Receiver, count: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        match receiver.recv().await {
            Some(Item::Data(data)) => all.extend_from_slice(&data),
            other => panic!("instead of data, after {} of {count} bytes: {other:?}", all.len()),
        }
    }
    assert_eq!(all.len(), count, "more came than was expected");
    all
}

/// What still comes on this epoch, and why it ended.
pub async fn rest(receiver: &mut Receiver) -> (Vec<u8>, Reason) {
    let mut all = Vec::new();
    loop {
        match receiver.recv().await {
            Some(Item::Data(data)) => all.extend_from_slice(&data),
            Some(Item::Down { reason, .. }) => return (all, reason),
            other => panic!("instead of data or Down: {other:?}"),
        }
    }
}

/// The next event that is `wanted`; others are skipped.
pub async fn event(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.next().await.expect("closed before the event came");
        if wanted(&event) {
            return event;
        }
    }
}

pub fn is_disconnected(event: &Event) -> bool {
    matches!(event, Event::Disconnected { .. })
}

pub fn is_backing_off(event: &Event) -> bool {
    matches!(event, Event::BackingOff { .. })
}

/// Requires that the message went out on some epoch.
pub async fn written(sender: &Sender, ticket: Ticket) {
    let outcome = sender.outcome(ticket).await;
    assert!(matches!(outcome, Some(Outcome::Written { .. })), "{ticket}: {outcome:?}");
}

/// Requires that `future` is not ready yet.
pub async fn waits<F: Future>(mut future: Pin<&mut F>) {
    let pending = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
    assert!(pending, "it does not wait");
}

/// The output of `future` if it is ready within `polls` polls, whoever wakes it; else `None`, and
/// the future is dropped where it waits.
pub async fn give_up_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        smol::future::yield_now().await;
    }
    None
}

/// The output of `future`, which is promised to be quick.
pub async fn soon<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut limit = pin!(smol::Timer::after(QUICK));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(output),
        Poll::Pending => limit.as_mut().poll(cx).map(|_| panic!("it takes far too long")),
    })
    .await
}
