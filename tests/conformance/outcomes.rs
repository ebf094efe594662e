//! The stream of all outcomes.

use std::pin::pin;
use std::time::Duration;

use rebelay::Refusal;

use crate::support::runtimes::Runtime;
use crate::support::server::{Peer, Server};
use crate::support::talk::{lazy, quick, soon, waits};

const LONG: Duration = Duration::from_secs(600);

pub(crate) async fn g03_the_stream_tells_every_outcome_once<R: Runtime>() {
    let server = Server::start(Peer::keep);
    let mut config = quick();
    config.connection.max_queued_messages = 8;
    let (sender, receiver) = R::connect(server.address().into(), config).await.unwrap();
    drop(receiver);
    let mut outcomes = sender.outcomes().expect("nobody has it");
    assert!(sender.outcomes().is_none(), "somebody has it");
    let counting = R::spawn(async move {
        let (mut next, mut runs) = (1, 0);
        while let Some(run) = outcomes.next().await {
            assert_eq!(run.first.number(), next, "a ticket is missing, or came twice");
            next = run.last.number() + 1;
            runs += 1;
        }
        assert!(runs < next, "runs of several messages are one");
        assert_eq!(next, 5_001);
    });
    for _ in 0..5_000 {
        sender.send("hello").await.unwrap();
    }
    soon(sender.drain(LONG)).await;
    counting.await;
    assert!(sender.outcomes().is_some(), "nobody has it any more");
}

pub(crate) async fn g05_unread_outcomes_hold_messages_up<R: Runtime>() {
    let server = Server::down(Peer::keep);
    let mut config = lazy();
    config.connection.max_queued_messages = 4;
    let (sender, _receiver) = R::connect(server.address().into(), config).await.unwrap();
    let mut outcomes = sender.outcomes().expect("nobody has it");
    // Backwards: no two outcomes join to a run.
    let mut pairs = 0;
    let refused = loop {
        let first = match sender.try_send("one") {
            Ok(ticket) => ticket,
            Err(refused) => break refused,
        };
        let second = sender.try_send("two");
        assert!(second.is_ok_and(|ticket| sender.cancel(ticket)) && sender.cancel(first));
        pairs += 1;
        assert!(pairs < 10, "nothing is held up");
    };
    assert_eq!(refused.refusal, Refusal::Full);
    let mut send = pin!(sender.send("waits"));
    waits(send.as_mut()).await;
    assert!(soon(outcomes.next()).await.is_some());
    assert!(soon(send).await.is_ok(), "what was read makes room");
}

pub(crate) async fn g03_an_outcome_that_waits_to_be_read_is_not_denied<R: Runtime>() {
    let server = Server::down(Peer::keep);
    let mut config = lazy();
    config.connection.max_queued_messages = 2;
    let (sender, _receiver) = R::connect(server.address().into(), config).await.unwrap();
    let outcomes = sender.outcomes().expect("nobody has it");
    let mut tickets = Vec::new();
    while let (Ok(one), Ok(two)) = (sender.try_send("one"), sender.try_send("two")) {
        assert!(sender.cancel(two) && sender.cancel(one));
        tickets.extend([one, two]);
    }
    let last = *tickets.last().expect("there was room");
    let mut outcome = pin!(sender.outcome(last));
    waits(outcome.as_mut()).await;
    // What is left over at the end need not wait any more.
    soon(sender.close()).await;
    assert!(soon(outcome).await.is_some());
    for ticket in tickets {
        assert!(soon(sender.outcome(ticket)).await.is_some(), "{ticket}");
    }
    drop(outcomes);
}
