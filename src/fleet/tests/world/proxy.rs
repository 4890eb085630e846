//! A simulated proxy: how it answers probes, and what comes of what it is sent.
//!
//! At each push it asserts the rules that hold for all pushes. Called by the world at commands, and when their time has come.

use std::{collections::BTreeSet, time::Duration};

use proxy_config_schema::ConfigHash;

use super::{Answered, Future, LATENCY, World, salted};
use crate::{
    fleet::{
        ConnectionSecurity, EntityError, FleetEvent, Observation, ProbeFault, ProxyReport, PushResult, TransportFault,
        TransportFaultKind,
    },
    model::{Edition, Epoch, Leadership, ProxyId, RouterFlavor},
    render::Rendered,
};

const PUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// How a simulated proxy behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Healthy,
    /// Nothing listens.
    Down,
    /// Takes a push and does not answer it; loads it in the end or not.
    Hangs {
        loads: bool,
    },
    /// Breaks the connection off in the middle of a push; loads it all the same or not.
    Resets {
        loads: bool,
    },
    Busy,
    /// Has seen another leader, while the API server says nothing.
    Unconfirmed,
    /// Neither answers probes nor takes connections.
    Silent,
}

pub(crate) struct Proxy {
    pub(crate) mood: Mood,
    pub(crate) process: u32,
    pub(crate) hash: ConfigHash,
    pub(crate) edition: Edition,
    pub(crate) database: &'static str,
    pub(crate) takes: Duration,
    /// From its answer that it has taken a configuration until it reports it; `None` for never.
    pub(crate) effective_after: Option<Duration>,
    /// Whether it hashes otherwise than is predicted.
    pub(crate) is_salted: bool,
    pub(crate) body_limit: Option<u64>,
    /// How long it asks to be left alone while it is busy.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) under_way: bool,
    /// Until when it loads what it was sent, if it takes one configuration after another.
    pub(super) loads_until: Duration,
    /// All that it has loaded, or had at a probe.
    pub(crate) has_run: BTreeSet<ConfigHash>,
    /// How often it was asked what it runs.
    pub(crate) probes: usize,
    /// Every hash that it was sent, with the time since the start.
    pub(crate) received: Vec<(Duration, ConfigHash)>,
    /// Refused since its start, while the same configuration was wanted.
    pub(super) refused: BTreeSet<ConfigHash>,
    /// Configurations that only this one refuses.
    pub(crate) refuses: BTreeSet<ConfigHash>,
    /// What the last probe told.
    pub(super) told: Option<ConfigHash>,
    /// Of which process it told.
    pub(super) told_process: Option<u32>,
    /// It was given its id, which stays the same, and shows a restart by its count of requests only.
    pub(crate) has_fixed_id: bool,
}

impl World {
    pub(super) fn answer_probe(&mut self, id: &ProxyId) {
        if !self.attached.contains(id) {
            return;
        }
        let proxy = self.proxies.get_mut(id).expect("known");
        proxy.probes += 1;
        let fault = |kind| {
            Err(ProbeFault {
                fault: TransportFault {
                    kind,
                    message: "it fails".to_owned(),
                },
            })
        };
        let result = match proxy.mood {
            Mood::Down => fault(TransportFaultKind::ConnectionRefused),
            Mood::Silent => fault(TransportFaultKind::Timeout),
            Mood::Healthy | Mood::Busy | Mood::Unconfirmed | Mood::Hangs { .. } | Mood::Resets { .. } => {
                proxy.told = Some(proxy.hash);
                proxy.has_run.insert(proxy.hash);
                let before = proxy.told_process.replace(proxy.process);
                Ok(ProxyReport {
                    version: "3.9.1".to_owned(),
                    plugins: None,
                    edition: proxy.edition,
                    router_flavor: RouterFlavor::Traditional,
                    database: proxy.database.to_owned(),
                    node_id: match proxy.has_fixed_id {
                        true => Some("the same".to_owned()),
                        false => Some(proxy.process.to_string()),
                    },
                    restarted: proxy.has_fixed_id && before.is_some_and(|before| before != proxy.process),
                    started_at: None,
                    body_limit: proxy.body_limit,
                    hash: if proxy.is_salted && !proxy.hash.is_none() {
                        salted(proxy.hash)
                    } else {
                        proxy.hash
                    },
                    security: ConnectionSecurity::Mutual,
                    certificate: None,
                })
            }
        };
        let observation = Observation {
            started: self.now().instant,
            at: self.now().timestamp,
            result,
        };
        self.event(FleetEvent::Observed(id.clone(), observation));
    }

    pub(super) fn take_push(&mut self, id: &ProxyId, rendered: &Rendered, sent_under: &Epoch) {
        let (elapsed, hash) = (self.elapsed, rendered.hash);
        assert_eq!(self.leadership.epoch(), Some(sent_under), "only a leader pushes");
        let cut = matches!(self.leadership, Leadership::Cut { .. });
        let proxy = self.proxies.get_mut(id).expect("known");
        let refuses = self.bad.contains(&hash) || proxy.refuses.contains(&hash);
        assert!(!proxy.under_way, "never two pushes at once");
        // What it calls a configuration that it was not seen to take is not known.
        assert!(
            proxy.is_salted || proxy.told != Some(hash),
            "nothing is sent to a proxy that reports it already"
        );
        assert!(!proxy.refused.contains(&hash), "what was refused is not sent again");
        assert!(
            !cut || proxy.told == Some(ConfigHash::NONE),
            "without a Lease only empty proxies are given anything"
        );
        assert!(
            !self.is_paused || proxy.told == Some(ConfigHash::NONE),
            "of a paused fleet only empty proxies are given anything"
        );
        assert_eq!(proxy.database, "off", "a proxy with a database is left alone");
        proxy.under_way = true;
        proxy.received.push((elapsed, hash));
        self.pushes += 1;
        let (mood, process, takes, edition) = (proxy.mood, proxy.process, proxy.takes, proxy.edition);
        let retry_after = proxy.retry_after;
        let effective_after = proxy.effective_after;
        let runs_it = proxy.hash == hash;
        // What comes later is loaded later: it need not be waited for.
        let in_order = edition == Edition::Embedded;
        let begins = if in_order {
            proxy.loads_until.max(elapsed)
        } else {
            elapsed
        };
        // That it has started again may be learned only after it was sent something: what its predecessor was sent is not
        // waited for.
        let unanswered = match proxy.told_process == Some(process) && begins == elapsed {
            true => Answered::No,
            false => Answered::Yes,
        };
        let may_still_load = |future: &Future| matches!(future, Future::Load(of, loading, _, Answered::No) if of == id && *loading == process);
        assert!(
            !self.futures.iter().any(|(_, _, future)| may_still_load(future)),
            "nothing is sent while what was sent before may still be loaded"
        );
        let fault = |kind| TransportFault {
            kind,
            message: "it failed".to_owned(),
        };
        let (wait, result) = match mood {
            Mood::Down => (
                LATENCY,
                PushResult::NotSent(fault(TransportFaultKind::ConnectionRefused)),
            ),
            Mood::Silent => (
                Duration::from_secs(3),
                PushResult::NotSent(fault(TransportFaultKind::Timeout)),
            ),
            Mood::Busy => (LATENCY, PushResult::Busy { retry_after }),
            Mood::Unconfirmed => (LATENCY, PushResult::Unconfirmed),
            Mood::Hangs { loads } => {
                if loads && !refuses {
                    let loaded = begins.max(elapsed + Duration::from_secs(45));
                    proxy.loads_until = loaded;
                    let answered = if in_order { Answered::Yes } else { unanswered };
                    let load = Future::Load(id.clone(), process, hash, answered);
                    self.after(loaded - elapsed, load);
                }
                (PUSH_TIMEOUT, PushResult::Unknown(fault(TransportFaultKind::Timeout)))
            }
            Mood::Resets { loads } => {
                if loads && !refuses {
                    // Kong has been seen to finish so late; the embedded proxy goes on at once with what it has got.
                    let late = match edition {
                        Edition::OpenSource | Edition::Enterprise => Duration::from_secs(49),
                        Edition::Embedded => begins + takes - elapsed,
                    };
                    proxy.loads_until = elapsed + late;
                    self.after(late, Future::Load(id.clone(), process, hash, unanswered));
                }
                let lost = fault(TransportFaultKind::ConnectionFailed);
                (LATENCY, PushResult::Unknown(lost))
            }
            Mood::Healthy if runs_it => (LATENCY, PushResult::Unchanged),
            Mood::Healthy if refuses => {
                let entity = EntityError {
                    entity_type: "route".to_owned(),
                    entity_name: Some("shop.web.0".to_owned()),
                    entity_tags: [
                        "k8s-name:web",
                        "k8s-namespace:shop",
                        "k8s-kind:Ingress",
                        "k8s-version:v1",
                    ]
                    .map(str::to_owned)
                    .into(),
                    field: Some("paths.1".to_owned()),
                    message: "invalid regex".to_owned(),
                };
                let rejected = PushResult::Rejected {
                    message: "route paths.1: invalid regex".to_owned(),
                    entities: vec![entity],
                    count: 1,
                };
                (takes, rejected)
            }
            Mood::Healthy => {
                let loaded = begins + takes;
                proxy.loads_until = loaded;
                let answers = loaded - elapsed;
                if let Some(after) = effective_after {
                    self.after(answers + after, Future::Load(id.clone(), process, hash, Answered::Yes));
                }
                if answers > PUSH_TIMEOUT {
                    (PUSH_TIMEOUT, PushResult::Unknown(fault(TransportFaultKind::Timeout)))
                } else {
                    (answers, PushResult::Accepted)
                }
            }
        };
        self.after(wait, Future::Outcome(id.clone(), process, result, hash, wait));
        let under_way = self.proxies.values().filter(|proxy| proxy.under_way).count();
        self.most_at_once = self.most_at_once.max(under_way);
    }
}
