//! rebelay measured beside what people use instead, every peer in turn in the same run. Only the
//! ratios carry over to another machine.

mod apart;
mod options;
mod os;
mod peers;
mod redis;
mod report;
mod runtime;
mod server;
mod task;
mod workloads;

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use crate::options::Options;
use crate::report::Case;
use crate::runtime::Result;

fn main() -> ExitCode {
    let result = options::parse().and_then(|options| match options {
        Some(options) => run(&options),
        None => {
            println!("{}", options::HELP);
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
    if let Some(case) = &options.case {
        print!("{}", workloads::run_one(options, case)?);
        return Ok(());
    }
    // Opened first: nobody waits for minutes to hear that it cannot be written.
    let create = |file| File::create(file).map_err(|error| format!("--svg is {file:?}: {error}"));
    let plot = options.svg.as_ref().map(create).transpose()?;
    if !options.json {
        println!("{}", report::LEGEND);
    }
    let mut all = Vec::new();
    let mut report = |cases: Vec<Case>| {
        if options.json {
            report::json(&cases)
        } else {
            report::table(&cases)
        }
        all.extend(cases);
    };
    workloads::run(options, &mut report)?;
    report(redis::run(options)?);
    if all.is_empty() {
        let peer = options.peer.as_deref().unwrap_or("any");
        let only = &options.only;
        return Err(format!("--only is {only:?}, --peer is {peer:?}: no workload is both").into());
    }
    if let Some(mut plot) = plot {
        plot.write_all(report::svg(&all).as_bytes())?;
    }
    Ok(())
}
