//! How many proxies each replica reaches, told to the others, and when a leader should make room.
//!
//! Leaderships are decided by who reaches the API server; a leader that is cut off from the proxies alone would keep the
//! Lease for ever and configure nobody. So each replica keeps a Lease of its own, `<election-id>-<pod name>`, whose
//! annotation says how many proxies it reaches of how many it knows. It is written when that changes and never renewed:
//! the one thing that followers write. A leader that has reached no proxy for a while looks whether another replica
//! reaches some, and gives the election's Lease up if so.
//!
//! `Patience` decides, without IO; `run` speaks to the API server.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::LeaseSettings;
use crate::model::Leadership;

/// The annotation: `N/M`.
pub const REACHABLE: &str = "gateway.silverback.dev/reachable";
/// How long a leader may reach no proxy before it asks what the others reach.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what the others reach.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// For how long a leader that gave up in vain (nobody took it) does not give up again.
const AFTER_GIVING_UP: Duration = Duration::from_secs(300);
/// Between two writes that say only that the number is another one.
const WRITE_SPACING: Duration = Duration::from_secs(10);
/// After a write or a look that failed.
const RETRY: Duration = Duration::from_secs(10);
/// For one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Leases of replicas that are looked at.
const MOST: u32 = 500;

/// How many proxies a replica reaches, of how many it knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// Those whose Admin API answers.
    pub reachable: usize,
    /// All.
    pub total: usize,
}

impl Reach {
    fn is_cut_off(self) -> bool {
        self.reachable == 0 && self.total > 0
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.reachable, self.total)
    }
}

impl FromStr for Reach {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (reachable, total) = text.split_once('/').ok_or(())?;
        let number = |text: &str| text.parse().map_err(drop);
        Ok(Self {
            reachable: number(reachable)?,
            total: number(total)?,
        })
    }
}

/// When a leader looks at what the others reach. No IO, no clock.
#[derive(Debug, Default)]
struct Patience {
    /// Leading and reaching nobody, since when.
    since: Option<Instant>,
    look_at: Option<Instant>,
    rest_until: Option<Instant>,
}

impl Patience {
    fn update(&mut self, leads: bool, reach: Reach, now: Instant) {
        if !(leads && reach.is_cut_off()) {
            self.since = None;
            self.look_at = None;
        } else if self.since.is_none() {
            self.since = Some(now);
            let due = now + PATIENCE;
            self.look_at = Some(self.rest_until.map_or(due, |rest| rest.max(due)));
        }
    }

    /// The others were looked at.
    fn looked(&mut self, gave_up: bool, now: Instant) {
        self.look_at = Some(now + LOOK_AGAIN);
        if gave_up {
            self.rest_until = Some(now + AFTER_GIVING_UP);
            self.since = None;
            self.look_at = None;
        }
    }
}

/// When the own Lease is written. No IO, no clock.
#[derive(Debug, Default)]
struct Record {
    written: Option<Reach>,
    not_before: Option<Instant>,
}

impl Record {
    /// When to write what is true now; `None` when it stands there already.
    fn due(&self, reach: Reach, now: Instant) -> Option<Instant> {
        let written = match self.written {
            Some(written) if written == reach => return None,
            Some(written) => written,
            // Nothing to say of no proxies at all.
            None if reach.total == 0 => return None,
            None => return Some(self.not_before.unwrap_or(now)),
        };
        // Whether it reaches any is what others act on.
        let is_news = (written.reachable == 0) != (reach.reachable == 0);
        Some(match self.not_before {
            Some(at) if !is_news => at,
            _ => now,
        })
    }
}

/// Tells the others what this replica reaches, and has the election give up when it should, until a channel closes.
pub(super) async fn run(
    client: kube::Client,
    settings: LeaseSettings,
    mut reach: watch::Receiver<Reach>,
    mut leadership: watch::Receiver<Leadership>,
    give_up: Arc<Notify>,
) {
    let replicas = Replicas {
        api: Api::namespaced(client, &settings.lease.namespace),
        settings,
    };
    let (mut patience, mut record, mut complained) = (Patience::default(), Record::default(), false);
    let mut known = None;
    loop {
        let (current, now) = (*reach.borrow_and_update(), Instant::now());
        patience.update(leadership.borrow_and_update().is_leader(), current, now);
        // First: whether the own Lease can be written has nothing to do with what the others say.
        if patience.look_at.is_some_and(|at| at <= now) {
            let better = replicas.one_that_reaches_some().await.unwrap_or_default();
            if let Some((name, reaches)) = &better {
                tracing::warn!(
                    replica = %name, %reaches,
                    "this leader reaches no proxy and another replica does: giving the Lease up"
                );
                give_up.notify_one();
            }
            patience.looked(better.is_some(), Instant::now());
            continue;
        }
        let write_at = record.due(current, now);
        if write_at.is_some_and(|at| at <= now) {
            let outcome = replicas.write(&mut known, current).await;
            let failed = outcome.is_err();
            if let Err(error) = outcome
                && !complained
            {
                tracing::warn!(%error, "can't tell the other replicas how many proxies this one reaches");
            }
            complained = failed;
            record = Record {
                written: if failed { record.written } else { Some(current) },
                not_before: Some(Instant::now() + if failed { RETRY } else { WRITE_SPACING }),
            };
            if failed {
                // Also news waits after a failure.
                tokio::time::sleep(RETRY).await;
            }
            continue;
        }
        let wake_at = write_at.into_iter().chain(patience.look_at).min();
        tokio::select! {
            changed = reach.changed() => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = super::task::sleep_until(wake_at) => {}
        }
    }
}

/// The replicas' own Leases.
struct Replicas {
    api: Api<Lease>,
    settings: LeaseSettings,
}

impl Replicas {
    fn own_name(&self) -> String {
        format!("{}-{}", self.settings.lease.name, self.settings.pod.name)
    }

    /// Writes the own Lease; `known` is how it stood last.
    async fn write(&self, known: &mut Option<Lease>, reach: Reach) -> Result<(), String> {
        let limited = tokio::time::timeout(REQUEST_LIMIT, self.write_unlimited(known, reach));
        let outcome = match limited.await {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        if outcome.is_err() {
            // Somebody else changed it, or it is not known what stands there: it is read before the next attempt.
            *known = None;
        }
        outcome
    }

    async fn write_unlimited(&self, known: &mut Option<Lease>, reach: Reach) -> Result<(), kube::Error> {
        let name = self.own_name();
        let parameters = PostParams::default();
        let former = match known.take() {
            Some(former) => Some(former),
            None => self.api.get_opt(&name).await?,
        };
        let next = self.next(former.as_ref(), reach);
        *known = Some(match former {
            Some(_) => self.api.replace(&name, &parameters, &next).await?,
            None => self.api.create(&parameters, &next).await?,
        });
        Ok(())
    }

    fn next(&self, former: Option<&Lease>, reach: Reach) -> Lease {
        let mut metadata = former
            .map(|lease| lease.metadata.clone())
            .unwrap_or_else(|| ObjectMeta {
                name: Some(self.own_name()),
                namespace: Some(self.settings.lease.namespace.to_string()),
                ..ObjectMeta::default()
            });
        metadata.managed_fields = None;
        metadata
            .annotations
            .get_or_insert_default()
            .insert(REACHABLE.to_owned(), reach.to_string());
        // It goes with the Pod. A predecessor of the same name may have owned it.
        metadata.owner_references = self.settings.pod.uid.as_ref().map(|uid| {
            vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Pod".to_owned(),
                name: self.settings.pod.name.to_string(),
                uid: uid.to_string(),
                ..OwnerReference::default()
            }]
        });
        Lease {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(self.settings.identity.to_string()),
                renew_time: Some(MicroTime(Timestamp::now())),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Another replica that says that it reaches some proxy. A replica that died without its Lease may be named; then
    /// nobody takes the election's Lease, and it comes back.
    async fn one_that_reaches_some(&self) -> Option<Option<(String, Reach)>> {
        let parameters = ListParams::default().limit(MOST);
        let leases = tokio::time::timeout(REQUEST_LIMIT, self.api.list(&parameters)).await;
        let leases = leases.ok()?.ok()?;
        let (prefix, own) = (format!("{}-", self.settings.lease.name), self.own_name());
        Some(leases.items.into_iter().find_map(|lease| {
            let name = lease.metadata.name?;
            let reach: Reach = lease.metadata.annotations?.get(REACHABLE)?.parse().ok()?;
            (name.starts_with(&prefix) && name != own && reach.reachable > 0).then_some((name, reach))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(text: &str) -> Reach {
        text.parse().expect("N/M")
    }

    #[test]
    fn what_is_written_is_read_again_and_nonsense_is_not() {
        assert_eq!(reach("3/5").to_string(), "3/5");
        for text in ["", "3", "3/", "/5", "-1/5", "a/b", "3/5/7"] {
            assert!(text.parse::<Reach>().is_err(), "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_leader_without_any_proxy_runs_out_of_patience() {
        let now = Instant::now();
        let mut patience = Patience::default();
        for (leads, text) in [(true, "0/0"), (true, "1/9"), (false, "0/9")] {
            patience.update(leads, reach(text), now);
            assert_eq!(patience.look_at, None, "{leads} {text}");
        }
        patience.update(true, reach("0/9"), now);
        patience.update(true, reach("0/8"), now + Duration::from_secs(20));
        assert_eq!(
            patience.look_at,
            Some(now + PATIENCE),
            "another number is no new beginning"
        );
        patience.looked(true, now + PATIENCE);
        patience.update(true, reach("0/8"), now + PATIENCE);
        assert_eq!(
            patience.look_at,
            Some(now + PATIENCE + AFTER_GIVING_UP),
            "not twice at once"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_waits_and_whether_there_are_any_does_not() {
        let now = Instant::now();
        let later = now + Duration::from_secs(7);
        let record = |written: &str| Record {
            written: Some(reach(written)),
            not_before: Some(later),
        };
        assert_eq!(Record::default().due(reach("0/0"), now), None);
        assert_eq!(Record::default().due(reach("0/3"), now), Some(now));
        assert_eq!(record("3/3").due(reach("3/3"), now), None);
        assert_eq!(record("3/3").due(reach("2/3"), now), Some(later));
        assert_eq!(record("3/3").due(reach("0/3"), now), Some(now));
        assert_eq!(record("0/3").due(reach("1/3"), now), Some(now));
    }
}
