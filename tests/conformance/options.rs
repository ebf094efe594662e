//! Socket options: they are really set, and a bad one is refused by name.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rebelay::{ConnectError, FirstConnect, Keepalive, Reason, SocketOptions};

use crate::support::runtimes::Dials;
use crate::support::server::{Peer, Server};
use crate::support::talk::{quick, soon};

/// What the kernel says about a socket, before it connects.
#[derive(Debug, PartialEq)]
struct Options {
    nodelay: bool,
    keepalive: bool,
    send_buffer: usize,
    receive_buffer: usize,
    linger: Option<Duration>,
    type_of_service: u32,
    #[cfg(target_os = "linux")]
    probes: (Duration, Duration, u32),
    #[cfg(target_os = "linux")]
    user_timeout: Option<Duration>,
}

fn look(socket: &rebelay::SockRef<'_>) -> io::Result<Options> {
    Ok(Options {
        nodelay: socket.tcp_nodelay()?,
        keepalive: socket.keepalive()?,
        send_buffer: socket.send_buffer_size()?,
        receive_buffer: socket.recv_buffer_size()?,
        linger: socket.linger()?,
        type_of_service: socket.tos_v4()?,
        #[cfg(target_os = "linux")]
        probes: (
            socket.tcp_keepalive_time()?,
            socket.tcp_keepalive_interval()?,
            socket.tcp_keepalive_retries()?,
        ),
        #[cfg(target_os = "linux")]
        user_timeout: socket.tcp_user_timeout()?,
    })
}

/// Connects with what `set` makes of the default options, and says what the socket had.
async fn options<R: Dials>(set: impl FnOnce(&mut SocketOptions)) -> Options {
    let server = Server::start(Peer::echo);
    let (seen, looks) = smol::channel::unbounded();
    let mut config = quick();
    set(&mut config.socket);
    config.socket.raw(move |socket| {
        let _ = seen.try_send(look(&socket)?);
        Ok(())
    });
    let _connected = R::connect(server.address().into(), config).await.unwrap();
    looks.recv().await.unwrap()
}

pub(crate) async fn g10_the_defaults_are_set<R: Dials>() {
    let default = options::<R>(|_| {}).await;
    assert!(default.nodelay && default.keepalive);
    assert_eq!((default.linger, default.type_of_service), (None, 0));
    #[cfg(target_os = "linux")]
    {
        let (time, interval) = (Duration::from_secs(15), Duration::from_secs(5));
        assert_eq!(default.probes, (time, interval, 3));
        assert_eq!(default.user_timeout, Some(Duration::from_secs(30)));
    }
}

pub(crate) async fn what_is_set_is_set<R: Dials>() {
    let set = options::<R>(|options| {
        options.nodelay = false;
        options.keepalive = Some(Keepalive {
            time: Duration::from_secs(60),
            interval: Duration::from_secs(7),
            retries: 4,
        });
        options.user_timeout = Some(Duration::from_millis(1_234));
        options.send_buffer = Some(40_000);
        options.receive_buffer = Some(50_000);
        options.linger = Some(Duration::from_secs(3));
        options.type_of_service = Some(0x10);
    })
    .await;
    assert!(!set.nodelay && set.keepalive);
    // Linux doubles the sizes, others may round them.
    assert!((40_000..=80_000).contains(&set.send_buffer), "{set:?}");
    assert!((50_000..=100_000).contains(&set.receive_buffer), "{set:?}");
    assert_eq!((set.linger, set.type_of_service), (Some(Duration::from_secs(3)), 0x10));
    #[cfg(target_os = "linux")]
    {
        let (time, interval) = (Duration::from_secs(60), Duration::from_secs(7));
        assert_eq!(set.probes, (time, interval, 4));
        assert_eq!(set.user_timeout, Some(Duration::from_millis(1_234)));
    }
}

pub(crate) async fn what_is_left_out_is_left_alone<R: Dials>() {
    let bare = options::<R>(|options| {
        options.keepalive = None;
        options.user_timeout = None;
    })
    .await;
    assert!(!bare.keepalive);
    #[cfg(target_os = "linux")]
    assert!(bare.user_timeout.is_none_or(|timeout| timeout.is_zero()));
}

/// Spoils the options.
type Spoil = fn(&mut SocketOptions);

pub(crate) async fn a_bad_option_is_refused_by_name<R: Dials>() {
    let server = Server::start(Peer::echo);
    let cases: [(&str, Spoil); 9] = [
        ("socket.keepalive.time", |o| keepalive(o).time = Duration::ZERO),
        ("socket.keepalive.time", |o| keepalive(o).time = Duration::from_millis(1_500)),
        ("socket.keepalive.interval", |o| keepalive(o).interval = Duration::from_secs(32_768)),
        ("socket.keepalive.retries", |o| keepalive(o).retries = 0),
        ("socket.user_timeout", |o| o.user_timeout = Some(Duration::ZERO)),
        ("socket.send_buffer", |o| o.send_buffer = Some(0)),
        ("socket.receive_buffer", |o| o.receive_buffer = Some((1 << 30) + 1)),
        ("socket.linger", |o| o.linger = Some(Duration::from_secs(65_536))),
        ("socket.type_of_service", |o| o.type_of_service = Some(256)),
    ];
    for (field, spoil) in cases {
        let mut config = quick();
        spoil(&mut config.socket);
        match R::connect(server.address().into(), config).await {
            Err(ConnectError::Config(error)) => assert_eq!(error.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let _connected = R::connect(server.address().into(), quick()).await.unwrap();
    server.saw(|seen| !seen.is_empty()).await;
    assert_eq!(server.accepted(), 1);
}

fn keepalive(options: &mut SocketOptions) -> &mut Keepalive {
    options.keepalive.as_mut().unwrap()
}

pub(crate) async fn an_error_of_the_raw_hook_fails_the_attempt<R: Dials>() {
    let server = Server::start(Peer::echo);
    let mut config = quick();
    config.connection.first_connect = FirstConnect::FailFast;
    config.socket.raw(|_| Err(io::Error::other("not today")));
    match soon(R::connect(server.address().into(), config)).await {
        Err(ConnectError::Failed { reason: Reason::Connect(fault), .. }) => {
            assert_eq!(fault.text(), "socket.raw: not today");
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn an_address_of_another_host_is_no_place_to_bind<R: Dials>() {
    let server = Server::start(Peer::echo);
    let mut config = quick();
    config.connection.first_connect = FirstConnect::FailFast;
    // RFC 5737: an address for examples, which is nobody's.
    config.socket.bind = Some(SocketAddr::from(([203, 0, 113, 1], 0)));
    match soon(R::connect(server.address().into(), config)).await {
        Err(ConnectError::Failed { reason: Reason::Connect(fault), .. }) => {
            assert!(fault.text().starts_with("socket.bind: "), "{fault}");
        }
        other => panic!("{other:?}"),
    }
}

/// On Linux all of 127.0.0.0/8 is this host.
#[cfg(target_os = "linux")]
pub(crate) async fn it_connects_from_where_it_is_bound<R: Dials>() {
    let server = Server::start(|peer| {
        let client = peer.client()?.ip().to_string();
        peer.write(client.as_bytes())?;
        peer.keep()
    });
    let mut config = quick();
    config.socket.bind = Some(SocketAddr::from(([127, 0, 0, 2], 0)));
    let (_sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    crate::support::talk::up(&mut receiver).await;
    assert_eq!(crate::support::talk::data(&mut receiver, 9).await, b"127.0.0.2");
}
