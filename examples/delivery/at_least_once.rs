//! Nothing is lost: what was not acknowledged goes out again, marked as a second attempt.

use std::error::Error;

use bytes::BytesMut;
use rebelay::{
    Config, ConnectError, Handshake, HandshakeError, Item, Ledger, Outcome, Receiver, Resend,
    Sender, Ticket,
};

use crate::accounts::Accounts;
use crate::frame;
use crate::mortal::Mortal;
use crate::server::Received;
use crate::{DRAIN_LIMIT, quick};

const PAYLOAD: usize = 100;
/// An acknowledgement: the number through which the server has everything, big-endian.
const ACK: usize = 8;

/// What it came to.
pub(crate) struct Report {
    pub(crate) accounts: Accounts,
    pub(crate) ledger: Ledger,
    pub(crate) received: Received,
    pub(crate) kills: usize,
}

pub(crate) fn config() -> Config {
    let mut config = quick(Config::default());
    config.connection.resend = Resend::Unacked;
    config.connection.max_queued_messages = 256;
    config.on_connect(agree)
}

/// Sends the messages over any runtime's connection, and waits for all acknowledgements.
pub(crate) async fn ship(
    connection: impl Future<Output = Result<(Sender, Receiver), ConnectError>>,
    server: Mortal<Received>,
    messages: usize,
) -> Result<Report, Box<dyn Error>> {
    let (sender, receiver) = connection.await?;
    let outcomes = sender.outcomes().ok_or("somebody else reads the outcomes")?;
    let send = async {
        // The only sender of this connection: its tickets are the numbers of the messages.
        for number in 1..=messages as u64 {
            sender.send(frame::encode(number, PAYLOAD)).await?;
        }
        Ok::<_, Box<dyn Error>>(sender.drain(DRAIN_LIMIT).await)
    };
    let follow = smol::future::zip(follow(&sender, receiver), Accounts::read(outcomes, messages));
    let (ledger, ((), accounts)) = smol::future::zip(send, follow).await;
    let ledger = ledger?;
    let (received, kills) = server.join()?;
    Ok(Report { accounts, ledger, received, kills })
}

/// Asks the server where it stopped, before any message goes out on this connection: what it has
/// is not sent again, and the rest says that it may be.
async fn agree(mut io: Handshake) -> Result<Handshake, HandshakeError> {
    io.write_all(&frame::QUESTION).await?;
    let answer = io.read_exact(ACK).await?;
    io.ack_through(ticket(&answer));
    for replay in io.replays() {
        let attempt = replay.attempts.saturating_add(1);
        io.replace(replay.ticket, frame::mark(&replay.message, attempt))?;
    }
    Ok(io)
}

/// Takes the acknowledgements.
async fn follow(sender: &Sender, mut receiver: Receiver) {
    let mut unfinished = BytesMut::new();
    while let Some(item) = receiver.recv().await {
        match item {
            Item::Up { .. } => unfinished.clear(),
            Item::Data(bytes) => {
                unfinished.extend_from_slice(&bytes);
                // Each says what those before it said, and more.
                let whole = unfinished.len() / ACK * ACK;
                if let Some(last) = unfinished.split_to(whole).rchunks_exact(ACK).next() {
                    sender.ack_through(ticket(last));
                }
            }
            Item::PeerFinished { .. } | Item::Down { .. } => {}
        }
    }
}

fn ticket(ack: &[u8]) -> Ticket {
    Ticket::from_number(ack.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

impl Report {
    pub(crate) fn print(&self) {
        let Self { ledger, received, .. } = self;
        println!("  kills of the server {:>10}", self.kills);
        println!("  messages            {:>10}", received.times.len());
        println!("  lost                {:>10}", received.lost());
        println!("  sent again          {:>10}", ledger.resent);
        println!("  received, marked    {:>10}", received.marked);
        println!("  duplicates          {:>10}", received.duplicates);
        println!("  … not marked        {:>10}", received.unmarked_duplicates);
        println!("  {ledger}");
    }

    /// Every way in which a promise was broken.
    pub(crate) fn broken(&self) -> Vec<&'static str> {
        let Self { accounts, ledger, received, .. } = self;
        let messages = received.times.len() as u64;
        let is_acked = |outcome| outcome == Some(Outcome::Acked);
        let promises = [
            (received.lost() == 0, "a message was lost"),
            (received.unmarked_duplicates == 0, "a duplicate was not marked"),
            (received.disordered == 0, "a connection was out of order"),
            (received.garbled == 0, "a message was not what was sent"),
            (ledger.adds_up() && ledger.pending == 0, "the ledger does not add up"),
            (ledger.admitted == messages, "not every message was admitted"),
            (ledger.acked == messages, "not every message was acknowledged"),
            (accounts.surplus == 0, "a message had two outcomes"),
            (accounts.iter().all(|(_, outcome)| is_acked(outcome)), "an outcome is not Acked"),
        ];
        promises.into_iter().filter(|(kept, _)| !kept).map(|(_, what)| what).collect()
    }
}
