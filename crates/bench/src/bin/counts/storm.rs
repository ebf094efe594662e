//! The reconnect storm: the server of thousands of connections is killed and started again.
//!
//! There are two outages: one while nothing is to be sent, as for the loops that ours is compared
//! with, and one with messages queued. Every connection sends numbered messages before, between,
//! during and after them, each to be resent until its echo acknowledges it. In each epoch the echoes must count up by one from a
//! number that is not above the next expected: nothing lost, nothing out of order, nothing twice
//! but what was sent again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rebelay::{Config, Item, Jitter, Receiver, Resend, Sender, Ticket};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use crate::server::Port;
use crate::{Result, process};

const CONNECTIONS: usize = 5_000;
const ROUNDS: usize = 3;
const OUTAGE: Duration = Duration::from_millis(300);

/// Messages of each connection at a time.
const MESSAGES: u64 = 4;

pub(crate) fn report() -> Result<()> {
    println!(
        "storm: ms until {CONNECTIONS} connections are up after {} ms without a server",
        OUTAGE.as_millis()
    );
    println!("rebelay with messages queued, rebelay without, a loop with the same waits,");
    println!("plain connects (the second as multiple of the last two)");
    println!("{:<28}{:>32}{:>32}", "", "tokio current", "tokio multi");
    for waits in ["short", "default"] {
        for jitter in ["off", "on"] {
            print!("{:<28}", format!("{waits} waits, jitter {jitter}"));
            for flavour in ["current", "multi"] {
                let figures = process::output("storm", &[waits, jitter, flavour])?;
                print!("{:>32}", figures.trim());
            }
            println!();
        }
    }
    println!("short waits: 10 to 50 ms; default: 100 ms to 30 s; nothing lost or out of order");
    Ok(())
}

pub(crate) fn run(words: &[&str]) -> Result<()> {
    let [waits, jitter, flavour] = words else { return Err("waits, jitter, flavour".into()) };
    let mut config = Config::default();
    config.connection.resend = Resend::Unacked;
    if *jitter == "off" {
        config.connection.backoff.jitter = Jitter::None;
    }
    if *waits == "short" {
        config.connection.backoff.initial = Duration::from_millis(10);
        config.connection.backoff.max = Duration::from_millis(50);
    }
    process::runtime(flavour)?.block_on(async { tokio::spawn(compare(config)).await? })
}

/// Prints the medians, and ours as a multiple of both others.
async fn compare(config: Config) -> Result<()> {
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let port = Port::new()?;
        let (bare, queued) = storm(&port, &config).await?;
        times[0].push(queued);
        times[1].push(bare);
        times[2].push(redial(&port, &config).await?);
        times[3].push(connect(&port).await?);
    }
    let [queued, ours, redialled, connected] = times.map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        times[ROUNDS / 2]
    });
    let ratios = format!("({:.2} {:.2})", ours / redialled, ours / connected);
    println!("{queued:.0} {ours:.0} {redialled:.0} {connected:.0} {ratios}");
    Ok(())
}

fn millis_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// The same outage for tasks that each dial in a loop, with the same waits and nothing to send.
async fn redial(port: &Port, config: &Config) -> Result<f64> {
    let (address, backoff) = (port.address(), config.connection.backoff.clone());
    let jitter = backoff.jitter == Jitter::Full;
    let mut dialling = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (mut wait, longest) = (backoff.initial, backoff.max);
        dialling.spawn(async move {
            loop {
                if let Ok(stream) = TcpStream::connect(address).await {
                    return stream.set_nodelay(true).map(|()| stream);
                }
                let drawn = if jitter { wait.mul_f64(fastrand::f64()) } else { wait };
                tokio::time::sleep(drawn).await;
                wait = (wait * 2).min(longest);
            }
        });
    }
    tokio::time::sleep(OUTAGE).await;
    let _server = port.serve("echo")?;
    join(dialling).await
}

/// Every connection dialled once, to a server that is there.
async fn connect(port: &Port) -> Result<f64> {
    let _server = port.serve("echo")?;
    let address = port.address();
    let mut dialling = JoinSet::new();
    for _ in 0..CONNECTIONS {
        dialling.spawn(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true).map(|()| stream)
        });
    }
    join(dialling).await
}

/// How long it takes from here until all are connected.
async fn join(mut dialling: JoinSet<std::io::Result<TcpStream>>) -> Result<f64> {
    let start = Instant::now();
    let mut streams = Vec::with_capacity(CONNECTIONS);
    while let Some(stream) = dialling.join_next().await {
        streams.push(stream??);
    }
    Ok(millis_since(start))
}

/// What a conversation tells.
enum Report {
    Up,
    Down,
    /// All up to this number came back.
    Echoed(u64),
}

/// How far the conversations have come.
struct Progress {
    reports: UnboundedReceiver<Result<Report>>,
    /// How many are up.
    up: usize,
    /// How many have the echoes up to a number.
    echoed: HashMap<u64, usize>,
}

impl Progress {
    async fn until(&mut self, done: impl Fn(&Self) -> bool) -> Result<()> {
        while !done(self) {
            match self.reports.recv().await.ok_or("all conversations ended")?? {
                Report::Up => self.up += 1,
                Report::Down => self.up -= 1,
                Report::Echoed(number) => *self.echoed.entry(number).or_default() += 1,
            }
        }
        Ok(())
    }

    async fn all_echoed(&mut self, number: u64) -> Result<()> {
        self.until(|progress| progress.echoed.get(&number) == Some(&CONNECTIONS)).await
    }
}

/// The time until all are up again with nothing to send, and with messages that wait.
async fn storm(port: &Port, config: &Config) -> Result<(f64, f64)> {
    let mut server = port.serve("echo")?;
    let (to_reports, reports) = mpsc::unbounded_channel();
    let mut progress = Progress { reports, up: 0, echoed: HashMap::new() };
    let mut senders = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let (sender, receiver) = rebelay::tokio::connect(port.address(), config.clone()).await?;
        let (acknowledging, reports) = (sender.clone(), to_reports.clone());
        tokio::spawn(async move {
            if let Err(error) = converse(acknowledging, receiver, &reports).await {
                // Nobody listens any more if another failed before.
                let _ = reports.send(Err(error));
            }
        });
        senders.push(sender);
    }
    drop(to_reports);
    send(&senders).await?;
    progress.all_echoed(MESSAGES).await?;

    let mut took = [0.0; 2];
    for (outage, queued) in [false, true].into_iter().enumerate() {
        drop(server);
        if queued {
            send(&senders).await?;
        }
        // While the kernel still ends the connections of the killed process, its listener may
        // take new ones, to end them too.
        tokio::time::sleep(OUTAGE).await;
        progress.until(|progress| progress.up == 0).await?;
        server = port.serve("echo")?;
        let start = Instant::now();
        progress.until(|progress| progress.up == CONNECTIONS).await?;
        took[outage] = millis_since(start);
        if !queued {
            send(&senders).await?;
        }
        progress.all_echoed(MESSAGES * (outage as u64 + 2)).await?;
    }
    send(&senders).await?;
    progress.all_echoed(MESSAGES * 4).await?;
    for sender in &senders {
        let ledger = sender.drain(Duration::from_secs(5)).await;
        if (ledger.admitted, ledger.acked, ledger.pending) != (MESSAGES * 4, MESSAGES * 4, 0) {
            return Err(format!("the ledger does not add up: {ledger:?}").into());
        }
    }
    while let Some(report) = progress.reports.recv().await {
        report?;
    }
    let [bare, queued] = took;
    Ok((bare, queued))
}

/// Every connection sends its next messages.
async fn send(senders: &[Sender]) -> Result<()> {
    for sender in senders {
        let first = sender.ledger().admitted + 1;
        for number in first..first + MESSAGES {
            sender.send(number.to_le_bytes().to_vec()).await?;
        }
    }
    Ok(())
}

/// Checks and acknowledges the echoes of one connection until it is closed.
async fn converse(
    sender: Sender,
    mut receiver: Receiver,
    reports: &UnboundedSender<Result<Report>>,
) -> Result<()> {
    let (mut seen, mut previous, mut part) = (0, None, Vec::new());
    while let Some(item) = receiver.recv().await {
        let data = match item {
            Item::Up { .. } => {
                (previous, part) = (None, Vec::new());
                reports.send(Ok(Report::Up))?;
                continue;
            }
            Item::PeerFinished { .. } => continue,
            Item::Down { .. } => {
                reports.send(Ok(Report::Down))?;
                continue;
            }
            Item::Data(data) => data,
        };
        part.extend_from_slice(&data);
        while let Some((number, rest)) = part.split_first_chunk() {
            let number = u64::from_le_bytes(*number);
            let follows = previous.map_or(number <= seen + 1, |last: u64| number == last + 1);
            if !follows {
                let text = format!("echo {number} came after {previous:?}, {seen} seen before");
                return Err(text.into());
            }
            previous = Some(number);
            part = rest.to_vec();
            if number > seen {
                seen = number;
                sender.ack_through(Ticket::from_number(seen));
                if seen % MESSAGES == 0 {
                    reports.send(Ok(Report::Echoed(seen)))?;
                }
            }
        }
    }
    Ok(())
}
