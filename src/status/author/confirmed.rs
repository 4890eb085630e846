//! What proxies run for certain: the newest configuration that one of them runs, and the newest that all of them have
//! got to. Pure.
//!
//! Proxies take changes at their own pace. While one of them lags, what all have got to is not the latest configuration
//! but an earlier one: a few are remembered, without their bytes.

use std::{collections::VecDeque, sync::Arc};

use proxy_config_schema::ConfigHash;

use crate::{
    fleet::{ConditionStatus, FleetView},
    model::Snapshot,
    render::Rendition,
    translate::{GatewayStatuses, Participants},
};

/// How many configurations are remembered that not all proxies have got to.
const REMEMBERED: usize = 32;

/// What a configuration was made of.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) objects: Participants,
    pub(super) gateways: Arc<GatewayStatuses>,
}

#[derive(Debug)]
struct Candidate {
    hashes: Vec<ConfigHash>,
    content: Arc<Content>,
}

/// What proxies run for certain.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    /// From what all have got to, to the latest.
    candidates: VecDeque<Candidate>,
    by_one: Option<Arc<Content>>,
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
        let candidate = Candidate {
            hashes: rendition.profiles.values().map(|rendered| rendered.hash).collect(),
            content: Arc::new(Content {
                snapshot: rendition.snapshot.clone(),
                objects: rendition.objects.clone(),
                gateways: rendition.gateways.clone(),
            }),
        };
        let same = |last: &Candidate| last.hashes == candidate.hashes;
        if self.candidates.back().is_some_and(same) {
            self.candidates.pop_back();
        }
        self.candidates.push_back(candidate);
        if self.candidates.len() > REMEMBERED {
            self.candidates.pop_front();
        }
    }

    /// Takes in what proxies run now. What was confirmed once is not taken back by a proxy that falls behind.
    pub(super) fn look(&mut self, view: &FleetView) {
        if self.candidates.is_empty() || self.position(self.by_all()) == Some(self.candidates.len() - 1) {
            return;
        }
        let mut reached: Option<(Option<usize>, Option<usize>)> = None;
        for proxy in &view.proxies {
            if proxy.target.terminating || proxy.ready.status != ConditionStatus::True {
                continue;
            }
            let at = proxy.observed.and_then(|hash| {
                let mut candidates = self.candidates.iter();
                candidates.rposition(|candidate| candidate.hashes.contains(&hash))
            });
            reached = Some(match reached {
                None => (at, at),
                Some((oldest, newest)) => (oldest.min(at), newest.max(at)),
            });
        }
        let Some((oldest, newest)) = reached else { return };
        if let Some(newest) = newest.filter(|newest| Some(*newest) >= self.position(self.by_one())) {
            self.by_one = Some(self.candidates[newest].content.clone());
        }
        if let Some(oldest) = oldest {
            self.by_all = Some(self.candidates[oldest].content.clone());
            self.candidates.drain(..oldest);
        }
    }

    fn position(&self, content: Option<&Arc<Content>>) -> Option<usize> {
        let content = content?;
        self.candidates
            .iter()
            .position(|candidate| Arc::ptr_eq(&candidate.content, content))
    }
}
