//! Parts of the work in processes of their own: this program again, with other arguments.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use tokio::runtime::{Builder, Runtime};

use crate::Result;

/// This program, to do `part` with `words`.
pub(crate) fn part(part: &str, words: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["part", part]).args(words);
    Ok(command)
}

/// What `part` prints.
pub(crate) fn output(part: &str, words: &[&str]) -> Result<String> {
    finished(self::part(part, words)?)?.ok_or_else(|| "this program is gone".into())
}

/// What this program, doing `part`, and the `tool` that watches it print together. `None`: there
/// is no such tool.
pub(crate) fn watched(tool: &[&str], part: &str, words: &[&str]) -> Result<Option<String>> {
    let mut command = Command::new(tool[0]);
    command.args(&tool[1..]).arg(std::env::current_exe()?).args(["part", part]).args(words);
    finished(command)
}

fn finished(mut command: Command) -> Result<Option<String>> {
    let output = match command.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        output => output?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{command:?}: {}: {said}", output.status).into());
    }
    Ok(Some(format!("{}{said}", String::from_utf8_lossy(&output.stdout))))
}

/// A tokio runtime of either flavour.
pub(crate) fn runtime(flavour: &str) -> Result<Runtime> {
    let mut builder = match flavour {
        "current" => Builder::new_current_thread(),
        "multi" => Builder::new_multi_thread(),
        unknown => return Err(format!("no flavour of tokio is called {unknown:?}").into()),
    };
    if flavour == "multi" {
        builder.worker_threads(2);
    }
    Ok(builder.enable_all().build()?)
}
