//! A block a workload, a line a runtime and metric.

use super::{Better, Case, Metric, human};

pub(crate) const LEGEND: &str = "\
Median of the rounds ± half the spread between the least and the greatest. ↑: more is better,
↓: less is better. /limit: rebelay's figure divided by limit's. current and multi are tokio's
runtimes. Server busy: the CPU time of the server's thread in parts of the time the peer took.";

/// Prints the cases of one workload.
pub(crate) fn table(cases: &[Case]) {
    let Some(first) = cases.first() else { return };
    let mut peers = Vec::new();
    for peer in cases.iter().flat_map(|case| &case.peers) {
        if !peers.contains(peer) {
            peers.push(*peer);
        }
    }
    print!("\n{:<34}", first.workload);
    for peer in &peers {
        print!("{peer:>16}");
    }
    for baseline in first.baselines {
        print!("{:>11}", format!("/{baseline}"));
    }
    println!();
    for case in cases {
        for metric in &case.metrics {
            line(case, *metric, &peers);
        }
    }
}

fn line(case: &Case, metric: Metric, peers: &[&str]) {
    let arrow = match metric.better {
        Better::Higher => " ↑",
        Better::Lower => " ↓",
        Better::Neither => "",
    };
    print!("  {:<32}", format!("{:<10} {}{arrow}", case.runtime, metric.name));
    for peer in peers {
        print!("{:>16}", figure(case, metric, peer));
    }
    if metric.better != Better::Neither {
        for baseline in case.baselines {
            let ratio = case.ratio(baseline, metric);
            print!("{:>11}", ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")));
        }
    }
    println!();
}

fn figure(case: &Case, metric: Metric, peer: &str) -> String {
    let Some(spread) = case.spread(peer, metric) else { return "-".into() };
    let half = (spread.max - spread.min) / spread.median * 50.0;
    // What a line counts stands in front of it.
    let figure = human(spread.median, metric.unit);
    let figure = figure.trim_end_matches("/s");
    if metric.better == Better::Neither { figure.into() } else { format!("{figure} ±{half:.0} %") }
}
