//! What annotations do: `docs/reference/annotations.md`, and what the test of cases goes through (`kic.md` 3).

use std::fmt::Write as _;

use super::{cell, holds};
use crate::model::{
    Kind,
    annotations::{self, ANNOTATIONS, ROUTES},
};

/// Name, values, effect, in the order of the table of [`annotations`].
const DESCRIBED: &[(&str, &str, &str)] = &[
    (
        annotations::PLUGINS,
        "names of KongPlugins or KongClusterPlugins, comma separated; `NAMESPACE:NAME` for another namespace, which needs a ReferenceGrant there",
        "The plugins run for what the object stands for. A missing one closes its routes (503), unless `--missing-plugin=omit`",
    ),
    (
        annotations::UPSTREAM_POLICY,
        "name of a KongUpstreamPolicy of the same namespace",
        "Balancing and health checks of the upstream",
    ),
    (
        annotations::OVERRIDE,
        "name of a KongIngress of the same namespace",
        "Its section `upstream`; deprecated, and without effect on routes of the Gateway API",
    ),
    (
        annotations::PROTOCOL,
        "`http`, `https`, `grpc`, `grpcs`, `ws`, `wss`, `tls`, `tcp`, `tls_passthrough`",
        "What is spoken with the pods. `ws` and `wss` need Kong Gateway Enterprise",
    ),
    (
        annotations::PATH,
        "a path such as `/api`",
        "Put in front of the path of every request",
    ),
    (
        annotations::HOST_HEADER,
        "a host name, with a port or not",
        "`Host` of requests to the pods, where the route does not preserve the client's",
    ),
    (
        annotations::CLIENT_CERT,
        "name of a TLS Secret of the same namespace",
        "Certificate shown to the pods; needs a protocol with TLS",
    ),
    (
        annotations::TLS_VERIFY,
        "`true`, `false`",
        "Whether certificates of the pods are verified; needs a protocol with TLS",
    ),
    (
        annotations::TLS_VERIFY_DEPTH,
        "0 to 64",
        "Longest chain of such a certificate",
    ),
    (
        annotations::CA_CERTIFICATES_SECRETS,
        "names of Secrets of the same namespace, comma separated",
        "Authorities for that verification",
    ),
    (
        annotations::CA_CERTIFICATES_CONFIG_MAPS,
        "names of ConfigMaps of the same namespace, comma separated",
        "Authorities for that verification",
    ),
    (
        annotations::CONNECT_TIMEOUT,
        "milliseconds, 1 to 2147483646",
        "Limit for connecting, 60000 by default",
    ),
    (
        annotations::WRITE_TIMEOUT,
        "milliseconds, 1 to 2147483646",
        "Limit between two writes, 60000 by default",
    ),
    (
        annotations::READ_TIMEOUT,
        "milliseconds, 1 to 2147483646",
        "Limit between two reads, 60000 by default",
    ),
    (
        annotations::RETRIES,
        "0 to 32767",
        "Attempts after the first one, 5 by default",
    ),
    (
        annotations::STRIP_PATH,
        "`true`, `false`",
        "Whether the part of the path that matched is taken away; not for gRPC",
    ),
    (
        annotations::PRESERVE_HOST,
        "`true`, `false`",
        "Whether the client's `Host` is kept, as it is by default",
    ),
    (
        annotations::HTTPS_REDIRECT_STATUS_CODE,
        "301, 302, 307, 308, 426",
        "Answer to plain HTTP where `protocols` has HTTPS only, 426 by default",
    ),
    (
        annotations::REQUEST_BUFFERING,
        "`true`, `false`",
        "Whether requests are read as a whole first, as they are by default",
    ),
    (
        annotations::RESPONSE_BUFFERING,
        "`true`, `false`",
        "Whether responses are read as a whole first, as they are by default",
    ),
    (
        annotations::PROTOCOLS,
        "`http`, `https`, `grpc`, `grpcs`, `ws`, `wss`; for TCP `tcp`, `tls`, `tls_passthrough`; for UDP `udp`; comma separated",
        "What the route is for. gRPC and HTTP together count as HTTP",
    ),
    (
        annotations::REGEX_PRIORITY,
        "a whole number",
        "Which regular expression is tried first: the greater; traditional router only",
    ),
    (
        annotations::PATH_HANDLING,
        "`v0`, `v1`",
        "How paths of service and request are joined; traditional router only",
    ),
    (
        annotations::METHODS,
        "HTTP methods, comma separated",
        "Matches these methods only; with the expressions router on Ingresses only",
    ),
    (
        annotations::SNIS,
        "host names, comma separated",
        "Matches these TLS server names only",
    ),
    (
        annotations::HOST_ALIASES,
        "host names, comma separated, maybe with a `*` in front or at the end",
        "Hosts in addition; with the expressions router on Ingresses only",
    ),
    (
        annotations::HEADERS,
        "values, comma separated; one that begins with `~*` is a regular expression",
        "Matches requests whose header has one of the values; with the expressions router on Ingresses only",
    ),
    (
        annotations::HEADERS_SEPARATOR,
        "text",
        "Stands between values of `headers.NAME` instead of the comma",
    ),
    (
        annotations::REGEX_PREFIX,
        "text, `/~` by default",
        "Marks paths that are regular expressions",
    ),
    (
        annotations::REWRITE,
        "a path; `$1` is the first capture of the route's regular expression, `\\$` a dollar sign",
        "Path of requests to the pods; needs `--feature-gates RewriteURIs=true`",
    ),
    (
        annotations::TAGS,
        "words without a slash, comma separated",
        "Tags of the Kong entities that come from the object",
    ),
    (
        annotations::GATEWAYCLASS_UNMANAGED,
        "`true`",
        "Gateways of the class are served as they are: the proxies listen where they listen",
    ),
    (
        annotations::PUBLISH_SERVICE,
        "`NAMESPACE/NAME`, comma separated",
        "Services whose addresses are the Gateway's, in place of those of `--publish-service`",
    ),
    (
        annotations::INGRESS_CLASS,
        "name of a class",
        "Which controller reads the object; goes before `spec.ingressClassName`",
    ),
    (
        annotations::FORCE_SSL_REDIRECT,
        "`true`",
        "Plain HTTP is sent to HTTPS with 302; `konghq.com/protocols` goes before it",
    ),
    (
        annotations::SERVICE_UPSTREAM,
        "`true`",
        "Requests go to the Service's cluster address instead of its pods",
    ),
    (
        annotations::DEFAULT_CLASS,
        "`true`",
        "Objects without a class belong to this one",
    ),
    (
        annotations::TOPOLOGY_MODE,
        "`Auto`, `Disabled`",
        "As `spec.trafficDistribution: PreferSameZone`: endpoints near the proxies, if those are all in one zone",
    ),
    (
        annotations::TOPOLOGY_AWARE_HINTS,
        "`auto`, `disabled`",
        "The former name of `topology-mode`",
    ),
];

/// The name as users write it: an upper-case word at its end stands for what they put there.
pub(crate) fn shown(name: &str) -> String {
    match name.ends_with('.') {
        true => format!("{name}NAME"),
        false => name.to_owned(),
    }
}

#[test]
fn annotations_are_listed() {
    let mut table = String::from("| annotation | on | values | effect |\n|---|---|---|---|\n");
    assert_eq!(ANNOTATIONS.len(), DESCRIBED.len(), "each is described");
    for (annotation, (name, values, effect)) in ANNOTATIONS.iter().zip(DESCRIBED) {
        assert_eq!(annotation.name, *name, "in the same order");
        let kinds = match annotation.kinds {
            kinds if kinds == ROUTES => "all routes".to_owned(),
            kinds => kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "),
        };
        let (name, values, effect) = (shown(name), cell(values), cell(effect));
        let _ = writeln!(table, "| `{name}` | {kinds} | {values} | {effect} |");
    }
    holds("annotations.md", &table);
}

#[test]
fn every_annotation_of_kong_ingress_controller_is_in_the_table() {
    let lines = include_str!("kic-annotations.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(" | ").expect("a name and its kinds");
        let found = ANNOTATIONS.iter().find(|annotation| shown(annotation.name) == name);
        if rest.starts_with("none: ") {
            assert!(found.is_none(), "{name} is read");
            continue;
        }
        let found = found.unwrap_or_else(|| panic!("{name} is missing"));
        let (kinds, without) = rest.split_once(" but ").unwrap_or((rest, ""));
        let without: Vec<_> = without.split(' ').collect();
        let named = |name: &str| Kind::ALL.iter().copied().find(|kind| kind.name() == name);
        let kinds = kinds.split(' ').flat_map(|kind| match kind {
            "ROUTES" => ROUTES.to_vec(),
            kind => vec![named(kind).expect("a kind")],
        });
        for kind in kinds.filter(|kind| !without.contains(&kind.name())) {
            assert!(found.kinds.contains(&kind), "{name} on {}", kind.name());
        }
    }
}
