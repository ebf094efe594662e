//! A case as text, for the way from one process to another: a line a figure.

use super::{Case, Metric};

impl Case {
    pub(crate) fn to_lines(&self) -> String {
        let figures = self.figures.iter();
        let line = |figure: &super::Figure| {
            format!("{}\t{}\t{:e}\n", figure.peer, figure.metric, figure.value)
        };
        figures.map(line).collect()
    }

    /// Adds the figure in `line`; `None` if it has none of these peers and metrics.
    pub(crate) fn add_line(
        &mut self,
        line: &str,
        peers: &[&'static str],
        metrics: &[Metric],
    ) -> Option<()> {
        let mut fields = line.split('\t');
        let (peer, metric, value) = (fields.next()?, fields.next()?, fields.next()?);
        let peer = peers.iter().find(|known| **known == peer)?;
        let metric = metrics.iter().find(|known| known.name == metric)?;
        self.add(peer, *metric, value.parse().ok()?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Better, Case, Metric};

    #[test]
    fn figures_survive_the_way() {
        let time = Metric { name: "p50", unit: "s", better: Better::Lower };
        let mut case = Case::new("a", "current", &[]);
        case.add("limit", time, 0.1 + 0.2);
        let mut copy = Case::new("a", "current", &[]);
        for line in case.to_lines().lines() {
            assert_eq!(copy.add_line(line, &["limit"], &[time]), Some(()));
        }
        assert_eq!(format!("{case:?}"), format!("{copy:?}"));
        assert_eq!(copy.add_line("limit\tp99\t1", &["limit"], &[time]), None);
    }
}
