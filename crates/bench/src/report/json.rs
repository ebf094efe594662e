//! One JSON object a case.

use super::{Better, Case, Metric};

pub(crate) fn json(cases: &[Case]) {
    for case in cases {
        let metrics = case.metrics.iter().map(|metric| of_metric(case, *metric));
        let (workload, runtime) = (quoted(&case.workload), quoted(case.runtime));
        let metrics = joined(metrics);
        println!("{{\"workload\":{workload},\"runtime\":{runtime},\"metrics\":[{metrics}]}}");
    }
}

fn of_metric(case: &Case, metric: Metric) -> String {
    let better = match metric.better {
        Better::Higher => "\"higher\"",
        Better::Lower => "\"lower\"",
        Better::Neither => "null",
    };
    let peers = joined(case.peers.iter().filter_map(|peer| {
        let spread = case.spread(peer, metric)?;
        let (min, median, max) = (spread.min, spread.median, spread.max);
        let rounds = joined(spread.rounds.iter().map(|value| format!("{value:e}")));
        let peer = quoted(peer);
        Some(format!(
            "{peer}:{{\"min\":{min:e},\"median\":{median:e},\"max\":{max:e},\"rounds\":[{rounds}]}}"
        ))
    }));
    let (name, unit) = (quoted(metric.name), quoted(metric.unit));
    format!("{{\"name\":{name},\"unit\":{unit},\"better\":{better},\"peers\":{{{peers}}}}}")
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|letter| match letter {
        '"' | '\\' => format!("\\{letter}"),
        control if control.is_control() => format!("\\u{:04x}", u32::from(control)),
        other => other.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}
