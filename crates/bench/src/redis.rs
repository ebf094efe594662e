//! Many tasks share one connection to a redis-server, which is started for it: the RESP client of
//! `examples/resp` beside redis-rs and fred. Each task sets and gets a key of its own and awaits
//! each reply; that there are many of them is what fills the pipeline.

mod peers;
#[path = "../../../examples/resp/client/mod.rs"]
mod resp;
#[path = "../../../examples/resp/server.rs"]
mod server;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use self::peers::Store;
use self::server::RedisServer;
use crate::options::Options;
use crate::os::cpu_time_of_all;
use crate::report::{Better, Case, Metric};
use crate::runtime::{Result, Runtime};

const NAME: &str = "RESP on redis, 1,000 tasks";
const TASKS: usize = 1_000;

const RATE: Metric = Metric { name: "requests/s", unit: "/s", better: Better::Higher };
/// Of this process on all its cores; the server is another one.
const CPU: Metric = Metric { name: "CPU a request", unit: "s", better: Better::Lower };

/// Who talks to the server.
#[derive(Copy, Clone, Debug, PartialEq)]
enum Peer {
    /// The multiplexed connection of redis-rs, without its time limit for replies.
    RedisRs,
    /// fred, which pipelines by itself.
    Fred,
    /// The client of `examples/resp`.
    Ours,
}

/// Does what `options` ask for; nothing, and a line that says so, where there is no redis-server.
pub(crate) fn run(options: &Options) -> Result<Vec<Case>> {
    let runtimes = [Runtime::TokioCurrent, Runtime::TokioMulti];
    let wanted = |runtime: &Runtime| options.wants(&format!("{NAME}, {}", runtime.name()));
    let runtimes: Vec<_> = runtimes.into_iter().filter(wanted).collect();
    let peers: Vec<_> =
        Peer::ALL.into_iter().filter(|peer| options.wants_peer(peer.name())).collect();
    if runtimes.is_empty() || peers.is_empty() {
        return Ok(Vec::new());
    }
    let Some(server) = RedisServer::start()? else {
        eprintln!("{NAME}: skipped, there is no redis-server (Debian: apt install redis-server)");
        return Ok(Vec::new());
    };
    let times = if options.quick { 25 } else { 100 };
    let mut cases = Vec::new();
    for runtime in runtimes {
        let mut case = Case::new(NAME, runtime.name(), &["redis-rs", "fred"]);
        let mut peers = peers.clone();
        for _ in 0..options.rounds {
            for &peer in &peers {
                let address = server.address();
                // A thread of its own, as a user's would be.
                let measuring = thread::spawn(move || runtime.run(peer.run(times, address)));
                let done = measuring.join().map_err(|_| "a measurement panicked")??;
                let requests = (TASKS * times * 2) as f64;
                case.add(peer.name(), RATE, requests / done.took.as_secs_f64());
                if let Some(cpu) = done.cpu {
                    case.add(peer.name(), CPU, cpu.as_secs_f64() / requests);
                }
            }
            peers.rotate_left(1);
        }
        cases.push(case);
    }
    Ok(cases)
}

/// What one peer came to in one round.
#[derive(Copy, Clone, Debug)]
struct Done {
    took: Duration,
    cpu: Option<Duration>,
}

impl Peer {
    const ALL: [Self; 3] = [Self::RedisRs, Self::Fred, Self::Ours];

    fn name(self) -> &'static str {
        match self {
            Self::RedisRs => "redis-rs",
            Self::Fred => "fred",
            Self::Ours => "rebelay",
        }
    }

    async fn run(self, times: usize, server: SocketAddr) -> Result<Done> {
        match self {
            Self::RedisRs => share(peers::redis_rs(server).await?, times).await,
            Self::Fred => share(peers::fred(server).await?, times).await,
            Self::Ours => share(peers::ours(server).await?, times).await,
        }
    }
}

/// Does the work over one connection.
async fn share(store: impl Store, times: usize) -> Result<Done> {
    let (start, before) = (Instant::now(), cpu_time_of_all());
    let work = |task| tokio::spawn(set_and_get(store.clone(), task, times));
    let tasks: Vec<_> = (0..TASKS).map(work).collect();
    for task in tasks {
        task.await??;
    }
    let cpu = cpu_time_of_all().zip(before).map(|(after, before)| after - before);
    Ok(Done { took: start.elapsed(), cpu })
}

/// One task: a value that is nobody else's, 16 bytes long, so that a wrong reply shows.
async fn set_and_get(store: impl Store, task: usize, times: usize) -> Result<()> {
    let key = format!("key:{task:06}");
    for time in 0..times {
        let value = ((task as u128) << 64 | time as u128).to_le_bytes();
        store.set(&key, &value).await?;
        let got = store.get(&key).await?;
        if got.as_ref() != value {
            return Err(format!("{key} should be {value:x?} and is {:x?}", got.as_ref()).into());
        }
    }
    Ok(())
}
