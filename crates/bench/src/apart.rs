//! A process for every case. The executors of smol and async-std start once and never stop, and
//! both wait at one reactor: in one process each would be woken for the other's connections.

use std::env;
use std::process::{Command, Stdio};

use crate::runtime::Result;

/// What this program prints if it is called as it was, and asked for `case` only.
pub(crate) fn lines(case: &str) -> Result<String> {
    let output = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .args(["--case", case])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{case}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
