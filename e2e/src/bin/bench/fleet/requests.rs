//! What the API server was asked, by resource, from its own count. Pure.

use std::collections::BTreeMap;

/// Requests by resource, and by whether they were watches: these count once, when they end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Requests(BTreeMap<(String, bool), f64>);

impl Requests {
    /// What the metrics of an API server say.
    pub(super) fn of(metrics: &str) -> Self {
        let mut counts = BTreeMap::new();
        for line in metrics.lines() {
            let Some(labels) = line.strip_prefix("apiserver_request_total{") else {
                continue;
            };
            let count = labels.rsplit_once(' ').and_then(|(_, count)| count.parse::<f64>().ok());
            let resource = label(labels, "resource").unwrap_or_default().to_owned();
            let is_watch = label(labels, "verb") == Some("WATCH");
            *counts.entry((resource, is_watch)).or_default() += count.unwrap_or_default();
        }
        Self(counts)
    }

    /// What came since.
    pub(super) fn since(&self, before: &Self) -> Self {
        let counts = self.0.iter().map(|(what, count)| {
            let before = before.0.get(what).copied().unwrap_or_default();
            (what.clone(), count - before)
        });
        Self(counts.filter(|(_, count)| *count > 0.0).collect())
    }

    /// All of them.
    pub(super) fn total(&self) -> f64 {
        self.0.values().sum()
    }

    /// Those for Leases, beyond what the API server asks of itself.
    pub(super) fn leases(&self, own: &Self) -> f64 {
        let leases = |requests: &Self| {
            requests
                .0
                .get(&("leases".to_owned(), false))
                .copied()
                .unwrap_or_default()
        };
        (leases(self) - leases(own)).max(0.0)
    }

    /// Watches that ended: the API server ends each after five to ten minutes, and it is established anew.
    pub(super) fn watches(&self) -> f64 {
        let watches = self.0.iter().filter(|((_, is_watch), _)| *is_watch);
        watches.map(|(_, count)| count).sum()
    }

    /// All others, by resource, beyond what the API server asks of itself: once in that time more or less, as it falls. A look
    /// at its metrics is of no resource.
    pub(super) fn others(&self, own: &Self) -> BTreeMap<String, f64> {
        let others = self
            .0
            .iter()
            .filter(|((resource, is_watch), _)| !is_watch && !resource.is_empty() && resource != "leases");
        let beyond = others.map(|(what, count)| {
            let own = own.0.get(what).map_or(0.0, |own| own + 1.0);
            (what.0.clone(), count - own)
        });
        beyond.filter(|(_, count)| *count > 0.0).collect()
    }
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let all = labels.split_once('}').map_or(labels, |(labels, _)| labels);
    all.split(',')
        .find_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(counts: &[(&str, &str, u32)]) -> Requests {
        let lines = counts.iter().map(|(verb, resource, count)| {
            format!(
                "apiserver_request_total{{code=\"200\",resource=\"{resource}\",scope=\"x\",verb=\"{verb}\"}} {count}\n"
            )
        });
        Requests::of(&lines.collect::<String>())
    }

    #[test]
    fn only_what_is_for_no_lease_and_no_watch_counts_against_it() {
        let own = metrics(&[("GET", "", 1), ("GET", "leases", 1), ("GET", "endpointslices", 1)]);
        let before = metrics(&[("PUT", "leases", 7), ("PATCH", "ingresses", 3)]);
        let after = metrics(&[
            ("PUT", "leases", 12),
            ("GET", "leases", 1),
            ("PATCH", "ingresses", 3),
            ("WATCH", "ingresses", 2),
            ("GET", "endpointslices", 2),
            ("GET", "", 5),
        ]);
        let asked = after.since(&before);
        assert_eq!((asked.leases(&own), asked.watches(), asked.total()), (5.0, 2.0, 15.0));
        assert_eq!(asked.others(&own), BTreeMap::new());
        let written = metrics(&[("PATCH", "ingresses", 4)]).since(&before);
        assert_eq!(written.others(&own), BTreeMap::from([("ingresses".to_owned(), 1.0)]));
    }
}
