//! What every peer does on every runtime, and what is reported of it.

use std::thread;

use crate::apart;
use crate::options::Options;
use crate::os::Pinned;
use crate::peers::Peer;
use crate::report::{Better, Case, Metric};
use crate::runtime::{Result, Runtime};
use crate::server::{Kind, Server};
use crate::task::{Done, Task, Work};

struct Workload {
    name: &'static str,
    work: Work,
    /// Bytes of a message.
    size: usize,
    /// Messages of a round; of a quick one.
    counts: (usize, usize),
    /// Whether client and server share one core.
    pinned: bool,
}

const WORKLOADS: [Workload; 10] = [
    ping_pong("ping-pong 64 B, one core", (25_000, 11_200), true),
    ping_pong("ping-pong 64 B, unpinned", (25_000, 1_500), false),
    flow("pipelined echo 64 B, 1 producer", Work::Echo { producers: 1 }, 64, 4_000_000),
    flow("pipelined echo 64 B, 8 producers", Work::Echo { producers: 8 }, 64, 4_000_000),
    flow("pipelined echo 64 B, 64 producers", Work::Echo { producers: 64 }, 64, 4_000_000),
    flow("one-way 64 B, 1 producer", Work::OneWay { producers: 1 }, 64, 8_000_000),
    flow("one-way 64 B, 8 producers", Work::OneWay { producers: 8 }, 64, 8_000_000),
    flow("one-way 64 KiB", Work::OneWay { producers: 1 }, 64 << 10, 24_000),
    flow("inbound 64 B", Work::Inbound, 64, 16_000_000),
    flow("inbound 64 KiB", Work::Inbound, 64 << 10, 16_000),
];

const RATE: Metric = Metric { name: "messages/s", unit: "/s", better: Better::Higher };
const P50: Metric = Metric { name: "p50", unit: "s", better: Better::Lower };
const P99: Metric = Metric { name: "p99", unit: "s", better: Better::Lower };
const P999: Metric = Metric { name: "p99.9", unit: "s", better: Better::Lower };
const SERVER_BUSY: Metric = Metric { name: "server busy", unit: "%", better: Better::Neither };
const METRICS: [Metric; 5] = [RATE, P50, P99, P999, SERVER_BUSY];

/// Does what `options` ask for, and calls `report` with all runtimes' cases of each workload.
pub(crate) fn run(options: &Options, mut report: impl FnMut(Vec<Case>)) -> Result<()> {
    let wanted = wanted(options);
    for group in wanted.chunk_by(|a, b| a.0.name == b.0.name) {
        let case = |(workload, runtime): &(&Workload, Runtime)| {
            // A single one stays in this process, for profilers.
            if wanted.len() == 1 {
                workload.measure(options, *runtime)
            } else {
                workload.measure_apart(*runtime)
            }
        };
        report(group.iter().map(case).collect::<Result<_>>()?);
    }
    Ok(())
}

/// Measures the one case of this name, for the process that asked for it.
pub(crate) fn run_one(options: &Options, name: &str) -> Result<String> {
    let wanted = wanted(options);
    match wanted.iter().find(|(workload, runtime)| workload.case_name(*runtime) == name) {
        Some((workload, runtime)) => Ok(workload.measure(options, *runtime)?.to_lines()),
        None => Err(format!("--case is {name:?}: no workload has that name").into()),
    }
}

fn wanted(options: &Options) -> Vec<(&'static Workload, Runtime)> {
    let all = WORKLOADS.iter().flat_map(|workload| Runtime::ALL.map(|runtime| (workload, runtime)));
    all.filter(|(workload, runtime)| {
        options.wants(&workload.case_name(*runtime)) && !peers(options, *runtime).is_empty()
    })
    .collect()
}

fn peers(options: &Options, runtime: Runtime) -> Vec<Peer> {
    let wanted = |peer: &Peer| options.wants_peer(peer.name()) && peer.runs_on(runtime);
    Peer::ALL.into_iter().filter(wanted).collect()
}

impl Workload {
    fn case_name(&self, runtime: Runtime) -> String {
        format!("{}, {}", self.name, runtime.name())
    }

    fn case(&self, runtime: Runtime) -> Case {
        Case::new(self.name, runtime.name(), &["limit", "framed"])
    }

    fn measure_apart(&self, runtime: Runtime) -> Result<Case> {
        let mut case = self.case(runtime);
        for line in apart::lines(&self.case_name(runtime))?.lines() {
            let added = case.add_line(line, &Peer::ALL.map(Peer::name), &METRICS);
            added.ok_or_else(|| format!("{line:?} is no figure"))?;
        }
        Ok(case)
    }

    fn measure(&self, options: &Options, runtime: Runtime) -> Result<Case> {
        let server = Server::start(match self.work {
            Work::PingPong | Work::Echo { .. } => Kind::Echo,
            Work::OneWay { .. } => Kind::Sink,
            Work::Inbound => Kind::Flood,
        })?;
        // Executors count the cores when they start; pinned, they would find one.
        runtime.run(async { Ok(()) })?;
        let _pinned = self.pinned.then(Pinned::new).transpose()?;
        let (mut case, mut peers) = (self.case(runtime), peers(options, runtime));
        let count = if options.quick { self.counts.1 } else { self.counts.0 };
        for _ in 0..options.rounds {
            for &peer in &peers {
                let count = count / peer.slowness(self.work, self.size);
                let (work, size) = (self.work, self.size);
                let task = Task { work, size, count, server: server.address, runtime };
                // A thread of its own, as a user's would be.
                let measuring = thread::spawn(move || runtime.run(peer.run(task)));
                let done = measuring.join().map_err(|_| "a measurement panicked")??;
                add(&mut case, peer, &done);
                if let Some(busy) = server.wait_idle()? {
                    let share = busy.as_secs_f64() / done.took.as_secs_f64() * 100.0;
                    case.add(peer.name(), SERVER_BUSY, share);
                }
            }
            // Nobody goes first in every round.
            peers.rotate_left(1);
        }
        Ok(case)
    }
}

fn add(case: &mut Case, peer: Peer, done: &Done) {
    if done.times.is_empty() {
        return case.add(peer.name(), RATE, done.rate());
    }
    // The first tenth warms up.
    let mut times = done.times[done.times.len() / 10..].to_vec();
    times.sort_unstable();
    for (part, metric) in [(0.5, P50), (0.99, P99), (0.999, P999)] {
        let beyond = times.len() as f64 * (1.0 - part);
        // With fewer samples beyond it, a percentile is chance.
        if beyond >= 10.0 {
            let nanoseconds = times[times.len() - beyond as usize];
            case.add(peer.name(), metric, nanoseconds as f64 * 1e-9);
        }
    }
}

const fn ping_pong(name: &'static str, counts: (usize, usize), pinned: bool) -> Workload {
    Workload { name, work: Work::PingPong, size: 64, counts, pinned }
}

const fn flow(name: &'static str, work: Work, size: usize, count: usize) -> Workload {
    Workload { name, work, size, counts: (count, count / 8), pinned: false }
}
