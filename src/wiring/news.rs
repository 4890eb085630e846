//! What changed, for people who read the log: problems of objects that came and went, proxies that are not as they shall
//! be. Each is said once, not with every rendition or probe.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::watch;

use crate::{
    fleet::{Condition, ConditionStatus, FleetView, ProxyView},
    model::{NamespacedName, Problem, ProxyId},
    render::Rendition,
};

/// Follows both values until one of their senders is gone.
pub(super) async fn follow(
    mut renditions: watch::Receiver<Option<Arc<Rendition>>>,
    mut views: watch::Receiver<Arc<FleetView>>,
) {
    let mut problems = BTreeSet::new();
    let mut hold = None;
    let mut faults = BTreeMap::new();
    let mut is_new = true;
    loop {
        // Views change often, and there may be many problems.
        if is_new && let Some(rendition) = renditions.borrow_and_update().clone() {
            tell_problems(&mut problems, &rendition.problems);
            tell_hold(&mut hold, rendition.hold.as_deref());
        }
        let view = views.borrow_and_update().clone();
        tell_faults(&mut faults, &view);
        let changed;
        (is_new, changed) = tokio::select! {
            changed = renditions.changed() => (true, changed),
            changed = views.changed() => (false, changed),
        };
        if changed.is_err() {
            return;
        }
    }
}

fn tell_problems(known: &mut BTreeSet<Problem>, problems: &[Problem]) {
    let current: BTreeSet<Problem> = problems.iter().cloned().collect();
    for problem in current.difference(known) {
        tracing::warn!(
            object = %problem.object,
            field = problem.field.as_deref(),
            reason = %problem.reason,
            place = problem.source.as_ref().map(tracing::field::display),
            "{}; {}",
            problem.message,
            problem.remedy
        );
    }
    for problem in known.difference(&current) {
        tracing::info!(object = %problem.object, field = problem.field.as_deref(), reason = %problem.reason, "solved");
    }
    *known = current;
}

fn tell_hold(known: &mut Option<String>, hold: Option<&str>) {
    if known.as_deref() == hold {
        return;
    }
    match hold {
        Some(why) => tracing::warn!("nothing is sent to the proxies: {why}"),
        None => tracing::info!("the proxies are sent configurations again"),
    }
    *known = hold.map(str::to_owned);
}

/// The first condition that does not hold: the others follow from it.
fn fault(proxy: &ProxyView) -> Option<&Condition> {
    let conditions = [&proxy.reachable, &proxy.mutual_tls, &proxy.synced];
    conditions
        .into_iter()
        .find(|condition| condition.status == ConditionStatus::False)
}

fn tell_faults(known: &mut BTreeMap<ProxyId, (String, String)>, view: &FleetView) {
    let mut current = BTreeMap::new();
    for proxy in &view.proxies {
        let target = &proxy.target;
        let name = || NamespacedName::new(&*target.namespace, &*target.name).to_string();
        match (known.remove(&target.id), fault(proxy)) {
            (before, Some(condition)) => {
                // A message may count on; what is new is a new reason.
                if before.is_none_or(|(_, before)| before != condition.reason) {
                    tracing::warn!(proxy = %name(), reason = %condition.reason, "{}", condition.message);
                }
                current.insert(target.id.clone(), (name(), condition.reason.to_string()));
            }
            (Some((_, reason)), None) => tracing::info!(proxy = %name(), %reason, "in order again"),
            (None, None) => {}
        }
    }
    for (name, reason) in known.values() {
        tracing::info!(proxy = %name, %reason, "the proxy is gone");
    }
    *known = current;
}
