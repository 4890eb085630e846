//! Figures beside their limits and a peer's.

use std::time::Duration;

/// Prints lines, and remembers whether all limits were kept.
pub(crate) struct Table {
    kept: bool,
    peer: bool,
}

/// One figure.
pub(crate) struct Line<'a> {
    pub(crate) what: &'a str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) limit: Option<f64>,
    pub(crate) peer: Option<&'a str>,
}

impl Table {
    /// With the heading; with a column for a peer if it has a name.
    pub(crate) fn new(peer: Option<&str>) -> Self {
        let peers = peer.map(|name| format!("  {name:>16}")).unwrap_or_default();
        println!("{:46} {:>14} {:>14}{peers}", "", "measured", "limit");
        Self {
            kept: true,
            peer: peer.is_some(),
        }
    }

    pub(crate) fn line(&mut self, line: &Line<'_>) {
        let Line { what, value, unit, .. } = line;
        let figure = |value: f64| format!("{} {unit:4}", number(value));
        let missed = line.limit.is_some_and(|limit| *value >= limit);
        self.kept &= !missed;
        let limit = line.limit.map(figure).unwrap_or_default();
        let peer = line.peer.filter(|_| self.peer).map(|peer| format!("  {peer:>16}"));
        let blank = if self.peer {
            format!("  {:16}", "")
        } else {
            String::new()
        };
        let text = format!(
            "{what:46} {:>14} {limit:>14}{}{}",
            figure(*value),
            peer.unwrap_or(blank),
            if missed { "  MISSED" } else { "" }
        );
        println!("{}", text.trim_end());
    }

    /// A figure without a limit.
    pub(crate) fn figure(&mut self, what: &str, value: f64, unit: &'static str) {
        self.line(&Line {
            what,
            value,
            unit,
            limit: None,
            peer: None,
        });
    }

    /// A figure that must be below its limit.
    pub(crate) fn limited(&mut self, what: &str, value: f64, limit: f64, unit: &'static str) {
        self.line(&Line {
            what,
            value,
            unit,
            limit: Some(limit),
            peer: None,
        });
    }

    /// A figure that must be at least its limit.
    pub(crate) fn at_least(&mut self, what: &str, value: f64, limit: f64) {
        let missed = value < limit;
        self.kept &= !missed;
        let mark = if missed { "  MISSED" } else { "" };
        println!(
            "{what:46} {:>14} {:>14}{mark}",
            number(value),
            format!("≥ {}", number(limit))
        );
    }

    /// Whether every limit was kept.
    pub(crate) fn kept(&self) -> bool {
        self.kept
    }
}

/// Three digits that say something.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value below which that share of all lies. Sorts them.
pub(crate) fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort();
    values[((values.len() - 1) as f64 * share).round() as usize]
}
