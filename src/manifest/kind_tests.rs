//! What a user sees of each field and rule of Kong's kinds and of the Gateway API.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Limits, Manifests, fields, parse};
use crate::model::{
    Kind, Object, Problem, Reason,
    kong::schema::DEFINITIONS,
    schema::{Fields, Type},
};

fn read(objects: &[&Value]) -> Manifests {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    let text = serde_json::to_string(&list).expect("JSON");
    parse("all.json", text.as_bytes(), &Limits::default())
}

fn testdata(name: &str) -> Vec<Value> {
    let path = format!("{}/e2e/testdata/crds/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("it is there");
    serde_saphyr::from_multiple(&text).expect("YAML")
}

/// Each kind that comes with a definition, with the fields of its objects.
fn tables() -> Vec<(Kind, &'static Fields)> {
    let kinds = Kind::ALL.iter().copied().filter(|kind| kind.is_optional());
    kinds.map(|kind| (kind, fields::of(kind))).collect()
}

fn bare(kind: Kind) -> Value {
    json!({ "apiVersion": kind.api_version(), "kind": kind.name(), "metadata": { "name": "a" } })
}

type Put<'a> = &'a dyn Fn(Value) -> Value;
type Visit<'a> = &'a mut dyn FnMut(&'static Type, &str, Put<'_>);

/// Calls with each field of a kind but its metadata and status: its type, the path as a problem names it, and how to
/// put a value there.
fn each_field(kind: Kind, visit: Visit<'_>) {
    fn of_fields(fields: &'static Fields, path: &str, put: Put<'_>, visit: Visit<'_>) {
        for field in fields.fields {
            if path.is_empty() && ["apiVersion", "kind", "metadata", "status"].contains(&field.name) {
                continue;
            }
            let path = if path.is_empty() {
                field.name.to_owned()
            } else {
                format!("{path}.{}", field.name)
            };
            of_type(&field.type_, &path, &|value| put(json!({ field.name: value })), visit);
        }
    }
    fn of_type(type_: &'static Type, path: &str, put: Put<'_>, visit: Visit<'_>) {
        visit(type_, path, put);
        match type_ {
            Type::Object(fields) => of_fields(fields, path, put, visit),
            Type::Map(of) => of_type(of, &format!("{path}.key"), &|value| put(json!({ "key": value })), visit),
            Type::List(list) => of_type(&list.items, &format!("{path}[0]"), &|value| put(json!([value])), visit),
            _ => {}
        }
    }
    let put = |value: Value| {
        let mut object = bare(kind);
        let fields = value.as_object().expect("fields").clone();
        object.as_object_mut().expect("an object").extend(fields);
        object
    };
    of_fields(fields::of(kind), "", &put, visit);
}

fn problem_of<'a>(manifests: &'a Manifests, field: &str) -> Option<&'a Problem> {
    let of_field = |problem: &&Problem| problem.field.as_deref() == Some(field);
    manifests.problems.iter().find(of_field)
}

#[test]
fn each_field_with_a_wrong_type_is_named() {
    let mut checked = 0;
    for (kind, _) in tables() {
        each_field(kind, &mut |type_, path, put| {
            let wrong = match type_ {
                Type::Any => return,
                Type::Text(_) | Type::SecretText | Type::OneOf(_) | Type::List(_) => json!({ "wrong": "" }),
                _ => json!("wrong"),
            };
            let manifests = read(&[&put(wrong)]);
            let problem = problem_of(&manifests, path).unwrap_or_else(|| panic!("{kind:?} {path} is not told"));
            assert_eq!(problem.reason, Reason::InvalidField);
            assert!(problem.message.starts_with("expected "), "{problem}");
            assert_eq!(manifests.objects, []);
            checked += 1;
        });
    }
    assert!(checked > 500, "{checked} fields");
}

#[test]
fn each_unknown_field_finds_the_one_that_is_meant() {
    for (kind, _) in tables() {
        each_field(kind, &mut |type_, path, put| {
            let Type::Object(fields) = type_ else { return };
            let known = fields.fields[0].name;
            let manifests = read(&[&put(json!({ format!("{known}s"): "" }))]);
            let problem = problem_of(&manifests, &format!("{path}.{known}s"));
            let problem = problem.unwrap_or_else(|| panic!("{kind:?} {path}: {:?}", manifests.problems));
            assert_eq!(problem.reason, Reason::UnknownField);
            assert!(problem.remedy.starts_with("did you mean"), "{problem}");
        });
    }
}

#[test]
fn each_value_out_of_bounds_is_named() {
    for (kind, _) in tables() {
        each_field(kind, &mut |type_, path, put| {
            let mut wrong = Vec::new();
            match type_ {
                Type::Text(text) => {
                    wrong.extend((text.min > 0).then(|| json!("")));
                    wrong.extend((text.max < usize::MAX).then(|| json!("a".repeat(text.max + 1))));
                    wrong.extend(text.pattern.is_some().then(|| json!("\u{1}")));
                }
                Type::Integer(range) => {
                    wrong.extend((range.min > i64::MIN).then(|| json!(range.min - 1)));
                    wrong.extend((range.max < i64::MAX).then(|| json!(range.max + 1)));
                    wrong.push(json!(1.5));
                }
                Type::OneOf(_) => wrong.push(json!("other")),
                Type::OneOfNumbers(_) => wrong.push(json!(-1)),
                Type::List(list) => {
                    wrong.extend((list.min > 0).then(|| json!([])));
                    if list.max < usize::MAX && matches!(list.items, Type::Text(_)) {
                        wrong.push((0..=list.max).map(|number| format!("a{number}.example")).collect());
                    }
                }
                _ => {}
            }
            for wrong in wrong {
                let manifests = read(&[&put(wrong.clone())]);
                assert!(problem_of(&manifests, path).is_some(), "{kind:?} {path}: {wrong}");
            }
        });
    }
}

#[test]
fn each_field_that_has_to_be_there_is_missed() {
    for (kind, _) in tables() {
        each_field(kind, &mut |type_, path, put| {
            let Type::Object(fields) = type_ else { return };
            let manifests = read(&[&put(json!({}))]);
            for field in fields.fields.iter().filter(|field| field.is_missed()) {
                let path = format!("{path}.{}", field.name);
                let problem = problem_of(&manifests, &path).unwrap_or_else(|| panic!("{kind:?} {path} is not missed"));
                assert_eq!(problem.message, "the field is missing");
            }
        });
    }
}

/// Rules that defaults or required fields keep from ever being broken.
const UNBREAKABLE: [&str; 3] = [
    "when type is unset, konnectID must not be set",
    "when type is unset, konnectNamespacedRef must not be set",
    "spec.stickySessions.cookie is required when spec.stickySessions is set.",
];

#[test]
fn each_rule_is_told_with_its_message() {
    fn rules_of(type_: &'static Type, found: &mut Vec<(&'static str, bool)>) {
        let rules = match type_ {
            Type::Object(fields) => {
                let except_status = fields.fields.iter().filter(|field| field.name != "status");
                except_status.for_each(|field| rules_of(&field.type_, found));
                fields.rules
            }
            Type::List(list) => list.rules,
            _ => &[],
        };
        found.extend(rules.iter().map(|rule| (rule.message, rule.holds.is_some())));
    }
    let violations = testdata("violations.yaml");
    for definition in DEFINITIONS {
        let mut rules = Vec::new();
        for field in definition.fields.fields {
            rules_of(&field.type_, &mut rules);
        }
        rules.extend(
            definition
                .fields
                .rules
                .iter()
                .map(|rule| (rule.message, rule.holds.is_some())),
        );
        for (message, of_value) in rules.into_iter().filter(|(message, _)| !UNBREAKABLE.contains(message)) {
            let name = definition.kind.name();
            let broken = violations
                .iter()
                .filter(|case| case["message"] == message && case["object"]["kind"] == name);
            let broken: Vec<_> = broken.collect();
            assert!(!broken.is_empty(), "{name}: no object breaks {message:?}");
            for case in broken {
                let manifests = read(&[&case["object"]]);
                let told = manifests.problems.iter().any(|problem| problem.message == message);
                assert_eq!(told, of_value, "{message}: {} {:?}", case["object"], manifests.problems);
                if case.get("before").is_some() {
                    assert_eq!(read(&[&case["before"]]).problems, [], "{message}");
                }
            }
        }
    }
}

#[test]
fn an_object_may_use_every_field() {
    let objects = testdata("full.yaml");
    let manifests = read(&objects.iter().collect::<Vec<_>>());
    assert_eq!(manifests.problems, []);
    assert_eq!(manifests.objects.len(), objects.len());
    // Refused wherever they stand, or with every type of reference that is not refused.
    let refused = |kind: Kind, path: &str| {
        path.starts_with("proxy")
            || path.starts_with("route")
            || path.ends_with(".konnectID")
            || (path.starts_with("spec.healthchecks.passive.") && path.ends_with(".interval"))
            || (kind.is_namespaced() && path.ends_with("konnectNamespacedRef.namespace"))
    };
    for definition in DEFINITIONS {
        let mut used = BTreeSet::new();
        for object in objects.iter().filter(|object| object["kind"] == definition.kind.name()) {
            paths(object, String::new(), &mut used);
        }
        each_field(definition.kind, &mut |_, path, _| {
            let path = path.replace("[0]", "[]");
            let maps = [".key", ".before.key", ".after.key"];
            let is_key = maps.iter().any(|key| path.contains(key)) && !path.ends_with("secretKeyRef.key");
            assert!(
                used.contains(&path) || refused(definition.kind, &path) || is_key,
                "{:?}: full.yaml does not use {path}",
                definition.kind
            );
        });
    }
}

fn paths(value: &Value, path: String, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                paths(value, format!("{path}{dot}{name}"), used);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| paths(value, format!("{path}[]"), used)),
        _ => {}
    }
    used.insert(path);
}

#[test]
fn defaults_are_those_of_the_api_server() {
    let text = "\
apiVersion: configuration.konghq.com/v1alpha1
kind: KongLicense
metadata: {name: a}
rawLicenseString: '{}'
enabled: null
---
apiVersion: configuration.konghq.com/v1beta1
kind: KongUpstreamPolicy
metadata: {name: a}
spec: {algorithm: sticky-sessions, hashOn: {input: none}, stickySessions: {cookie: session}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - backendRefs: [{name: web, port: 80}]
  - matches: [{path: {value: /shop}}, {headers: [{name: x-a, value: b}]}]
";
    let manifests = parse("all.yaml", text.as_bytes(), &Limits::default());
    assert_eq!(manifests.problems, []);
    let [
        Object::KongLicense(license),
        Object::KongUpstreamPolicy(policy),
        Object::HTTPRoute(route),
    ] = manifests.objects.as_slice()
    else {
        panic!("{:?}", manifests.objects)
    };
    assert!(license.enabled);
    let sticky = policy.spec.sticky_sessions.as_ref().expect("it is set");
    assert_eq!(sticky.cookie_path.as_deref(), Some("/"));
    let route = serde_json::to_value(&**route).expect("JSON");
    let field = |pointer: &str| route.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(field("/spec/parentRefs/0/kind"), "Gateway");
    assert_eq!(field("/spec/parentRefs/0/group"), "gateway.networking.k8s.io");
    assert_eq!(field("/spec/rules/0/backendRefs/0/kind"), "Service");
    assert_eq!(field("/spec/rules/0/backendRefs/0/weight"), 1);
    assert_eq!(field("/spec/rules/0/matches/0/path/value"), "/");
    assert_eq!(field("/spec/rules/1/matches/0/path/type"), "PathPrefix");
    assert_eq!(field("/spec/rules/1/matches/1/path/type"), "PathPrefix");
    assert_eq!(field("/spec/rules/1/matches/1/headers/0/type"), "Exact");
}

#[test]
fn raw_objects_are_taken_as_they_stand_as_long_as_types_fit() {
    let limits = Limits {
        default_namespace: "".into(),
        ..Limits::default()
    };
    let text = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a}
spec: {listeners: [], further: 1}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a}
spec: {rules: [{backendRefs: [{name: web}]}]}
---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: a}
plugin: key-auth
disabled: perhaps
";
    let manifests = parse("all.yaml", text.as_bytes(), &limits);
    let told: Vec<_> = manifests
        .problems
        .iter()
        .filter_map(|problem| problem.field.as_deref())
        .collect();
    assert_eq!(told, ["disabled"]);
    let [Object::Gateway(_), Object::HTTPRoute(route)] = manifests.objects.as_slice() else {
        panic!("{:?}", manifests.objects)
    };
    assert_eq!(route.spec.rules[0].backend_refs[0].backend.kind, None, "no default");
}

#[test]
fn each_version_of_a_kind_is_read() {
    for kind in Kind::ALL.iter().copied() {
        for version in kind.versions() {
            let api_version = match kind.group() {
                "" => (*version).to_owned(),
                group => format!("{group}/{version}"),
            };
            let object = json!({ "apiVersion": api_version, "kind": kind.name(), "metadata": { "name": "a" } });
            let limits = Limits {
                default_namespace: "".into(),
                ..Limits::default()
            };
            let text = serde_json::to_string(&object).expect("JSON");
            let manifests = parse("a.json", text.as_bytes(), &limits);
            assert_eq!(manifests.problems, []);
            assert_eq!(manifests.objects[0].kind(), kind);
        }
    }
}

#[test]
fn configurations_of_plugins_keep_their_nulls() {
    let text = "\
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: a, labels: null}
plugin: rate-limiting
config: {minute: 5, redis: {host: null}, list: [null]}
protocols: null
";
    let manifests = parse("a.yaml", text.as_bytes(), &Limits::default());
    assert_eq!(manifests.problems, []);
    let Object::KongPlugin(plugin) = &manifests.objects[0] else {
        panic!("{:?}", manifests.objects)
    };
    let config = Value::Object(plugin.plugin.config.clone().expect("it is set"));
    assert_eq!(
        config,
        json!({ "minute": 5, "redis": { "host": null }, "list": [null] })
    );
}
