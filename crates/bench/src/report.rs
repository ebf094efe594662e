//! What was measured: a table on the terminal, JSON, or a plot.
//!
//! A [`Case`] is one workload on one runtime. Whoever measures adds one figure per round, peer and
//! [`Metric`]; peers and metrics need not be declared, and appear in the order of their first
//! figure. The first metric is the one that is plotted.
//!
//! ```ignore
//! const RATE: Metric = Metric { name: "requests/s", unit: "/s", better: Better::Higher };
//! let mut case = Case::new("redis, 1,000 tasks", "current", &["redis-rs", "fred"]);
//! case.add("fred", RATE, 81_000.0); // the first round
//! case.add("fred", RATE, 84_000.0); // the second
//! report::table(&[case]);
//! ```

mod json;
mod lines;
mod plot;
mod table;

pub(crate) use self::json::json;
pub(crate) use self::plot::svg;
pub(crate) use self::table::{LEGEND, table};

/// The peer that all others are compared with.
const OURS: &str = "rebelay";

/// What a figure says.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    /// What the figure counts: `s` for seconds, else a word or sign that is printed behind it.
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

/// Which figure is the better one.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Better {
    Higher,
    Lower,
    /// It only explains the others: no ratio is taken.
    Neither,
}

/// One workload on one runtime.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    workload: String,
    runtime: &'static str,
    /// The peers that ours is divided by.
    baselines: &'static [&'static str],
    peers: Vec<&'static str>,
    metrics: Vec<Metric>,
    figures: Vec<Figure>,
}

#[derive(Clone, Debug)]
struct Figure {
    peer: &'static str,
    metric: &'static str,
    value: f64,
}

/// One metric of one peer, over all rounds.
#[derive(Clone, Debug)]
struct Spread {
    /// In the order in which they were added.
    rounds: Vec<f64>,
    min: f64,
    median: f64,
    max: f64,
}

impl Case {
    pub(crate) fn new(
        workload: impl Into<String>,
        runtime: &'static str,
        baselines: &'static [&'static str],
    ) -> Self {
        let (peers, metrics, figures) = (Vec::new(), Vec::new(), Vec::new());
        Self { workload: workload.into(), runtime, baselines, peers, metrics, figures }
    }

    /// What `peer` came to in one round.
    pub(crate) fn add(&mut self, peer: &'static str, metric: Metric, value: f64) {
        if !self.peers.contains(&peer) {
            self.peers.push(peer);
        }
        if !self.metrics.contains(&metric) {
            self.metrics.push(metric);
        }
        self.figures.push(Figure { peer, metric: metric.name, value });
    }

    /// `None`: nothing was added for it.
    fn spread(&self, peer: &str, metric: Metric) -> Option<Spread> {
        let figures = self.figures.iter();
        let of_both = figures.filter(|figure| figure.peer == peer && figure.metric == metric.name);
        let rounds: Vec<f64> = of_both.map(|figure| figure.value).collect();
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Spread { rounds, min, median: (low + high) / 2.0, max })
    }

    /// Ours as a multiple of the peer's: of its rate, or of its time.
    fn ratio(&self, peer: &str, metric: Metric) -> Option<f64> {
        if metric.better == Better::Neither {
            return None;
        }
        let (ours, theirs) = (self.spread(OURS, metric)?, self.spread(peer, metric)?);
        Some(ours.median / theirs.median)
    }
}

/// `value` as people read it: three digits, thousands as k, M, G, parts of a second as m, µ, n.
fn human(value: f64, unit: &str) -> String {
    let prefixes = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ")];
    let fits = |&&(scale, _): &&(f64, &str)| value >= scale && (unit == "s" || scale >= 1.0);
    let fallback = if unit == "s" && value > 0.0 { (1e-9, "n") } else { (1.0, "") };
    let (scale, prefix) = prefixes.iter().find(fits).copied().unwrap_or(fallback);
    let scaled = value / scale;
    let digits = if unit == "%" || scaled >= 100.0 { 0 } else { 3 - order(scaled) };
    let gap = if prefix.is_empty() && unit.starts_with('/') { "" } else { " " };
    format!("{scaled:.digits$}{gap}{prefix}{unit}")
}

/// Digits before the point.
fn order(value: f64) -> usize {
    if value >= 10.0 { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Metric = Metric { name: "p50", unit: "s", better: Better::Lower };

    #[test]
    fn medians_and_ratios_are_of_all_rounds() {
        let mut case = Case::new("a", "current", &["limit"]);
        for (ours, theirs) in [(3.0, 4.0), (1.0, 2.0), (2.0, 9.0)] {
            case.add(OURS, TIME, ours);
            case.add("limit", TIME, theirs);
        }
        assert_eq!(case.spread(OURS, TIME).map(|spread| spread.median), Some(2.0));
        assert_eq!(case.ratio("limit", TIME), Some(0.5));
        assert_eq!(case.ratio("framed", TIME), None);
    }

    #[test]
    fn the_median_of_an_even_number_is_in_the_middle() {
        let mut case = Case::new("a", "current", &[]);
        for value in [1.0, 2.0, 10.0, 4.0] {
            case.add(OURS, TIME, value);
        }
        assert_eq!(case.spread(OURS, TIME).map(|spread| spread.median), Some(3.0));
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(human(38_220_000.0, "/s"), "38.2 M/s");
        assert_eq!(human(0.000_006_41, "s"), "6.41 µs");
        assert_eq!(human(2.5e-7, "s"), "250 ns");
        assert_eq!(human(45.4, "%"), "45 %");
        assert_eq!(human(0.02, "calls"), "0.02 calls");
        assert_eq!(human(0.0, "s"), "0.00 s");
    }
}
