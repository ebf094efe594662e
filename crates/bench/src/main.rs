//! rebelay measured beside what people use instead, every peer in turn in the same run. Only the
//! ratios carry over to another machine.

mod peers;
mod report;
mod server;

use std::process::ExitCode;
use std::thread;

use crate::peers::{Done, Peer, Result, Task, Work};
use crate::report::{Case, Row};
use crate::server::{Kind, pin};

const HELP: &str = "\
Measures rebelay beside other ways to use a TCP connection on tokio.

Usage: cargo run --release -p rebelay-bench -- [OPTIONS]

  --quick        fewer rounds and messages: under a minute
  --rounds N     rounds of every peer on every workload; default 7
  --only TEXT    only the workloads whose name has this in it
  --peer NAME    only this peer, for a profiler: limit, framed, naive, mutex or rebelay
  --json         one JSON object a workload instead of the table
  --help         this text";

struct Options {
    rounds: usize,
    scale: usize,
    only: String,
    peers: Vec<Peer>,
    json: bool,
}

/// Every workload: its name, what is done, the size of a message, how many.
const WORKLOADS: [(&str, Work, usize, usize); 9] = [
    ("ping-pong 64 B, one core", Work::PingPong, 64, 10_000),
    ("pipelined echo 64 B, 1 producer", Work::Echo { producers: 1 }, 64, 2_000_000),
    ("pipelined echo 64 B, 8 producers", Work::Echo { producers: 8 }, 64, 2_000_000),
    ("pipelined echo 64 B, 64 producers", Work::Echo { producers: 64 }, 64, 2_000_000),
    ("one-way 64 B, 1 producer", Work::OneWay { producers: 1 }, 64, 4_000_000),
    ("one-way 64 B, 8 producers", Work::OneWay { producers: 8 }, 64, 4_000_000),
    ("one-way 64 KiB", Work::OneWay { producers: 1 }, 64 << 10, 40_000),
    ("inbound 64 B", Work::Inbound, 64, 8_000_000),
    ("inbound 64 KiB", Work::Inbound, 64 << 10, 40_000),
];

fn main() -> ExitCode {
    let result = parse().and_then(|options| match options {
        Some(options) => run(&options),
        None => {
            println!("{HELP}");
            Ok(())
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rebelay-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if !options.json {
        report::header();
    }
    for multi in [false, true] {
        for (name, work, size, count) in WORKLOADS {
            let case = Case { name, threads: if multi { "multi" } else { "current" } };
            if !case.to_string().contains(&options.only) {
                continue;
            }
            let core = (work == Work::PingPong).then_some(0);
            let kind = match work {
                Work::PingPong | Work::Echo { .. } => Kind::Echo,
                Work::OneWay { .. } => Kind::Sink,
                Work::Inbound => Kind::Flood,
            };
            let server = server::start(kind, core)?;
            let mut row = Row::new(case);
            for _ in 0..options.rounds {
                for &peer in &options.peers {
                    // A system call a message: a hundredth of the messages takes as long.
                    let by_one = matches!(peer, Peer::Naive | Peer::Mutex) && size < 1_024;
                    let slow = by_one && !matches!(work, Work::PingPong | Work::Inbound);
                    let count = count / options.scale / if slow { 50 } else { 1 };
                    row.add(peer, &measure(peer, Task { work, size, count, server }, multi, core)?);
                }
            }
            if options.json { row.print_json() } else { row.print() }
        }
    }
    Ok(())
}

/// Runs one task on a runtime of its own, in a task as users run theirs.
fn measure(peer: Peer, task: Task, multi: bool, core: Option<usize>) -> Result<Done> {
    let measuring = thread::spawn(move || {
        pin(core);
        let mut builder = if multi {
            tokio::runtime::Builder::new_multi_thread()
        } else {
            tokio::runtime::Builder::new_current_thread()
        };
        if multi {
            builder.worker_threads(2);
        }
        let runtime = builder.on_thread_start(move || pin(core)).enable_all().build()?;
        runtime.block_on(async { tokio::spawn(peer.run(task)).await? })
    });
    measuring.join().map_err(|_| "a measurement panicked")?
}

/// `None`: help was asked for.
fn parse() -> Result<Option<Options>> {
    use lexopt::prelude::{Long, Short, Value, ValueExt};

    let mut options =
        Options { rounds: 7, scale: 1, only: String::new(), peers: Peer::ALL.into(), json: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("quick") => (options.rounds, options.scale) = (3, 4),
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("only") => options.only = parser.value()?.string()?,
            Long("peer") => {
                let name = parser.value()?.string()?;
                options.peers.retain(|peer| peer.name() == name);
                if options.peers.is_empty() {
                    let allowed = Peer::ALL.map(Peer::name).join(", ");
                    return Err(format!("--peer is {name:?}; allowed: {allowed}").into());
                }
            }
            Long("json") => options.json = true,
            Short(_) | Long(_) | Value(_) => return Err(argument.unexpected().into()),
        }
    }
    if options.rounds == 0 {
        return Err("--rounds is 0; allowed: 1 or more".into());
    }
    Ok(Some(options))
}
