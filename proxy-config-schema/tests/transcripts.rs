//! What a real Kong 3.9.3 answered, and what this crate says to the same documents.
//!
//! `testdata/kong-3.9.3*` holds the requests and the essential parts of the answers, one file each; certificates and
//! keys are replaced by their digests. What only the proxy can check (settings of plugins, cryptography, syntax of
//! expressions) is not among them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use proxy_config_schema::{Configuration, EntityCheck, JsonObject, PluginRules, RouterFlavor, ValidationOptions};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    request: Value,
    answer: Answer,
    unflattened: Option<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    status: u16,
    fields: Option<Value>,
    message: Option<String>,
    #[serde(default)]
    flattened_errors: Vec<Value>,
}

/// Kong 3.9.3 accepts or refuses otherwise, by a fault of its own.
const ACCEPTED_HERE: &[&str] = &[
    // A server name nested without back-reference is refused as soon as there is a basic-auth credential.
    "sni-nested-plain-with-basicauth",
];

/// Kong 3.9.3 blames a good certificate for any other error (`admin-api.md` 22).
const BLAMES_CERTIFICATE: &[&str] = &[
    "sni-bad",
    "sni-nested-plus-other-error",
    "sni-nested-backref-plus-other-error",
];

/// Kong 3.9.3 answers 500 where the document is at fault.
const INTERNAL_ERROR: &[&str] = &[
    "entity-not-object",
    "foreign-missing-consumer-in-plugin",
    "foreign-missing-route-in-plugin",
    "plugin-missing-ref-with-id",
    "sni-nested-strings",
];

/// Kong 3.9.3 tells these without `flatten_errors`, or in `fields`: here the entity is named.
const NAMED_HERE: &[(&str, &str, &str)] = &[
    ("consumer-dup-custom-id", "consumer", ""),
    ("duplicate-route-names", "route", ""),
    ("duplicate-route-names-across-services", "route", ""),
    (
        "foreign-missing-certificate-in-service",
        "service",
        "client_certificate",
    ),
    ("foreign-missing-service-by-id", "route", "service"),
    ("foreign-missing-service-by-name", "route", "service"),
    ("keyauth-dup-key", "keyauth_credential", ""),
    ("plugin-missing-ref-with-instance-name", "plugin", "consumer"),
    ("plugin-twice-on-route", "plugin", ""),
    ("sni-duplicate", "sni", ""),
];

/// The texts of another regular expression engine, and of the expression that Kong makes of a route.
const OTHER_TEXT: &[&str] = &["bad-regex", "many-errors", "route-headers-empty"];

/// Stands for what the proxy checks itself.
struct ProxyChecks;

impl EntityCheck for ProxyChecks {
    fn check(&self, entity_type: &str, entity: &JsonObject) -> Vec<(Option<String>, String)> {
        let methods = entity.get("config").and_then(|config| config.get("methods"));
        match entity_type {
            "plugin" if methods == Some(&json!(["NOPE"])) => vec![(
                Some("config.methods.1".to_owned()),
                "expected one of: GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS, TRACE, CONNECT".to_owned(),
            )],
            "certificate" if entity.get("cert") == Some(&json!("x")) => vec![
                (Some("cert".to_owned()), "invalid certificate".to_owned()),
                (Some("key".to_owned()), "invalid key".to_owned()),
            ],
            _ => Vec::new(),
        }
    }
}

fn options(router_flavor: RouterFlavor) -> ValidationOptions {
    let http = PluginRules {
        protocols: PluginRules::HTTP,
        consumer: true,
    };
    let authentication = PluginRules {
        consumer: false,
        ..http
    };
    let plugins = [("key-auth", authentication), ("rate-limiting", http), ("cors", http)];
    ValidationOptions {
        router_flavor,
        plugins: Some(
            plugins
                .into_iter()
                .map(|(name, rules)| (name.to_owned(), rules))
                .collect(),
        ),
        vaults: Some(BTreeSet::from(["env".to_owned()])),
        custom_entities: Some(BTreeSet::new()),
        entity_check: Some(Arc::new(ProxyChecks)),
        ..ValidationOptions::default()
    }
}

fn cases(directory: &str) -> BTreeMap<String, Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(directory);
    let files = fs::read_dir(&directory).expect("test data are in the repository");
    files
        .map(|file| {
            let path = file.expect("readable directory").path();
            let name = path.file_stem().expect("file name").to_string_lossy().into_owned();
            let text = fs::read(&path).expect("readable file");
            (name, serde_json::from_slice(&text).expect("a case"))
        })
        .collect()
}

/// Entity type, name, identifier, tags, field, message: all that matters to who looks for the culprit.
fn told(errors: &[Value], name: &str) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for entity in errors {
        for error in entity["errors"].as_array().expect("errors") {
            let spurious = BLAMES_CERTIFICATE.contains(&name) && entity["entity_type"] == "certificate";
            if spurious {
                continue;
            }
            let message = error["message"].as_str().unwrap_or_default();
            let message = if OTHER_TEXT.contains(&name) {
                beginning(message)
            } else {
                message
            };
            told.insert(format!(
                "{} {} {} {} {} {} {message}",
                entity["entity_type"],
                entity["entity_name"],
                entity["entity_id"],
                entity["entity_tags"],
                error["type"],
                error["field"]
            ));
        }
    }
    told
}

fn beginning(message: &str) -> &str {
    message.split([':']).next().unwrap_or_default()
}

fn compare(directory: &str, router_flavor: RouterFlavor) {
    let options = options(router_flavor);
    let mut wrong = Vec::new();
    let cases = cases(directory);
    assert!(!cases.is_empty());
    for (name, case) in &cases {
        let name = name.as_str();
        let loaded = Configuration::load(case.request.clone(), &options);
        let accepts = case.answer.status == 201 || ACCEPTED_HERE.contains(&name);
        let invalid = match (loaded, accepts) {
            (Ok(_), true) => continue,
            (Ok(_), false) => {
                wrong.push(format!("{name}: accepted, Kong answers {}", case.answer.status));
                continue;
            }
            (Err(invalid), true) => {
                wrong.push(format!("{name}: refused, Kong accepts: {}", invalid.to_answer(false)));
                continue;
            }
            (Err(invalid), false) => invalid,
        };
        let flattened = invalid.to_answer(true);
        let ours = flattened["flattened_errors"].as_array().cloned().unwrap_or_default();
        if INTERNAL_ERROR.contains(&name) {
            if ours.is_empty() {
                wrong.push(format!("{name}: nobody is blamed: {flattened}"));
            }
            continue;
        }
        if let Some((_, entity_type, field)) = NAMED_HERE.iter().find(|(named, ..)| *named == name) {
            let field = if field.is_empty() { Value::Null } else { json!(field) };
            let named = ours.iter().any(|error| {
                error["entity_type"] == *entity_type
                    && error["errors"][0].get("field").unwrap_or(&Value::Null) == &field
            });
            if !named {
                wrong.push(format!("{name}: {flattened}"));
            }
        } else {
            let theirs = told(&case.answer.flattened_errors, name);
            let ours = told(&ours, name);
            if ours != theirs {
                wrong.push(format!("{name}:\n   ours {ours:#?}\n theirs {theirs:#?}"));
            }
            if Some(&flattened["fields"]) != case.answer.fields.as_ref()
                || flattened["message"].as_str() != case.answer.message.as_deref()
            {
                wrong.push(format!(
                    "{name}: fields {} {}",
                    flattened["fields"], flattened["message"]
                ));
            }
        }
        let other_tree = OTHER_TEXT.contains(&name) || BLAMES_CERTIFICATE.contains(&name);
        if let Some(unflattened) = case.unflattened.as_ref().filter(|_| !other_tree) {
            let ours = invalid.to_answer(false);
            if Some(&ours["fields"]) != unflattened.fields.as_ref()
                || ours["message"].as_str() != unflattened.message.as_deref()
            {
                let theirs = &unflattened.fields;
                wrong.push(format!(
                    "{name}: without flattening\n   ours {ours}\n theirs {theirs:?} {:?}",
                    unflattened.message
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn answers_are_those_of_kong() {
    compare("kong-3.9.3", RouterFlavor::TraditionalCompatible);
}

#[test]
fn answers_are_those_of_kong_with_expressions() {
    compare("kong-3.9.3-expressions", RouterFlavor::Expressions);
}

#[test]
fn answers_are_those_of_kong_with_the_traditional_router() {
    compare("kong-3.9.3-traditional", RouterFlavor::Traditional);
}
