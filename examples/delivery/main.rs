//! Two ways to be sure of something when the server is killed at random: at least once, with
//! acknowledgements, and at most once, without.

mod accounts;
mod at_least_once;
mod at_most_once;
mod frame;
#[path = "../common/mortal.rs"]
mod mortal;
mod server;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rebelay::{Config, Resend};

const HELP: &str = "\
Ships messages to an embedded server that is killed at random, with unread bytes in its buffers:
at least once to a server that acknowledges by number, and at most once to one that says nothing.

Usage: cargo run --release --example delivery -- [OPTIONS]

  --messages N       how many, each time; default 20000
  --kills N          how often the server is killed; default 10
  --seed N           where the moments of the kills come from; default 1
  --help             this text

Exits with 1 if a promise was broken: a message was lost or came a second time unmarked, or an
outcome is not what happened. Exits with 2 if it could not run.";

/// What has no outcome by then fails; it is far more than a run takes.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

struct Options {
    messages: usize,
    kills: usize,
    seed: u64,
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
        eprintln!("delivery: {error}");
        ExitCode::from(2)
    })
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    println!("At least once: the server acknowledges, and is asked where it stopped.");
    let acknowledged = acknowledged(options)?;
    acknowledged.print();

    println!("\nAt most once: the server says nothing.");
    let unacknowledged = [
        unacknowledged(options, Resend::Incomplete)?,
        unacknowledged(options, Resend::Untransmitted)?,
    ];
    at_most_once::print(&unacknowledged);

    let mut broken = acknowledged.broken();
    broken.extend(unacknowledged.iter().flat_map(at_most_once::Report::broken));
    if broken.is_empty() {
        println!("\nEvery promise was kept.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nBroken:\n  {}", broken.join("\n  "));
    Ok(ExitCode::FAILURE)
}

fn acknowledged(options: &Options) -> Result<at_least_once::Report, Box<dyn Error>> {
    let &Options { messages, kills, seed } = options;
    let server = server::acknowledging(messages, kills, seed)?;
    let connection = rebelay::tokio::connect(server.address, at_least_once::config());
    runtime()?.block_on(at_least_once::ship(connection, server, messages))
}

fn unacknowledged(
    options: &Options,
    resend: Resend,
) -> Result<at_most_once::Report, Box<dyn Error>> {
    let &Options { messages, kills, seed } = options;
    let client = Arc::new(OnceLock::new());
    let server = server::silent(messages, at_most_once::PAYLOAD, kills, seed, Arc::clone(&client))?;
    let connection = rebelay::tokio::connect(server.address, at_most_once::config(resend));
    runtime()?.block_on(at_most_once::ship(connection, server, &client, resend, messages))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// The server is back within milliseconds; there is no herd to spread.
fn quick(mut config: Config) -> Config {
    config.connection.backoff.initial = Duration::from_millis(2);
    config.connection.backoff.max = Duration::from_millis(20);
    config.connection.backoff.floor = Duration::from_millis(1);
    config
}

/// `None`: help was asked for.
fn parse() -> Result<Option<Options>, Box<dyn Error>> {
    use lexopt::prelude::{Long, Short, Value, ValueExt};

    let mut options = Options { messages: 20_000, kills: 10, seed: 1 };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("messages") => options.messages = parser.value()?.parse()?,
            Long("kills") => options.kills = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            Short(_) | Long(_) | Value(_) => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(options))
}
