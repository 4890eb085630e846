//! `--feature-gates`: names, defaults and rules of Kong Ingress Controller 3.5.

use super::switch::boolean;
use crate::{manifest::nearest, translate::FeatureGates};

/// A gate that Kong Ingress Controller 3.5 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// TCPRoute, UDPRoute, TLSRoute, BackendTLSPolicy: always on here.
    GatewayAlpha,
    /// IDs that follow from names.
    FillIds,
    /// The annotation `konghq.com/rewrite`.
    RewriteUris,
    /// KongServiceFacades as backends.
    KongServiceFacade,
    /// Redaction of what goes to Konnect: nothing does here.
    SanitizeKonnectConfigDumps,
    /// What a proxy refuses is left out.
    FallbackConfiguration,
    /// KongCustomEntities.
    KongCustomEntity,
}

const GATES: [(&str, Gate); 7] = [
    ("GatewayAlpha", Gate::GatewayAlpha),
    ("FillIDs", Gate::FillIds),
    ("RewriteURIs", Gate::RewriteUris),
    ("KongServiceFacade", Gate::KongServiceFacade),
    ("SanitizeKonnectConfigDumps", Gate::SanitizeKonnectConfigDumps),
    ("FallbackConfiguration", Gate::FallbackConfiguration),
    ("KongCustomEntity", Gate::KongCustomEntity),
];

/// Gates of former releases, and what takes their place.
const REMOVED: [(&str, &str); 6] = [
    ("CombinedRoutes", "routes are always combined: remove it"),
    ("CombinedServices", "services are always combined: remove it"),
    (
        "CombinedServicesFromDifferentHTTPRoutes",
        "give --combined-services-from-different-httproutes",
    ),
    (
        "ExpressionRoutes",
        "how routes are written follows from the proxies' router flavor: remove it",
    ),
    ("Knative", "Knative is not supported: remove it"),
    (
        "Gateway",
        "the Gateway API is always on where its CRDs are installed: remove it",
    ),
];

/// One item of `--feature-gates`: `Name=true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GateSetting {
    gate: Gate,
    on: bool,
}

/// Reads `Name=true`.
pub(super) fn setting(text: &str) -> Result<GateSetting, String> {
    let text = text.trim();
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is no setting of a gate; write it like KongServiceFacade=true"))?;
    if let Some((_, instead)) = REMOVED.iter().find(|(removed, _)| *removed == name) {
        return Err(format!("there is no gate {name} any more; {instead}"));
    }
    let Some((_, gate)) = GATES.iter().find(|(known, _)| *known == name) else {
        let names = GATES.iter().map(|(known, _)| *known);
        return Err(match nearest(name, names.clone()) {
            Some(meant) => format!("there is no gate {name:?}; did you mean {meant}?"),
            None => format!(
                "there is no gate {name:?}; there are {}",
                names.collect::<Vec<_>>().join(", ")
            ),
        });
    };
    let on = boolean(value).map_err(|problem| format!("{name}: {problem}"))?;
    Ok(GateSetting { gate: *gate, on })
}

/// The gates as they were set over their defaults; the last setting of a gate counts.
pub(super) fn gates(settings: &[GateSetting]) -> FeatureGates {
    let mut gates = FeatureGates::default();
    for setting in settings {
        match setting.gate {
            Gate::FillIds => gates.fill_ids = setting.on,
            Gate::RewriteUris => gates.rewrite_uris = setting.on,
            Gate::KongServiceFacade => gates.kong_service_facade = setting.on,
            Gate::KongCustomEntity => gates.kong_custom_entity = setting.on,
            Gate::FallbackConfiguration => gates.fallback_configuration = setting.on,
            Gate::GatewayAlpha | Gate::SanitizeKonnectConfigDumps => {}
        }
    }
    gates
}

/// What gates must not be together.
pub(super) fn check(gates: &FeatureGates) -> Result<(), String> {
    if gates.kong_custom_entity && !gates.fill_ids {
        return Err(
            "--feature-gates: KongCustomEntity needs FillIDs; give FillIDs=true, or KongCustomEntity=false as well"
                .to_owned(),
        );
    }
    Ok(())
}

/// What was set and has no effect: why, and what to do.
#[cfg(feature = "controller")]
pub(super) fn warnings(settings: &[GateSetting]) -> Vec<&'static str> {
    let warning = |setting: &GateSetting| match (setting.gate, setting.on) {
        (Gate::GatewayAlpha, false) => {
            Some("--feature-gates: GatewayAlpha is always on; to leave a kind out, don't install its CRD")
        }
        (Gate::SanitizeKonnectConfigDumps, _) => {
            Some("--feature-gates: SanitizeKonnectConfigDumps has no effect: nothing is sent to Konnect; remove it")
        }
        _ => None,
    };
    settings.iter().filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(text: &str) -> Result<FeatureGates, String> {
        let settings: Vec<_> = text.split(',').map(setting).collect::<Result<_, _>>()?;
        let gates = gates(&settings);
        check(&gates)?;
        Ok(gates)
    }

    #[test]
    fn gates_are_set_over_their_defaults() {
        let gates = of("KongServiceFacade=true,RewriteURIs=1,GatewayAlpha=true").unwrap();
        assert!(gates.kong_service_facade && gates.rewrite_uris && gates.fill_ids && gates.kong_custom_entity);
        let gates = of("FillIDs=false,KongCustomEntity=false,FallbackConfiguration=false").unwrap();
        assert!(!gates.fill_ids && !gates.kong_custom_entity && !gates.fallback_configuration);
    }

    #[test]
    fn mistakes_are_named_with_what_to_do() {
        for (text, says) in [
            ("KongServiceFacad=true", "did you mean KongServiceFacade"),
            ("Whatever=true", "RewriteURIs"),
            ("ExpressionRoutes=true", "router flavor"),
            ("CombinedRoutes=false", "remove it"),
            (
                "CombinedServicesFromDifferentHTTPRoutes=true",
                "--combined-services-from-different-httproutes",
            ),
            ("FillIDs", "KongServiceFacade=true"),
            ("FillIDs=yes", "neither true nor false"),
            ("FillIDs=false", "KongCustomEntity needs FillIDs"),
        ] {
            let problem = of(text).unwrap_err();
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }

    #[cfg(feature = "controller")]
    #[test]
    fn what_has_no_effect_is_warned_of() {
        let set = |text| setting(text).unwrap();
        assert!(warnings(&[set("GatewayAlpha=true"), set("FillIDs=true")]).is_empty());
        let given = ["GatewayAlpha=false", "SanitizeKonnectConfigDumps=true"];
        assert_eq!(warnings(&given.map(set)).len(), 2);
    }
}
