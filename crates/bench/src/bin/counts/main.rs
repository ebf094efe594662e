//! What is counted rather than timed: memory, allocations, system calls, instructions; and the
//! reconnect storm. A program of its own: an allocator that counts would slow the peers that are
//! timed, and each by something else.
//!
//! Every figure is taken in a process of its own that does nothing else, against a server in
//! another, so that neither is counted with it.

mod allocations;
mod core_alone;
mod idle;
mod ping;
mod process;
mod server;
mod storm;

use std::error::Error;
use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[global_allocator]
pub(crate) static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const HELP: &str = "\
Counts what rebelay and other ways to use a TCP connection cost.

Usage: cargo run --release -p rebelay-bench --bin counts -- [WHAT...]

  idle           memory of 10,000 idle connections
  storm          time until 5,000 connections are up again after their server was restarted
  allocations    allocations per message
  calls          system calls per ping-pong; needs strace
  instructions   instructions per message of the core alone; needs valgrind

Everything, if nothing is named.";

type Report = fn() -> Result<()>;

/// What can be asked for, and who shows it.
const REPORTS: [(&str, Report); 5] = [
    ("idle", idle::report),
    ("storm", storm::report),
    ("allocations", allocations::report),
    ("calls", ping::report),
    ("instructions", core_alone::report),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("counts: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    if let ["part", part, rest @ ..] = words {
        return run_part(part, rest);
    }
    if words.contains(&"--help") {
        println!("{HELP}");
        return Ok(());
    }
    if let Some(word) = words.iter().find(|word| REPORTS.iter().all(|(name, _)| name != *word)) {
        let allowed = REPORTS.map(|(name, _)| name).join(", ");
        return Err(format!("the argument is {word:?}; allowed: {allowed}").into());
    }
    for (name, report) in REPORTS {
        if words.is_empty() || words.contains(&name) {
            report()?;
            println!();
        }
    }
    Ok(())
}

/// What a process that this program started does: see [`process`].
fn run_part(part: &str, words: &[&str]) -> Result<()> {
    match part {
        "server" => server::run(words),
        "idle" => idle::run(words),
        "storm" => storm::run(words),
        "allocations" => allocations::run(words),
        "ping" => ping::run(words),
        "core" => core_alone::run(words),
        unknown => Err(format!("no part is called {unknown:?}").into()),
    }
}
