//! What the fleet is told to run, and what was put away before.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{World, hash, rendered};
use crate::{
    fleet::FleetEvent,
    model::{Edition, Generation, ObjectRef, Problem, Profile, Reason, RouterFlavor},
    render::{Fallback, LastGood, Origin, Rendition, Restored},
};

/// The profiles of all simulated proxies.
fn profiles() -> Vec<Profile> {
    [Edition::OpenSource, Edition::Embedded]
        .map(|edition| Profile {
            router_flavor: RouterFlavor::Traditional,
            edition: Some(edition),
            version: Some((3, 9)),
            plugins: None,
        })
        .into()
}

impl World {
    pub(crate) fn run(&mut self, text: &str) {
        self.rendition(text, None, Vec::new());
    }

    /// A configuration that every proxy refuses.
    pub(crate) fn run_bad(&mut self, text: &str) {
        self.bad.insert(hash(text));
        self.run(text);
    }

    /// What proxies accepted in an earlier run, or under another leader, was found.
    pub(crate) fn recall(&mut self, text: &str, accepted_at: Timestamp) {
        let good = Arc::new(LastGood {
            rendered: rendered(text),
            sources: Arc::default(),
            accepted_at,
            origin: Origin::Stored,
        });
        let found = profiles().into_iter().map(|profile| (profile, good.clone()));
        self.event(FleetEvent::Stored(found.collect()));
    }

    /// This replica is the one that puts away from now on.
    pub(crate) fn begin_term(&mut self, term: u64) {
        self.event(FleetEvent::Term(term));
    }

    pub(crate) fn hold(&mut self, text: &str) {
        self.rendition(text, Some("Ingresses can't be read".to_owned()), Vec::new());
    }

    pub(crate) fn run_with_problem(&mut self, text: &str, reason: Reason) {
        let object = ObjectRef {
            group: "networking.k8s.io".into(),
            version: "v1".into(),
            kind: "Ingress".into(),
            namespace: "shop".into(),
            name: "web".into(),
            uid: "u".into(),
        };
        let problem = Problem {
            object,
            field: None,
            condition: None,
            reason,
            message: String::new(),
            remedy: String::new(),
            source: None,
        };
        self.rendition(text, None, vec![problem]);
    }

    /// What the proxies refused is left out: this is what remains.
    pub(crate) fn run_reduced(&mut self, whole: &str, reduced: &str) {
        self.bad.insert(hash(whole));
        let fallback = Fallback {
            whole: Some(rendered(whole)),
            sources: Arc::default(),
            kept: None,
            left_out: 1,
            old: 0,
        };
        self.rendition_with(reduced, None, Vec::new(), Some(&fallback));
    }

    /// Every proxy refuses the newest, and nobody is to blame: this is the last good one with the addresses of now.
    pub(crate) fn run_kept(&mut self, newest: &str, kept: &str) {
        self.bad.insert(hash(newest));
        let fallback = Fallback {
            whole: None,
            sources: Arc::default(),
            kept: Some(Restored {
                rendered: rendered(kept),
                sources: Arc::default(),
            }),
            left_out: 0,
            old: 0,
        };
        self.rendition_with(newest, None, Vec::new(), Some(&fallback));
    }

    fn rendition(&mut self, text: &str, hold: Option<String>, problems: Vec<Problem>) {
        self.rendition_with(text, hold, problems, None);
    }

    fn rendition_with(
        &mut self,
        text: &str,
        hold: Option<String>,
        problems: Vec<Problem>,
        fallback: Option<&Fallback>,
    ) {
        self.generation += 1;
        let shared = rendered(text);
        self.renditions.push(Arc::downgrade(&shared));
        if hold.is_none() && self.desired != Some(shared.hash) {
            self.desired = Some(shared.hash);
            // A configuration that changed and changed back may be tried again.
            self.proxies.values_mut().for_each(|proxy| proxy.refused.clear());
        }
        let rendition = Rendition {
            generation: Generation(self.generation),
            snapshot: Arc::default(),
            profiles: profiles()
                .into_iter()
                .map(|profile| (profile, shared.clone()))
                .collect(),
            fallbacks: fallback
                .into_iter()
                .flat_map(|fallback| profiles().into_iter().map(|profile| (profile, fallback.clone())))
                .collect(),
            problems: problems.into(),
            objects: crate::translate::Participants::default(),
            gateways: Arc::default(),
            hold,
            created: self.now().timestamp,
            took: Duration::ZERO,
        };
        self.event(FleetEvent::Rendition(Arc::new(rendition)));
    }
}
