//! The table of annotations: `docs/reference/annotations.md`, and what the test of cases goes through (`kic.md` 3).

use std::fmt::Write as _;

use super::{cell, holds};
use crate::model::Kind::{self, *};

/// An annotation, and what it does.
pub(crate) struct Annotation {
    /// Full name; an upper-case word at its end stands for what users put there.
    pub(crate) name: &'static str,
    /// Kinds of objects that it is read on.
    pub(crate) kinds: &'static [Kind],
    values: &'static str,
    effect: &'static str,
}

const ROUTES: &[Kind] = &[
    Ingress, HTTPRoute, GRPCRoute, TCPRoute, UDPRoute, TLSRoute, TCPIngress, UDPIngress,
];
const HTTP_ROUTES: &[Kind] = &[Ingress, HTTPRoute, GRPCRoute];
const SERVICES: &[Kind] = &[Service, KongServiceFacade];

macro_rules! annotations {
    ($($name:literal on $kinds:expr, $values:literal, $effect:literal;)*) => {
        /// All annotations that are read, Kong's first.
        pub(crate) const ANNOTATIONS: &[Annotation] = &[$(Annotation {
            name: $name,
            kinds: $kinds,
            values: $values,
            effect: $effect,
        }),*];
    };
}

annotations! {
    "konghq.com/plugins" on &[Ingress, HTTPRoute, GRPCRoute, TCPRoute, UDPRoute, TLSRoute, TCPIngress, UDPIngress, Service, KongServiceFacade, KongConsumer, KongConsumerGroup],
        "names of KongPlugins or KongClusterPlugins, comma separated; `NAMESPACE:NAME` for another namespace, which needs a ReferenceGrant there",
        "The plugins run for what the object stands for. A missing one closes its routes (503), unless `--missing-plugin=omit`";
    "konghq.com/upstream-policy" on SERVICES, "name of a KongUpstreamPolicy of the same namespace", "Balancing and health checks of the upstream";
    "konghq.com/override" on &[Service], "name of a KongIngress of the same namespace", "Its section `upstream`; deprecated, and without effect on routes of the Gateway API";
    "konghq.com/protocol" on SERVICES, "`http`, `https`, `grpc`, `grpcs`, `ws`, `wss`, `tls`, `tcp`, `tls_passthrough`", "What is spoken with the pods. `ws` and `wss` need Kong Gateway Enterprise";
    "konghq.com/path" on SERVICES, "a path such as `/api`", "Put in front of the path of every request";
    "konghq.com/host-header" on SERVICES, "a host name, with a port or not", "`Host` of requests to the pods, where the route does not preserve the client's";
    "konghq.com/client-cert" on SERVICES, "name of a TLS Secret of the same namespace", "Certificate shown to the pods; needs a protocol with TLS";
    "konghq.com/tls-verify" on SERVICES, "`true`, `false`", "Whether certificates of the pods are verified; needs a protocol with TLS";
    "konghq.com/tls-verify-depth" on SERVICES, "0 to 64", "Longest chain of such a certificate";
    "konghq.com/ca-certificates-secrets" on SERVICES, "names of Secrets of the same namespace, comma separated", "Authorities for that verification";
    "konghq.com/ca-certificates-configmaps" on SERVICES, "names of ConfigMaps of the same namespace, comma separated", "Authorities for that verification";
    "konghq.com/connect-timeout" on SERVICES, "milliseconds, 1 to 2147483646", "Limit for connecting, 60000 by default";
    "konghq.com/write-timeout" on SERVICES, "milliseconds, 1 to 2147483646", "Limit between two writes, 60000 by default";
    "konghq.com/read-timeout" on SERVICES, "milliseconds, 1 to 2147483646", "Limit between two reads, 60000 by default";
    "konghq.com/retries" on SERVICES, "0 to 32767", "Attempts after the first one, 5 by default";
    "konghq.com/strip-path" on ROUTES, "`true`, `false`", "Whether the part of the path that matched is taken away; not for gRPC";
    "konghq.com/preserve-host" on ROUTES, "`true`, `false`", "Whether the client's `Host` is kept, as it is by default";
    "konghq.com/https-redirect-status-code" on ROUTES, "301, 302, 307, 308, 426", "Answer to plain HTTP where `protocols` has HTTPS only, 426 by default";
    "konghq.com/request-buffering" on ROUTES, "`true`, `false`", "Whether requests are read as a whole first, as they are by default";
    "konghq.com/response-buffering" on ROUTES, "`true`, `false`", "Whether responses are read as a whole first, as they are by default";
    "konghq.com/protocols" on ROUTES, "`http`, `https`, `grpc`, `grpcs`, `ws`, `wss`; for TCP `tcp`, `tls`, `tls_passthrough`; for UDP `udp`; comma separated", "What the route is for. gRPC and HTTP together count as HTTP";
    "konghq.com/regex-priority" on HTTP_ROUTES, "a whole number", "Which regular expression is tried first: the greater; traditional router only";
    "konghq.com/path-handling" on HTTP_ROUTES, "`v0`, `v1`", "How paths of service and request are joined; traditional router only";
    "konghq.com/methods" on HTTP_ROUTES, "HTTP methods, comma separated", "Matches these methods only; with the expressions router on Ingresses only";
    "konghq.com/snis" on &[Ingress, HTTPRoute, GRPCRoute, TCPRoute, TLSRoute, TCPIngress], "host names, comma separated", "Matches these TLS server names only";
    "konghq.com/host-aliases" on HTTP_ROUTES, "host names, comma separated, maybe with a `*` in front or at the end", "Hosts in addition; with the expressions router on Ingresses only";
    "konghq.com/headers.NAME" on HTTP_ROUTES, "values, comma separated; one that begins with `~*` is a regular expression", "Matches requests whose header has one of the values; with the expressions router on Ingresses only";
    "konghq.com/headers-separator" on HTTP_ROUTES, "text", "Stands between values of `headers.NAME` instead of the comma";
    "konghq.com/regex-prefix" on &[Ingress], "text, `/~` by default", "Marks paths that are regular expressions";
    "konghq.com/rewrite" on &[Ingress], "a path; `$1` is the first capture of the route's regular expression, `\\$` a dollar sign", "Path of requests to the pods; needs `--feature-gates RewriteURIs=true`";
    "konghq.com/tags" on &[Ingress, HTTPRoute, GRPCRoute, TCPRoute, UDPRoute, TLSRoute, TCPIngress, UDPIngress, Service, KongServiceFacade, KongConsumer, KongConsumerGroup, KongPlugin, KongClusterPlugin, KongVault, Secret, ConfigMap],
        "words without a slash, comma separated", "Tags of the Kong entities that come from the object";
    "konghq.com/gatewayclass-unmanaged" on &[GatewayClass], "`true`", "Gateways of the class are served as they are: the proxies listen where they listen";
    "konghq.com/publish-service" on &[Gateway], "`NAMESPACE/NAME`, comma separated", "Services whose addresses are the Gateway's, in place of those of `--publish-service`";
    "kubernetes.io/ingress.class" on &[Ingress, TCPIngress, UDPIngress, KongConsumer, KongConsumerGroup, KongVault, KongClusterPlugin], "name of a class", "Which controller reads the object; goes before `spec.ingressClassName`";
    "ingress.kubernetes.io/force-ssl-redirect" on HTTP_ROUTES, "`true`", "Plain HTTP is sent to HTTPS with 302; `konghq.com/protocols` goes before it";
    "ingress.kubernetes.io/service-upstream" on &[Service], "`true`", "Requests go to the Service's cluster address instead of its pods";
    "ingressclass.kubernetes.io/is-default-class" on &[IngressClass], "`true`", "Objects without a class belong to this one";
    "service.kubernetes.io/topology-mode" on &[Service], "`Auto`, `Disabled`", "As `spec.trafficDistribution: PreferSameZone`: endpoints near the proxies, if those are all in one zone";
    "service.kubernetes.io/topology-aware-hints" on &[Service], "`auto`, `disabled`", "The former name of `topology-mode`";
}

#[test]
fn annotations_are_listed() {
    let mut table = String::from("| annotation | on | values | effect |\n|---|---|---|---|\n");
    for annotation in ANNOTATIONS {
        let kinds = match annotation.kinds {
            kinds if kinds == ROUTES => "all routes".to_owned(),
            kinds => kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "),
        };
        let _ = writeln!(
            table,
            "| `{}` | {kinds} | {} | {} |",
            annotation.name,
            cell(annotation.values),
            cell(annotation.effect)
        );
    }
    holds("annotations.md", &table);
}

#[test]
fn every_annotation_of_kong_ingress_controller_is_in_the_table() {
    let lines = include_str!("kic-annotations.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(" | ").expect("a name and its kinds");
        let found = ANNOTATIONS.iter().find(|annotation| annotation.name == name);
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
