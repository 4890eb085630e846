//! Where failed requests had gone. Their connections are looked up soon after they have failed, since the way into the cluster
//! forgets within seconds what was reset.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::tally::Tally;

/// What was reset is remembered for 10 s.
const PAUSE: Duration = Duration::from_secs(1);

/// Backends that a Service's connections have led to, by the port of the connection, and whether it was to the port for HTTPS.
pub(crate) type Backends = BTreeMap<(u16, bool), Backend>;

/// Where a connection has led.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) address: String,
    /// What the kernel remembers of the connection, for whoever wonders why it was lost.
    pub(crate) state: String,
}

#[cfg(test)]
impl Backend {
    /// One of which nothing else is known.
    pub(crate) fn at(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            state: String::new(),
        }
    }
}

/// What a node says of its connections to the address of a Service: a line each, PORT ADDRESS PORT BACKEND STATE SECONDS.
pub(crate) fn backends(told: &str, address: &str) -> Backends {
    let lines = told.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (port, to, to_port, backend) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (to == address).then_some(())?;
        let backend = Backend {
            address: backend.to_owned(),
            state: words.collect::<Vec<_>>().join(" "),
        };
        Some(((port.parse().ok()?, to_port == "443"), backend))
    });
    lines.collect()
}

/// Follows them until it is told to stop, and then once more.
pub(super) fn start(
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    backends: impl Fn() -> anyhow::Result<Backends> + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        while !stop.load(Relaxed) {
            thread::sleep(PAUSE);
            follow(&tally, &backends);
        }
        follow(&tally, &backends);
    })
}

fn follow(tally: &Tally, backends: &impl Fn() -> anyhow::Result<Backends>) {
    let failed = tally.not_followed();
    if failed.is_empty() {
        return;
    }
    // A node that does not tell is asked again.
    if let Ok(backends) = backends() {
        tally.followed(failed, &backends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_to_other_services_are_not_ours() {
        let told = "5000 10.96.0.7 80 10.244.2.4 ESTABLISHED 300\n5000 10.96.0.7 443 10.244.1.3 CLOSE 9\n\
                    5001 10.96.0.7 80 10.244.1.3 SYN_SENT 119\n5002 10.96.0.1 443 10.89.0.1 CLOSE 1\n";
        let backends = backends(told, "10.96.0.7");
        assert_eq!(backends.len(), 3, "{backends:?}");
        let backend = &backends[&(5000, false)];
        assert_eq!((&*backend.address, &*backend.state), ("10.244.2.4", "ESTABLISHED 300"));
        assert_eq!(backends[&(5000, true)].address, "10.244.1.3");
    }
}
