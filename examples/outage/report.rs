//! The ledger of each runtime, for a person to read, and whether the promises were kept.

use rebelay::{Certainty, Ledger, Outcome, Resend};

use crate::server::Kept;

/// What one run came to.
pub(crate) struct Run {
    pub(crate) runtime: &'static str,
    pub(crate) resend: Resend,
    pub(crate) lines: Vec<Vec<u8>>,
    /// The outcome of each line, in order.
    pub(crate) outcomes: Vec<Option<Outcome>>,
    pub(crate) ledger: Ledger,
    pub(crate) kept: Kept,
}

impl Run {
    /// Lines of the file that the server does not have.
    pub(crate) fn lost(&self) -> usize {
        self.lines.len() - self.kept.lines.len()
    }

    fn intact(&self) -> bool {
        self.kept.lines.values().eq(&self.lines)
            && self.kept.lines.keys().copied().eq(1..=self.lines.len() as u64)
    }

    /// Every way in which this run broke a promise.
    pub(crate) fn broken(&self) -> Vec<String> {
        let Self { ledger, kept, .. } = self;
        let mut broken = Vec::new();
        let mut require = |kept: bool, what: &str| {
            if !kept {
                broken.push(format!("{}: {what}", self.runtime));
            }
        };
        require(ledger.adds_up(), "the ledger does not add up");
        require(ledger.pending == 0, "messages are left without an outcome");
        require(ledger.admitted == self.lines.len() as u64, "not every line was admitted");
        require(self.outcomes.iter().all(Option::is_some), "an outcome is missing");
        require(kept.garbled == 0, "bytes of two connections were joined");
        require(kept.disordered == 0, "a connection was out of order");
        let received = |index: usize| kept.lines.contains_key(&(index as u64 + 1));
        require(
            !self.outcomes.iter().enumerate().any(|(index, outcome)| {
                let not_sent =
                    matches!(outcome, Some(Outcome::Failed { certainty: Certainty::NotSent, .. }));
                not_sent && received(index)
            }),
            "a line that was reported as not sent was received",
        );
        match self.resend {
            Resend::Unacked => {
                require(self.intact(), "what the server kept is not the file");
                require(ledger.acked == ledger.admitted, "not every line was acknowledged");
            }
            Resend::Never | Resend::Incomplete | Resend::Untransmitted => {
                require(kept.repeated == 0, "a line was received whole twice");
            }
        }
        broken
    }

    fn verdict(&self) -> &'static str {
        if self.intact() { "the file" } else { "not the file" }
    }
}

/// The runs side by side.
pub(crate) fn print(runs: &[Run]) {
    type Row = (&'static str, fn(&Run) -> String);
    let rows: [Row; 18] = [
        ("", |run| run.runtime.into()),
        ("lines in the file", |run| run.lines.len().to_string()),
        ("messages admitted", |run| run.ledger.admitted.to_string()),
        ("= written, end unknown", |run| run.ledger.written.to_string()),
        ("+ acknowledged", |run| run.ledger.acked.to_string()),
        ("+ failed, not sent", |run| run.ledger.not_sent.to_string()),
        ("+ failed, not left", |run| run.ledger.not_transmitted.to_string()),
        ("+ failed, in doubt", |run| run.ledger.in_doubt.to_string()),
        ("+ dropped, pending", |run| (run.ledger.dropped + run.ledger.pending).to_string()),
        ("resent", |run| run.ledger.resent.to_string()),
        ("proven never to leave", |run| run.ledger.proven_unsent.to_string()),
        ("kills of the server", |run| run.kept.kills.to_string()),
        ("epochs", |run| run.ledger.epochs.to_string()),
        ("bytes written", |run| run.ledger.bytes_written.to_string()),
        ("bytes received", |run| run.ledger.bytes_received.to_string()),
        ("received twice", |run| run.kept.repeated.to_string()),
        ("lost", |run| run.lost().to_string()),
        ("the server has", |run| run.verdict().into()),
    ];
    println!();
    for (name, value) in rows {
        print!("{name:<24}");
        for run in runs {
            print!("{:>14}", value(run));
        }
        println!();
    }
    println!();
}
