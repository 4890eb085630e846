//! Kong's rules, one by one: a field's value and what is said about it. What is not in the transcripts follows Kong's
//! schemas (`GET /schemas/<entity>`). One file for each kind of entity, or a few.

mod others;
mod routes;
mod services;
mod upstreams;

use proxy_config_schema::{Configuration, RouterFlavor, ValidationOptions};
use serde_json::{Value, json};

/// `field: message` of everything that is wrong with one entity.
fn told(list: &str, entity: &Value, options: &ValidationOptions) -> Vec<String> {
    let mut document = json!({"_format_version": "3.0"});
    document[list] = json!([entity.clone()]);
    let Err(invalid) = Configuration::load(document, options) else {
        return Vec::new();
    };
    let errors = invalid.entities.iter().flat_map(|entity| &entity.errors);
    errors
        .map(|error| {
            let message = error.message.as_deref().unwrap_or_default();
            match &error.field {
                Some(field) => format!("{field}: {message}"),
                None => message.to_owned(),
            }
        })
        .collect()
}

/// Checks `entity` with each value in `field`: the expected message, or `""` for a good value.
fn check(list: &str, entity: &Value, field: &str, cases: &[(Value, &str)]) {
    for (value, expected) in cases {
        let mut entity = entity.clone();
        entity[field] = value.clone();
        let expected: Vec<String> = Some(expected)
            .filter(|expected| !expected.is_empty())
            .map(ToString::to_string)
            .into_iter()
            .collect();
        assert_eq!(
            told(list, &entity, &ValidationOptions::default()),
            expected,
            "{field} = {value}"
        );
    }
}
