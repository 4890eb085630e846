//! The metric registry: what happened so far, in Prometheus' text format.
//!
//! Series are bounded: a proxy's series go when the proxy goes. Fed by `wiring`; encoded for `/metrics` of `serve`.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{
    fleet::{ConditionStatus, FleetView, PushOutcome, PushResult},
    model::{Leadership, ProxyTarget, Storage},
    render::Rendition,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabels {
    proxy: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProxyLabels {
    proxy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProfileLabels {
    profile: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    profile: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    lane: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    kind: &'static str,
    verdict: &'static str,
}

/// All metrics of the controller.
pub struct Metrics {
    registry: Registry,
    pushes: Family<PushLabels, Counter>,
    push_duration: Histogram,
    translations: Counter,
    translation_duration: Histogram,
    problems: Gauge,
    configuration_bytes: Family<ProfileLabels, Gauge>,
    refused_objects: Family<RefusedLabels, Gauge>,
    last_good_stored: Gauge,
    last_good_size: Gauge,
    proxies: Gauge,
    proxy_ready: Family<ProxyLabels, Gauge>,
    proxy_synced: Family<ProxyLabels, Gauge>,
    proxy_mutual_tls: Family<ProxyLabels, Gauge>,
    proxy_certificate_expiry: Family<ProxyLabels, Gauge>,
    leader: Gauge,
    status_waiting: Family<LaneLabels, Gauge>,
    status_writes: Counter,
    status_failures: Counter,
    reviews: Family<ReviewLabels, Counter>,
    review_duration: Histogram,
    known: Mutex<BTreeSet<String>>,
}

const RESULTS: [&str; 8] = [
    "accepted",
    "unchanged",
    "rejected",
    "busy",
    "fenced",
    "unconfirmed",
    "not_sent",
    "unknown",
];

impl Default for Metrics {
    fn default() -> Self {
        let durations = || [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let mut metrics = Self {
            registry: Registry::with_prefix("silverback"),
            pushes: Family::default(),
            push_duration: Histogram::new(durations()),
            translations: Counter::default(),
            translation_duration: Histogram::new(durations()),
            problems: Gauge::default(),
            configuration_bytes: Family::default(),
            refused_objects: Family::default(),
            last_good_stored: Gauge::default(),
            last_good_size: Gauge::default(),
            proxies: Gauge::default(),
            proxy_ready: Family::default(),
            proxy_synced: Family::default(),
            proxy_mutual_tls: Family::default(),
            proxy_certificate_expiry: Family::default(),
            leader: Gauge::default(),
            status_waiting: Family::default(),
            status_writes: Counter::default(),
            status_failures: Counter::default(),
            reviews: Family::default(),
            review_duration: Histogram::new(durations()),
            known: Mutex::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "pushes",
            "Configurations sent, by proxy and result",
            metrics.pushes.clone(),
        );
        let seconds = Unit::Seconds;
        registry.register_with_unit(
            "push_duration",
            "Time until a proxy answered",
            seconds.clone(),
            metrics.push_duration.clone(),
        );
        registry.register(
            "translations",
            "Translations of changed objects",
            metrics.translations.clone(),
        );
        let duration = metrics.translation_duration.clone();
        registry.register_with_unit(
            "translation_duration",
            "Time to translate and render",
            seconds.clone(),
            duration,
        );
        registry.register("problems", "Mistakes found in objects", metrics.problems.clone());
        let bytes = metrics.configuration_bytes.clone();
        registry.register_with_unit(
            "configuration_size",
            "Size of what is sent, by profile",
            Unit::Bytes,
            bytes,
        );
        registry.register(
            "refused_objects",
            "Objects that are left out or stay as they were since proxies refused them or what they depend on, by profile",
            metrics.refused_objects.clone(),
        );
        registry.register(
            "last_good_stored",
            "Whether what proxies accepted last would survive the controller",
            metrics.last_good_stored.clone(),
        );
        registry.register_with_unit(
            "last_good_stored_size",
            "Size of that, compressed and encrypted",
            Unit::Bytes,
            metrics.last_good_size.clone(),
        );
        registry.register(
            "proxies",
            "Proxies found, terminating ones aside",
            metrics.proxies.clone(),
        );
        registry.register(
            "proxy_ready",
            "Whether the proxy serves an accepted configuration",
            metrics.proxy_ready.clone(),
        );
        registry.register(
            "proxy_synced",
            "Whether the proxy runs what it shall",
            metrics.proxy_synced.clone(),
        );
        registry.register(
            "proxy_mutual_tls",
            "Whether both sides verified each other's certificate",
            metrics.proxy_mutual_tls.clone(),
        );
        let expiry = metrics.proxy_certificate_expiry.clone();
        let help = "When the certificate of the proxy's Admin API expires, since 1970";
        registry.register_with_unit("proxy_certificate_expiry", help, seconds, expiry);
        registry.register("leader", "Whether this replica is the leader", metrics.leader.clone());
        registry.register(
            "status_writes_waiting",
            "Writes to the cluster that wait, by lane; news, which may be missed, are a few a second at the most",
            metrics.status_waiting.clone(),
        );
        registry.register(
            "status_writes",
            "Writes of statuses and events to the cluster",
            metrics.status_writes.clone(),
        );
        registry.register(
            "status_write_failures",
            "Those that the API server did not take",
            metrics.status_failures.clone(),
        );
        registry.register(
            "admission_reviews",
            "Objects that the admission webhook was asked about, by kind and verdict",
            metrics.reviews.clone(),
        );
        let duration = metrics.review_duration.clone();
        registry.register_with_unit(
            "admission_review_duration",
            "Time to answer the API server",
            Unit::Seconds,
            duration,
        );
        metrics
    }
}

impl Metrics {
    /// A push ended.
    pub fn pushed(&self, target: &ProxyTarget, outcome: &PushOutcome) {
        let result = match &outcome.result {
            PushResult::Accepted => RESULTS[0],
            PushResult::Unchanged => RESULTS[1],
            PushResult::Rejected { .. } => RESULTS[2],
            PushResult::Busy { .. } => RESULTS[3],
            PushResult::Fenced => RESULTS[4],
            PushResult::Unconfirmed => RESULTS[5],
            PushResult::NotSent(_) => RESULTS[6],
            PushResult::Unknown(_) => RESULTS[7],
        };
        let proxy = label(target);
        let mut known = self.known.lock().expect("no holder of the lock panics");
        if !known.contains(&proxy) {
            known.insert(proxy.clone());
        }
        self.pushes.get_or_create(&PushLabels { proxy, result }).inc();
        self.push_duration.observe(outcome.took.as_secs_f64());
    }

    /// There is a new rendition.
    pub fn rendered(&self, rendition: &Rendition) {
        self.translations.inc();
        self.translation_duration.observe(rendition.took.as_secs_f64());
        self.problems
            .set(i64::try_from(rendition.problems.len()).unwrap_or(i64::MAX));
        self.configuration_bytes.clear();
        for (profile, rendered) in &rendition.profiles {
            let size = i64::try_from(rendered.bytes.len()).unwrap_or(i64::MAX);
            self.configuration_bytes
                .get_or_create(&ProfileLabels {
                    profile: profile.to_string(),
                })
                .set(size);
        }
        self.refused_objects.clear();
        for (profile, fallback) in &rendition.fallbacks {
            for (outcome, count) in [("left_out", fallback.left_out), ("kept", fallback.old)] {
                let profile = profile.to_string();
                self.refused_objects
                    .get_or_create(&RefusedLabels { profile, outcome })
                    .set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }

    /// What was accepted last is put away, or not.
    pub fn stored(&self, storage: &Storage) {
        self.last_good_stored
            .set(i64::from(matches!(storage, Storage::Stored { .. })));
        if let Storage::Stored { size: Some(size), .. } = storage {
            self.last_good_size.set(i64::try_from(*size).unwrap_or(i64::MAX));
        }
    }

    fn viewed(&self, view: &FleetView) {
        let mut known = self.known.lock().expect("no holder of the lock panics");
        let present: BTreeSet<String> = view.proxies.iter().map(|proxy| label(&proxy.target)).collect();
        for gone in known.difference(&present) {
            let labels = ProxyLabels { proxy: gone.clone() };
            for family in [
                &self.proxy_ready,
                &self.proxy_synced,
                &self.proxy_mutual_tls,
                &self.proxy_certificate_expiry,
            ] {
                family.remove(&labels);
            }
            for result in RESULTS {
                self.pushes.remove(&PushLabels {
                    proxy: gone.clone(),
                    result,
                });
            }
        }
        *known = present;
        let counted = view.proxies.iter().filter(|proxy| !proxy.target.terminating).count();
        self.proxies.set(i64::try_from(counted).unwrap_or(i64::MAX));
        for proxy in &view.proxies {
            let labels = ProxyLabels {
                proxy: label(&proxy.target),
            };
            let holds = |status| i64::from(status == ConditionStatus::True);
            self.proxy_ready.get_or_create(&labels).set(holds(proxy.ready.status));
            self.proxy_synced.get_or_create(&labels).set(holds(proxy.synced.status));
            self.proxy_mutual_tls
                .get_or_create(&labels)
                .set(holds(proxy.mutual_tls.status));
            if let Some(certificate) = proxy.report.as_ref().and_then(|report| report.certificate.as_ref()) {
                self.proxy_certificate_expiry
                    .get_or_create(&labels)
                    .set(certificate.not_after.as_second());
            }
        }
    }

    /// This replica's part changed.
    pub fn leading(&self, leadership: &Leadership) {
        self.leader.set(i64::from(leadership.is_leader()));
    }

    /// What waits to be written to the cluster by lane, and the totals of writes and of those that failed.
    pub fn statuses(&self, waiting: [(&'static str, usize); 4], writes: u64, failures: u64) {
        for (lane, count) in waiting {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.status_waiting.get_or_create(&LaneLabels { lane }).set(count);
        }
        self.status_writes
            .inc_by(writes.saturating_sub(self.status_writes.get()));
        self.status_failures
            .inc_by(failures.saturating_sub(self.status_failures.get()));
    }

    /// The admission webhook answered. `kind` is a known kind or `other`.
    pub fn reviewed(&self, kind: &'static str, verdict: &'static str, took: Duration) {
        self.reviews.get_or_create(&ReviewLabels { kind, verdict }).inc();
        self.review_duration.observe(took.as_secs_f64());
    }

    /// All of it in the `OpenMetrics` text format, with the proxies as they are: views change more often than anybody looks.
    pub fn encode(&self, view: &FleetView) -> String {
        self.viewed(view);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string can't fail");
        text
    }
}

#[cfg(test)]
impl Metrics {
    /// One series of each family: those without any are not encoded.
    pub(crate) fn with_every_series() -> Self {
        let metrics = Self::default();
        let proxy = || "gateway/proxy-0".to_owned();
        metrics
            .pushes
            .get_or_create(&PushLabels {
                proxy: proxy(),
                result: RESULTS[0],
            })
            .inc();
        metrics
            .configuration_bytes
            .get_or_create(&ProfileLabels {
                profile: "traditional".to_owned(),
            })
            .set(1);
        metrics
            .refused_objects
            .get_or_create(&RefusedLabels {
                profile: "traditional".to_owned(),
                outcome: "left_out",
            })
            .set(1);
        for family in [
            &metrics.proxy_ready,
            &metrics.proxy_synced,
            &metrics.proxy_mutual_tls,
            &metrics.proxy_certificate_expiry,
        ] {
            family.get_or_create(&ProxyLabels { proxy: proxy() }).set(1);
        }
        metrics.statuses([("gates", 0), ("transitions", 0), ("refreshes", 0), ("news", 0)], 0, 0);
        metrics.reviewed("KongPlugin", "allowed", Duration::from_millis(2));
        metrics
    }
}

fn label(target: &ProxyTarget) -> String {
    if target.namespace.is_empty() {
        target.name.to_string()
    } else {
        format!("{}/{}", target.namespace, target.name)
    }
}
