//! Schema of routes.

use serde_json::Value;

use super::{
    Entity, Field, Kind, Presence, Scope,
    plugin::PLUGIN,
    quoted,
    service::{SECONDS, TAG},
    text,
};
use crate::RouterFlavor;

static PROTOCOL: Kind = Kind::OneOf(&["grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"]);
static METHOD: Kind = Kind::TextBy(text::method);
static HOST: Kind = Kind::TextBy(text::route_host);
static PATH: Kind = Kind::TextBy(text::route_path);
static SNI: Kind = Kind::TextBy(text::wildcard_host);
static HEADER_VALUE: Kind = Kind::Text;
static HEADER_VALUES: Kind = Kind::Array(&HEADER_VALUE);
static ENDPOINT: Kind = Kind::Record(&[
    Field::optional("ip", Kind::TextBy(text::address_or_block)),
    Field::optional("port", Kind::Integer(0, 65535)),
]);

pub(crate) static ROUTE: Entity = Entity {
    singular: "route",
    plural: "routes",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::optional("name", Kind::TextBy(text::name)),
        Field::optional("service", Kind::Reference("services")),
        Field::optional("protocols", Kind::Set(&PROTOCOL, 1)),
        Field::optional("methods", Kind::Set(&METHOD, 0)),
        Field::optional("hosts", Kind::Array(&HOST)),
        Field::optional("paths", Kind::Array(&PATH)),
        Field::optional("headers", Kind::Map(text::route_header_name, &HEADER_VALUES)),
        Field::optional("snis", Kind::Set(&SNI, 0)),
        Field::optional("sources", Kind::Set(&ENDPOINT, 0)),
        Field::optional("destinations", Kind::Set(&ENDPOINT, 0)),
        Field::with("expression", Kind::Text, Presence::Expressions),
        // Kong keeps it in a number of Lua beside other bits.
        Field::with("priority", Kind::Integer(0, 70_368_744_177_663), Presence::Expressions),
        Field::optional(
            "https_redirect_status_code",
            Kind::OneOfInteger(&[426, 301, 302, 307, 308]),
        ),
        Field::optional("regex_priority", Kind::Integer(i64::MIN, i64::MAX)),
        Field::optional("strip_path", Kind::Boolean),
        Field::optional("path_handling", Kind::OneOf(&["v0", "v1"])),
        Field::optional("preserve_host", Kind::Boolean),
        Field::optional("request_buffering", Kind::Boolean),
        Field::optional("response_buffering", Kind::Boolean),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[(&PLUGIN, "route")],
    endpoint_key: Some("name"),
    unique: &[],
    identity: &[],
    enterprise: false,
    check,
};

/// Protocols that can't be mixed.
const FAMILIES: [&[&str]; 4] = [
    &["http", "https"],
    &["tcp", "tls", "udp"],
    &["tls_passthrough"],
    &["grpc", "grpcs"],
];

const MATCHERS: [&str; 7] = [
    "methods",
    "hosts",
    "paths",
    "headers",
    "snis",
    "sources",
    "destinations",
];

fn check(scope: &mut Scope<'_>) {
    let mut protocols = vec!["http".to_owned(), "https".to_owned()];
    if let Some(given) = scope.get("protocols") {
        protocols = given
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
    }
    let uses = |family: &[&str]| protocols.iter().any(|protocol| family.contains(&protocol.as_str()));
    let families: Vec<&[&str]> = FAMILIES.into_iter().filter(|family| uses(family)).collect();
    match families.as_slice() {
        // Unknown protocols are told already.
        [] => return,
        [_] => {}
        several => {
            let sets: Vec<String> = several.iter().map(|family| format!("({})", quoted(family))).collect();
            scope.field(
                "protocols",
                format!("these sets are mutually exclusive: {}", sets.join(", ")),
            );
            return;
        }
    }
    check_snis(scope, &protocols);
    if families[0].contains(&"grpc") {
        forbid(scope, &["methods", "sources", "destinations"], "'grpc' or 'grpcs'");
        if scope.get("strip_path").and_then(Value::as_bool) == Some(true) {
            scope.field(
                "strip_path",
                "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'",
            );
        }
    } else if families[0].contains(&"http") {
        forbid(scope, &["sources", "destinations"], "'http' or 'https'");
    } else {
        let stream = "'tcp', 'tls', 'tls_passthrough' or 'udp'";
        forbid(scope, &["methods", "hosts", "paths", "headers"], stream);
    }
    check_matchers(scope, &protocols);
    check_endpoints(scope);
    if scope.options.router_flavor != RouterFlavor::Traditional {
        check_expression(scope);
    }
}

fn check_snis(scope: &mut Scope<'_>, protocols: &[String]) {
    let tls = ["grpcs", "https", "tls", "tls_passthrough"];
    let any_tls = protocols.iter().any(|protocol| tls.contains(&protocol.as_str()));
    if scope.has_elements("snis") && !any_tls {
        scope.field("snis", "length must be 0");
        scope.whole("'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'");
    }
}

fn forbid(scope: &mut Scope<'_>, fields: &[&str], protocols: &str) {
    for field in fields {
        if scope.has_elements(field) {
            scope.field(field, format!("cannot set '{field}' when 'protocols' is {protocols}"));
        }
    }
}

/// A route must match by something.
fn check_matchers(scope: &mut Scope<'_>, protocols: &[String]) {
    let has = |protocol: &str| protocols.iter().any(|known| known == protocol);
    let (mut fields, protocols): (Vec<&str>, &str) = if has("https") {
        (vec!["methods", "hosts", "headers", "paths", "snis"], "'https'")
    } else if has("http") {
        (vec!["methods", "hosts", "headers", "paths"], "'http'")
    } else if has("grpcs") {
        (vec!["hosts", "headers", "paths", "snis"], "'grpcs'")
    } else if has("grpc") {
        (vec!["hosts", "headers", "paths"], "'grpc'")
    } else if has("tls_passthrough") {
        (vec!["snis"], "'tls_passthrough'")
    } else {
        (vec!["sources", "destinations", "snis"], "'tcp', 'tls' or 'udp'")
    };
    if scope.options.router_flavor == RouterFlavor::Expressions {
        fields.push("expression");
    }
    let set = |field: &&str| match *field {
        "expression" => scope.get("expression").is_some(),
        field => scope.has_elements(field),
    };
    if !fields.iter().any(set) {
        let one_of = if fields.len() > 1 { "one of " } else { "" };
        scope.whole(format!(
            "must set {one_of}{} when 'protocols' is {protocols}",
            quoted(&fields)
        ));
    }
}

fn check_endpoints(scope: &mut Scope<'_>) {
    for field in ["sources", "destinations"] {
        let endpoints = scope
            .get(field)
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let empty: Vec<usize> = endpoints
            .iter()
            .enumerate()
            .filter(|(_, endpoint)| endpoint.get("ip").or_else(|| endpoint.get("port")).is_none())
            .map(|(index, _)| index + 1)
            .collect();
        for position in empty {
            let message = "at least one of these fields must be non-empty: 'ip', 'port'";
            scope.field(&format!("{field}.{position}.@entity"), message);
        }
    }
}

/// What the expression engine refuses: both ways of matching at once, and headers without values.
fn check_expression(scope: &mut Scope<'_>) {
    const PREFIX: &str = "Router Expression failed validation:";
    if scope.get("expression").is_some() && MATCHERS.iter().any(|field| scope.has_elements(field)) {
        scope.whole(format!(
            "{PREFIX} cannot set 'expression' with 'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' or \
             'destinations' simultaneously"
        ));
    }
    let headers = scope.get("headers").and_then(Value::as_object);
    let empty = headers
        .into_iter()
        .flatten()
        .find(|(_, values)| values.as_array().is_some_and(Vec::is_empty));
    if let Some((header, _)) = empty {
        scope.whole(format!("{PREFIX} header '{header}' has no values"));
    }
}
