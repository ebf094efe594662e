//! Medians and ratios: a table on the terminal, or JSON.

use std::fmt;

use crate::peers::{Done, Peer};

/// A workload on a flavour of tokio.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) threads: &'static str,
}

/// What each peer came to in one workload.
pub(crate) struct Row {
    case: Case,
    /// Each round's figure: messages per second, or the median time in seconds.
    figures: [Vec<f64>; Peer::ALL.len()],
    /// Each round's 99th percentile in seconds, where single messages were timed.
    tails: [Vec<f64>; Peer::ALL.len()],
}

impl Row {
    pub(crate) fn new(case: Case) -> Self {
        Self { case, figures: Default::default(), tails: Default::default() }
    }

    pub(crate) fn add(&mut self, peer: Peer, done: &Done) {
        let peer = peer as usize;
        match done {
            Done::Rate(rate) => self.figures[peer].push(*rate),
            Done::Times(times) => {
                // The first tenth warms up.
                let mut times = times[times.len() / 10..].to_vec();
                times.sort_unstable();
                let at = |part: f64| times[(times.len() as f64 * part) as usize] as f64 * 1e-9;
                self.figures[peer].push(at(0.5));
                self.tails[peer].push(at(0.99));
            }
        }
    }

    pub(crate) fn print(&self) {
        print!("{:<44}", self.case.to_string());
        for peer in Peer::ALL {
            print!("{:>16}", self.figure(peer));
        }
        println!("{:>9}{:>9}", self.ratio(Peer::Limit), self.ratio(Peer::Framed));
    }

    pub(crate) fn print_json(&self) {
        let peers: Vec<String> = Peer::ALL
            .into_iter()
            .filter(|peer| !self.figures[*peer as usize].is_empty())
            .map(|peer| {
                let (low, middle, high) = spread(&self.figures[peer as usize]);
                let tail = spread(&self.tails[peer as usize]).1;
                let tail =
                    if self.is_timed() { format!(",\"p99\":{tail:e}") } else { String::new() };
                let name = peer.name();
                format!(
                    "\"{name}\":{{\"min\":{low:e},\"median\":{middle:e},\"max\":{high:e}{tail}}}"
                )
            })
            .collect();
        let unit = if self.is_timed() { "s" } else { "messages/s" };
        let (workload, peers) = (self.case, peers.join(","));
        println!("{{\"workload\":\"{workload}\",\"unit\":\"{unit}\",{peers}}}");
    }

    fn is_timed(&self) -> bool {
        self.tails.iter().any(|tails| !tails.is_empty())
    }

    /// Ours as a multiple of the peer's: of its rate, or of its time.
    fn ratio(&self, peer: Peer) -> String {
        let (ours, theirs) = (&self.figures[Peer::Ours as usize], &self.figures[peer as usize]);
        if ours.is_empty() || theirs.is_empty() {
            return "-".into();
        }
        format!("{:.2}", spread(ours).1 / spread(theirs).1)
    }

    fn figure(&self, peer: Peer) -> String {
        if self.figures[peer as usize].is_empty() {
            return "-".into();
        }
        let (low, middle, high) = spread(&self.figures[peer as usize]);
        if self.is_timed() {
            let tail = spread(&self.tails[peer as usize]).1;
            return format!("{:.1}/{:.1} µs", middle * 1e6, tail * 1e6);
        }
        format!("{:.2} M ±{:.0} %", middle * 1e-6, (high - low) / middle * 50.0)
    }
}

pub(crate) fn header() {
    print!("{:<44}", "messages/s, median of the rounds ± half spread");
    for peer in Peer::ALL {
        print!("{:>16}", peer.name());
    }
    println!("{:>9}{:>9}", "/limit", "/framed");
    println!("ping-pong: p50/p99 of one message there and back; a lower ratio is better");
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.name, self.threads)
    }
}

/// The least, the median and the greatest.
fn spread(figures: &[f64]) -> (f64, f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}
