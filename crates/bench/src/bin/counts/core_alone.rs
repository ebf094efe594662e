//! Instructions of each message in the core alone: sent, written in batches as a driver does it,
//! released, its outcome taken.

use std::hint::black_box;

use bytes::Bytes;
use rebelay_core::{Config, Connection, Instant, Resend, SendOptions, State};

use crate::{Result, process};

const MESSAGE: Bytes = Bytes::from_static(&[7; 64]);

/// Batches in the shorter of two runs; the longer has twice as many, and the difference is
/// theirs alone.
const BATCHES: usize = 1_000;

/// Slices that a driver offers to one write.
const SLICES: usize = 16;

pub(crate) fn report() -> Result<()> {
    println!("instructions of each message of {} B in the core alone", MESSAGE.len());
    for resend in ["incomplete", "unacked"] {
        for batch in [64, 1_024] {
            let (Some(few), Some(many)) =
                (count(resend, batch, BATCHES)?, count(resend, batch, BATCHES * 2)?)
            else {
                println!("skipped: valgrind not found");
                return Ok(());
            };
            let each = (many - few) as f64 / (BATCHES * batch) as f64;
            println!("{resend:<12}{batch:>6} a write{each:>8.0}");
        }
    }
    Ok(())
}

/// Instructions of a whole run; `None`: there is no valgrind.
fn count(resend: &str, batch: usize, batches: usize) -> Result<Option<u64>> {
    let tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let words = [resend, &batch.to_string(), &batches.to_string()];
    let Some(said) = process::watched(&tool, "core", &words)? else { return Ok(None) };
    let total = said.lines().find_map(|line| line.split("Collected :").nth(1));
    Ok(Some(total.ok_or("callgrind did not say what it collected")?.trim().parse()?))
}

pub(crate) fn run(words: &[&str]) -> Result<()> {
    let [resend, batch, batches] = words else { return Err("resend, batch, batches".into()) };
    let (batch, batches) = (batch.parse::<usize>()?, batches.parse::<usize>()?);
    let mut config = Config::default();
    if *resend == "unacked" {
        config.resend = Resend::Unacked;
    }
    let (now, options) = (Instant::ZERO, black_box(SendOptions::default()));
    let mut connection = connected(config, now)?;
    let mut slices = Vec::with_capacity(SLICES);
    for _ in 0..batches {
        let mut last = None;
        for _ in 0..batch {
            let sent = connection.send_from(&mut black_box(MESSAGE), &options, now);
            last = Some(sent.map_err(|refusal| format!("refused: {refusal}"))?);
        }
        while let Some(epoch) = connection.poll_transmit(&mut slices) {
            let taken = slices.iter().map(Bytes::len).sum();
            slices.clear();
            connection.handle_transmitted(epoch, taken, now);
        }
        if let Some(last) = last {
            connection.ack_through(last, now);
        }
        while connection.poll_outcome().is_some() {}
    }
    if connection.ledger().pending == 0 { Ok(()) } else { Err("messages are left".into()) }
}

fn connected(config: Config, now: Instant) -> Result<Connection> {
    let mut connection = Connection::new(config, 1, now)?;
    connection.handle_resolved(1, &[([127, 0, 0, 1], 1).into()], now);
    connection.handle_connected(1, now);
    if connection.state() == State::Connected { Ok(connection) } else { Err("not up".into()) }
}
