//! The flags that shape the translation, the same for `run` and the offline verbs.

use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::{
    gates::{self, GateSetting},
    kinds::KindArguments,
    switch::boolean,
};
use crate::{
    manifest::Limits,
    model::{Edition, NamespacedName, Profile, RouterFlavor},
    translate::{EntitySchemas, MissingPlugin, ProxyZone, Settings},
};

const TRANSLATION: &str = "Translation";

/// Flags that shape the translation. Those that Kong Ingress Controller has keep their names, defaults and meaning.
#[derive(Debug, Clone, Args)]
pub(super) struct TranslationArguments {
    /// Name of the IngressClass that is ours.
    #[arg(long, env = "CONTROLLER_INGRESS_CLASS", value_name = "NAME", default_value = "kong", help_heading = TRANSLATION)]
    pub(super) ingress_class: String,
    /// Name of the controller in the GatewayClasses that are ours.
    #[arg(long, env = "CONTROLLER_GATEWAY_API_CONTROLLER_NAME", value_name = "NAME", default_value = "konghq.com/kic-gateway-controller", help_heading = TRANSLATION)]
    gateway_api_controller_name: String,
    /// The only Gateway that counts, with its routes; all of ours by default.
    #[arg(long, env = "CONTROLLER_GATEWAY_TO_RECONCILE", value_name = "NAMESPACE/NAME", help_heading = TRANSLATION)]
    gateway_to_reconcile: Option<NamespacedName>,
    /// What is switched on or off beyond the defaults: RewriteURIs=true,KongServiceFacade=true.
    #[arg(long, env = "CONTROLLER_FEATURE_GATES", value_name = "NAME=BOOL", value_delimiter = ',', value_parser = gates::setting, help_heading = TRANSLATION)]
    pub(super) feature_gates: Vec<GateSetting>,
    /// Let HTTPRoutes of a namespace with the same backends share a service.
    #[arg(long, env = "CONTROLLER_COMBINED_SERVICES_FROM_DIFFERENT_HTTPROUTES", value_name = "BOOL", default_value = "false", value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = TRANSLATION)]
    combined_services_from_different_httproutes: bool,
    /// Workspace of the proxies (Enterprise): part of the identifiers of entities; of `run`, prefix of every path.
    #[arg(long, env = "CONTROLLER_KONG_WORKSPACE", value_name = "NAME", default_value = "", help_heading = TRANSLATION)]
    kong_workspace: String,
    /// Appended to the DNS names of Services that are targets themselves.
    #[arg(long, env = "CONTROLLER_CLUSTER_DOMAIN", value_name = "DOMAIN", default_value = "", help_heading = TRANSLATION)]
    cluster_domain: String,
    /// Keep terminating endpoints as targets of weight 0.
    #[arg(long, env = "CONTROLLER_ENABLE_DRAIN_SUPPORT", value_name = "BOOL", default_value = "false", value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = TRANSLATION)]
    enable_drain_support: bool,
    /// Zone that all proxies are in: Services that ask for nearness (spec.trafficDistribution) get requests for the
    /// endpoints that are meant for it. `run` learns it from --kong-admin-svc.
    #[arg(long, env = "CONTROLLER_PROXY_ZONE", value_name = "ZONE", help_heading = TRANSLATION)]
    proxy_zone: Option<String>,
    /// What a route gets whose plugin is missing: 503, or nothing as with Kong Ingress Controller.
    #[arg(long, env = "CONTROLLER_MISSING_PLUGIN", value_name = "WAY", default_value = "fail-closed", help_heading = TRANSLATION)]
    missing_plugin: MissingPluginArgument,
    /// How the proxies match routes: traditional offline; learned from them by `run`, where it needs --directory.
    #[arg(long, env = "CONTROLLER_ROUTER_FLAVOR", value_name = "FLAVOR", help_heading = TRANSLATION)]
    pub(super) router_flavor: Option<Flavor>,
    /// Version of the proxies, such as 3.9; offline, nothing is used without it that depends on a version. Learned from
    /// them by `run`, where it needs --directory.
    #[arg(long, env = "CONTROLLER_KONG_VERSION", value_name = "VERSION", value_parser = kong_version, help_heading = TRANSLATION)]
    pub(super) kong_version: Option<(u16, u16)>,
    /// Edition of the proxies; offline, nothing is left out without it. Learned from them by `run`, where it needs
    /// --directory.
    #[arg(long, env = "CONTROLLER_EDITION", value_name = "EDITION", help_heading = TRANSLATION)]
    pub(super) edition: Option<EditionArgument>,
    /// Take objects as they are, to compare with Kong Ingress Controller: no defaulting, no invented identities,
    /// conflicting routes side by side, edition and version only as they are given. `run` needs --directory for it.
    #[arg(long, env = "CONTROLLER_RAW_OBJECTS", value_name = "BOOL", default_value = "false", value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = TRANSLATION)]
    pub(super) raw_objects: bool,
    #[command(flatten)]
    pub(super) kinds: KindArguments,
}

/// `--router-flavor`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Flavor {
    /// `traditional`: regular expressions are PCRE's.
    Traditional,
    /// `traditional_compatible`: the same routes, with the regular expressions of `expressions`.
    #[value(name = "traditional_compatible", alias = "traditional-compatible")]
    TraditionalCompatible,
    /// `expressions`
    Expressions,
}

impl From<Flavor> for RouterFlavor {
    fn from(flavor: Flavor) -> Self {
        match flavor {
            Flavor::Traditional => Self::Traditional,
            Flavor::TraditionalCompatible => Self::TraditionalCompatible,
            Flavor::Expressions => Self::Expressions,
        }
    }
}

/// `--edition`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EditionArgument {
    /// Kong Gateway open source.
    #[value(alias = "community", alias = "oss")]
    OpenSource,
    /// Kong Gateway Enterprise.
    Enterprise,
    /// silverback's own proxy.
    Embedded,
}

impl From<EditionArgument> for Edition {
    fn from(edition: EditionArgument) -> Self {
        match edition {
            EditionArgument::OpenSource => Self::OpenSource,
            EditionArgument::Enterprise => Self::Enterprise,
            EditionArgument::Embedded => Self::Embedded,
        }
    }
}

/// `--missing-plugin`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MissingPluginArgument {
    /// The route answers 503.
    FailClosed,
    /// The route runs without it.
    Omit,
}

/// Reads `3.9`, `3.9.1` or `3.9.0.1`.
fn kong_version(text: &str) -> Result<(u16, u16), String> {
    let numbers: Result<Vec<u16>, _> = text.split('.').map(str::parse).collect();
    match numbers.as_deref() {
        Ok([major, minor] | [major, minor, _] | [major, minor, _, _]) => Ok((*major, *minor)),
        _ => Err(format!("{text:?} is no version; write it like 3.9")),
    }
}

impl TranslationArguments {
    /// What they come to, offline: without a proxy to learn from.
    ///
    /// # Errors
    /// Gates that exclude each other. Not with `--raw-objects`, which compares what Kong Ingress Controller's translator
    /// does with any of its settings.
    pub(super) fn settings(&self) -> Result<Settings, String> {
        let gates = gates::gates(&self.feature_gates);
        if !self.raw_objects {
            gates::check(&gates)?;
        }
        Ok(Settings {
            ingress_class: self.ingress_class.clone(),
            profile: Profile {
                router_flavor: self.router_flavor.map(Into::into).unwrap_or_default(),
                edition: self.edition.map(Into::into),
                version: self.kong_version,
                plugins: None,
            },
            router_assumed: self.router_flavor.is_none(),
            workspace: self.kong_workspace.trim_matches('/').to_owned(),
            cluster_domain: self.cluster_domain.clone(),
            drain_support: self.enable_drain_support,
            proxy_zone: match &self.proxy_zone {
                Some(zone) if !zone.is_empty() => ProxyZone::Named(zone.clone()),
                _ => ProxyZone::Unknown,
            },
            raw_objects: self.raw_objects,
            pods_known: false,
            missing_plugin: match self.missing_plugin {
                MissingPluginArgument::FailClosed => MissingPlugin::FailClosed,
                MissingPluginArgument::Omit => MissingPlugin::Omit,
            },
            feature_gates: gates,
            combined_services: self.combined_services_from_different_httproutes,
            gateway_controller_name: self.gateway_api_controller_name.clone(),
            gateway_to_reconcile: self.gateway_to_reconcile.clone(),
            entity_schemas: if self.raw_objects {
                EntitySchemas::of_comparison().into()
            } else {
                Arc::default()
            },
            // As of now: in a comparison time stands still.
            now: (!self.raw_objects).then(jiff::Timestamp::now),
        })
    }

    /// How manifests are read.
    pub(super) fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        if self.raw_objects {
            limits.default_namespace = "".into();
        }
        limits
    }
}
