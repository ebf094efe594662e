//! A TCP server under the test's control: it can refuse, cut, stall, be killed with unread bytes
//! in its buffers, and come back on the same port.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// How long a test waits for the server to see something before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a thread of the server looks whether it was killed.
const LOOK: Duration = Duration::from_millis(5);

/// How a connection is ended.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Cut {
    /// Politely.
    Fin,
    /// With a reset, which throws away what is under way.
    Rst,
}

type Script = Arc<dyn Fn(&mut Peer) -> io::Result<()> + Send + Sync>;

/// The server; dropping it stops it.
pub struct Server {
    address: SocketAddr,
    /// Holds the port while nobody listens, so that nobody else gets it meanwhile, a dialling
    /// client's own end included.
    _port: Socket,
    script: Script,
    seen: Arc<Seen>,
    running: Option<Running>,
}

struct Running {
    closed: Arc<AtomicBool>,
    killed: Arc<AtomicBool>,
    acceptor: JoinHandle<Vec<JoinHandle<()>>>,
}

/// What the server has seen so far.
#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    /// Connections whose script is over and whose socket is closed.
    ended: AtomicUsize,
    received: Mutex<BTreeMap<usize, Vec<u8>>>,
    more: Condvar,
}

/// The server's end of one connection.
pub struct Peer {
    /// Which connection this is, from 1, counted over restarts.
    pub number: usize,
    stream: TcpStream,
    killed: Arc<AtomicBool>,
    seen: Arc<Seen>,
}

impl Server {
    /// Listens on a free port of the loopback; each connection is a thread that runs `script`
    /// and then closes with a FIN.
    pub fn start(script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let port = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = port.local_addr().unwrap().as_socket().unwrap();
        let mut server = Self {
            address,
            _port: port,
            script: Arc::new(script),
            seen: Arc::default(),
            running: None,
        };
        server.restart();
        server
    }

    /// A server that does not listen before [`restart`](Self::restart).
    pub fn down(script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let mut server = Self::start(script);
        server.kill();
        server
    }

    /// The address to dial; nobody listens there after [`kill`](Self::kill).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and resets every connection, with whatever is unread.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            // The listener goes first: a client that comes back at once is refused, not taken and
            // reset.
            running.closed.store(true, Ordering::SeqCst);
            // Wakes the acceptor.
            let _ = TcpStream::connect(self.address);
            let peers = running.acceptor.join().unwrap();
            running.killed.store(true, Ordering::SeqCst);
            for peer in peers {
                peer.join().unwrap();
            }
        }
    }

    /// Listens again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        let listener = bind(self.address);
        listener.listen(1_024).unwrap();
        let listener = TcpListener::from(listener);
        let (closed, killed) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (script, seen) = (Arc::clone(&self.script), Arc::clone(&self.seen));
        let flags = (Arc::clone(&closed), Arc::clone(&killed));
        let acceptor = thread::spawn(move || accept(&listener, &script, &seen, &flags));
        self.running = Some(Running { closed, killed, acceptor });
    }

    /// How many connections were accepted, over restarts.
    pub fn accepted(&self) -> usize {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    /// What connection `number` received so far.
    pub fn received(&self, number: usize) -> Vec<u8> {
        self.seen.lock().get(&number).cloned().unwrap_or_default()
    }

    /// What all connections received so far, one after the other.
    pub fn received_in_all(&self) -> Vec<u8> {
        self.seen.lock().values().flatten().copied().collect()
    }

    /// Waits until `condition` holds of what each connection received. It does not block the
    /// thread, on which the client's driver may be running.
    pub async fn saw(
        &self,
        condition: impl Fn(&BTreeMap<usize, Vec<u8>>) -> bool + Send + 'static,
    ) {
        let seen = Arc::clone(&self.seen);
        smol::unblock(move || seen.wait(|_, received| condition(received))).await;
    }

    /// Waits until connection `number` received exactly `expected`, or more than that.
    pub async fn got(&self, number: usize, expected: &[u8]) {
        let count = expected.len();
        self.saw(move |seen| seen.get(&number).is_some_and(|bytes| bytes.len() >= count)).await;
        assert_eq!(self.received(number), expected, "on connection {number}");
    }

    /// Waits until the server closed `count` connections.
    pub async fn ended(&self, count: usize) {
        let seen = Arc::clone(&self.seen);
        smol::unblock(move || seen.wait(|ended, _| ended >= count)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Peer {
    /// Sends everything back until the client closes.
    pub fn echo(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = self.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            self.write(&buffer[..count])?;
        }
    }

    /// Reads until the client closes.
    pub fn keep(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while self.read(&mut buffer)? > 0 {}
        Ok(())
    }

    /// Reads `count` bytes exactly.
    pub fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut taken = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.read(&mut taken[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => filled += more,
            }
        }
        Ok(taken)
    }

    /// Reads `count` bytes exactly, then ends the connection.
    pub fn cut_after(&mut self, count: usize, how: Cut) -> io::Result<()> {
        self.take(count)?;
        self.cut(how)
    }

    /// Ends the connection when the script returns, in this way.
    pub fn cut(&mut self, how: Cut) -> io::Result<()> {
        let linger = (how == Cut::Rst).then_some(Duration::ZERO);
        SockRef::from(&self.stream).set_linger(linger)
    }

    /// Sends a FIN; reading goes on.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Writes without end, whoever reads, and reads until the client closes.
    pub fn flood(&mut self) -> io::Result<()> {
        let stream = self.stream.try_clone()?;
        let (killed, seen) = (Arc::clone(&self.killed), Arc::clone(&self.seen));
        let mut writer = Self { number: self.number, stream, killed, seen };
        let flood = thread::spawn(move || while writer.write(&[0xF0; 16 << 10]).is_ok() {});
        let kept = self.keep();
        // The writer may be blocked for ever.
        let _ = self.stream.shutdown(Shutdown::Both);
        flood.join().unwrap();
        kept
    }

    /// The client's end.
    pub fn client(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Waits until the client's kernel has everything that was written: a reset could overtake
    /// it otherwise, because the two may take different processors' queues.
    pub fn delivered(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            let ours = format!(":{:04X}", self.stream.local_addr()?.port());
            let theirs = format!(":{:04X}", self.client()?.port());
            let is_unsent = |line: &str| {
                let mut fields = line.split_whitespace().skip(1);
                let mut next = || fields.next().unwrap_or_default();
                let (local, remote, _state, queues) = (next(), next(), next(), next());
                local.ends_with(&ours)
                    && remote.ends_with(&theirs)
                    && !queues.starts_with("00000000:")
            };
            while std::fs::read_to_string("/proc/net/tcp")?.lines().any(is_unsent) {
                thread::park_timeout(LOOK);
            }
        }
        Ok(())
    }

    /// Neither reads nor closes until the server is killed.
    pub fn stall(&mut self) -> io::Result<()> {
        while !self.killed.load(Ordering::SeqCst) {
            thread::park_timeout(LOOK);
        }
        self.cut(Cut::Rst)
    }

    /// Reads once; 0: the client closed.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.killed.load(Ordering::SeqCst) {
                self.cut(Cut::Rst)?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match self.stream.read(buffer) {
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    let mut received = self.seen.lock();
                    received.entry(self.number).or_default().extend_from_slice(&buffer[..count]);
                    self.seen.more.notify_all();
                    return Ok(count);
                }
            }
        }
    }

    /// Writes all of `bytes`.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Err(error) if is_timeout(&error) => {
                    if self.killed.load(Ordering::SeqCst) {
                        self.cut(Cut::Rst)?;
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
                Err(error) => return Err(error),
                Ok(count) => bytes = &bytes[count..],
            }
        }
        Ok(())
    }
}

impl Seen {
    fn wait(&self, condition: impl Fn(usize, &BTreeMap<usize, Vec<u8>>) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut received = self.lock();
        while !condition(self.ended.load(Ordering::SeqCst), &received) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the server never saw it");
            received = self.more.wait_timeout(received, left).unwrap().0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<u8>>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(
    listener: &TcpListener,
    script: &Script,
    seen: &Arc<Seen>,
    (closed, killed): &(Arc<AtomicBool>, Arc<AtomicBool>),
) -> Vec<JoinHandle<()>> {
    let mut peers = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if closed.load(Ordering::SeqCst) {
            break;
        }
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LOOK)).unwrap();
        stream.set_write_timeout(Some(LOOK)).unwrap();
        let number = seen.accepted.fetch_add(1, Ordering::SeqCst) + 1;
        seen.lock().insert(number, Vec::new());
        seen.more.notify_all();
        let (killed, seen) = (Arc::clone(killed), Arc::clone(seen));
        let mut peer = Peer { number, stream, killed, seen: Arc::clone(&seen) };
        let script = Arc::clone(script);
        peers.push(thread::spawn(move || {
            // How a connection ended is the client's to find out.
            let _ = script(&mut peer);
            drop(peer);
            let _lock = seen.lock();
            seen.ended.fetch_add(1, Ordering::SeqCst);
            seen.more.notify_all();
        }));
    }
    peers
}

fn bind(address: SocketAddr) -> Socket {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    #[cfg(unix)]
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

fn is_timeout(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut, io::ErrorKind::Interrupted]
        .contains(&error.kind())
}
