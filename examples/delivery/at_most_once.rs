//! Nothing is received twice: without acknowledgements, what may have arrived is not sent again.
//! How much is lost by that depends on what is known to have stayed here.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rebelay::{Certainty, Config, ConnectError, Ledger, Outcome, Receiver, Resend, Sender};

use crate::accounts::Accounts;
use crate::frame;
use crate::mortal::Mortal;
use crate::server::Received;
use crate::{DRAIN_LIMIT, quick};

pub(crate) const PAYLOAD: usize = 4 << 10;

/// What it came to.
pub(crate) struct Report {
    pub(crate) resend: Resend,
    pub(crate) accounts: Accounts,
    pub(crate) ledger: Ledger,
    pub(crate) received: Received,
    pub(crate) kills: usize,
}

pub(crate) fn config(resend: Resend) -> Config {
    let mut config = quick(Config::default());
    config.connection.resend = resend;
    // What the kernel has not transmitted stays in the outbox: room for all that it may take.
    config.connection.max_queued_messages = 4_096;
    config.connection.max_queued_bytes = 16 << 20;
    // After the server's FIN its RST says for certain what never left. It comes at once, but on a
    // busy machine that may take a while.
    config.connection.read_out_timeout = Duration::from_secs(10);
    config
}

/// Sends the messages over any runtime's connection. `client` learns of the sender.
pub(crate) async fn ship(
    connection: impl Future<Output = Result<(Sender, Receiver), ConnectError>>,
    server: Mortal<Received>,
    client: &Arc<OnceLock<Sender>>,
    resend: Resend,
    messages: usize,
) -> Result<Report, Box<dyn Error>> {
    // The server says nothing: there is nothing to receive.
    let (sender, _) = connection.await?;
    client.get_or_init(|| sender.clone());
    let outcomes = sender.outcomes().ok_or("somebody else reads the outcomes")?;
    let send = async {
        for number in 1..=messages as u64 {
            sender.send(frame::encode(number, PAYLOAD)).await?;
        }
        Ok::<_, Box<dyn Error>>(sender.drain(DRAIN_LIMIT).await)
    };
    let (ledger, accounts) = smol::future::zip(send, Accounts::read(outcomes, messages)).await;
    let ledger = ledger?;
    let (received, kills) = server.join()?;
    Ok(Report { resend, accounts, ledger, received, kills })
}

/// The runs side by side.
pub(crate) fn print(runs: &[Report]) {
    type Row = (&'static str, fn(&Report) -> String);
    let rows: [Row; 11] = [
        ("policy", |run| format!("{:?}", run.resend)),
        ("kills of the server", |run| run.kills.to_string()),
        ("messages admitted", |run| run.ledger.admitted.to_string()),
        ("written, end unknown", |run| run.ledger.written.to_string()),
        ("failed, not sent", |run| run.ledger.not_sent.to_string()),
        ("failed, in doubt", |run| run.ledger.in_doubt.to_string()),
        ("proven never to have left", |run| run.ledger.proven_unsent.to_string()),
        ("sent again", |run| run.ledger.resent.to_string()),
        ("received", |run| (run.received.times.len() - run.received.lost()).to_string()),
        ("received twice", |run| run.received.duplicates.to_string()),
        ("lost", |run| run.received.lost().to_string()),
    ];
    for (name, value) in rows {
        print!("  {name:<26}");
        for run in runs {
            print!("{:>16}", value(run));
        }
        println!();
    }
}

impl Report {
    /// Every way in which a promise was broken.
    pub(crate) fn broken(&self) -> Vec<&'static str> {
        let Self { accounts, ledger, received, .. } = self;
        let knows = |(number, outcome)| is_true(outcome, received.has(number));
        // So all that is missing was written, or is in doubt.
        let is_all_gone = ledger.not_sent + ledger.not_transmitted + ledger.dropped == 0;
        let promises = [
            (received.duplicates == 0, "a message was received twice"),
            (received.disordered == 0, "a connection was out of order"),
            (received.garbled == 0, "a message was not what was sent"),
            (ledger.adds_up() && ledger.pending == 0, "the ledger does not add up"),
            (ledger.admitted == received.times.len() as u64, "not every message was admitted"),
            (is_all_gone, "a message that never left was not sent again"),
            (accounts.surplus == 0, "a message had two outcomes"),
            (accounts.iter().all(knows), "an outcome is not what happened"),
        ];
        promises.into_iter().filter(|(kept, _)| !kept).map(|(_, what)| what).collect()
    }
}

/// Whether this may be said of a message that was received, or was not.
pub(crate) fn is_true(outcome: Option<Outcome>, was_received: bool) -> bool {
    match outcome {
        Some(Outcome::Written { .. })
        | Some(Outcome::Failed { certainty: Certainty::InDoubt, .. }) => true,
        Some(Outcome::Failed { .. }) => !was_received,
        Some(Outcome::Acked) | None => false,
    }
}
