//! Opening a connection: what is dialled, when, and what failing says.

use rebelay::{ConnectError, Endpoint, Event, FirstConnect, Reason, State};

use crate::support::runtimes::{Dials, Runtime};
use crate::support::server::{Peer, Server};
use crate::support::talk::{data, event, lazy, quick, soon, up};

pub(crate) async fn every_form_of_an_endpoint_connects<R: Dials>() {
    let server = Server::start(Peer::echo);
    let address = server.address();
    let host = address.ip().to_string();
    let text = R::connect_to(address.to_string(), quick()).await;
    let parts = R::connect((host.as_str(), address.port()).into(), quick()).await;
    let name = R::connect(("localhost", address.port()).into(), quick()).await;
    let socket = R::connect(address.into(), quick()).await;
    for connected in [text, parts, name, socket] {
        let (sender, mut receiver) = connected.unwrap();
        up(&mut receiver).await;
        sender.send("hello").await.unwrap();
        assert_eq!(data(&mut receiver, 5).await, b"hello");
    }
    assert_eq!(server.accepted(), 4);
}

pub(crate) async fn what_is_not_an_endpoint_is_refused_by_name<R: Dials>() {
    for text in ["localhost", "host:port", ":1", "host:65536", "::1:80"] {
        match R::connect_to(text.to_owned(), quick()).await {
            Err(ConnectError::Config(error)) => {
                assert_eq!(error.field, "endpoint");
                assert!(error.value.contains(text), "{error}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

pub(crate) async fn a_bad_setting_is_named_before_anything_is_dialled<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let mut queue = quick();
    queue.connection.max_queued_messages = 0;
    let mut floor = quick();
    floor.connection.backoff.floor = std::time::Duration::ZERO;
    let mut buffer = quick();
    buffer.socket.send_buffer = Some(0);
    for (config, field) in
        [(queue, "max_queued_messages"), (floor, "backoff.floor"), (buffer, "socket.send_buffer")]
    {
        match R::connect(server.address().into(), config).await {
            Err(ConnectError::Config(error)) => assert_eq!(error.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    // A connection that works shows that the server would have counted the others by now.
    let (_sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    server.saw(|seen| !seen.is_empty()).await;
    assert_eq!(server.accepted(), 1);
}

pub(crate) async fn fail_fast_says_what_failed<R: Runtime>() {
    let server = Server::down(Peer::echo);
    let mut config = quick();
    config.connection.first_connect = FirstConnect::FailFast;
    match soon(R::connect(server.address().into(), config)).await {
        Err(ConnectError::Failed { reason: Reason::Connect(fault), .. }) => {
            assert!(fault.text().to_lowercase().contains("refused"), "{fault}");
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn fail_fast_names_a_failed_lookup<R: Dials>() {
    let mut config = quick();
    config.connection.first_connect = FirstConnect::FailFast;
    // A label of more than 63 octets (RFC 1035) fails without asking anybody.
    let endpoint = Endpoint::new("x".repeat(64), 1);
    match R::connect(endpoint, config).await {
        Err(ConnectError::Failed { reason: Reason::Resolve(_), .. }) => {}
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn fail_fast_is_over_once_connected<R: Runtime>() {
    let mut server = Server::start(Peer::echo);
    let mut config = quick();
    config.connection.first_connect = FirstConnect::FailFast;
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    let mut events = sender.events();
    assert_eq!(up(&mut receiver).await.number(), 1);
    server.kill();
    let refused =
        |event: &Event| matches!(event, Event::AttemptFailed { reason: Reason::Connect(_), .. });
    event(&mut events, refused).await;
    event(&mut events, refused).await;
    server.restart();
    sender.send("again").await.unwrap();
    server.saw(|seen| seen.values().any(|bytes| bytes == b"again")).await;
}

pub(crate) async fn wait_waits_until_the_server_comes<R: Dials>() {
    let mut server = Server::down(Peer::echo);
    let (dialled, again) = smol::channel::unbounded();
    let mut config = quick();
    config.socket.raw(move |_| {
        let _ = dialled.try_send(());
        Ok(())
    });
    let connecting = R::spawn(R::connect(server.address().into(), config));
    for _ in 0..3 {
        again.recv().await.unwrap();
    }
    server.restart();
    let (sender, _receiver) = connecting.await.unwrap();
    assert_eq!(sender.state(), State::Connected);
}

pub(crate) async fn lazy_dials_with_the_first_message<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let (sender, mut receiver) = R::connect(server.address().into(), lazy()).await.unwrap();
    let mut events = sender.events();
    assert_eq!((sender.state(), sender.epoch()), (State::Idle, None));
    assert_eq!((events.try_next(), server.accepted()), (None, 0));
    sender.send("first").await.unwrap();
    assert_eq!(events.next().await, Some(Event::Resolving { round: 1 }));
    up(&mut receiver).await;
    assert_eq!(data(&mut receiver, 5).await, b"first");
    assert_eq!(server.accepted(), 1);
}

pub(crate) async fn lazy_dials_when_asked_to<R: Runtime>() {
    let server = Server::start(Peer::echo);
    let (sender, mut receiver) = R::connect(server.address().into(), lazy()).await.unwrap();
    sender.reconnect_now();
    assert_eq!(sender.wait_connected().await, Ok(up(&mut receiver).await));
    assert_eq!(sender.ledger().admitted, 0);
}
