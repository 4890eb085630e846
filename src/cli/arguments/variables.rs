//! `CONTROLLER_*` variables that no flag has, or that two names of one flag have. Pure; `run` reads the environment.

use std::collections::BTreeSet;

use crate::manifest::nearest;

const PREFIX: &str = "CONTROLLER_";

/// Names what nobody reads, one line each with the nearest name, so that a slip is not silently the default.
///
/// Variables that Kubernetes sets for a Service whose name begins with `controller` are none of it
/// (`CONTROLLER_SERVICE_HOST`, `CONTROLLER_PORT_80_TCP_ADDR`, …).
pub(crate) fn unknown<'a>(present: impl IntoIterator<Item = &'a str>, known: &BTreeSet<&str>) -> Option<String> {
    let present: BTreeSet<&str> = present.into_iter().filter(|name| name.starts_with(PREFIX)).collect();
    let of_service = |name: &&str| {
        let services = present.iter().filter_map(|name| name.strip_suffix("_SERVICE_HOST"));
        let mut rests = services.filter_map(|service| name.strip_prefix(service));
        rests.any(|rest| rest.starts_with("_SERVICE_") || rest.starts_with("_PORT"))
    };
    let unknown = present
        .iter()
        .filter(|name| !known.contains(**name) && !of_service(name));
    let lines: Vec<String> = unknown
        .map(|name| {
            let bare = |name: &'a str| name.strip_prefix(PREFIX).unwrap_or(name);
            let names = known.iter().filter_map(|name| name.strip_prefix(PREFIX));
            match nearest(bare(name), names) {
                Some(meant) => format!("there is no variable {name}; did you mean {PREFIX}{meant}?"),
                None => format!("there is no variable {name}; remove it, or see silverback run --help"),
            }
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Names what is given under both names of a flag, one line each: which of the two is meant is not to be guessed.
pub(crate) fn given_twice(present: &BTreeSet<&str>, other_names: &[(&str, &str)]) -> Option<String> {
    let both = other_names
        .iter()
        .filter(|(other, own)| present.contains(other) && present.contains(own));
    let lines: Vec<String> = both
        .map(|(other, own)| {
            format!("{other} and {own} are the same; remove one of them, or give all that is meant in one")
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = [
        "CONTROLLER_INGRESS_CLASS",
        "CONTROLLER_KONG_ADMIN_SVC",
        "CONTROLLER_LOG_LEVEL",
    ];

    #[test]
    fn a_slip_is_named_with_what_was_meant() {
        let known = BTreeSet::from(KNOWN);
        let present = [
            "CONTROLLER_INGRES_CLASS",
            "CONTROLLER_LOG_LEVEL",
            "PATH",
            "CONTROLLER_FROBNICATE",
        ];
        assert_eq!(
            unknown(present, &known).as_deref(),
            Some(
                "there is no variable CONTROLLER_FROBNICATE; remove it, or see silverback run --help\n\
                 there is no variable CONTROLLER_INGRES_CLASS; did you mean CONTROLLER_INGRESS_CLASS?"
            )
        );
        assert_eq!(unknown(KNOWN, &known), None);
    }

    #[test]
    fn what_is_given_under_both_names_is_named() {
        let names = [("CONTROLLER_CLASS", "CONTROLLER_INGRESS_CLASS")];
        let given = |present: &[&'static str]| given_twice(&present.iter().copied().collect(), &names);
        assert_eq!(
            given(&["CONTROLLER_CLASS", "CONTROLLER_INGRESS_CLASS"]).as_deref(),
            Some(
                "CONTROLLER_CLASS and CONTROLLER_INGRESS_CLASS are the same; remove one of them, or give all that is \
                 meant in one"
            )
        );
        assert_eq!(given(&["CONTROLLER_CLASS"]), None);
        assert_eq!(given(&KNOWN), None);
    }

    #[test]
    fn what_kubernetes_sets_for_services_is_no_slip() {
        let known = BTreeSet::from(KNOWN);
        let present = [
            "CONTROLLER_SERVICE_HOST",
            "CONTROLLER_SERVICE_PORT",
            "CONTROLLER_SERVICE_PORT_METRICS",
            "CONTROLLER_PORT",
            "CONTROLLER_PORT_80_TCP_ADDR",
            "CONTROLLER_SHOP_SERVICE_HOST",
            "CONTROLLER_SHOP_PORT_80_TCP",
        ];
        assert_eq!(unknown(present, &known), None);
        assert!(
            unknown(["CONTROLLER_PORT"], &known).is_some(),
            "there is no such Service"
        );
    }
}
