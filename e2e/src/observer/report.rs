//! What the observer found, for a reader. Pure.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use super::comparison::{Aspect, Findings};

/// Mismatches and exclusions that are listed; the rest is counted.
const LISTED: usize = 60;

/// The findings, and how much was asked.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) findings: Findings,
    /// What proxies were asked.
    pub(crate) answers: u64,
}

impl Report {
    /// How long nothing was compared.
    pub(crate) fn excluded(&self) -> Duration {
        let times = self.findings.excluded.iter();
        times.map(|time| time.until.saturating_sub(time.from)).sum()
    }

    /// How often for each reason, and how long together.
    fn excluded_by_reason(&self) -> BTreeMap<&'static str, (usize, Duration)> {
        let mut reasons = BTreeMap::<_, (usize, Duration)>::new();
        for time in &self.findings.excluded {
            let (times, sum) = reasons.entry(time.why).or_default();
            *times += 1;
            *sum += time.until.saturating_sub(time.from);
        }
        reasons
    }

    /// As a table.
    pub(crate) fn text(&self) -> String {
        let findings = &self.findings;
        let mut text = format!(
            "observed for {}, {} moments, up to {} proxies, {} questions to Admin APIs\n",
            seconds(findings.duration),
            findings.moments,
            findings.most_proxies,
            self.answers
        );
        let _ = writeln!(
            text,
            "{:<12} {:>10} {:>16} {:>11} {:>11}",
            "", "samples", "furthest behind", "tolerance", "mismatches"
        );
        for aspect in Aspect::ALL {
            let tally = findings.tallies.get(&aspect).copied().unwrap_or_default();
            let found = findings.mismatches.iter().filter(|found| found.aspect == aspect);
            let _ = writeln!(
                text,
                "{:<12} {:>10} {:>16} {:>11} {:>11}",
                aspect.name(),
                tally.compared,
                seconds(tally.longest),
                seconds(tally.tolerance),
                found.count()
            );
        }
        let _ = writeln!(
            text,
            "longest stretch by the budget of writes: {}",
            seconds(findings.longest_stretch)
        );
        let _ = writeln!(text, "excluded: {}", seconds(self.excluded()));
        for (why, (times, sum)) in self.excluded_by_reason() {
            let _ = writeln!(text, "    {:>8} in {times}: {why}", seconds(sum));
        }
        for time in findings.excluded.iter().take(LISTED) {
            let _ = writeln!(
                text,
                "    {:>8} at {:>8}  {}  ({})",
                seconds(time.until.saturating_sub(time.from)),
                seconds(time.from),
                time.why,
                time.during
            );
        }
        if let Some(longest) = findings.mismatches.iter().max_by_key(|found| found.length) {
            let _ = writeln!(
                text,
                "mismatches: {}, the longest {}",
                findings.mismatches.len(),
                seconds(longest.length)
            );
        } else {
            let _ = writeln!(text, "mismatches: none");
        }
        for found in findings.mismatches.iter().take(LISTED) {
            let _ = writeln!(
                text,
                "    {:>8} since {:>8}  {} of {}: {} said {}, it was {}  ({})",
                seconds(found.length),
                seconds(found.since),
                found.aspect.name(),
                found.proxy,
                match found.aspect {
                    Aspect::Synced => "the fleet",
                    Aspect::Content => "it",
                    _ => "the row",
                },
                short(&found.said),
                short(&found.was),
                found.during
            );
        }
        text
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Hashes as rows show them; words as they are.
fn short(value: &str) -> &str {
    let is_hash = value.chars().all(|character| character.is_ascii_hexdigit());
    value.get(..12).filter(|_| is_hash).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::comparison::{Excluded, Mismatch, Tally};

    #[test]
    fn the_longest_mismatch_and_what_was_excluded_are_told() {
        let second = Duration::from_secs(1);
        let mut findings = Findings {
            moments: 300,
            duration: 60 * second,
            most_proxies: 3,
            excluded: vec![Excluded {
                why: "nobody renews the Lease",
                from: 10 * second,
                until: 14 * second,
                during: "the leader is killed".to_owned(),
            }],
            ..Findings::default()
        };
        let tally = Tally {
            compared: 280,
            longest: 2 * second,
            tolerance: 10 * second,
        };
        findings.tallies.insert(Aspect::Hash, tally);
        let mut report = Report {
            findings,
            answers: 1800,
        };
        let text = report.text();
        assert!(text.contains("mismatches: none"), "{text}");
        assert!(
            text.contains("excluded: 4.0 s\n       4.0 s in 1: nobody renews the Lease\n"),
            "{text}"
        );
        assert!(
            text.contains("4.0 s at   10.0 s  nobody renews the Lease  (the leader is killed)"),
            "{text}"
        );

        report.findings.mismatches.push(Mismatch {
            aspect: Aspect::Hash,
            proxy: "kong-1".to_owned(),
            since: 20 * second,
            length: 25 * second,
            said: "0123456789abcdef".to_owned(),
            was: "fedcba9876543210".to_owned(),
            during: "a foreign writer".to_owned(),
        });
        report.findings.mismatches.push(Mismatch {
            aspect: Aspect::Content,
            proxy: "kong-2".to_owned(),
            since: 30 * second,
            length: Duration::ZERO,
            said: "0123456789abcdef".to_owned(),
            was: "what kong-1 called fedcba9876543210".to_owned(),
            during: "calm".to_owned(),
        });
        let text = report.text();
        assert!(
            text.contains(
                "content of kong-2: it said 0123456789ab, it was what kong-1 called fedcba9876543210  (calm)"
            ),
            "{text}"
        );
        assert!(text.contains("mismatches: 2, the longest 25.0 s"), "{text}");
        assert!(
            text.contains("hash of kong-1: the row said 0123456789ab, it was fedcba987654  (a foreign writer)"),
            "{text}"
        );
    }
}
