//! A plot as SVG: a group of bars a workload, tokio's two runtimes side by side. It has a
//! background of its own, dark where the reader prefers that, so that it can stand on any page.

use super::{Better, Case, Metric, OURS, human};

const WIDTH: u32 = 900;
const MARGIN: u32 = 28;
/// From one runtime's bars to the other's.
const COLUMN: u32 = 432;
/// Room for the peers' names, and for the longest bar.
const NAMES: u32 = 76;
const BAR: f64 = 190.0;
const LINE: u32 = 16;

const COLUMNS: [(&str, &str); 2] =
    [("current", "tokio, current thread"), ("multi", "tokio, two threads")];

const STYLE: &str = "\
  text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .h { font-size: 17px; font-weight: 600 } .w { font-size: 13px; font-weight: 600 }
  .b { font-weight: 600 } .m { fill: #59636e } .n { text-anchor: end }
  .card { fill: #ffffff; stroke: #d1d9e0 } .rule { stroke: #d1d9e0 }
  .ours { fill: #0969da } .limit { fill: #818b98 } .other { fill: #c8d0d8 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .m { fill: #9198a1 }
    .card { fill: #0d1117; stroke: #3d444d } .rule { stroke: #3d444d }
    .ours { fill: #4493f8 } .limit { fill: #7d8590 } .other { fill: #444c56 }
  }
";

/// The first metric of every case that ran on tokio.
pub(crate) fn svg(cases: &[Case]) -> String {
    let (mut body, mut y) = (String::new(), 100);
    let on_tokio = |case: &&Case| COLUMNS.iter().any(|(runtime, _)| *runtime == case.runtime);
    let cases: Vec<&Case> = cases.iter().filter(on_tokio).collect();
    for group in cases.chunk_by(|a, b| a.workload == b.workload) {
        y = draw_group(&mut body, group, y);
    }
    let mut head = text("h", MARGIN, 38, "rebelay beside other ways to use a TCP connection");
    let note = "Medians, with the multiple of limit, a raw socket batched by hand. Loopback; only \
                ratios carry over.";
    head += &text("m", MARGIN, 59, note);
    for (column, (_, name)) in (0..).zip(COLUMNS) {
        head += &text("b", MARGIN + column * COLUMN, 86, name);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         viewBox=\"0 0 {WIDTH} {y}\" role=\"img\" aria-label=\"Benchmark of rebelay\">\n\
         <style>\n{STYLE}</style>\n\
         <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n\
         {head}{body}</svg>\n",
        WIDTH - 1,
        y - 1,
    )
}

/// Draws one workload from `y` on; where the next one begins.
fn draw_group(body: &mut String, cases: &[&Case], y: u32) -> u32 {
    let Some(metric) = cases.first().and_then(|case| case.metrics.first()).copied() else {
        return y;
    };
    let direction = match metric.better {
        Better::Higher => ", longer is better",
        Better::Lower => ", shorter is better",
        Better::Neither => "",
    };
    let right = WIDTH - MARGIN;
    *body += &format!(
        "<line class=\"rule\" x1=\"{MARGIN}\" x2=\"{right}\" y1=\"{y}.5\" y2=\"{y}.5\"/>\n"
    );
    *body += &text("w", MARGIN, y + 22, &cases[0].workload);
    *body += &text("m n", right, y + 22, &format!("{}{direction}", metric.name));
    let all = cases.iter().flat_map(|case| bars(case, metric));
    let greatest = all.map(|(_, median)| median).fold(f64::MIN_POSITIVE, f64::max);
    let mut below = y;
    for (column, (runtime, _)) in (0..).zip(COLUMNS) {
        for case in cases.iter().filter(|case| case.runtime == runtime) {
            let mut line = y + 32;
            for (peer, median) in bars(case, metric) {
                let length = median / greatest * BAR;
                draw_bar(body, case, metric, (peer, median, length), column, line);
                line += LINE;
            }
            below = below.max(line);
        }
    }
    below + 14
}

/// Ours first, then the others as they come.
fn bars(case: &Case, metric: Metric) -> Vec<(&'static str, f64)> {
    let mut peers = case.peers.clone();
    peers.sort_by_key(|peer| *peer != OURS);
    let median = |peer| case.spread(peer, metric).map(|spread| (peer, spread.median));
    peers.into_iter().filter_map(median).collect()
}

fn draw_bar(
    body: &mut String,
    case: &Case,
    metric: Metric,
    (peer, median, length): (&str, f64, f64),
    column: u32,
    y: u32,
) {
    let reference = case.baselines.first().copied();
    let (class, weight) = match peer {
        OURS => ("ours", "b"),
        _ if Some(peer) == reference => ("limit", "m"),
        _ => ("other", "m"),
    };
    let x = MARGIN + column * COLUMN + NAMES;
    let (height, base, length) = (LINE - 4, y + 10, length.max(1.0));
    *body += &text(&format!("{weight} n"), x - 8, base, peer);
    *body += &format!(
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"{height}\" \
         rx=\"2\"/>\n"
    );
    let multiple = match reference.filter(|reference| *reference != peer) {
        Some(reference) => case.spread(reference, metric).map(|of| median / of.median),
        None => None,
    };
    let multiple = multiple.map_or(String::new(), |multiple| {
        let digits = if multiple < 0.1 { 3 } else { 2 };
        format!(" ({multiple:.digits$} ×)")
    });
    let label = human(median, metric.unit) + &multiple;
    *body += &text(weight, x + length.ceil() as u32 + 7, base, &label);
}

fn text(class: &str, x: u32, y: u32, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::super::{Better, Case, Metric};
    use super::svg;

    #[test]
    fn names_cannot_break_out_of_the_text() {
        let mut case = Case::new("<a> & b", "multi", &["limit"]);
        let rate = Metric { name: "messages/s", unit: "/s", better: Better::Higher };
        case.add("rebelay", rate, 0.0);
        let plot = svg(&[case]);
        assert!(plot.contains("&lt;a&gt; &amp; b") && !plot.contains("<a>"));
    }
}
