//! What proxies run for certain: the newest configuration that one of them runs, and the newest that all of them have
//! got to. Pure.

use std::sync::Arc;

use crate::{
    fleet::{ConditionStatus, FleetView},
    liveness::{Milestone, Trail},
    model::Snapshot,
    render::Rendition,
    translate::{GatewayStatuses, Participants},
};

/// What a configuration was made of.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) objects: Participants,
    pub(super) gateways: Arc<GatewayStatuses>,
}

/// What proxies run for certain.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    trail: Trail<Arc<Content>>,
    by_one: Option<Arc<Content>>,
    /// Where that stands.
    reached_by_one: Milestone,
    by_all: Option<Arc<Content>>,
}

impl Confirmed {
    /// The newest one that a ready proxy runs.
    pub(super) fn by_one(&self) -> Option<&Arc<Content>> {
        self.by_one.as_ref()
    }

    /// The newest one that all ready proxies have got to, at least.
    pub(super) fn by_all(&self) -> Option<&Arc<Content>> {
        self.by_all.as_ref()
    }

    /// There is another latest configuration.
    pub(super) fn add(&mut self, rendition: &Rendition) {
        // There may be many routes, and most changes change the status of none.
        let last = self.trail.latest().map(|content| &content.gateways);
        let gateways = last
            .filter(|last| **last == rendition.gateways)
            .unwrap_or(&rendition.gateways);
        let content = Content {
            snapshot: rendition.snapshot.clone(),
            objects: rendition.objects.clone(),
            gateways: gateways.clone(),
        };
        self.trail.add(rendition, Arc::new(content));
    }

    /// Takes in what proxies run now. What was confirmed once is not taken back by a proxy that falls behind.
    pub(super) fn look(&mut self, view: &FleetView) {
        let Some(latest) = self.trail.latest() else { return };
        if self.by_all.as_ref().is_some_and(|all| Arc::ptr_eq(all, latest)) {
            return;
        }
        let mut reached: Option<(Option<Milestone>, Option<Milestone>)> = None;
        for proxy in &view.proxies {
            if proxy.target.terminating || proxy.ready.status != ConditionStatus::True {
                continue;
            }
            let at = self.trail.reached_by(proxy);
            reached = Some(match reached {
                None => (at, at),
                Some((oldest, newest)) => (oldest.min(at), newest.max(at)),
            });
        }
        let Some((oldest, newest)) = reached else { return };
        if let Some(newest) = newest.filter(|newest| *newest >= self.reached_by_one) {
            self.by_one = self.trail.at(newest).cloned();
            self.reached_by_one = newest;
        }
        if let Some(oldest) = oldest {
            self.by_all = self.trail.at(oldest).cloned();
            self.trail.forget_before(oldest);
        }
    }
}
