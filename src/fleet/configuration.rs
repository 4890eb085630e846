//! What proxies can be given, and what one of them may be given now.

use std::{collections::BTreeMap, sync::Arc};

use proxy_config_schema::ConfigHash;

use crate::{
    model::{Edition, Generation, Problem, Profile, Reason},
    render::{Rendered, Rendition},
};

use super::ProxyReport;

/// Objects that a message about left-out ones names.
const MAX_NAMED: usize = 3;
/// Hashes that are remembered as refused, per profile.
const MAX_REFUSED: usize = 16;

/// One configuration of one profile; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Configuration {
    pub(super) rendered: Arc<Rendered>,
    /// From which snapshot: of two that were accepted the later one is the last good one.
    pub(super) generation: Generation,
    /// What was left out of it, in words; `None` if nothing was.
    pub(super) incomplete: Option<Arc<str>>,
}

impl Configuration {
    pub(super) fn hash(&self) -> ConfigHash {
        self.rendered.hash
    }
}

/// What this replica may do to proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Permission {
    /// Another replica leads, or none is known to.
    Nothing,
    /// The last good configuration to proxies without any, nothing else.
    Restore(RestoreReason),
    /// Everything.
    Free,
}

/// Why only restoring is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RestoreReason {
    /// The API server is out of reach, so that the Lease can't be renewed.
    Cut,
    /// A source of the configuration is unavailable ([`Rendition::hold`]).
    Hold(Arc<str>),
    /// The operator wants no changes (`ProxyFleet.spec.paused`).
    Paused,
}

/// What one proxy shall run and may be given, as the fleet sees it now.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    pub(super) permission: Permission,
    /// The newest configuration of its profile.
    pub(super) desired: Option<Configuration>,
    /// The latest one that a proxy of its profile accepted.
    pub(super) last_good: Option<Configuration>,
    /// Whether a proxy without configuration gets the last good one first: others run it, or the newest was refused.
    pub(super) last_good_first: bool,
    /// Whether its profile is one of the few that are served.
    pub(super) profile_served: bool,
}

impl Goal {
    /// Of a proxy of which nothing is known.
    pub(super) fn none() -> Self {
        Self {
            permission: Permission::Nothing,
            desired: None,
            last_good: None,
            last_good_first: false,
            profile_served: false,
        }
    }
}

/// Configurations by profile.
#[derive(Default)]
pub(super) struct Configurations {
    profiles: BTreeMap<Profile, OfProfile>,
    rendition: Option<Arc<Rendition>>,
    incomplete: Option<Arc<str>>,
    /// Why nothing may be sent, if so.
    hold: Option<Arc<str>>,
}

#[derive(Default)]
struct OfProfile {
    desired: Option<Configuration>,
    last_good: Option<Configuration>,
    refused: Vec<ConfigHash>,
}

impl Configurations {
    /// Takes what the fleet shall run.
    pub(super) fn set(&mut self, rendition: Arc<Rendition>) {
        self.hold = rendition.hold.as_deref().map(Into::into);
        // What is rendered while a source is missing is no wish of anybody: the earlier one stays.
        if self.hold.is_some() {
            return;
        }
        self.incomplete = incomplete(&rendition.problems);
        for (profile, known) in &mut self.profiles {
            known.desired = desired(&rendition, profile, &self.incomplete);
        }
        self.rendition = Some(rendition);
    }

    pub(super) fn hold(&self) -> Option<&Arc<str>> {
        self.hold.as_ref()
    }

    /// Serves a profile from now on, if there is room. `used` are those that proxies have now.
    pub(super) fn admit(&mut self, profile: &Profile, used: impl Fn(&Profile) -> bool) -> bool {
        if self.profiles.contains_key(profile) {
            return true;
        }
        if self.profiles.len() >= Profile::MAX {
            let Some(unused) = self.profiles.keys().find(|known| !used(known)).cloned() else {
                return false;
            };
            self.profiles.remove(&unused);
        }
        let desired = self
            .rendition
            .as_ref()
            .and_then(|rendition| desired(rendition, profile, &self.incomplete));
        self.profiles.insert(
            profile.clone(),
            OfProfile {
                desired,
                ..OfProfile::default()
            },
        );
        true
    }

    /// A proxy of that profile runs that configuration. Says whether the last good one is another one than before.
    pub(super) fn accepted(&mut self, profile: &Profile, configuration: &Configuration) -> bool {
        let Some(known) = self.profiles.get_mut(profile) else {
            return false;
        };
        let before = known.last_good.as_ref();
        // Slow proxies accept late what others have left behind.
        if before.is_some_and(|before| before.generation >= configuration.generation) {
            return false;
        }
        let differs = before.map(Configuration::hash) != Some(configuration.hash());
        known.last_good = Some(configuration.clone());
        differs
    }

    /// A proxy of that profile refused it.
    pub(super) fn refused(&mut self, profile: &Profile, hash: ConfigHash) {
        if let Some(known) = self.profiles.get_mut(profile)
            && !known.refused.contains(&hash)
        {
            if known.refused.len() == MAX_REFUSED {
                known.refused.remove(0);
            }
            known.refused.push(hash);
        }
    }

    pub(super) fn is_served(&self, profile: &Profile) -> bool {
        self.profiles.contains_key(profile)
    }

    pub(super) fn desired(&self, profile: &Profile) -> Option<&Configuration> {
        self.profiles.get(profile)?.desired.as_ref()
    }

    pub(super) fn last_good(&self, profile: &Profile) -> Option<&Configuration> {
        self.profiles.get(profile)?.last_good.as_ref()
    }

    pub(super) fn is_desired_refused(&self, profile: &Profile) -> bool {
        self.profiles.get(profile).is_some_and(|known| {
            known
                .desired
                .as_ref()
                .is_some_and(|desired| known.refused.contains(&desired.hash()))
        })
    }

    pub(super) fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.keys()
    }
}

fn desired(rendition: &Rendition, profile: &Profile, incomplete: &Option<Arc<str>>) -> Option<Configuration> {
    Some(Configuration {
        rendered: rendition.profiles.get(profile)?.clone(),
        generation: rendition.generation,
        incomplete: incomplete.clone(),
    })
}

/// The profile of a proxy.
pub(super) fn profile_of(report: &ProxyReport) -> Profile {
    let mut numbers = report
        .version
        .split(|character: char| !character.is_ascii_digit())
        .map_while(|number| number.parse().ok());
    Profile {
        router_flavor: report.router_flavor,
        edition: Some(report.edition),
        version: numbers.next().zip(numbers.next()),
        plugins: report.plugins.clone(),
    }
}

/// Whether applying a configuration costs the proxy much, so that it has to rest afterwards (DESIGN.md §3 rule 4).
pub(super) fn pays_for_pushes(edition: Edition) -> bool {
    match edition {
        Edition::OpenSource | Edition::Enterprise => true,
        Edition::Embedded => false,
    }
}

/// Names the objects of which something is missing in the configuration, and where to read why.
fn incomplete(problems: &[Problem]) -> Option<Arc<str>> {
    let left_out = || problems.iter().filter(|problem| leaves_out(problem.reason));
    let mut objects: Vec<_> = left_out().map(|problem| &problem.object).collect();
    objects.sort();
    objects.dedup();
    if objects.is_empty() {
        return None;
    }
    let named: Vec<_> = objects.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    let more = match objects.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    // What stands in a file has neither a status nor events.
    let place = if left_out().any(|problem| problem.source.is_some()) {
        "the controller's log, the problems on its dashboard or GET /api/v1/problems there"
    } else {
        "their events or status, or the problems on the controller's dashboard"
    };
    Some(format!("parts of {}{more} are left out: see {place}", named.join(", ")).into())
}

/// Whether such a problem takes something out of the configuration, rather than stand beside it.
fn leaves_out(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::NoEndpoints | Reason::UnknownField | Reason::ConfigRejected | Reason::SourceUnavailable
    )
}
