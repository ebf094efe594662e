//! Which request gets which reply, over connections that end: against a server that does as it
//! is told.
#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use rebelay::{Certainty, FirstConnect, Refusal};
use socket2::SockRef;

use crate::client::{Client, Error, config};

/// One connection, seen from the server.
struct Connection(BufReader<TcpStream>);

impl Connection {
    /// The next connection, after its greeting.
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let mut connection = Self(BufReader::new(stream));
        assert_eq!(connection.request(), [b"PING"]);
        connection.answer("+PONG\r\n");
        connection
    }

    /// The next request.
    fn request(&mut self) -> Vec<Vec<u8>> {
        let parts = self.header(b'*');
        (0..parts).map(|_| self.part()).collect()
    }

    fn part(&mut self) -> Vec<u8> {
        let mut part = vec![0; self.header(b'$') + 2];
        self.0.read_exact(&mut part).unwrap();
        part.truncate(part.len() - 2);
        part
    }

    fn header(&mut self, kind: u8) -> usize {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert_eq!(line.as_bytes().first(), Some(&kind));
        line[1..].trim_end().parse().unwrap()
    }

    fn answer(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The client sends nothing more, and closes.
    fn is_left(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap() == 0
    }
}

/// A server that does `serve`, and a client of it.
async fn open(
    serve: impl FnOnce(TcpListener) + Send + 'static,
) -> (Client, JoinHandle<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // What the client cannot write is not taken by the kernels in its stead.
    SockRef::from(&listener).set_recv_buffer_size(4 << 10).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve(listener));
    let mut config = config();
    config.connection.first_connect = FirstConnect::FailFast;
    config.socket.send_buffer = Some(1);
    let (sender, receiver) = rebelay::tokio::connect(address, config).await.unwrap();
    let (client, reading) = Client::new(sender, receiver);
    (client, server, tokio::spawn(reading))
}

fn in_doubt<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unanswered { certainty: Certainty::InDoubt, .. }))
}

#[tokio::test]
async fn replies_go_to_their_requests_and_errors_to_the_rest() {
    let (client, server, _) = open(move |listener| {
        let mut first = Connection::accept(&listener);
        for key in [&b"a"[..], b"b", b"c"] {
            assert_eq!(first.request(), [b"GET", key]);
        }
        first.answer("$1\r\na\r\n$1\r\n");
        drop(first);
        let mut second = Connection::accept(&listener);
        assert_eq!(second.request(), [b"GET", &b"d"[..]]);
        second.answer("$1\r\nd\r\n");
    })
    .await;
    let (a, b, c) = tokio::join!(client.get(b"a"), client.get(b"b"), client.get(b"c"));
    assert_eq!(a, Ok(Some(Bytes::from("a"))));
    assert!(in_doubt(b) && in_doubt(c));
    // Queued while the connection is down, or on the next one: it does not matter.
    assert_eq!(client.get(b"d").await, Ok(Some(Bytes::from("d"))));
    server.join().unwrap();
}

#[tokio::test]
async fn a_request_that_was_half_written_is_answered_on_the_next_connection() {
    let long = vec![b'x'; 7 << 20];
    let expected = Bytes::from(long.clone());
    let (client, server, _) = open(move |listener| {
        let mut first = Connection::accept(&listener);
        assert_eq!(first.request(), [b"GET", &b"a"[..]]);
        drop(first);
        let mut second = Connection::accept(&listener);
        assert_eq!(second.request(), [&b"SET"[..], b"long", &expected]);
        second.answer("+OK\r\n");
        assert_eq!(second.request(), [b"GET", &b"b"[..]]);
        second.answer("$1\r\nb\r\n");
    })
    .await;
    let (a, long, b) = tokio::join!(client.get(b"a"), client.set(b"long", &long), client.get(b"b"));
    assert!(in_doubt(a));
    assert_eq!(long, Ok(()));
    assert_eq!(b, Ok(Some(Bytes::from("b"))));
    server.join().unwrap();
}

#[tokio::test]
async fn a_reply_that_nobody_asked_for_ends_the_client() {
    let (client, server, reading) = open(move |listener| {
        let mut only = Connection::accept(&listener);
        assert_eq!(only.request(), [b"GET", &b"a"[..]]);
        only.answer("$1\r\na\r\n$1\r\nb\r\n");
    })
    .await;
    assert_eq!(client.get(b"a").await, Ok(Some(Bytes::from("a"))));
    reading.await.unwrap();
    assert_eq!(client.get(b"b").await, Err(Error::Refused(Refusal::Closed)));
    server.join().unwrap();
}

#[tokio::test]
async fn a_request_given_up_leaves_the_others_their_replies() {
    let (asked, it_came) = smol::channel::bounded(1);
    let (client, server, _) = open(move |listener| {
        let mut only = Connection::accept(&listener);
        assert_eq!(only.request(), [b"GET", &b"a"[..]]);
        asked.send_blocking(()).unwrap();
        assert_eq!(only.request(), [b"GET", &b"b"[..]]);
        only.answer("$1\r\na\r\n$1\r\nb\r\n");
    })
    .await;
    tokio::select! {
        biased;
        a = client.get(b"a") => panic!("{a:?} before the server answered"),
        _ = it_came.recv() => {}
    }
    assert_eq!(client.get(b"b").await, Ok(Some(Bytes::from("b"))));
    server.join().unwrap();
}

#[tokio::test]
async fn the_last_client_takes_the_connection_with_it() {
    let (client, server, reading) = open(move |listener| {
        let mut only = Connection::accept(&listener);
        assert!(only.is_left());
    })
    .await;
    let other = client.clone();
    drop(client);
    drop(other);
    reading.await.unwrap();
    server.join().unwrap();
}

#[tokio::test]
async fn a_reader_that_is_dropped_leaves_nobody_waiting() {
    let (asked, it_came) = smol::channel::bounded(1);
    let (client, server, reading) = open(move |listener| {
        let mut only = Connection::accept(&listener);
        assert_eq!(only.request(), [b"GET", &b"a"[..]]);
        asked.send_blocking(()).unwrap();
        assert!(only.is_left());
    })
    .await;
    let (a, ()) = tokio::join!(client.get(b"a"), async {
        it_came.recv().await.unwrap();
        reading.abort();
    });
    assert!(in_doubt(a));
    server.join().unwrap();
}
