//! Many tasks share one connection to redis: each sets and gets a key of its own, again and
//! again. The client is in `client`, to be read and taken.

mod client;
mod server;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rebelay::Certainty;

use crate::client::Client;
use crate::server::RedisServer;

const HELP: &str = "\
Sets and gets keys on a redis server from many tasks over one connection, and checks that every
reply reached the task that asked.

Usage: cargo run --release --example resp -- [OPTIONS] [ADDRESS]

  ADDRESS       a server that runs already, as 127.0.0.1:6379; without it a redis-server is
                started on a free port, which has to be in the PATH (Debian: redis-server)
  --tasks N     how many tasks; default 1000
  --rounds N    how often each of them sets and gets its key; default 200
  --kill        kill and restart the server, which forgets everything, ten times meanwhile
  --help        this text

Exits with 1 if a reply reached a wrong task, or without --kill if a request failed; with 2 if
it could not run.";

const KILLS: usize = 10;
const LIFE: Duration = Duration::from_millis(200);

struct Options {
    address: Option<SocketAddr>,
    tasks: usize,
    rounds: usize,
    kill: bool,
}

/// What became of the requests.
#[derive(Copy, Clone, Debug, Default)]
struct Count {
    answered: u64,
    in_doubt: u64,
    not_sent: u64,
    /// Answered by an error of the server.
    errors: u64,
    /// A reply that cannot be the request's own.
    wrong: u64,
}

fn main() -> ExitCode {
    let code = match parse() {
        Ok(Some(options)) => run(&options),
        Ok(None) => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error),
    };
    code.unwrap_or_else(|error| {
        eprintln!("resp: {error}");
        ExitCode::from(2)
    })
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let server = match options.address {
        Some(_) => None,
        None => Some(RedisServer::start()?.ok_or(
            "redis-server is not in the PATH; install it (Debian: apt install redis-server), \
             or give the address of a server that runs",
        )?),
    };
    let started = server.as_ref().map(RedisServer::address);
    let address = options.address.or(started).ok_or("there is no server")?;
    let (server, killer) = match server {
        Some(server) if options.kill => (None, Some(thread::spawn(|| kill(server)))),
        server => (server, None),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let start = Instant::now();
    let mut count = Count::default();
    loop {
        count += runtime.block_on(share(address, options))?;
        if killer.as_ref().is_none_or(JoinHandle::is_finished) {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    // Up to here there was a server, but for the moments after a kill.
    drop(server);
    if let Some(killer) = killer {
        killer.join().map_err(|_| "the thread that kills the server panicked")?;
    }

    let total = count.answered + count.in_doubt + count.not_sent + count.errors + count.wrong;
    println!("{total} requests in {seconds:.2} s, {:.0}/s", total as f64 / seconds);
    println!("  {:>10} answered", count.answered);
    println!("  {:>10} failed, and the server may have carried them out", count.in_doubt);
    println!("  {:>10} failed, and the server never had them", count.not_sent);
    println!("  {:>10} answered with an error", count.errors);
    println!("  {:>10} replies that reached a wrong task", count.wrong);
    let failed = count.in_doubt + count.not_sent + count.errors;
    let broken = count.wrong > 0 || (failed > 0 && !options.kill);
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All tasks, over one connection.
async fn share(address: SocketAddr, options: &Options) -> Result<Count, Box<dyn Error>> {
    let mut config = client::config();
    // The server is back within milliseconds, and there is no herd to spread.
    config.connection.backoff.max = Duration::from_millis(100);
    let (sender, receiver) = rebelay::tokio::connect(address, config).await?;
    let (client, reading) = Client::new(sender, receiver);
    tokio::spawn(reading);
    let work = |task| tokio::spawn(set_and_get(client.clone(), task, options.rounds));
    let tasks: Vec<_> = (0..options.tasks).map(work).collect();
    let mut count = Count::default();
    for task in tasks {
        count += task.await?;
    }
    Ok(count)
}

/// One task: its value contains its key, so that a reply to somebody else's request shows.
async fn set_and_get(client: Client, task: usize, rounds: usize) -> Count {
    let key = format!("key:{task}:");
    let mut count = Count::default();
    for round in 0..rounds {
        let value = format!("{key}{round}");
        let set = client.set(key.as_bytes(), value.as_bytes()).await;
        let is_set = set.is_ok();
        count.add(set.map(|()| true));
        let got = client.get(key.as_bytes()).await;
        count.add(got.map(|got| match got {
            // What was in doubt may have come before a kill, or not.
            Some(got) => got.starts_with(key.as_bytes()) && (!is_set || got == value),
            None => true,
        }));
    }
    count
}

/// Kills the server again and again; it comes back at the same address. Returns the last one.
fn kill(mut server: RedisServer) -> RedisServer {
    for _ in 0..KILLS {
        thread::sleep(LIFE);
        let address = server.address();
        drop(server);
        server = RedisServer::start_at(address).unwrap_or_else(|error| {
            // Without a server the tasks would wait for ever.
            eprintln!("resp: redis-server did not come back at {address}: {error}");
            std::process::exit(2)
        });
    }
    server
}

impl Count {
    /// One request; `Ok(false)`: the reply cannot be its own.
    fn add(&mut self, result: Result<bool, client::Error>) {
        let count = match result {
            Ok(true) => &mut self.answered,
            Ok(false) => &mut self.wrong,
            Err(client::Error::Refused(_)) => &mut self.not_sent,
            Err(client::Error::Unanswered { certainty: Certainty::NotSent, .. }) => {
                &mut self.not_sent
            }
            Err(client::Error::Unanswered { .. }) => &mut self.in_doubt,
            Err(client::Error::Unexpected(client::Reply::Error(_))) => &mut self.errors,
            Err(client::Error::Unexpected(_)) => &mut self.wrong,
        };
        *count += 1;
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        self.in_doubt += other.in_doubt;
        self.not_sent += other.not_sent;
        self.errors += other.errors;
        self.wrong += other.wrong;
    }
}

/// `None`: help was asked for.
fn parse() -> Result<Option<Options>, Box<dyn Error>> {
    use lexopt::prelude::{Long, Short, Value, ValueExt};

    let mut options = Options { address: None, tasks: 1_000, rounds: 200, kill: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("tasks") => options.tasks = parser.value()?.parse()?,
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("kill") => options.kill = true,
            Value(address) if options.address.is_none() => {
                let text = address.string()?;
                options.address = Some(text.parse().map_err(|_| {
                    format!("ADDRESS is {text:?}; allowed: an IP address and port")
                })?);
            }
            Short(_) | Long(_) | Value(_) => return Err(argument.unexpected().into()),
        }
    }
    if options.kill && options.address.is_some() {
        return Err("--kill is for a server that this program starts; leave out ADDRESS".into());
    }
    Ok(Some(options))
}
