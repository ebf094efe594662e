//! The links, and the server program at their other ends.

use std::time::Duration;

use crate::fate::How;
use crate::pipe::Packet;
use crate::server::{End, Farewell, Peer, Server};
use crate::sim::{Happening, Sim};
use crate::tcp::{Side, Tcp};

impl<S: Server> Sim<S> {
    pub(crate) fn arrive(&mut self, link: u64, side: Side, packet: Packet) {
        let Some(tcp) = self.links.get_mut(&link) else { return };
        tcp.arrive(side, packet, self.now);
        match side {
            Side::Client => self.wake_writer(link),
            Side::Server => self.serve(link),
        }
    }

    /// Lets the server program read what has arrived.
    pub(crate) fn serve(&mut self, link: u64) {
        loop {
            let Some(tcp) = self.links.get_mut(&link) else { return };
            if let Some(stall) = tcp.begin_stall().filter(|stall| stall.lasts < Duration::MAX) {
                self.queue.push(self.now + stall.lasts, Happening::Resumes { link });
            }
            let Some(data) = tcp.is_served().then(|| tcp.server_read()).flatten() else { break };
            self.call_server(link, |server, peer| server.on_data(peer, &data));
        }
        self.end_service(link);
        if self.links.get(&link).is_some_and(Tcp::is_cut_due) {
            self.cut(link);
        }
    }

    fn end_service(&mut self, link: u64) {
        let Some(tcp) = self.links.get_mut(&link).filter(|tcp| !tcp.told_end) else { return };
        let end = if tcp.is_reset_at_server() {
            End::Reset
        } else if tcp.is_served() && tcp.is_read_out() {
            End::Fin
        } else {
            return;
        };
        tcp.told_end = true;
        self.call_server(link, |server, peer| server.on_end(peer, end));
    }

    pub(crate) fn cut(&mut self, link: u64) {
        let Some(tcp) = self.links.get_mut(&link) else { return };
        let told = std::mem::replace(&mut tcp.told_end, true) || !tcp.is_served();
        match tcp.cut(self.now) {
            Some(How::Silence) => {
                if let Some(delay) = tcp.keepalive() {
                    self.queue.push(self.now + delay, Happening::GivesUp { link });
                }
            }
            Some(How::Fin | How::Reset) if !told => {
                self.call_server(link, |server, peer| server.on_end(peer, End::Cut));
            }
            Some(How::Fin | How::Reset) | None => {}
        }
    }

    pub(crate) fn call_server(&mut self, link: u64, call: impl FnOnce(&mut S, &mut Peer)) {
        let mut peer = Peer::new(link, self.now);
        call(&mut self.server, &mut peer);
        let Some(tcp) = self.links.get_mut(&link) else { return };
        tcp.server_write(&peer.replies);
        match peer.farewell.filter(|_| tcp.is_served()) {
            Some(Farewell::Finish) => tcp.finish(Side::Server),
            Some(Farewell::Close) => tcp.close(Side::Server, self.now),
            Some(Farewell::Reset) => tcp.reset(Side::Server, self.now),
            None => {}
        }
        if let Some(delay) = peer.wake {
            self.queue.push(self.now + delay, Happening::Wakes { link });
        }
    }

    /// Sends on every link what may be sent, and forgets the links that are over.
    pub(crate) fn flush(&mut self) {
        let due = |(link, tcp): (&u64, &mut Tcp)| {
            tcp.flush(self.now);
            for (at, side, packet) in tcp.out.drain(..) {
                self.queue.push(at, Happening::Arrives { link: *link, side, packet });
            }
            if let Some(wire) = self.wires.get_mut(*link as usize - 1) {
                *wire = tcp.wire(*link);
            }
            tcp.is_cut_due().then_some(*link)
        };
        let cut: Vec<u64> = self.links.iter_mut().filter_map(due).collect();
        for link in &cut {
            self.cut(*link);
        }
        self.links.retain(|_, tcp| !tcp.is_over() || !tcp.out.is_empty());
        if !cut.is_empty() {
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rebelay_core::Config;

    use crate::{Cut, Fate, How, Link, Network, Sim, Sink, When};

    #[test]
    fn connections_that_are_over_are_forgotten() {
        for how in [How::Fin, How::Reset, How::Silence] {
            let cut = Some(Cut { when: When::After(Duration::from_millis(5)), how });
            let keepalive = Some(Duration::from_millis(5));
            let link = Link { cut, keepalive, ..Link::default() };
            let mut config = Config::default();
            config.backoff.max = config.backoff.initial;
            let network = Network::fates([], Fate::Accept(link));
            let mut sim = Sim::new(config, network, Sink::default(), 1).unwrap();
            sim.run_for(Duration::from_secs(60));
            assert!(sim.wires().len() > 300, "{how:?}: {}", sim.wires().len());
            assert!(sim.links.len() <= 2, "{how:?}: {}", sim.links.len());
        }
    }
}
