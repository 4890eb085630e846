//! What a proxy tells of its configuration (`GET /config`), for people: without a secret.
//!
//! What it runs may be older than what it shall run, and so hold secrets that no Secret has any more. Of settings whose
//! secrecy can't be told by their place (of plugins, vaults, custom entities) only what the configuration of now shows too
//! is shown.

use std::collections::BTreeSet;

use proxy_config_schema::{Configuration, Limits};
use serde_json::Value;

use super::{Rendered, redacted};

/// In place of a setting that may be a secret.
const WITHHELD: &str = "(not shown)";
/// Lists of entities whose settings may hold secrets, and where in them the settings are.
const SETTINGS: [(&str, &str); 3] = [
    ("plugins", "config"),
    ("vaults", "config"),
    ("custom_entities", "fields"),
];

/// A proxy told something that is no configuration. Quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it tells no configuration that can be read ({0})")]
pub struct InvalidTold(&'static str);

/// The configuration in the answer of a proxy, without its secrets.
///
/// # Errors
/// It is none.
pub fn told(answer: &[u8], desired: Option<&Rendered>) -> Result<Value, InvalidTold> {
    let answer: Value = serde_json::from_slice(answer).map_err(|_| InvalidTold("no JSON"))?;
    let text = answer["config"].as_str().ok_or(InvalidTold("no field config"))?;
    let document = yaml(text).map_err(|_| InvalidTold("no YAML"))?;
    let configuration = Configuration::from_value(document).map_err(|_| InvalidTold("an entity of another form"))?;
    let mut shown = BTreeSet::new();
    let mut known = desired.map(redacted).unwrap_or_default();
    settings(&mut known, &mut |setting| {
        shown.insert(std::mem::take(setting));
    });
    let mut told = match desired {
        Some(desired) => serde_json::to_value(configuration.redacted_with(&desired.confidential)),
        None => serde_json::to_value(configuration.redacted()),
    }
    .expect("a configuration is valid JSON");
    settings(&mut told, &mut |setting| {
        if !shown.contains(setting) {
            WITHHELD.clone_into(setting);
        }
    });
    Ok(told)
}

/// A proxy's configuration as YAML, within the limits of one.
///
/// # Errors
/// It is no YAML, or exceeds a limit. The message may quote it.
pub fn yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    let limits = Limits::default();
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits.depth,
            max_nodes: limits.values,
            max_events: limits.values.saturating_mul(2),
            max_total_scalar_bytes: limits.bytes,
            max_documents: 2,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// Calls back with every text in settings, wherever the entities stand.
fn settings(value: &mut Value, each: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let place = SETTINGS.iter().find(|(list, _)| list == name);
                if let (Some((_, place)), Value::Array(entities)) = (place, &mut *field) {
                    for entity in entities {
                        if let Some(found) = entity.get_mut(*place) {
                            texts(found, each);
                        }
                    }
                } else {
                    settings(field, each);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| settings(item, each)),
        _ => {}
    }
}

fn texts(value: &mut Value, each: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, each)),
        Value::Object(fields) => fields.values_mut().for_each(|field| texts(field, each)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use proxy_config_schema::ConfigHash;
    use serde_json::json;

    use super::*;

    fn rendered(configuration: &Value) -> Rendered {
        let configuration = Configuration::from_value(configuration.clone()).unwrap();
        let bytes = configuration.to_bytes();
        Rendered {
            hash: ConfigHash::of(&bytes),
            bytes,
            confidential: Arc::new(BTreeSet::from(["of-now".to_owned()])),
        }
    }

    fn configuration(header: &str, key: &str) -> Value {
        json!({
            "_format_version": "3.0",
            "services": [{ "name": "web", "host": "web", "plugins": [
                { "name": "request-transformer", "config": { "add": { "headers": [header, "x-plain:1"] } } },
            ] }],
            "consumers": [{ "username": "alice", "keyauth_credentials": [{ "key": key }] }],
        })
    }

    #[test]
    fn secrets_of_now_and_of_before_are_not_shown() {
        let desired = rendered(&configuration("of-now", "key-of-now"));
        let yaml = serde_saphyr::to_string(&configuration("of-before", "key-of-before")).unwrap();
        let answer = json!({ "config": yaml }).to_string();
        for desired in [Some(&desired), None] {
            let told = told(answer.as_bytes(), desired).unwrap();
            let text = told.to_string();
            assert!(!text.contains("of-before") && !text.contains("of-now"), "{text}");
            assert_eq!(told["services"][0]["name"], "web");
            assert_eq!(text.contains("x-plain:1"), desired.is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_no_configuration_is_refused_without_a_word_of_it() {
        for answer in [
            "SECRET",
            "{}",
            "{\"config\": \"- [SECRET\"}",
            "{\"config\": \"services: SECRET\"}",
        ] {
            let message = told(answer.as_bytes(), None).unwrap_err().to_string();
            assert!(!message.contains("SECRET"), "{message}");
        }
    }
}
