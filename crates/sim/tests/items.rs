//! What the reader takes is one ordered stream.
#![allow(clippy::unwrap_used, reason = "a failure to start is a failure of the test")]

mod common;

use common::{ms, secs};
use rebelay_core::{Config, Fault, Item, Reason};
use rebelay_sim::{Cut, Fate, How, Link, Network, Peer, Server, Sim, When};

/// Greets with a banner that names the connection, and echoes.
#[derive(Debug, Default)]
struct Banner;

const BANNER: usize = 5_000;

impl Server for Banner {
    fn on_accept(&mut self, peer: &mut Peer) {
        peer.send(&vec![peer.number() as u8; BANNER]);
    }

    fn on_data(&mut self, peer: &mut Peer, data: &[u8]) {
        peer.send(data);
    }
}

#[test]
fn g07_the_data_of_an_epoch_lies_between_its_up_and_its_down() {
    for seed in 0..300 {
        let network = Network::new(|dialled, rng| {
            let mut link = Link::default();
            link.latency = ms(rng.up_to(10));
            link.bandwidth = (rng.up_to(1) == 0).then_some(1_000_000);
            let how = [How::Fin, How::Reset][rng.up_to(1) as usize];
            let when = [When::Sent(rng.up_to(BANNER as u64)), When::After(ms(rng.up_to(30)))];
            let cut = Cut { when: when[rng.up_to(1) as usize], how };
            link.cut = (dialled.attempt < 9).then_some(cut);
            Fate::Accept(link)
        });
        let mut sim = Sim::new(Config::default(), network, Banner, seed).unwrap();
        sim.send(vec![0; 3_000]).unwrap();
        sim.run_for(secs(100));
        assert_ordered(&sim.record().items, seed);
        assert_eq!(sim.record().received(9).iter().filter(|byte| **byte == 9).count(), BANNER);
    }
}

#[test]
fn g07_what_arrived_before_a_reset_is_read_before_the_down() {
    for pending in [0, 100_000] {
        // A reader that is slow, and a writer that learns of the reset first.
        let mut link = Link::default();
        link.cut = Some(Cut { when: When::Sent(BANNER as u64), how: How::Reset });
        let network = Network::fates([Fate::Accept(link)], Fate::Blackhole);
        let mut config = Config::default();
        config.max_received_bytes = 4_096;
        let mut sim = Sim::new(config, network, Banner, 8).unwrap();
        sim.set_reading(false);
        if pending > 0 {
            sim.send(vec![0; pending]).unwrap();
        }
        sim.run_for(ms(20));
        sim.set_reading(true);
        sim.run_for(secs(5));
        let received = sim.record().received(1).len();
        assert_eq!(received, BANNER, "{pending} bytes to write");
        let Some(Item::Down { reason, .. }) = sim.record().items.last() else { panic!("no end") };
        let reset = Fault::with_errno(Some(104), "connection reset by peer");
        assert_eq!(*reason, Reason::Io(reset), "the first error is the reason");
    }
}

fn assert_ordered(items: &[Item], seed: u64) {
    let (mut epoch, mut up) = (0, false);
    for item in items {
        match item {
            Item::Up { epoch: next } => {
                assert!(!up && next.number() > epoch, "{next} after {epoch} (seed {seed})");
                (epoch, up) = (next.number(), true);
            }
            Item::Data(data) => {
                let own = data.iter().all(|byte| u64::from(*byte) == epoch || *byte == 0);
                assert!(up && own, "data of another epoch in {epoch} (seed {seed})");
            }
            Item::PeerFinished { epoch: same } => {
                assert!(up && same.number() == epoch, "{same} finished in {epoch} (seed {seed})");
            }
            Item::Down { epoch: last, .. } => {
                assert!(up && last.number() == epoch, "{last} down in {epoch} (seed {seed})");
                up = false;
            }
        }
    }
}
