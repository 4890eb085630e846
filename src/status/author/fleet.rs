//! What a `ProxyFleet` says of all proxies behind an Admin Service. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::World;
use crate::{
    fleet::{Condition, ConditionStatus, ProxyView, discovery},
    model::{NamespacedName, Storage},
    status::resource::{ProfileStatus, ProxyCounts, ProxyFleetStatus, ServiceReference, StatusCondition, bound},
};

/// How many proxies a message names.
const NAMED: usize = 3;

/// What is known of the fleet behind a Service.
pub(super) fn status(
    service: &NamespacedName,
    world: &World,
    paused: bool,
    former: &[StatusCondition],
) -> ProxyFleetStatus {
    let proxies: Vec<&ProxyView> = world
        .view
        .proxies
        .iter()
        .map(|proxy| &**proxy)
        .filter(|proxy| proxy.target.service.as_ref() == Some(service) && !proxy.target.terminating)
        .collect();
    let counts = count(&proxies);
    let (holds, reason, message) = synced(service, world, &proxies, counts);
    let synced = condition("Synced", holds, reason, message, former);
    let (holds, reason, message) = pausing(paused);
    let pausing = condition("Paused", holds, reason, message.to_owned(), former);
    let (holds, reason, message) = source_unavailable(world);
    let unavailable = condition("SourceUnavailable", holds, reason, message, former);
    let stored = world.storage.as_ref().map(|storage| {
        let (holds, reason, message) = last_good_stored(storage);
        condition("LastGoodStored", holds, reason, message, former)
    });
    ProxyFleetStatus {
        service: Some(ServiceReference {
            namespace: service.namespace.to_string(),
            name: service.name.to_string(),
        }),
        proxies: counts,
        profiles: profiles(world, &proxies),
        conditions: [synced, pausing, unavailable].into_iter().chain(stored).collect(),
    }
}

fn count(proxies: &[&ProxyView]) -> ProxyCounts {
    let those = |holds: fn(&ProxyView) -> ConditionStatus| {
        number(
            proxies
                .iter()
                .filter(|proxy| holds(proxy) == ConditionStatus::True)
                .count(),
        )
    };
    ProxyCounts {
        discovered: number(proxies.len()),
        ready: those(|proxy| proxy.ready.status),
        synced: those(|proxy| proxy.synced.status),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn profiles(world: &World, proxies: &[&ProxyView]) -> Vec<ProfileStatus> {
    let mut of_profile: BTreeMap<_, Vec<&ProxyView>> = BTreeMap::new();
    for proxy in proxies {
        if let Some(profile) = &proxy.profile {
            of_profile.entry(profile).or_default().push(proxy);
        }
    }
    let statuses = of_profile
        .into_iter()
        .take(bound::PROFILES)
        .map(|(profile, proxies)| ProfileStatus {
            profile: profile.to_string(),
            desired_hash: world.view.desired.get(profile).map(ToString::to_string),
            served_hash: world.view.last_good.get(profile).map(ToString::to_string),
            proxies: count(&proxies),
        });
    statuses.collect()
}

fn synced(
    service: &NamespacedName,
    world: &World,
    proxies: &[&ProxyView],
    counts: ProxyCounts,
) -> (ConditionStatus, String, String) {
    if proxies.is_empty() {
        let slices = &world.snapshot.endpoint_slices;
        if let Some(other) = discovery::counted_with(service, slices, &world.view.proxies) {
            let message = format!(
                "the proxies of Service {service} are those of Service {other}, which is given before it: its ProxyFleet \
                 tells of them, and is where to pause them"
            );
            return (ConditionStatus::Unknown, "CountedElsewhere".to_owned(), message);
        }
        let message = format!("Service {service} has no endpoints with an Admin API port: there is no proxy");
        return (ConditionStatus::False, "NoProxies".to_owned(), message);
    }
    let behind = |status| proxies.iter().filter(move |proxy| proxy.synced.status == status);
    for (status, verb) in [
        (ConditionStatus::False, "do not run what they shall"),
        (ConditionStatus::Unknown, "are not known yet"),
    ] {
        let Some(first) = behind(status).next() else { continue };
        let count = behind(status).count();
        let named = behind(status)
            .take(NAMED)
            .map(|proxy| format!("{} ({})", proxy.target.name, proxy.synced.reason));
        let mut named = named.collect::<Vec<_>>().join(", ");
        if count > NAMED {
            named.push_str(", …");
        }
        let message = format!("{count} of {} proxies {verb}: {named}", counts.discovered);
        return (status, first.synced.reason.to_string(), message);
    }
    let message = format!("all {} proxies run what they shall", counts.discovered);
    (ConditionStatus::True, "Synced".to_owned(), message)
}

fn pausing(paused: bool) -> (ConditionStatus, String, &'static str) {
    match paused {
        false => (
            ConditionStatus::False,
            "NotPaused".to_owned(),
            "changes go to the proxies",
        ),
        true => (
            ConditionStatus::True,
            "Paused".to_owned(),
            "spec.paused is set: no change goes to proxies that have a configuration",
        ),
    }
}

fn source_unavailable(world: &World) -> (ConditionStatus, String, String) {
    if let Some(hold) = world.rendition.as_ref().and_then(|rendition| rendition.hold.as_ref()) {
        let message = format!("changes are held back, proxies keep what they run: {hold}");
        return (ConditionStatus::True, "Held".to_owned(), message);
    }
    let mut unavailable = world.snapshot.unavailable.iter();
    match unavailable.next() {
        None => (
            ConditionStatus::False,
            "AllReadable".to_owned(),
            "every kind can be read".to_owned(),
        ),
        Some((kind, why)) => {
            let message = format!(
                "{} can't be read, and the configuration uses none of it: {why}",
                kind.name()
            );
            (ConditionStatus::False, "UnusedKindUnavailable".to_owned(), message)
        }
    }
}

fn last_good_stored(storage: &Storage) -> (ConditionStatus, String, String) {
    match storage {
        Storage::Stored { .. } => (
            ConditionStatus::True,
            "Stored".to_owned(),
            "what proxies accepted last survives the controller".to_owned(),
        ),
        // As good as the one before: minutes old at the most.
        Storage::Waiting => (
            ConditionStatus::True,
            "Waiting".to_owned(),
            "what proxies accepted last will be put away within minutes".to_owned(),
        ),
        Storage::Failed { reason, message } => (
            ConditionStatus::False,
            (*reason).to_owned(),
            format!("what proxies accepted last would not survive the controller: {message}"),
        ),
    }
}

/// A condition that turned only if its status did.
fn condition(
    type_: &str,
    status: ConditionStatus,
    reason: String,
    message: String,
    former: &[StatusCondition],
) -> StatusCondition {
    let former = former.iter().find(|former| former.type_ == type_ && former.is(status));
    let since = former.map_or_else(Timestamp::now, |former| former.last_transition_time);
    StatusCondition::new(
        type_,
        &Condition {
            status,
            reason: reason.into(),
            message,
            since,
        },
    )
}
