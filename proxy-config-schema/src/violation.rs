//! One entity by itself: what Kong asks of it at `POST /schemas/<list>/validate`, and its answer (`admin-api.md` 27).

use serde_json::{Value, json};

use crate::{
    Configuration, JsonObject, ValidationOptions,
    finding::{Finding, Step},
    invalid::{dotted, tell},
    schema::{self, Depth, ENTITIES},
};

/// An entity is refused: what is wrong with it, by field.
///
/// Messages may quote values: they are for whoever sent the entity.
#[derive(Clone, PartialEq)]
pub struct SchemaViolation {
    /// As a tree in the shape of the entity; what concerns the whole of it is a list under `@entity`.
    fields: Value,
    /// The same, each with its field in front.
    messages: Vec<String>,
}

impl SchemaViolation {
    /// No error yet.
    fn new() -> Self {
        Self {
            fields: Value::Object(JsonObject::new()),
            messages: Vec::new(),
        }
    }

    /// One error: of a field (`config.minute`, elements counted from 1), or of the whole entity.
    pub fn of(field: Option<&str>, message: &str) -> Self {
        let mut violation = Self::new();
        violation.add(field, message);
        violation
    }

    /// One error more.
    pub fn add(&mut self, field: Option<&str>, message: &str) {
        let steps = field.map(|field| field.split('.').map(Step::from_text).collect());
        self.tell(&Finding::new("", &[], steps.unwrap_or_default(), message.to_owned()));
    }

    fn tell(&mut self, finding: &Finding) {
        tell(&mut self.fields, finding);
        let message = if finding.field.is_empty() {
            finding.message.clone()
        } else {
            format!("{}: {}", dotted(&finding.field), finding.message)
        };
        if !self.messages.contains(&message) {
            self.messages.push(message);
        }
    }

    /// The body of Kong's 400.
    pub fn to_answer(&self) -> Value {
        let mut messages = self.messages.clone();
        messages.sort();
        let count = match messages.len() {
            1 => "schema violation".to_owned(),
            count => format!("{count} schema violations"),
        };
        json!({
            "code": 2,
            "name": "schema violation",
            "message": format!("{count} ({})", messages.join("; ")),
            "fields": self.fields,
        })
    }
}

impl std::fmt::Debug for SchemaViolation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SchemaViolation({} errors)", self.messages.len())
    }
}

impl Configuration {
    /// Whether a configuration may have a list of that name, custom entities aside.
    pub fn has_list(list: &str) -> bool {
        ENTITIES.iter().any(|entity| entity.plural == list)
    }

    /// Whether a proxy would take an entity, as far as that follows from the entity alone: what it refers to is not
    /// looked up.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn validate_entity(
        list: &str,
        entity: &JsonObject,
        options: &ValidationOptions,
    ) -> Result<(), SchemaViolation> {
        let mut document = JsonObject::new();
        document.insert("_format_version".to_owned(), json!("3.0"));
        document.insert(list.to_owned(), json!([entity]));
        let mut violation = SchemaViolation::new();
        for mut finding in schema::check(&document, Depth::Full, options) {
            // Below the entity, which is the first of its list.
            let below = finding.path.split_off(finding.path.len().min(2));
            finding.field = [below, finding.field].concat();
            finding.path = Vec::new();
            finding.told_at = None;
            violation.tell(&finding);
        }
        if violation.messages.is_empty() {
            Ok(())
        } else {
            Err(violation)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{PluginRules, RouterFlavor};

    /// Kong's answer to an entity: `None` is 200.
    fn answer(list: &str, entity: &Value, options: &ValidationOptions) -> Option<Value> {
        let entity = entity.as_object().expect("an object");
        Configuration::validate_entity(list, entity, options)
            .err()
            .map(|violation| violation.to_answer())
    }

    fn refused(message: &str, fields: &Value) -> Option<Value> {
        Some(json!({"code": 2, "name": "schema violation", "message": message, "fields": fields}))
    }

    #[test]
    fn answers_are_kongs() {
        let rules = PluginRules {
            protocols: PluginRules::HTTP,
            consumer: true,
        };
        let options = ValidationOptions {
            plugins: Some([("key-auth".to_owned(), rules)].into()),
            vaults: Some(BTreeSet::from(["env".to_owned()])),
            ..ValidationOptions::default()
        };
        let id = "11111111-1111-4111-8111-111111111111";
        for (list, good) in [
            ("plugins", json!({"name": "key-auth", "config": {}})),
            ("routes", json!({"paths": ["/a"]})),
            ("services", json!({"url": "http://example.com"})),
            ("keyauth_credentials", json!({"key": "a", "consumer": {"id": id}})),
            ("vaults", json!({"name": "env", "prefix": "my-env"})),
        ] {
            assert_eq!(answer(list, &good, &options), None, "{list}");
        }
        let not_enabled = "plugin 'nosuch' not enabled; add it to the 'plugins' configuration property";
        let no_name = "at least one of these fields must be non-empty: 'custom_id', 'username'";
        for (list, bad, message, fields) in [
            (
                "plugins",
                json!({"name": "nosuch"}),
                format!("schema violation (name: {not_enabled})"),
                json!({"name": not_enabled}),
            ),
            (
                "plugins",
                json!({"config": {}}),
                "schema violation (name: required field missing)".to_owned(),
                json!({"name": "required field missing"}),
            ),
            (
                "consumers",
                json!({}),
                format!("schema violation ({no_name})"),
                json!({"@entity": [no_name]}),
            ),
            (
                "keyauth_credentials",
                json!({"key": "a"}),
                "schema violation (consumer: required field missing)".to_owned(),
                json!({"consumer": "required field missing"}),
            ),
            (
                "vaults",
                json!({"name": "nosuch", "prefix": "zz"}),
                "schema violation (name: vault 'nosuch' is not installed)".to_owned(),
                json!({"name": "vault 'nosuch' is not installed"}),
            ),
            (
                "services",
                json!({"host": "a", "foo": 1}),
                "schema violation (foo: unknown field)".to_owned(),
                json!({"foo": "unknown field"}),
            ),
        ] {
            assert_eq!(answer(list, &bad, &options), refused(&message, &fields), "{list}");
        }
    }

    #[test]
    fn fields_are_told_by_path_and_counted_from_one() {
        let route = json!({"paths": ["/a", "b"], "methods": ["GET"], "bar": 1});
        let told = answer("routes", &route, &ValidationOptions::default()).expect("it is wrong");
        assert_eq!(told["fields"]["bar"], "unknown field");
        assert_eq!(told["fields"]["paths"][0], Value::Null);
        assert!(told["fields"]["paths"][1].is_string(), "{told}");
        let message = told["message"].as_str().expect("a message");
        assert!(
            message.starts_with("2 schema violations (bar: unknown field; paths.2: "),
            "{message}"
        );
    }

    #[test]
    fn the_flavour_decides_what_a_route_may_have() {
        let route = json!({"expression": "http.path ^= \"/a\""});
        assert!(answer("routes", &route, &ValidationOptions::default()).is_some());
        let options = ValidationOptions {
            router_flavor: RouterFlavor::Expressions,
            ..ValidationOptions::default()
        };
        assert_eq!(answer("routes", &route, &options), None);
    }

    #[test]
    fn errors_of_plugins_are_added_in_the_same_shape() {
        let mut violation = SchemaViolation::of(Some("config.status_code"), "value should be between 100 and 599");
        violation.add(None, "all wrong");
        assert_eq!(
            violation.to_answer(),
            json!({
                "code": 2,
                "name": "schema violation",
                "message": "2 schema violations (all wrong; config.status_code: value should be between 100 and 599)",
                "fields": {"@entity": ["all wrong"], "config": {"status_code": "value should be between 100 and 599"}},
            })
        );
    }
}
