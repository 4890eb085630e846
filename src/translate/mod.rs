//! Snapshot -> Translation: what the proxies shall do, and what is wrong with the objects.
//!
//! Pure and total: a user's mistake is a [`Problem`], never an error, and the same objects in any order give the same
//! result. One file per source kind. Called by the controller's pipeline and by the offline verbs (`render`, `lint`).

mod annotations;
mod backend;
mod bounds;
mod ca_certificate;
mod class;
mod conflict;
mod consumer;
mod custom_entity;
mod draft;
mod expression;
mod facade;
pub mod fallback;
mod field_conflict;
mod field_path;
mod gateway;
mod ingress;
mod key_pair;
mod kong_ingress;
mod license;
mod memo;
mod participants;
mod path;
mod plugin;
mod problems;
mod regexes;
mod rewrite;
mod route;
mod route_annotations;
mod schemas;
mod service;
mod service_annotations;
mod service_group;
mod state;
mod stream_ingress;
mod syntax;
mod tags;
mod target;
mod tls;
mod upstream_policy;
mod upstream_settings;
mod vault;
mod zone;

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use proxy_config_schema::Configuration;

pub(crate) use self::custom_entity::is_type as is_entity_type;
pub use self::{
    class::is_of_class,
    custom_entity::unknown_entity_types,
    gateway::{
        ClassOutcome, ConditionOutcome, GatewayOutcome, GatewayStatuses, ListenerOutcome, ParentOutcome, PolicyOutcome,
        RouteOutcome,
    },
    memo::Translator,
    participants::Participants,
    schemas::{EntitySchema, EntitySchemas},
};
use crate::model::{NamespacedName, Problem, Profile, Snapshot};

/// What shapes a translation besides the objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The class that is ours (`--ingress-class`).
    pub ingress_class: String,
    /// What the proxies can take.
    pub profile: Profile,
    /// Whether the profile's router flavour is a guess: nobody gave it, and no proxy reported it.
    pub router_assumed: bool,
    /// The workspace of the proxies that is written to (`--kong-workspace`), empty for none: part of the identifiers.
    pub workspace: String,
    /// Appended to Service DNS names (`--cluster-domain`), empty for none.
    pub cluster_domain: String,
    /// Whether terminating endpoints stay as targets of weight 0 (`--enable-drain-support`).
    pub drain_support: bool,
    /// Where the proxies are.
    pub proxy_zone: ProxyZone,
    /// Whether objects are taken as they are (`--raw-objects`), to compare with Kong Ingress Controller: no defaulting,
    /// no invented identities, conflicting routes side by side.
    pub raw_objects: bool,
    /// Whether the EndpointSlices of Services with a selector must be in the snapshot: they are in a cluster and in a
    /// directory that is run, but not beside manifests that are only rendered.
    pub pods_known: bool,
    /// What a route gets whose plugin is missing.
    pub missing_plugin: MissingPlugin,
    /// What is switched on or off beyond the defaults (`--feature-gates`).
    pub feature_gates: FeatureGates,
    /// Whether HTTPRoutes of a namespace with the same backends share a service
    /// (`--combined-services-from-different-httproutes`).
    pub combined_services: bool,
    /// The GatewayClasses that are ours: `spec.controllerName` (`--gateway-api-controller-name`).
    pub gateway_controller_name: String,
    /// The only Gateway that counts, with its routes (`--gateway-to-reconcile`); all when `None`.
    pub gateway_to_reconcile: Option<NamespacedName>,
    /// What is known of the entities that plugins bring along.
    pub entity_schemas: Arc<EntitySchemas>,
    /// The present: CA certificates that have expired by then are left out, since Kong refuses them. `None` takes none for
    /// expired.
    pub now: Option<Timestamp>,
}

/// Which zone the proxies are in: Services that ask for nearness (`spec.trafficDistribution`) get requests for the
/// endpoints of that zone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ProxyZone {
    /// Not known: endpoints of all zones are used.
    #[default]
    Unknown,
    /// This one.
    Named(String),
    /// That of the endpoints of these Services, if all of them are in the same one.
    OfServices(Vec<NamespacedName>),
}

/// What is switched on or off beyond the defaults, with the names and defaults of Kong Ingress Controller 3.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureGates {
    /// `FillIDs`: entities get IDs that follow from their names.
    pub fill_ids: bool,
    /// `RewriteURIs`: the annotation `konghq.com/rewrite` acts.
    pub rewrite_uris: bool,
    /// `KongServiceFacade`: KongServiceFacades can be backends of Ingresses.
    pub kong_service_facade: bool,
    /// `KongCustomEntity`: KongCustomEntities are translated; needs `fill_ids`.
    pub kong_custom_entity: bool,
    /// `FallbackConfiguration`: what a proxy refuses is left out, the rest is pushed. On here, off there.
    pub fallback_configuration: bool,
}

impl Default for FeatureGates {
    fn default() -> Self {
        Self {
            fill_ids: true,
            rewrite_uris: false,
            kong_service_facade: false,
            kong_custom_entity: true,
            fallback_configuration: true,
        }
    }
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
            profile: Profile::default(),
            router_assumed: false,
            workspace: String::new(),
            cluster_domain: String::new(),
            drain_support: false,
            proxy_zone: ProxyZone::default(),
            raw_objects: false,
            pods_known: true,
            missing_plugin: MissingPlugin::default(),
            feature_gates: FeatureGates::default(),
            combined_services: false,
            gateway_controller_name: "konghq.com/kic-gateway-controller".to_owned(),
            gateway_to_reconcile: None,
            entity_schemas: Arc::default(),
            now: None,
        }
    }
}

impl Settings {
    /// The workspace, if there is one.
    pub(crate) fn workspace(&self) -> Option<&str> {
        (!self.workspace.is_empty()).then_some(self.workspace.as_str())
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
    pub objects: Participants,
    /// What can be said of the Gateway API's objects that are ours.
    pub gateways: Arc<GatewayStatuses>,
    /// Values that settings of plugins have from Secrets: to be shown nowhere.
    pub confidential: BTreeSet<String>,
    /// The last second in which the same objects give the same; `None` if it does not hang on time.
    pub valid_until: Option<Timestamp>,
}

/// Translates all objects. Never fails: what is wrong is in [`Translation::problems`], the rest is in the configuration.
///
/// Who translates one snapshot after the other keeps a [`Translator`].
pub fn translate(snapshot: &Snapshot, settings: &Settings) -> Translation {
    Translator::default().translate(snapshot, settings)
}
