//! Why Kong refused a configuration: its error answers, read defensively.
//!
//! Flattened errors name entities with their tags; the plain tree of `fields` names places in the document, which are
//! looked up in the bytes that were sent. What an answer repeats of an entity is never kept, and messages are cleaned of
//! the secrets of this configuration (DESIGN.md §3 rule 9).

mod flattened;
mod tree;

use std::collections::HashSet;

use proxy_config_schema::Secrets;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    fleet::{EntityError, PushResult},
    model::ByteSize,
    pki::client::excerpt,
    render::Rendered,
};

/// Errors that are kept of one answer, whatever they are about; all are counted.
const MAX_ERRORS: usize = 100;
/// Errors that are kept beyond that, one for each further object: what is at fault is left out, and each round costs a push.
const MAX_OBJECTS: usize = 4096;
/// Longest message kept, in characters.
const MAX_MESSAGE: usize = 512;
/// Longest name of an entity or field kept, in characters.
const MAX_NAME: usize = 256;
/// Most tags of an entity kept.
const MAX_TAGS: usize = 32;

/// A refused configuration.
pub(super) struct Rejection {
    message: String,
    entities: Vec<EntityError>,
    count: usize,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    fields: Option<Value>,
    #[serde(default)]
    flattened_errors: flattened::Errors,
}

/// Reads an answer in JSON; `None` if it is none.
pub(super) fn parse(body: &[u8], rendered: &Rendered) -> Option<Rejection> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    // Parsed again only now that something went wrong: the bytes are all that is kept of a configuration.
    let sent = serde_json::from_slice(&rendered.bytes).ok();
    let Some(secrets) = rendered.secrets() else {
        return Some(Rejection {
            message: "the proxy's reasons are withheld, since they may hold secrets; see its own log".to_owned(),
            entities: Vec::new(),
            count: 1,
        });
    };
    Some(read(answer, sent.as_ref(), &secrets))
}

fn read(answer: Answer, sent: Option<&Value>, secrets: &Secrets) -> Rejection {
    let mut errors = answer.flattened_errors.0;
    let flattened = errors.kept.len();
    if let Some(fields) = &answer.fields {
        // Some errors stand here alone even with flattening (reference: admin-api.md 23).
        tree::collect(fields, sent, &mut errors);
    }
    if let Some(sent) = sent {
        errors.name_duplicates(sent);
    }
    if flattened > 0 {
        errors.drop_false_entries();
    }
    for error in errors.kept.iter_mut().filter(|error| error.entity_tags.is_empty()) {
        if let (Some(name), Some(sent)) = (&error.entity_name, sent) {
            error.entity_tags = tree::tags_of(sent, &error.entity_type, name).unwrap_or_default();
        }
    }
    let entities: Vec<_> = errors.kept.into_iter().map(|error| bounded(error, secrets)).collect();
    let message = answer.message.unwrap_or_default();
    let message = match entities.first() {
        // Kong's own message says nothing (`declarative config is invalid: {}`), or repeats the tree.
        Some(first) if errors.count == 1 => summary(first),
        Some(first) => format!("{} (and {} more errors)", summary(first), errors.count - 1),
        None => limited(&secrets.redact(&message), MAX_MESSAGE),
    };
    Rejection {
        message,
        entities,
        count: errors.count,
    }
}

/// 413: from nginx in HTML, or from Kong because its database is full.
pub(super) fn too_large(body: &[u8], rendered: &Rendered) -> Rejection {
    let said = parse(body, rendered).map(|rejection| rejection.message);
    let size = ByteSize(rendered.bytes.len() as u64);
    Rejection {
        message: match said {
            Some(said) => format!("the configuration of {size} is too large: {said}"),
            None => format!(
                "the configuration of {size} is larger than the proxy takes: raise its \
                 nginx_admin_client_max_body_size (KONG_NGINX_ADMIN_CLIENT_MAX_BODY_SIZE); it answered 413: {}",
                excerpt(body)
            ),
        },
        entities: Vec::new(),
        count: 1,
    }
}

impl Rejection {
    /// Whether some entity is known to be at fault.
    pub(super) fn names_somebody(&self) -> bool {
        !self.entities.is_empty()
    }

    /// 500: Kong does not say which entity it stumbled over.
    pub(super) fn internal_error(mut self) -> Self {
        if self.entities.is_empty() {
            self.message = format!(
                "the proxy answered 500: {}; its own log says more (a plugin that refers to a consumer or route that \
                 does not exist makes Kong answer so)",
                self.message
            );
        }
        self
    }

    /// 400 without an entity: nobody is told to correct an object.
    pub(super) fn unexplained(mut self) -> Self {
        if self.entities.is_empty() && !self.message.contains("its own log") {
            let said = match &*self.message {
                "" => "the proxy refused the configuration without saying why",
                said => said,
            };
            self.message = format!("{said}; the proxy names no entity, and its own log says more");
        }
        self
    }

    pub(super) fn into_result(self) -> PushResult {
        PushResult::Rejected {
            message: self.message,
            count: self.count.max(1),
            entities: self.entities,
        }
    }
}

/// Errors as they come: the first of them kept, and the first of each object.
#[derive(Default)]
struct Errors {
    kept: Vec<EntityError>,
    objects: HashSet<Vec<String>>,
    count: usize,
}

impl Errors {
    fn add(&mut self, error: EntityError) {
        self.count += 1;
        let of_object = || error.entity_tags.iter().filter(|tag| tag.starts_with("k8s-")).cloned();
        let is_new = self.objects.len() < MAX_OBJECTS && self.objects.insert(of_object().take(MAX_TAGS).collect());
        if is_new || self.kept.len() < MAX_ERRORS {
            self.kept.push(error);
        }
    }

    /// What is declared twice is named by what it has: whose it is follows from what was sent. The first one is right.
    fn name_duplicates(&mut self, sent: &Value) {
        let is_unnamed = |error: &EntityError| error.entity_tags.is_empty() && error.message.contains(UNIQUENESS);
        let (unnamed, others) = std::mem::take(&mut self.kept).into_iter().partition(is_unnamed);
        self.kept = others;
        for error in unnamed {
            let owners =
                duplicate(&error.message).map(|(list, field, value)| tree::duplicates(sent, list, field, value));
            let owners = owners.unwrap_or_default();
            if owners.is_empty() {
                self.kept.push(error);
                continue;
            }
            let owners = owners.into_iter().take(MAX_OBJECTS.saturating_sub(self.kept.len()));
            self.kept.extend(owners.map(|entity_tags| EntityError {
                entity_tags,
                ..error.clone()
            }));
        }
    }

    /// Nested SNIs beside a basic-auth credential make Kong add an error to a certificate that is right (reference:
    /// admin-api.md 22). It goes when there are others, since they are the ones to mend.
    fn drop_false_entries(&mut self) {
        let is_false = |error: &EntityError| {
            error.entity_type == "certificate"
                && error.entity_tags.is_empty()
                && error.field.is_none()
                && error.message.ends_with("required field missing")
        };
        if !self.kept.iter().all(is_false) {
            let before = self.kept.len();
            self.kept.retain(|error| !is_false(error));
            self.count -= before - self.kept.len();
        }
    }
}

/// How Kong says that something is declared twice.
const UNIQUENESS: &str = "uniqueness violation: '";

/// List, field and value of `uniqueness violation: 'snis' entity with name set to 'a.example' already declared`.
fn duplicate(message: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = message.split_once(UNIQUENESS)?;
    let (list, rest) = rest.split_once("' entity with ")?;
    let (field, rest) = rest.split_once(" set to '")?;
    let value = rest.strip_suffix("' already declared")?;
    Some((list, field, value))
}

fn bounded(mut error: EntityError, secrets: &Secrets) -> EntityError {
    error.entity_tags.truncate(MAX_TAGS);
    EntityError {
        entity_type: limited(&error.entity_type, MAX_NAME),
        entity_name: error.entity_name.map(|name| limited(&secrets.redact(&name), MAX_NAME)),
        entity_tags: error
            .entity_tags
            .into_iter()
            .map(|tag| limited(&tag, MAX_NAME))
            .collect(),
        field: error.field.map(|field| limited(&secrets.redact(&field), MAX_NAME)),
        message: limited(&secrets.redact(&error.message), MAX_MESSAGE),
    }
}

/// `route "shop.web.0" paths.1: invalid regex`
fn summary(error: &EntityError) -> String {
    let mut text = if error.entity_type.is_empty() {
        "configuration".to_owned()
    } else {
        error.entity_type.clone()
    };
    if let Some(name) = &error.entity_name {
        text.push_str(&format!(" {name:?}"));
    }
    if let Some(field) = &error.field {
        text.push_str(&format!(" {field}"));
    }
    format!("{text}: {}", error.message)
}

fn limited(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
