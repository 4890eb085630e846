//! What a GatewayClass says of the installed definitions and of what is supported. Pure.

use crate::model::{Edition, Profile};

/// The definitions of the Gateway API that are installed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::status) struct Bundle {
    /// `gateway.networking.k8s.io/bundle-version`: `v1.6.3`.
    pub(in crate::status) version: Option<String>,
}

/// The minor versions of the Gateway API 1 whose fields are known.
const KNOWN_MINORS: std::ops::RangeInclusive<u32> = 0..=7;

impl Bundle {
    /// Whether all that the definitions let in is known.
    pub(super) fn is_known(&self) -> bool {
        let minor = || {
            let mut parts = self.version.as_deref()?.strip_prefix("v1.")?.split('.');
            parts.next()?.parse().ok()
        };
        minor().is_some_and(|minor| KNOWN_MINORS.contains(&minor))
    }
}

/// What a feature takes.
enum Needs {
    /// Nothing: translation is enough.
    Nothing,
    /// A plugin that the proxies can run.
    Plugin(&'static str),
    /// Routes written as expressions.
    Expressions,
    /// A Kong with the plugin `redirect`, since 3.9.
    Redirect,
    /// Ports for other protocols than HTTP: the embedded proxy has none.
    Streams,
}

/// The features that are supported, by the names of the Gateway API, in order: these, where the proxies have what they
/// need.
const FEATURES: &[(&str, Needs)] = &[
    ("BackendTLSPolicy", Needs::Nothing),
    ("GRPCRoute", Needs::Nothing),
    ("Gateway", Needs::Nothing),
    ("HTTPRoute", Needs::Plugin("request-transformer")),
    ("HTTPRoute303RedirectStatusCode", Needs::Redirect),
    ("HTTPRoute307RedirectStatusCode", Needs::Redirect),
    ("HTTPRoute308RedirectStatusCode", Needs::Redirect),
    ("HTTPRouteHostRewrite", Needs::Plugin("request-transformer")),
    ("HTTPRouteMethodMatching", Needs::Expressions),
    ("HTTPRouteNamedRouteRule", Needs::Nothing),
    ("HTTPRoutePathRewrite", Needs::Plugin("request-transformer")),
    ("HTTPRouteQueryParamMatching", Needs::Expressions),
    (
        "HTTPRouteResponseHeaderModification",
        Needs::Plugin("response-transformer"),
    ),
    ("ReferenceGrant", Needs::Nothing),
    ("TCPRoute", Needs::Streams),
    ("TLSRoute", Needs::Streams),
    ("TLSRouteModeTerminate", Needs::Streams),
    ("UDPRoute", Needs::Streams),
];

/// What all these proxies can do, by the names of the Gateway API, in order.
pub(super) fn supported<'a>(profiles: &(impl Iterator<Item = &'a Profile> + Clone)) -> Vec<String> {
    let can = |needs: &Needs| {
        profiles.clone().all(|profile| match needs {
            Needs::Nothing => true,
            Needs::Plugin(type_) => profile.has_plugin(type_),
            Needs::Expressions => profile.router_flavor.is_expressions(),
            Needs::Streams => profile.edition != Some(Edition::Embedded),
            Needs::Redirect => {
                profile.has_plugin("redirect") && profile.version.is_some_and(|version| version >= (3, 9))
            }
        })
    };
    let features = FEATURES.iter().filter(|(_, needs)| can(needs));
    features.map(|(name, _)| (*name).to_owned()).collect()
}
