//! Snapshot -> Translation: what the proxies shall do, and what is wrong with the objects.
//!
//! Pure and total: a user's mistake is a [`Problem`], never an error, and the same objects in any order give the same
//! result. One file per source kind. Called by the controller's pipeline and by the offline verbs (`render`, `lint`).

use std::collections::BTreeSet;

use proxy_config_schema::Configuration;

use crate::model::{ObjectRef, Problem, Profile};

/// What shapes a translation besides the objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The class that is ours (`--ingress-class`).
    pub ingress_class: String,
    /// What the proxies can take.
    pub profile: Profile,
    /// Appended to Service DNS names (`--cluster-domain`), empty for none.
    pub cluster_domain: String,
    /// Whether terminating endpoints stay as targets of weight 0 (`--enable-drain-support`).
    pub drain_support: bool,
    /// Whether objects are taken as they are (`--raw-objects`): no defaulting, no invented identities.
    pub raw_objects: bool,
    /// What a route gets whose plugin is missing.
    pub missing_plugin: MissingPlugin,
}

/// What a route gets whose plugin is missing or invalid (`--missing-plugin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingPlugin {
    /// It answers 503: nothing runs without its protection.
    #[default]
    FailClosed,
    /// It runs without the plugin, as with Kong Ingress Controller.
    Omit,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ingress_class: "kong".to_owned(),
            profile: Profile {
                router_flavor: Default::default(),
                edition: None,
                version: None,
            },
            cluster_domain: String::new(),
            drain_support: false,
            raw_objects: false,
            missing_plugin: MissingPlugin::default(),
        }
    }
}

/// The outcome of a translation.
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// What the proxies shall do, in canonical order; never without an entity (an empty state is the stub upstream).
    pub configuration: Configuration,
    /// What is wrong, sorted and without duplicates.
    pub problems: Vec<Problem>,
    /// The objects that took part: what of theirs could be translated is in the configuration.
    pub objects: BTreeSet<ObjectRef>,
}
