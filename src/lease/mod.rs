//! Leadership by a `coordination.k8s.io/v1` Lease, as a watch channel.
//!
//! One replica of the controller leads: only it pushes and writes. The others stand by; they watch the Lease and try at
//! once when it is released or deleted. The rules are client-go's: whether a Lease has expired is judged by the local
//! clock since it was last *seen to change*, never by the times written in it, so that clocks may differ; every write
//! carries the resource version that it is based on, so that two can't win.
//!
//! Unlike client-go's elector, a leader that can't reach the API server past the renew deadline does not end: it is
//! [`Leadership::Cut`] until it sees who holds the Lease (DESIGN.md §3 rule 5).
//!
//! A leader that is cut off from the proxies, and not from the API server, makes room for a replica that is not: see
//! [`Reach`].
//!
//! A leader that gives the Lease back goes on with the pushes under way, and names them in it for the next one: `handover`.
//!
//! `election` decides, without IO; `task`, `reach` and `confirm` speak to the API server. Called by `wiring`; depends on nothing but
//! `model`. Needs `get`, `create`, `update`, `list`, `watch` on `leases` in the namespace of the Lease.

mod confirm;
mod election;
#[cfg(test)]
pub(crate) mod fake_api;
mod handover;
mod reach;
mod task;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::model::{Epoch, Leadership, NamespacedName};

pub use confirm::Confirmation;
pub use handover::Unsettled;
pub use reach::{REACHABLE, Reach};

/// Name of the Lease if none is given (`--election-id`).
pub const DEFAULT_ELECTION_ID: &str = "silverback.gateway.silverback.dev";

/// Which Lease, who we are, and how fast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSettings {
    /// Namespace (`--election-namespace`, or the Pod's) and name (`--election-id`) of the Lease.
    pub lease: NamespacedName,
    /// Who we are in `spec.holderIdentity`: must differ between any two processes. See [`identity`].
    pub identity: Arc<str>,
    /// The Pod of this process.
    pub pod: ReplicaPod,
    /// Periods.
    pub timing: Timing,
}

/// The Pod that this process runs in; whatever names it outside of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaPod {
    /// Its name.
    pub name: Arc<str>,
    /// Its uid, if it is known: what the replica writes of itself goes with the Pod.
    pub uid: Option<Arc<str>>,
}

impl LeaseSettings {
    /// The usual periods, and an identity made from the Pod's name.
    pub fn new(lease: NamespacedName, pod: ReplicaPod) -> Self {
        Self {
            lease,
            identity: identity(&pod.name),
            pod,
            timing: Timing::default(),
        }
    }
}

/// Periods of the election, as KIC's and client-go's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a Lease holds after it was last seen to change. Written in whole seconds.
    pub lease_duration: Duration,
    /// How long a leader goes on without a successful renewal; shorter than `lease_duration`.
    pub renew_deadline: Duration,
    /// Between renewals, and between attempts.
    pub retry_period: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// `<pod name>_<random>`: a restarted container must not take its former self's Lease for its own.
pub fn identity(pod_name: &str) -> Arc<str> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).expect("the system gives random bytes");
    format!("{pod_name}_{:016x}", u64::from_be_bytes(random)).into()
}

/// A part in the election.
pub struct Candidate {
    /// This replica's part; [`Leadership::Unknown`] until the Lease has been read.
    pub leadership: watch::Receiver<Leadership>,
    /// What the leader before was still sending when it gave the Lease back to this replica; set before `leadership` is.
    pub handed_over: watch::Receiver<Unsettled>,
    /// Ends when the Lease was given back after the shutdown.
    pub task: JoinHandle<()>,
}

/// Takes part in the election until `shutdown`, then gives the Lease back if it is ours, and ends.
///
/// `reach` is what this replica reaches of the fleet, always the latest; the others are told of it. `unsettled` is asked when
/// the Lease is given back, and told to whoever takes it, which may be within milliseconds: begin no push after `shutdown`.
pub fn spawn(
    client: kube::Client,
    settings: LeaseSettings,
    reach: watch::Receiver<Reach>,
    unsettled: impl Fn() -> Unsettled + Send + Sync + 'static,
    shutdown: CancellationToken,
) -> Candidate {
    let (hand_over, handed_over) = watch::channel(Unsettled::new());
    let (sender, leadership) = watch::channel(Leadership::Unknown);
    let give_up = Arc::new(Notify::new());
    tokio::spawn(reach::run(
        client.clone(),
        settings.clone(),
        reach,
        leadership.clone(),
        give_up.clone(),
    ));
    Candidate {
        leadership,
        handed_over,
        task: tokio::spawn(task::run(
            client, settings, shutdown, give_up, unsettled, hand_over, sender,
        )),
    }
}

/// Leadership where nobody else could have it: without a cluster.
pub fn always_leader() -> watch::Receiver<Leadership> {
    // The sender lives as long as the process: a closed channel would mean that the election has ended.
    static ALWAYS: LazyLock<watch::Sender<Leadership>> = LazyLock::new(|| {
        let epoch = Epoch {
            lease_uid: "".into(),
            transitions: 0,
        };
        watch::Sender::new(Leadership::Leader { epoch })
    });
    ALWAYS.subscribe()
}
