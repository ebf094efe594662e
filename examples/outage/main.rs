//! Ships a file, line by line, to a server that is killed and restarted all the while, on each
//! runtime in turn, and accounts for every line.

#[path = "../common/mortal.rs"]
mod mortal;
mod report;
mod server;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use rebelay::{Config, ConnectError, Item, Receiver, Resend, Sender, Ticket};

use crate::report::Run;
use crate::server::Server;

const HELP: &str = "\
Ships a file line by line to an embedded server that is killed, with unread bytes in its
buffers, and restarted many times meanwhile; on tokio, smol and async-std in turn.

Usage: cargo run --release --example outage -- [OPTIONS] [FILE]

  FILE               the file to ship; default: this repository's Cargo.lock
  --resend POLICY    unacked (default): lose nothing, whatever is killed
                     untransmitted: what left this host may be lost, and is then counted
                     incomplete: what the kernel took whole may be lost, and is then counted
                     never: what was begun may be lost as well
  --times N          ship it so many times over; default 8
  --kills N          how often the server is killed; default 25
  --seed N           where the moments of the kills come from; default 1
  --help             this text

Exits with 1 if the ledger does not add up or a promise of the policy was broken, with 2 if it
could not run.";

struct Options {
    file: PathBuf,
    times: usize,
    resend: Resend,
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
        eprintln!("outage: {error}");
        ExitCode::from(2)
    })
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let text = std::fs::read(&options.file)
        .map_err(|error| format!("cannot read {}: {error}", options.file.display()))?;
    let once: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let lines: Vec<Vec<u8>> = std::iter::repeat_n(&once, options.times)
        .flatten()
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec())
        .collect();
    let (file, times) = (options.file.display(), options.times);
    println!("{file}, {times} times over: {} lines", lines.len());
    if lines.is_empty() {
        return Err("there is nothing to ship".into());
    }

    let server = || Server::start(lines.len(), options.kills, options.seed);
    let mut runs = Vec::new();

    let at = server()?;
    let connection = rebelay::tokio::connect(at.address(), config(options));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runs.push(runtime.block_on(ship("tokio", connection, &lines, at, options.resend))?);

    let at = server()?;
    let connection = rebelay::smol::connect(at.address(), config(options));
    runs.push(smol::block_on(ship("smol", connection, &lines, at, options.resend))?);

    let at = server()?;
    let connection = rebelay::async_std::connect(at.address(), config(options));
    let shipping = ship("async-std", connection, &lines, at, options.resend);
    runs.push(async_std::task::block_on(shipping)?);

    report::print(&runs);
    let broken: Vec<String> = runs.iter().flat_map(Run::broken).collect();
    if broken.is_empty() {
        let lost: usize = runs.iter().map(Run::lost).sum();
        println!("Every message is accounted for; {lost} lines were lost, as the policy allows.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("Broken:\n  {}", broken.join("\n  "));
    Ok(ExitCode::FAILURE)
}

fn config(options: &Options) -> Config {
    let mut config = Config::default();
    config.connection.resend = options.resend;
    config.connection.max_queued_messages = 256;
    // The server is back within milliseconds; there is no herd to spread.
    config.connection.backoff.initial = Duration::from_millis(2);
    config.connection.backoff.max = Duration::from_millis(20);
    config.connection.backoff.floor = Duration::from_millis(1);
    // Small, so that a kill costs what it costs in a file of megabytes.
    config.socket.send_buffer = Some(1);
    config
}

/// The same for every runtime: the handles do not know which one it is.
async fn ship(
    runtime: &'static str,
    connection: impl Future<Output = Result<(Sender, Receiver), ConnectError>>,
    lines: &[Vec<u8>],
    server: Server,
    resend: Resend,
) -> Result<Run, Box<dyn Error>> {
    let (sender, receiver) = connection.await?;
    let send = async {
        for (number, line) in (1_u64..).zip(lines) {
            let message = [number.to_string().as_bytes(), b"\t", line, b"\n"].concat();
            sender.send(message).await?;
        }
        // Under `Unacked` the last outcome is the last acknowledgement.
        sender.outcome(Ticket::from_number(lines.len() as u64)).await;
        Ok::<_, Box<dyn Error>>(sender.drain(Duration::from_secs(30)).await)
    };
    let acknowledge = follow(runtime, &sender, receiver, &server, lines.len());
    let (ledger, ()) = smol::future::zip(send, acknowledge).await;
    let ledger = ledger?;
    let mut outcomes = Vec::new();
    for number in 1..=lines.len() as u64 {
        outcomes.push(sender.outcome(Ticket::from_number(number)).await);
    }
    let kept = server.join()?;
    Ok(Run { runtime, resend, lines: lines.to_vec(), outcomes, ledger, kept })
}

/// Takes the server's acknowledgements, one number a line, and shows how far it came.
async fn follow(
    runtime: &str,
    sender: &Sender,
    mut receiver: Receiver,
    server: &Server,
    total: usize,
) {
    let mut unfinished = Vec::new();
    let mut shown = 0;
    while let Some(item) = receiver.recv().await {
        match item {
            // A new connection starts at the beginning of a line.
            Item::Up { .. } => unfinished.clear(),
            Item::Data(bytes) => {
                unfinished.extend_from_slice(&bytes);
                while let Some(end) = unfinished.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = unfinished.drain(..=end).collect();
                    let number =
                        std::str::from_utf8(&line).ok().and_then(|n| n.trim().parse().ok());
                    if let Some(number) = number {
                        sender.ack_through(Ticket::from_number(number));
                    }
                }
            }
            Item::PeerFinished { .. } | Item::Down { .. } => {}
        }
        let (reached, kills) = server.progress();
        let tenth = reached * 10 / total.max(1) as u64;
        if tenth > shown {
            shown = tenth;
            println!(
                "{runtime:<10} {:>3} % of the lines, {kills} kills, {} resent",
                tenth * 10,
                sender.ledger().resent
            );
        }
    }
}

/// `None`: help was asked for.
fn parse() -> Result<Option<Options>, Box<dyn Error>> {
    use lexopt::prelude::{Long, Short, Value, ValueExt};

    let mut options = Options {
        file: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")),
        times: 8,
        resend: Resend::Unacked,
        kills: 25,
        seed: 1,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("times") => options.times = parser.value()?.parse()?,
            Long("kills") => options.kills = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("resend") => {
                let policy = parser.value()?.string()?;
                options.resend = match policy.as_str() {
                    "unacked" => Resend::Unacked,
                    "untransmitted" => Resend::Untransmitted,
                    "incomplete" => Resend::Incomplete,
                    "never" => Resend::Never,
                    _ => {
                        let allowed = "unacked, untransmitted, incomplete, never";
                        return Err(format!("--resend is {policy:?}; allowed: {allowed}").into());
                    }
                };
            }
            Value(file) => options.file = file.into(),
            Short(_) | Long(_) => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(options))
}
