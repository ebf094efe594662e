//! What is said of a message against what its peer read, over as many cuts as there is time for:
//! `REBELAY_CUTS` in the environment is how often each policy is cut, 8 if it is not set.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use rebelay::{Item, Ledger, Outcome, Resend, Ticket};
use rebelay_sim::Audit;

use crate::support::runtimes::Runtime;
use crate::support::server::{Cut, Peer, Server};
use crate::support::talk::{quick, soon};
use crate::support::wire::{Random, frame, frames};

const LONG: Duration = Duration::from_secs(600);

pub(crate) async fn g03_what_is_said_of_a_message_is_true<R: Runtime>() {
    let cuts = std::env::var("REBELAY_CUTS");
    let cuts = cuts.map_or(8, |cuts| cuts.parse().expect("REBELAY_CUTS is a number"));
    let mut random = Random::new();
    for (resend, attempts) in [
        (Resend::Never, u32::MAX),
        (Resend::Incomplete, u32::MAX),
        (Resend::Untransmitted, u32::MAX),
        (Resend::Unacked, 2),
        (Resend::Unacked, u32::MAX),
    ] {
        let acks = resend == Resend::Unacked && attempts == u32::MAX;
        let server = cut_at_random(&mut random, cuts, acks);
        let mut config = quick();
        config.connection.resend = resend;
        config.connection.max_attempts = attempts;
        let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
        let mut outcomes = sender.outcomes().expect("nobody has it");
        let booking = R::spawn(async move {
            let mut audit = Audit::default();
            while let Some(run) = outcomes.next().await {
                audit.settled(&[run]);
            }
            audit
        });
        let acker = sender.clone();
        let acking = R::spawn(async move {
            let mut unread = Vec::new();
            while let Some(item) = receiver.recv().await {
                if let Item::Data(data) = item {
                    unread.extend_from_slice(&data);
                } else {
                    unread.clear();
                }
                let whole = unread.len() / 8 * 8;
                if let Some(last) = unread[..whole].chunks_exact(8).last() {
                    let number = u64::from_be_bytes(last.try_into().unwrap());
                    acker.ack_through(Ticket::from_number(number));
                }
                unread.drain(..whole);
            }
        });
        let mut count = 0;
        while server.accepted() <= cuts {
            // One that is refused is not waited for: without acknowledgements it would be in vain.
            match sender.try_send(frame(count + 1, len(&mut random))) {
                Ok(_) => count += 1,
                Err(_) => smol::future::yield_now().await,
            }
        }
        if resend == Resend::Unacked && !acks {
            // Nobody acknowledges them: they wait for that until the end.
            sender.flush().await;
            sender.close().await;
        } else {
            soon(sender.drain(LONG)).await;
        }
        acking.await;
        let ledger = sender.ledger();
        let mut audit = booking.await;
        audit.balance(&ledger);
        let received = received(&server, ledger).await;
        for number in 1..=count {
            let times = received.get(&number).copied().unwrap_or_default();
            let what = || format!("{number} of {resend:?}: {ledger}");
            if times > 0 {
                audit.received(Ticket::from_number(number));
            } else {
                let outcome = audit.outcome(Ticket::from_number(number));
                assert!(outcome != Some(Outcome::Acked), "{}: acknowledged, never read", what());
            }
            assert!(resend == Resend::Unacked || times <= 1, "{}: read {times} times", what());
            assert!(!acks || times > 0, "{}: lost", what());
        }
        if cuts > 8 {
            println!("{resend:?}, {attempts} attempts: {ledger}");
        }
    }
}

/// How often each message was read whole, on all connections together.
async fn received(server: &Server, ledger: Ledger) -> BTreeMap<u64, u32> {
    let epochs = usize::try_from(ledger.epochs).unwrap();
    server.ended(epochs).await;
    let mut times = BTreeMap::new();
    for connection in 1..=server.accepted() {
        let (numbers, _) = frames(&server.received(connection));
        assert!(numbers.is_sorted_by(|one, next| one < next), "out of order: {numbers:?}");
        for number in numbers {
            *times.entry(number).or_default() += 1;
        }
    }
    times
}

/// Mostly short, sometimes more than a peer's kernel takes.
fn len(random: &mut Random) -> usize {
    match random.below(20) {
        0 => random.below(400_000),
        1..4 => random.below(10_000),
        _ => random.below(100),
    }
}

/// A server that ends its first `cuts` connections somewhere, and answers each whole message with
/// its number if it `acknowledges`.
fn cut_at_random(random: &mut Random, cuts: usize, acknowledges: bool) -> Server {
    let cuts: Vec<(usize, Cut)> = (0..cuts)
        .map(|_| {
            let how = if random.below(3) == 0 { Cut::Fin } else { Cut::Rst };
            let limit = [1, 100, 3_000, 60_000, 400_000][random.below(5)];
            (random.below(limit), how)
        })
        .collect();
    Server::start(move |peer| match cuts.get(peer.number - 1) {
        Some((limit, how)) => {
            read(peer, *limit, acknowledges)?;
            peer.cut(*how)
        }
        None => read(peer, usize::MAX, acknowledges),
    })
}

fn read(peer: &mut Peer, limit: usize, acknowledges: bool) -> io::Result<()> {
    let (mut count, mut unread, mut buffer) = (0, Vec::new(), vec![0; 64 << 10]);
    while count < limit {
        let room = buffer.len().min(limit - count);
        let more = peer.read(&mut buffer[..room])?;
        if more == 0 {
            break;
        }
        count += more;
        if acknowledges {
            unread.extend_from_slice(&buffer[..more]);
            let (numbers, end) = frames(&unread);
            unread.drain(..end);
            if let Some(last) = numbers.last() {
                peer.write(&last.to_be_bytes())?;
            }
        }
    }
    Ok(())
}
