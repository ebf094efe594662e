//! Real connections over loopback, ended in every way: what is said about them is compared with
//! what the peer has received.
#![cfg(any(target_os = "linux", target_os = "android"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rebelay_core::{Evidence, SplitMix64};
use rebelay_evidence::evidence;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// How long a test waits for the other end before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// `SO_RCVBUF` of the peer: much less than the client's kernel takes.
const RECEIVE_BUFFER: usize = 16 << 10;

#[test]
fn a_reset_leaves_proof_of_what_was_not_transmitted() {
    let (mut client, peer) = connected();
    client.fill();
    let before = client.evidence();
    assert!(!before.is_final, "{before:?}");

    let arrived = arrived(&peer);
    drop(peer);
    assert_eq!(client.read_end(), Some(ErrorKind::ConnectionReset));
    let said = client.evidence();
    assert!(said.is_final && said.untransmitted <= before.untransmitted, "{before:?} {said:?}");
    assert!(said.untransmitted > client.taken / 2, "{said:?} of {}", client.taken);
    assert!(arrived <= client.taken - said.untransmitted, "{arrived}, {said:?}");

    client.write_until_it_fails();
    assert_eq!(client.evidence(), said, "it outlives the connection");
}

/// Whenever and however the peer resets the connection, it has not received what is said to be
/// untransmitted.
#[test]
fn no_peer_receives_what_is_untransmitted() {
    let mut random = Random::new();
    for run in 0..300 {
        let (mut client, peer) = connected();
        let mut ending = random.fork();
        match run % 3 {
            // The client's kernel is full before the peer reads anything.
            0 => {
                client.fill();
                let received = read_some_and_reset(peer, 32 << 10, &mut ending);
                assert_eq!(client.read_end(), Some(ErrorKind::ConnectionReset), "run {run}");
                let said = client.check_final(received, 0, run);
                assert!(said.untransmitted > 0, "run {run}: {said:?}, {received} received");
            }
            // The client goes on writing until it learns of the reset.
            1 => {
                let peer = thread::spawn(move || read_some_and_reset(peer, 1 << 20, &mut ending));
                while client.write(random.up_to(64 << 10)).is_ok() {}
                client.check_final(peer.join().unwrap(), 0, run);
            }
            // The client has written all it had, and perhaps said so.
            _ => {
                let all = random.up_to(128 << 10);
                let fin = random.up_to(1);
                let peer = thread::spawn(move || read_some_and_reset(peer, all, &mut ending));
                while client.taken < all {
                    let left = all - client.taken;
                    // The peer may have ended it meanwhile.
                    if client.write(random.up_to(16 << 10).min(left)).is_err() {
                        break;
                    }
                }
                if fin == 1 {
                    // Fails if the connection is over.
                    let _ = client.stream.shutdown(Shutdown::Write);
                }
                client.read_end();
                client.check_final(peer.join().unwrap(), fin, run);
            }
        }
    }
}

#[test]
fn a_connection_that_the_peer_closed_is_not_over() {
    let (mut client, mut peer) = connected();
    client.write(10_000).unwrap();
    peer.read_exact(&mut [0; 10_000]).unwrap();
    drop(peer);
    assert_eq!(client.read_end(), None);
    assert_eq!(client.evidence(), Evidence { untransmitted: 0, is_final: false });
}

#[test]
fn a_connection_that_both_ends_closed_is_over() {
    let (mut client, mut peer) = connected();
    client.write(10_000).unwrap();
    client.stream.shutdown(Shutdown::Write).unwrap();
    peer.read_to_end(&mut Vec::new()).unwrap();
    drop(peer);
    assert_eq!(client.read_end(), None);
    assert_eq!(client.evidence(), Evidence { untransmitted: 0, is_final: true });
}

#[test]
fn a_reset_after_the_peers_fin_is_final_too() {
    let (mut client, peer) = connected();
    client.fill();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read_end(), None);
    assert!(!client.evidence().is_final);

    let arrived = arrived(&peer);
    reset(peer);
    client.write_until_it_fails();
    let said = client.check_final(arrived, 0, 0);
    assert!(said.untransmitted > 0, "{said:?}");
}

/// A FIN that waits behind the bytes counts as one of them. What waits can be transmitted
/// between two looks at it, which is seldom: hence several attempts.
#[test]
fn a_fin_that_waits_counts_as_one_byte() {
    let counted = (0..10).any(|_| {
        let (mut client, peer) = connected();
        client.fill();
        let without = client.evidence().untransmitted;
        client.stream.shutdown(Shutdown::Write).unwrap();
        let with = client.evidence().untransmitted;
        assert!(with <= without + 1, "{without}, then {with}");

        reset(peer);
        assert_eq!(client.read_end(), Some(ErrorKind::ConnectionReset));
        let said = client.evidence();
        assert!(said.is_final && said.untransmitted <= with, "{with}, then {said:?}");
        said.untransmitted == without + 1
    });
    assert!(counted);
}

#[test]
fn a_connection_that_timed_out_is_over() {
    let (mut client, peer) = connected();
    let timeout = Some(Duration::from_millis(500));
    SockRef::from(&client.stream).set_tcp_user_timeout(timeout).unwrap();
    client.fill();
    assert_eq!(client.read_end(), Some(ErrorKind::TimedOut));
    let said = client.check_final(arrived(&peer), 0, 0);
    assert!(said.untransmitted > 0, "{said:?}");
}

/// A cork holds them back, for 200 ms at most: hence several attempts.
#[test]
fn bytes_that_wait_are_counted_one_by_one() {
    let counted = (0..10).any(|_| {
        let (mut client, _peer) = connected();
        SockRef::from(&client.stream).set_tcp_cork(true).unwrap();
        client.write(100).unwrap();
        client.evidence() == Evidence { untransmitted: 100, is_final: false }
    });
    assert!(counted);
}

#[test]
fn an_idle_connection_has_transmitted_everything() {
    let (client, _peer) = connected();
    assert_eq!(client.evidence(), Evidence { untransmitted: 0, is_final: false });
}

#[test]
fn there_is_no_evidence_about_other_sockets() {
    assert_eq!(evidence(UnixStream::pair().unwrap().0), None);
    assert_eq!(evidence(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()), None);
}

#[test]
fn there_is_no_evidence_without_a_connection() {
    let closed = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    closed.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    assert_eq!(evidence(&socket), None);
    // The kernel undoes what it began, and its counters with it.
    let refused = socket.connect(&closed.local_addr().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(evidence(&socket), None);
}

#[test]
fn there_is_no_evidence_about_one_path_of_several() {
    if Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP)).is_err() {
        eprintln!("not tested: this kernel has no multipath TCP");
        return;
    }
    let (client, _peer) = connected_over(Protocol::MPTCP);
    assert_eq!(evidence(&client.stream), None);
}

/// The end under test.
struct Client {
    stream: TcpStream,
    /// How many bytes the socket took.
    taken: u64,
}

impl Client {
    fn evidence(&self) -> Evidence {
        evidence(&self.stream).expect("Linux 4.6 or later")
    }

    /// Writes until the socket takes no more.
    fn fill(&mut self) {
        self.stream.set_nonblocking(true).unwrap();
        let full = loop {
            if let Err(error) = self.write(64 << 10) {
                break error;
            }
        };
        assert_eq!(full, ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).unwrap();
    }

    fn write_until_it_fails(&mut self) {
        while self.write(1).is_ok() {}
    }

    /// Writes once, up to `len` bytes. A blocking write that takes too long fails the test.
    fn write(&mut self, len: u64) -> Result<(), ErrorKind> {
        let bytes = vec![0x5A; usize::try_from(len).unwrap()];
        let written = self.stream.write(&bytes).map_err(|error| error.kind());
        self.taken += written? as u64;
        Ok(())
    }

    /// Waits for the end of reading: the error that ended it, or `None` for a FIN.
    fn read_end(&mut self) -> Option<ErrorKind> {
        match self.stream.read(&mut [0]) {
            Ok(len) => {
                assert_eq!(len, 0, "peers do not write");
                None
            }
            Err(error) => Some(error.kind()),
        }
    }

    /// Checks what is said after the end against what the peer `received`, where `fin` bytes of
    /// those that were not transmitted may have been a FIN.
    fn check_final(&self, received: u64, fin: u64, run: u64) -> Evidence {
        let said = self.evidence();
        let taken = self.taken;
        assert!(said.is_final, "run {run}: {said:?}");
        assert!(
            received + said.untransmitted <= taken + fin,
            "run {run}: {received} received, {said:?} of {taken}"
        );
        said
    }
}

fn connected() -> (Client, TcpStream) {
    connected_over(Protocol::TCP)
}

fn connected_over(protocol: Protocol) -> (Client, TcpStream) {
    let new = || Socket::new(Domain::IPV4, Type::STREAM, Some(protocol)).unwrap();
    let (listener, client) = (new(), new());
    listener.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(1).unwrap();
    client.connect(&listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    for socket in [&client, &peer] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    (Client { stream: client.into(), taken: 0 }, peer.into())
}

/// Reads up to `most` bytes in random pieces, then resets the connection. Gives how many bytes
/// have arrived until then, read or not.
fn read_some_and_reset(mut peer: TcpStream, most: u64, random: &mut SplitMix64) -> u64 {
    let mut left = random.up_to(most);
    let mut read = 0;
    while left > 0 {
        let piece = (1 + random.up_to(20 << 10)).min(left);
        let mut bytes = vec![0; usize::try_from(piece).unwrap()];
        let len = peer.read(&mut bytes).unwrap() as u64;
        assert!(len > 0, "the client wrote enough");
        left -= len;
        read += len;
    }
    let unread = arrived(&peer);
    reset(peer);
    read + unread
}

/// How many bytes wait for the peer's program. They are left there, so that its window does not
/// open.
fn arrived(peer: &TcpStream) -> u64 {
    peer.set_nonblocking(true).unwrap();
    match peer.peek(&mut vec![0; 1 << 20]) {
        Ok(len) => len as u64,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            0
        }
    }
}

fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
}

/// Random numbers from a seed that is told when the test fails. `REBELAY_SEED` in the environment
/// replays it, as far as threads and kernel do the same again.
struct Random {
    seed: u64,
    numbers: SplitMix64,
}

impl Random {
    fn new() -> Self {
        let seed = match std::env::var("REBELAY_SEED") {
            Ok(seed) => seed.parse().expect("REBELAY_SEED is a number"),
            Err(_) => RandomState::new().hash_one(0),
        };
        Self { seed, numbers: SplitMix64::new(seed) }
    }

    /// A number from 0 to `max`.
    fn up_to(&mut self, max: u64) -> u64 {
        self.numbers.up_to(max)
    }

    /// Numbers for another thread.
    fn fork(&mut self) -> SplitMix64 {
        SplitMix64::new(self.numbers.next_u64())
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("replay with REBELAY_SEED={}", self.seed);
        }
    }
}
