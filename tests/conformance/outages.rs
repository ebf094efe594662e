//! Outages at random places: what each resend policy promises holds wherever a connection ends.

use std::collections::BTreeSet;
use std::io;

use rebelay::{Item, Ledger, Outcome, Resend, Ticket};

use crate::support::runtimes::Runtime;
use crate::support::server::{Cut, Peer, Server};
use crate::support::talk::{quick, up, written};
use crate::support::wire::{Random, frame, frames};

const MESSAGES: u64 = 200;

pub(crate) async fn g04_unacked_loses_nothing<R: Runtime>() {
    let mut random = Random::new();
    let server = cut_at_random(&mut random, true);
    let mut config = quick();
    config.connection.resend = Resend::Unacked;
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    let acks = sender.clone();
    let acking = R::spawn(async move {
        let mut unread = Vec::new();
        while let Some(item) = receiver.recv().await {
            match item {
                Item::Up { .. } => unread.clear(),
                Item::Data(data) => unread.extend_from_slice(&data),
                Item::PeerFinished { .. } | Item::Down { .. } => {}
            }
            let whole = unread.len() / 8 * 8;
            if let Some(last) = unread[..whole].chunks_exact(8).last() {
                let number = u64::from_be_bytes(last.try_into().unwrap());
                acks.ack_through(Ticket::from_number(number));
            }
            unread.drain(..whole);
        }
    });
    for number in 1..=MESSAGES {
        sender.send(frame(number, len(&mut random))).await.unwrap();
    }
    let ledger = sender.drain(LONG).await;
    acking.await;
    assert_eq!((ledger.acked, ledger.admitted), (MESSAGES, MESSAGES), "{ledger}");

    let mut whole = BTreeSet::new();
    for numbers in received(&server, ledger).await {
        // Whatever a connection leaves out was acknowledged, so an earlier one brought it whole.
        let mut next = 1;
        for number in numbers {
            assert!(number >= next, "{number} came when {next} was due");
            assert!((next..number).all(|skipped| whole.contains(&skipped)), "lost before {number}");
            whole.insert(number);
            next = number + 1;
        }
    }
    assert!(whole.into_iter().eq(1..=MESSAGES));
}

pub(crate) async fn g04_incomplete_sends_nothing_twice<R: Runtime>() {
    at_most_once::<R>(Resend::Incomplete).await;
}

pub(crate) async fn g04_untransmitted_sends_nothing_twice<R: Runtime>() {
    at_most_once::<R>(Resend::Untransmitted).await;
}

pub(crate) async fn g04_never_sends_nothing_twice<R: Runtime>() {
    at_most_once::<R>(Resend::Never).await;
}

async fn at_most_once<R: Runtime>(resend: Resend) {
    let mut random = Random::new();
    let server = cut_at_random(&mut random, false);
    let mut config = quick();
    config.connection.resend = resend;
    let (sender, receiver) = R::connect(server.address().into(), config).await.unwrap();
    drop(receiver);
    for number in 1..=MESSAGES {
        sender.send(frame(number, len(&mut random))).await.unwrap();
    }
    let ledger = sender.drain(LONG).await;
    assert!(ledger.adds_up() && ledger.admitted == MESSAGES, "{ledger}");

    let whole: Vec<u64> = received(&server, ledger).await.into_iter().flatten().collect();
    assert!(whole.is_sorted_by(|one, next| one < next), "twice, or out of order: {whole:?}");
    for number in 1..=MESSAGES {
        match sender.outcome(Ticket::from_number(number)).await {
            Some(Outcome::Written { .. }) => {}
            Some(Outcome::Failed { certainty: rebelay::Certainty::NotSent, .. })
                if resend == Resend::Never =>
            {
                assert!(!whole.contains(&number), "{number} arrived");
            }
            other => panic!("{number}: {other:?}"),
        }
    }
}

pub(crate) async fn g01_an_epoch_begins_with_a_whole_message<R: Runtime>() {
    let mut random = Random::new();
    let cut = 1_000_000 + random.below(500_000);
    let server = Server::start(move |peer| match peer.number {
        1 => peer.cut_after(cut, Cut::Rst),
        _ => peer.keep(),
    });
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    // More than the two kernels hold, so the cut leaves it half written.
    let message = frame(1, 7 << 20);
    let ticket = sender.send(message.clone()).await.unwrap();
    written(&sender, ticket).await;
    let mut all = Vec::new();
    let mut events = sender.events();
    while let Some(event) = events.try_next() {
        all.push(event);
    }
    assert_eq!(sender.ledger().resent, 1, "{all:#?}");
    let len = message.len();
    server.saw(move |seen| seen.get(&2).is_some_and(|bytes| bytes.len() == len)).await;
    assert_eq!(frames(&server.received(2)), (vec![1], len));
    assert_eq!(frames(&server.received(1)).0, []);
}

pub(crate) async fn g04_a_server_that_is_restarted_gets_the_rest<R: Runtime>() {
    let mut server = Server::start(|peer| match peer.number {
        1 => peer.stall(),
        _ => peer.echo(),
    });
    let mut config = quick();
    config.connection.resend = Resend::Unacked;
    let (sender, mut receiver) = R::connect(server.address().into(), config).await.unwrap();
    up(&mut receiver).await;
    // Which connection is the first is decided when it is accepted.
    server.saw(|seen| seen.len() == 1).await;
    let mut sent = Vec::new();
    for number in 1..=10 {
        sender.send(frame(number, 1_000)).await.unwrap();
        sent.extend(frame(number, 1_000));
    }
    sender.flush().await;
    assert_eq!(sender.ledger().pending, 10);
    // The kernel has them all, and the server dies with them unread.
    server.kill();
    server.restart();
    for number in 11..=20 {
        sender.send(frame(number, 1_000)).await.unwrap();
        sent.extend(frame(number, 1_000));
    }
    crate::support::talk::rest(&mut receiver).await;
    let epoch = up(&mut receiver).await;
    let answer = crate::support::talk::data(&mut receiver, sent.len()).await;
    assert!(answer == sent, "resent ones go first, newer ones follow");
    sender.ack_through(Ticket::from_number(20));
    let ledger = sender.drain(LONG).await;
    assert_eq!((ledger.acked, ledger.epochs), (20, epoch.number()));
    assert!(ledger.resent >= 10, "{ledger}");
}

/// No test waits this long.
const LONG: std::time::Duration = std::time::Duration::from_secs(600);

/// Mostly short, sometimes longer than what one write takes.
fn len(random: &mut Random) -> usize {
    match random.below(20) {
        0 => random.below(200_000),
        1..4 => random.below(10_000),
        _ => random.below(100),
    }
}

/// A server that ends its first connections after so many bytes, one at least, and sends back the
/// number of the last whole message when it has read one, if it `acknowledges`.
fn cut_at_random(random: &mut Random, acknowledges: bool) -> Server {
    let cuts: Vec<(usize, Cut)> = (0..6)
        .map(|_| {
            let how = if random.below(2) == 0 { Cut::Fin } else { Cut::Rst };
            let limit = [10, 1_000, 30_000, 120_000][random.below(4)];
            (1 + random.below(limit), how)
        })
        .collect();
    Server::start(move |peer| {
        let cut = cuts.get(peer.number - 1);
        read_up_to(peer, cut.map_or(usize::MAX, |(limit, _)| *limit), acknowledges)?;
        cut.map_or(Ok(()), |(_, how)| peer.cut(*how))
    })
}

fn read_up_to(peer: &mut Peer, limit: usize, acknowledges: bool) -> io::Result<()> {
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

/// The messages that each connection received whole, once all of them have ended.
async fn received(server: &Server, ledger: Ledger) -> Vec<Vec<u64>> {
    let epochs = usize::try_from(ledger.epochs).unwrap();
    server.ended(epochs).await;
    assert_eq!(server.accepted(), epochs);
    (1..=epochs).map(|number| frames(&server.received(number)).0).collect()
}
