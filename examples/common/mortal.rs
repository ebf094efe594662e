//! A server that is killed and started again at one address, and the disk that outlives it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rebelay::core::SplitMix64;
use socket2::{Domain, Protocol, Socket, Type};

/// When it dies, and what it can hold.
pub(crate) struct Plan {
    /// How often it is killed. The life after that has no end.
    pub(crate) kills: usize,
    /// The most messages that it takes in a life that ends with a kill.
    pub(crate) longest_life: u64,
    /// What `SO_RCVBUF` of its sockets is set to.
    pub(crate) receive_buffer: usize,
    /// Where the moments come from.
    pub(crate) seed: u64,
}

/// How long it may live yet.
pub(crate) struct Life {
    /// Messages until it is killed; `None`: it is not.
    left: Option<u64>,
    /// For whatever else is left to chance.
    pub(crate) rng: SplitMix64,
}

/// How a connection ended.
#[derive(PartialEq)]
pub(crate) enum End {
    /// With the server.
    Killed,
    /// The client ended it.
    Left,
}

/// A running server that keeps a `Disk`.
pub(crate) struct Mortal<Disk> {
    pub(crate) address: SocketAddr,
    pub(crate) disk: Arc<Mutex<Disk>>,
    /// How often it was killed so far.
    pub(crate) kills: Arc<AtomicUsize>,
    /// No client will come any more.
    over: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
}

impl<Disk: Default + Send + 'static> Mortal<Disk> {
    /// Starts on a free port. `serve` talks to one client at a time, and kills the connection by
    /// itself if the life is over.
    pub(crate) fn start(
        plan: Plan,
        disk: Disk,
        mut serve: impl FnMut(&TcpStream, &Mutex<Disk>, &mut Life) -> io::Result<End> + Send + 'static,
    ) -> io::Result<Self> {
        // Holds the port while the server is dead.
        let port = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = TcpListener::from(port.try_clone()?).local_addr()?;
        let disk = Arc::new(Mutex::new(disk));
        let (kills, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (kept, count, flag) = (Arc::clone(&disk), Arc::clone(&kills), Arc::clone(&over));
        let thread = thread::spawn(move || {
            let mut life = Life { left: None, rng: SplitMix64::new(plan.seed) };
            for _ in 0..plan.kills {
                life.left = Some(1 + life.rng.up_to(plan.longest_life.max(1) - 1));
                let mut serve = |stream: &TcpStream| serve(stream, &kept, &mut life);
                if !live(address, plan.receive_buffer, &flag, &mut serve)? {
                    return Ok(());
                }
                count.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(life.rng.up_to(4)));
            }
            life.left = None;
            let mut serve = |stream: &TcpStream| serve(stream, &kept, &mut life);
            live(address, plan.receive_buffer, &flag, &mut serve)?;
            drop(port);
            Ok(())
        });
        Ok(Self { address, disk, kills, over, thread })
    }

    /// Waits until the last connection is read to its end; the client must be closed. The disk,
    /// and how often the server was killed.
    pub(crate) fn join(self) -> io::Result<(Disk, usize)> {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the server out of whatever life still waits for a connection.
        while !self.thread.is_finished() {
            drop(TcpStream::connect_timeout(&self.address, Duration::from_millis(10)));
            thread::sleep(Duration::from_millis(1));
        }
        let end = self.thread.join().map_err(|_| io::Error::other("the server panicked"))?;
        end?;
        let disk = std::mem::take(&mut *lock(&self.disk));
        Ok((disk, self.kills.load(Ordering::SeqCst)))
    }
}

impl Life {
    /// A message was taken.
    pub(crate) fn spend(&mut self) {
        self.left = self.left.map(|left| left.saturating_sub(1));
    }

    /// Whether the server is to be killed.
    pub(crate) fn is_over(&self) -> bool {
        self.left == Some(0)
    }
}

/// The server's life, from its start to its kill; `false`: to the last client's end.
fn live(
    address: SocketAddr,
    receive_buffer: usize,
    over: &AtomicBool,
    serve: &mut impl FnMut(&TcpStream) -> io::Result<End>,
) -> io::Result<bool> {
    let socket = bind(address)?;
    socket.set_recv_buffer_size(receive_buffer)?;
    socket.listen(16)?;
    let listener = TcpListener::from(socket);
    loop {
        let (stream, _) = listener.accept()?;
        match serve(&stream) {
            Ok(End::Killed) => return Ok(true),
            _ if over.load(Ordering::SeqCst) => return Ok(false),
            Ok(End::Left) | Err(_) => {}
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// The disk, also after a panic of the server.
pub(crate) fn lock<Disk>(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}
