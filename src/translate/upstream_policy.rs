//! KongUpstreamPolicies -> settings of upstreams (`kic.md` 2.3, 4.7.4).
//!
//! A policy that breaks a rule of its definition counts as a whole as not there: half of a policy may be worse than none.
//! The API server lets no such policy in, manifests may hold one.

use std::rc::Rc;

use proxy_config_schema::{JsonObject, Upstream};
use serde_json::{Value, json};

use super::{
    Settings, annotations,
    problems::{Owner, Problems, annotation_field},
    service_group::Member,
    state::State,
    upstream_settings::{self, Refusal},
};
use crate::model::{
    Kind, Reason,
    kong::{KongUpstreamPolicy, KongUpstreamPolicySpec, UpstreamHash},
};

/// The Kong version that sticky sessions came with.
const STICKY_SESSIONS: (u16, u16) = (3, 11);

/// What comes of a policy that can't be used.
const DEFAULTS: &str = "the upstreams of its Services keep their defaults";

/// What the policy says that the Services of an upstream name; they were found to agree.
pub(super) fn settings<'a>(members: &[Member<'a>], state: &mut State<'a>) -> Option<Rc<Upstream>> {
    let named = members
        .iter()
        .filter_map(|member| Some((member, member.annotation(annotations::UPSTREAM_POLICY)?)));
    let (_, (owner, name)) = named.min_by_key(|(member, _)| (member.backend.namespace, member.backend.service))?;
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    let namespace = &*owner.metadata.namespace;
    let Some(policy) = state.index.upstream_policy(namespace, name) else {
        state.problems.report(
            owner,
            annotation_field(annotations::UPSTREAM_POLICY),
            Reason::ReferenceNotFound,
            format!("there is no KongUpstreamPolicy {name} in namespace {namespace}; the upstream keeps its defaults"),
            "create the KongUpstreamPolicy, or correct the name",
        );
        return None;
    };
    state.takes_part(Owner::new(Kind::KongUpstreamPolicy, &policy.metadata));
    let State {
        upstream_settings,
        settings,
        problems,
        ..
    } = state;
    upstream_settings.of(Kind::KongUpstreamPolicy, &policy.metadata, |owner| {
        read(owner, policy, settings, problems)
    })
}

/// A policy's settings; `None`, with problems on it, if it can't be used.
fn read(
    owner: Owner<'_>,
    policy: &KongUpstreamPolicy,
    settings: &Settings,
    problems: &mut Problems,
) -> Option<Upstream> {
    let spec = &policy.spec;
    let mut faults = broken_rules(spec);
    if settings.raw_objects {
        faults.extend(checked(spec, settings).err().into_iter().flatten().map(Fault::from));
        let as_given = upstream_settings::as_given(translate(spec, true)).ok();
        let consequence = if as_given.is_some() {
            "it is sent all the same, and Kong refuses it"
        } else {
            DEFAULTS
        };
        report(owner, faults, consequence, problems);
        return as_given;
    }
    if faults.is_empty() {
        match checked(spec, settings) {
            Ok(upstream) => return Some(without_what_is_unknown(upstream, owner, settings, problems)),
            Err(refusals) => faults.extend(refusals.into_iter().map(Fault::from)),
        }
    }
    report(owner, faults, DEFAULTS, problems);
    None
}

/// The settings, as Kong would take them.
fn checked(spec: &KongUpstreamPolicySpec, settings: &Settings) -> Result<Upstream, Vec<Refusal>> {
    upstream_settings::read(translate(spec, settings.raw_objects), true)
}

fn report(owner: Owner<'_>, faults: Vec<Fault>, consequence: &str, problems: &mut Problems) {
    for fault in faults {
        problems.report(
            owner,
            fault.field,
            Reason::InvalidField,
            format!("{}; {consequence}", fault.message.trim_end_matches('.')),
            fault.remedy,
        );
    }
}

/// Proxies that do not know sticky sessions get what else the policy says.
fn without_what_is_unknown(
    mut upstream: Upstream,
    owner: Owner<'_>,
    settings: &Settings,
    problems: &mut Problems,
) -> Upstream {
    let Some(version @ (major, minor)) = settings.profile.version else {
        return upstream;
    };
    if upstream.algorithm.as_deref() != Some("sticky-sessions") || version >= STICKY_SESSIONS {
        return upstream;
    }
    problems.report(
        owner,
        "spec.algorithm",
        Reason::Unsupported,
        format!(
            "sticky sessions came with Kong 3.11, and there are proxies of version {major}.{minor}: they balance round-robin"
        ),
        "upgrade the proxies, or use consistent-hashing on a cookie",
    );
    upstream.algorithm = None;
    upstream.hash_on = None;
    upstream.sticky_sessions_cookie = None;
    upstream.sticky_sessions_cookie_path = None;
    upstream
}

/// What is wrong with a field.
struct Fault {
    field: String,
    message: String,
    remedy: String,
}

impl Fault {
    fn new(field: &str, message: &str, remedy: &str) -> Self {
        Self {
            field: field.to_owned(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}

impl From<Refusal> for Fault {
    fn from((field, message): Refusal) -> Self {
        Self {
            field: spec_field(&field),
            message,
            remedy: "correct the value".to_owned(),
        }
    }
}

/// The rules of the definition that a spec breaks, in the definition's words.
fn broken_rules(spec: &KongUpstreamPolicySpec) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut rule = |holds: bool, field: &str, message: &str, remedy: &str| {
        if !holds {
            faults.push(Fault::new(field, message, remedy));
        }
    };
    let algorithm = spec.algorithm.as_deref();
    let on = spec.hash_on.as_ref();
    let fallback = spec.hash_on_fallback.as_ref();
    if let Some(on) = on {
        rule(
            inputs(on) + usize::from(on.cookie.is_some()) <= 1,
            "spec.hashOn",
            "Only one of spec.hashOn.(input|cookie|header|uriCapture|queryArg) can be set.",
            "keep one of them",
        );
        rule(
            on.cookie.is_none() || on.cookie_path.is_some(),
            "spec.hashOn.cookiePath",
            "When spec.hashOn.cookie is set, spec.hashOn.cookiePath is required.",
            "set it, to / for instance",
        );
        rule(
            on.cookie_path.is_none() || on.cookie.is_some(),
            "spec.hashOn.cookie",
            "When spec.hashOn.cookiePath is set, spec.hashOn.cookie is required.",
            "name the cookie",
        );
        rule(
            matches!(algorithm, Some("consistent-hashing" | "sticky-sessions")),
            "spec.algorithm",
            "spec.algorithm must be set to either 'consistent-hashing' or 'sticky-sessions' when spec.hashOn is set.",
            "set it so, or remove spec.hashOn",
        );
    }
    if let Some(fallback) = fallback {
        rule(
            inputs(fallback) <= 1,
            "spec.hashOnFallback",
            "Only one of spec.hashOnFallback.(input|header|uriCapture|queryArg) can be set.",
            "keep one of them",
        );
        rule(
            algorithm == Some("consistent-hashing"),
            "spec.algorithm",
            "spec.algorithm must be set to \"consistent-hashing\" when spec.hashOnFallback is set.",
            "set it so, or remove spec.hashOnFallback",
        );
        rule(
            on.is_none_or(|on| on.cookie.is_none()),
            "spec.hashOnFallback",
            "spec.hashOnFallback must not be set when spec.hashOn.cookie is set.",
            "remove it: where the cookie is missing, the proxy sets it",
        );
    }
    let passive = spec.healthchecks.as_ref().and_then(|checks| checks.passive.as_ref());
    let healthy = passive.and_then(|checks| checks.healthy.as_ref());
    let unhealthy = passive.and_then(|checks| checks.unhealthy.as_ref());
    rule(
        healthy.is_none_or(|healthy| healthy.interval.is_none()),
        "spec.healthchecks.passive.healthy.interval",
        "spec.healthchecks.passive.healthy.interval must not be set.",
        "remove it: passive checks ask nothing",
    );
    rule(
        unhealthy.is_none_or(|unhealthy| unhealthy.interval.is_none()),
        "spec.healthchecks.passive.unhealthy.interval",
        "spec.healthchecks.passive.unhealthy.interval must not be set.",
        "remove it: passive checks ask nothing",
    );
    if let Some(sticky) = &spec.sticky_sessions {
        let only_none = on.is_some_and(|on| {
            on.input.as_deref() == Some("none") && inputs(on) == 1 && on.cookie.is_none() && on.cookie_path.is_none()
        });
        rule(
            only_none,
            "spec.hashOn.input",
            "When spec.stickySessions is set, spec.hashOn.input must be set to 'none' (no other hash_on fields allowed).",
            "set spec.hashOn to {input: none}",
        );
        rule(
            !sticky.cookie.is_empty(),
            "spec.stickySessions.cookie",
            "spec.stickySessions.cookie is required when spec.stickySessions is set.",
            "name the cookie",
        );
        rule(
            algorithm == Some("sticky-sessions"),
            "spec.algorithm",
            "spec.algorithm must be set to 'sticky-sessions' when spec.stickySessions is set.",
            "set it so, or remove spec.stickySessions",
        );
    }
    faults.extend(status_codes(spec));
    faults
}

/// How many inputs are given, the cookie aside.
fn inputs(hash: &UpstreamHash) -> usize {
    let given = [&hash.input, &hash.header, &hash.uri_capture, &hash.query_arg];
    given.into_iter().flatten().count()
}

/// Status codes that are none. Kong takes some more than the definition does.
fn status_codes(spec: &KongUpstreamPolicySpec) -> Option<Fault> {
    let checks = spec.healthchecks.as_ref()?;
    let active = checks.active.as_ref();
    let passive = checks.passive.as_ref();
    let lists = [
        (
            "active.healthy",
            active.and_then(|checks| Some(&checks.healthy.as_ref()?.http_statuses)),
        ),
        (
            "active.unhealthy",
            active.and_then(|checks| Some(&checks.unhealthy.as_ref()?.http_statuses)),
        ),
        (
            "passive.healthy",
            passive.and_then(|checks| Some(&checks.healthy.as_ref()?.http_statuses)),
        ),
        (
            "passive.unhealthy",
            passive.and_then(|checks| Some(&checks.unhealthy.as_ref()?.http_statuses)),
        ),
    ];
    lists.into_iter().find_map(|(place, list)| {
        let position = list?.iter().position(|status| !(100..=599).contains(status))?;
        Some(Fault::new(
            &format!("spec.healthchecks.{place}.httpStatuses[{position}]"),
            "status codes are numbers from 100 to 599",
            "correct the value",
        ))
    })
}

/// The settings under Kong's names.
fn translate(spec: &KongUpstreamPolicySpec, raw: bool) -> JsonObject {
    let mut settings = JsonObject::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            settings.insert(name.to_owned(), value);
        }
    };
    set("algorithm", spec.algorithm.as_ref().map(|algorithm| json!(algorithm)));
    set("slots", spec.slots.map(Value::from));
    for (hash, name, argument) in [
        (&spec.hash_on, "hash_on", "hash_on"),
        (&spec.hash_on_fallback, "hash_fallback", "hash_fallback"),
    ] {
        let Some(hash) = hash else { continue };
        let arguments = [
            ("header", &hash.header),
            ("query_arg", &hash.query_arg),
            ("uri_capture", &hash.uri_capture),
        ];
        let mut input = hash.input.as_deref();
        for (kind, value) in arguments {
            if let Some(value) = value {
                input = Some(kind);
                set(&format!("{argument}_{kind}"), Some(json!(value)));
            }
        }
        if hash.cookie.is_some() {
            input = Some("cookie");
        }
        set(name, input.map(Value::from));
    }
    let hashes = [&spec.hash_on, &spec.hash_on_fallback];
    let cookie = hashes.iter().find_map(|hash| hash.as_ref()?.cookie.as_ref());
    set("hash_on_cookie", cookie.map(|cookie| json!(cookie)));
    let path = hashes.iter().find_map(|hash| hash.as_ref()?.cookie_path.as_ref());
    set("hash_on_cookie_path", path.map(|path| json!(path)));
    if let Some(sticky) = &spec.sticky_sessions {
        set("sticky_sessions_cookie", Some(json!(sticky.cookie)));
        let default = (!raw).then_some("/");
        let path = sticky.cookie_path.as_deref().or(default);
        set("sticky_sessions_cookie_path", path.map(Value::from));
    }
    if let Some(checks) = &spec.healthchecks {
        let checks = serde_json::to_value(checks).expect("health checks have string keys only");
        set("healthchecks", Some(snake_case(checks)));
    }
    settings
}

/// The same value with Kong's spelling of keys; names of headers stay.
fn snake_case(value: Value) -> Value {
    let Value::Object(entries) = value else {
        return value;
    };
    let entries = entries.into_iter().map(|(key, value)| {
        if key == "headers" {
            return (key, value);
        }
        let mut name = String::with_capacity(key.len() + 4);
        for character in key.chars() {
            if character.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(character.to_ascii_lowercase());
        }
        (name, snake_case(value))
    });
    Value::Object(entries.collect())
}

/// The field of a policy that a field of an upstream comes from.
fn spec_field(field: &str) -> String {
    const RENAMED: &[(&str, &str)] = &[
        ("hash_on_", "hashOn."),
        ("hash_on", "hashOn"),
        ("hash_fallback_", "hashOnFallback."),
        ("hash_fallback", "hashOnFallback"),
        ("sticky_sessions_", "stickySessions."),
    ];
    if field.is_empty() {
        return "spec".to_owned();
    }
    let renamed = RENAMED
        .iter()
        .find_map(|(from, to)| Some((*to, field.strip_prefix(from)?)));
    let (mut path, rest) = renamed.map_or_else(
        || ("spec.".to_owned(), field),
        |(to, rest)| (format!("spec.{to}"), rest),
    );
    for (position, step) in rest.split('.').enumerate() {
        if let Ok(index) = step.parse::<usize>() {
            path.push_str(&format!("[{}]", index.saturating_sub(1)));
            continue;
        }
        if position > 0 {
            path.push('.');
        }
        let mut words = step.split('_');
        path.push_str(words.next().unwrap_or_default());
        for word in words {
            let mut characters = word.chars();
            path.extend(characters.next().map(|first| first.to_ascii_uppercase()));
            path.push_str(characters.as_str());
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_upstreams_are_told_as_those_of_the_policy() {
        for (field, expected) in [
            ("slots", "spec.slots"),
            ("hash_on", "spec.hashOn"),
            ("hash_on_cookie_path", "spec.hashOn.cookiePath"),
            ("hash_fallback", "spec.hashOnFallback"),
            ("hash_fallback_query_arg", "spec.hashOnFallback.queryArg"),
            ("sticky_sessions_cookie_path", "spec.stickySessions.cookiePath"),
            (
                "healthchecks.active.healthy.http_statuses.2",
                "spec.healthchecks.active.healthy.httpStatuses[1]",
            ),
            (
                "healthchecks.active.https_verify_certificate",
                "spec.healthchecks.active.httpsVerifyCertificate",
            ),
            ("", "spec"),
        ] {
            assert_eq!(spec_field(field), expected, "{field}");
        }
    }

    #[test]
    fn names_of_headers_are_not_respelled() {
        let checks = json!({"active": {"httpPath": "/", "headers": {"X-Health": ["a"]}}});
        let expected = json!({"active": {"http_path": "/", "headers": {"X-Health": ["a"]}}});
        assert_eq!(snake_case(checks), expected);
    }
}
