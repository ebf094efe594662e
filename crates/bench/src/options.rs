//! The command line.

use std::path::PathBuf;

use crate::runtime::Result;

pub(crate) const HELP: &str = "\
Measures rebelay beside other ways to use a TCP connection, on every runtime.

Usage: cargo run --release -p rebelay-bench -- [OPTIONS]

  --quick        fewer rounds and messages: under a minute
  --rounds N     rounds of every peer on every workload; default 7, 3 if quick
  --only TEXT    only where the workload and runtime, as in \"inbound 64 B, smol\", have this in
                 them; the runtimes are current and multi (tokio's), smol and async-std
  --peer NAME    only this peer, for a profiler: limit, framed, naive, mutex, stubborn-io,
                 redis-rs, fred or rebelay
  --json         one JSON object a workload and runtime instead of the table
  --svg FILE     also draw what was measured on tokio
  --help         this text";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    pub(crate) only: String,
    pub(crate) peer: Option<String>,
    pub(crate) json: bool,
    pub(crate) svg: Option<PathBuf>,
    /// Not for users: the one case that a process of this program asks another for.
    pub(crate) case: Option<String>,
}

impl Options {
    /// Whether to measure the case of this name.
    pub(crate) fn wants(&self, case: &str) -> bool {
        case.contains(&self.only)
    }

    /// Whether to measure this peer.
    pub(crate) fn wants_peer(&self, name: &str) -> bool {
        self.peer.as_ref().is_none_or(|peer| peer == name)
    }
}

/// `None`: help was asked for.
pub(crate) fn parse() -> Result<Option<Options>> {
    use lexopt::prelude::{Long, Short, Value, ValueExt};

    let (mut quick, mut rounds, mut only) = (false, None, String::new());
    let (mut peer, mut json, mut svg) = (None, false, None);
    let mut case = None;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("quick") => quick = true,
            Long("rounds") => rounds = Some(parser.value()?.parse()?),
            Long("only") => only = parser.value()?.string()?,
            Long("peer") => peer = Some(parser.value()?.string()?),
            Long("json") => json = true,
            Long("case") => case = Some(parser.value()?.string()?),
            Long("svg") => svg = Some(parser.value()?.into()),
            Short(_) | Long(_) | Value(_) => return Err(argument.unexpected().into()),
        }
    }
    let rounds = rounds.unwrap_or(if quick { 3 } else { 7 });
    if rounds == 0 {
        return Err("--rounds is 0; allowed: 1 or more".into());
    }
    Ok(Some(Options { quick, rounds, only, peer, json, svg, case }))
}
