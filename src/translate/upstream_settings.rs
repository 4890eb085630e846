//! Settings of upstreams as objects give them -> those that a proxy takes. Shared by KongUpstreamPolicies and
//! KongIngresses, which say the same in different words.

use std::{collections::HashMap, rc::Rc};

use proxy_config_schema::{Configuration, JsonObject, Upstream, ValidationOptions};
use serde_json::{Value, json};

use super::problems::Owner;
use crate::model::{Kind, kubernetes::Metadata};

/// Settings of objects that were read already: many Services name the same ones. `None` for one that can't be used.
#[derive(Debug, Default)]
pub(super) struct Settings<'a>(HashMap<(Kind, &'a str, &'a str), Option<Rc<Upstream>>>);

impl<'a> Settings<'a> {
    /// Those of an object, read on first use.
    pub(super) fn of(
        &mut self,
        kind: Kind,
        metadata: &'a Metadata,
        read: impl FnOnce(Owner<'a>) -> Option<Upstream>,
    ) -> Option<Rc<Upstream>> {
        let key = (kind, &*metadata.namespace, &*metadata.name);
        let known = self
            .0
            .entry(key)
            .or_insert_with(|| read(Owner::new(kind, metadata)).map(Rc::new));
        known.clone()
    }
}

/// What a proxy would refuse: where, in dots and with elements counted from 1 (`healthchecks.active.timeout`), and why.
pub(super) type Refusal = (String, String);

/// Reads settings under the names that Kong has for them, and checks them as Kong would: one that knows sticky sessions,
/// or one that does not.
///
/// # Errors
/// All that Kong would refuse, each field once.
pub(super) fn read(settings: JsonObject, sticky_sessions: bool) -> Result<Upstream, Vec<Refusal>> {
    let mut upstream = settings;
    // The only field that must be there; it is not taken over.
    upstream.insert("name".to_owned(), json!("upstream"));
    let document = json!({"_format_version": "3.0", "upstreams": [upstream.clone()]});
    let options = ValidationOptions {
        sticky_sessions,
        ..ValidationOptions::default()
    };
    if let Err(invalid) = Configuration::load(document, &options) {
        return Err(refusals(&invalid.entities[..]));
    }
    serde_json::from_value(Value::Object(upstream)).map_err(|error| vec![(String::new(), error.to_string())])
}

/// Reads settings without a check, as Kong Ingress Controller does.
///
/// # Errors
/// A field of another type.
pub(super) fn as_given(mut settings: JsonObject) -> Result<Upstream, Vec<Refusal>> {
    settings.insert("name".to_owned(), json!("upstream"));
    serde_json::from_value(Value::Object(settings)).map_err(|error| vec![(String::new(), error.to_string())])
}

fn refusals(entities: &[proxy_config_schema::EntityError]) -> Vec<Refusal> {
    let errors = entities.iter().flat_map(|entity| &entity.errors);
    let mut refusals: Vec<Refusal> = errors
        .map(|error| {
            let messages = error.messages.iter().flatten().flatten().cloned();
            let messages: Vec<_> = error.message.iter().cloned().chain(messages).collect();
            (error.field.clone().unwrap_or_default(), messages.join(", "))
        })
        .collect();
    // What is said of the whole only repeats what is said of fields.
    if refusals.iter().any(|(field, _)| !field.is_empty()) {
        refusals.retain(|(field, _)| !field.is_empty());
    }
    refusals
}

/// Takes over what is set.
pub(super) fn overlay(upstream: &mut Upstream, settings: &Upstream) {
    macro_rules! overlay {
        ($($field:ident),* $(,)?) => {
            $(if settings.$field.is_some() {
                upstream.$field.clone_from(&settings.$field);
            })*
        };
    }
    overlay!(
        algorithm,
        slots,
        host_header,
        hash_on,
        hash_on_header,
        hash_on_cookie,
        hash_on_cookie_path,
        hash_on_query_arg,
        hash_on_uri_capture,
        hash_fallback,
        hash_fallback_header,
        hash_fallback_query_arg,
        hash_fallback_uri_capture,
        sticky_sessions_cookie,
        sticky_sessions_cookie_path,
        healthchecks,
    );
}

/// Whether a proxy takes both, the second over the first.
pub(super) fn fit_together(first: &Upstream, second: &Upstream) -> bool {
    let mut both = first.clone();
    overlay(&mut both, second);
    match serde_json::to_value(&both) {
        Ok(Value::Object(settings)) => read(settings, true).is_ok(),
        _ => false,
    }
}
