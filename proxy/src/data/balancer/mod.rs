//! Picks the address behind a service: targets by weight and algorithm, names by DNS.
//!
//! A [`Balancer`] is kept across configurations while its upstream is unchanged, and hands its position on to its
//! successor when targets come or go, so that a reload favours no target.

mod hash_ring;
mod latency;
mod resolver;
mod round_robin;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use proxy_config_schema::Upstream;
use tokio::time::Instant;

pub(super) use hash_ring::hash;
pub(super) use resolver::Resolver;

use hash_ring::HashRing;
use latency::Latency;
use round_robin::RoundRobin;

/// Weight of a target that names none (Kong: 100).
const DEFAULT_WEIGHT: u32 = 100;
/// Port of a target that names none (Kong: 8000).
const DEFAULT_PORT: u16 = 8000;

/// Where a request can go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Destination {
    /// Reads `host`, `host:port`, `[v6]:port` or `v6`.
    pub(super) fn parse(text: &str, default_port: u16) -> Self {
        let (host, port) = super::router::split_port(text);
        Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase(),
            port: port.unwrap_or(default_port),
        }
    }

    /// As it stands in a Host header: with brackets around an IPv6 address, and the port unless it is the default.
    pub(super) fn authority(&self, default_port: u16) -> String {
        authority(&self.host, self.port, default_port)
    }
}

/// Host and port as they stand in a Host header.
pub(super) fn authority(host: &str, port: u16, default_port: u16) -> String {
    let bracketed = host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
    match (bracketed, port == default_port) {
        (false, true) => host.to_owned(),
        (false, false) => format!("{host}:{port}"),
        (true, true) => format!("[{host}]"),
        (true, false) => format!("[{host}]:{port}"),
    }
}

/// A target of an upstream.
#[derive(Debug)]
pub(super) struct Target {
    /// Where it is.
    pub destination: Destination,
    weight: u32,
    running: AtomicUsize,
    latency: Latency,
}

/// Counts a request at a target for as long as it lives.
#[derive(Debug)]
pub(super) struct Running(Arc<Target>);

impl Target {
    /// Counts a request that begins.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Relaxed);
        Running(Arc::clone(self))
    }
}

impl Running {
    /// The target begins its answer, this long after it was asked.
    pub(super) fn answered(&self, took: Duration) {
        self.0.latency.observe(took, Instant::now());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}

/// What a request may be hashed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HashInput {
    /// The client's address.
    Ip,
    /// The path.
    Path,
    /// A header by its name.
    Header(String),
    /// A cookie by its name; made and set on this path where it is missing.
    Cookie {
        /// Its name.
        name: String,
        /// Its path.
        path: String,
    },
    /// A query argument by its name.
    QueryArgument(String),
    /// A group of the route's path expression.
    Capture(String),
}

#[derive(Debug)]
enum Algorithm {
    RoundRobin(RoundRobin),
    LeastConnections(RoundRobin),
    Latency(RoundRobin),
    ConsistentHashing(HashRing),
}

/// The targets of one upstream, and whose turn it is.
#[derive(Debug)]
pub(super) struct Balancer {
    targets: Vec<Arc<Target>>,
    algorithm: Algorithm,
    /// What to hash by, tried in this order.
    pub(super) hash_inputs: Vec<HashInput>,
    /// Host header towards the targets.
    pub(super) host_header: Option<String>,
    /// What it was made from.
    upstream: Upstream,
}

impl Balancer {
    /// Builds the balancer of an upstream whose `targets` are complete. An unchanged one is kept as it is; of a changed
    /// one the positions are handed on.
    pub(super) fn new(upstream: Upstream, previous: Option<&Arc<Self>>) -> Arc<Self> {
        if let Some(previous) = previous
            && previous.upstream == upstream
        {
            return Arc::clone(previous);
        }
        warn_of_unsupported(&upstream);
        let mut targets: Vec<Arc<Target>> = Vec::new();
        for target in &upstream.targets {
            let weight = target.weight.unwrap_or(DEFAULT_WEIGHT);
            if weight == 0 {
                continue;
            }
            let destination = Destination::parse(&target.target, DEFAULT_PORT);
            let kept = previous.and_then(|previous| previous.target(&destination));
            targets.push(match kept {
                Some(kept) if kept.weight == weight => Arc::clone(kept),
                _ => Arc::new(Target {
                    destination,
                    weight,
                    running: AtomicUsize::new(0),
                    latency: Latency::default(),
                }),
            });
        }
        let turns = || {
            let turns = RoundRobin::new(targets.iter().map(|target| i64::from(target.weight)));
            if let Some(previous) = previous {
                previous.hand_on(&targets, &turns);
            }
            turns
        };
        let algorithm = match upstream.algorithm.as_deref() {
            Some("consistent-hashing") => Algorithm::ConsistentHashing(HashRing::new(
                targets
                    .iter()
                    .map(|target| (target.destination.authority(0), target.weight)),
                upstream.slots,
            )),
            Some("least-connections") => Algorithm::LeastConnections(turns()),
            Some("latency") => Algorithm::Latency(turns()),
            _ => Algorithm::RoundRobin(turns()),
        };
        Arc::new(Self {
            targets,
            algorithm,
            hash_inputs: hash_inputs(&upstream),
            host_header: upstream.host_header.clone(),
            upstream,
        })
    }

    /// The name of its upstream.
    pub(super) fn name(&self) -> &str {
        &self.upstream.name
    }

    /// The target for a request. Those in `tried` have failed it and are taken only when there is no other.
    pub(super) fn pick(&self, hash: Option<u64>, tried: &[Arc<Target>]) -> Option<Arc<Target>> {
        let usable = |index: usize| !tried.iter().any(|tried| Arc::ptr_eq(tried, &self.targets[index]));
        let any = |_: usize| true;
        let index = match &self.algorithm {
            Algorithm::RoundRobin(turns) => turns.next(usable).or_else(|| turns.next(any)),
            Algorithm::LeastConnections(turns) => {
                let load = |index: usize| {
                    let target = &self.targets[index];
                    (target.running.load(Relaxed) as u64 + 1, u64::from(target.weight))
                };
                turns.least(load, usable).or_else(|| turns.least(load, any))
            }
            Algorithm::Latency(turns) => {
                let expected = self.expected_waits();
                let load = |index: usize| (expected[index], u64::from(self.targets[index].weight));
                turns.least(load, usable).or_else(|| turns.least(load, any))
            }
            Algorithm::ConsistentHashing(ring) => {
                let hash = hash.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
                ring.find(hash, usable).or_else(|| ring.find(hash, any))
            }
        }?;
        Some(Arc::clone(&self.targets[index]))
    }

    /// How long each target may keep a request waiting, in microseconds: its latency for every request that it has. Who
    /// has not answered yet is taken for average, so that a newcomer is neither shunned nor flooded.
    fn expected_waits(&self) -> Vec<u64> {
        let means: Vec<_> = self.targets.iter().map(|target| target.latency.mean()).collect();
        let known = means.iter().flatten();
        let average = known.clone().sum::<Duration>() / u32::try_from(known.count()).unwrap_or(u32::MAX).max(1);
        let waits = self.targets.iter().zip(means).map(|(target, mean)| {
            let microseconds = mean.unwrap_or(average).as_micros().clamp(1, u32::MAX.into());
            let requests = target.running.load(Relaxed) as u64 + 1;
            u64::try_from(microseconds).unwrap_or(u64::MAX).saturating_mul(requests)
        });
        waits.collect()
    }

    fn target(&self, destination: &Destination) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| target.destination == *destination)
    }

    fn hand_on(&self, targets: &[Arc<Target>], turns: &RoundRobin) {
        let (Algorithm::RoundRobin(before) | Algorithm::LeastConnections(before) | Algorithm::Latency(before)) =
            &self.algorithm
        else {
            return;
        };
        let places = targets.iter().map(|target| {
            let mut before = self.targets.iter();
            before.position(|before| before.destination == target.destination)
        });
        turns.take_over(before, places);
    }
}

/// What an upstream asks for and does not get is said once, when it is new or has changed.
fn warn_of_unsupported(upstream: &Upstream) {
    if upstream.use_srv_name == Some(true) {
        tracing::warn!(
            upstream = upstream.name,
            "use_srv_name is not supported: names resolve to addresses only"
        );
    }
}

fn hash_inputs(upstream: &Upstream) -> Vec<HashInput> {
    let path = upstream.hash_on_cookie_path.clone().unwrap_or_else(|| "/".to_owned());
    let cookie = upstream
        .hash_on_cookie
        .clone()
        .map(|name| HashInput::Cookie { name, path });
    let named = |name: &Option<String>, kind: fn(String) -> HashInput| name.clone().map(kind);
    let input = |on: Option<&str>, header, query, capture| match on {
        Some("ip") => Some(HashInput::Ip),
        Some("path") => Some(HashInput::Path),
        Some("header") => named(header, HashInput::Header),
        Some("cookie") => cookie.clone(),
        Some("query_arg") => named(query, HashInput::QueryArgument),
        Some("uri_capture") => named(capture, HashInput::Capture),
        _ => None,
    };
    let main = input(
        upstream.hash_on.as_deref(),
        &upstream.hash_on_header,
        &upstream.hash_on_query_arg,
        &upstream.hash_on_uri_capture,
    );
    let fallback = input(
        upstream.hash_fallback.as_deref(),
        &upstream.hash_fallback_header,
        &upstream.hash_fallback_query_arg,
        &upstream.hash_fallback_uri_capture,
    );
    main.into_iter().chain(fallback).collect()
}

#[cfg(test)]
mod tests;
