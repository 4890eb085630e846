//! What proxies are asked about an object, and what their answers mean. Pure.

use std::fmt;

use proxy_config_schema::{JsonObject, Secrets};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::translate::EntitySchema;

/// Longest message of a proxy that is passed on, in characters.
const MAX_MESSAGE: usize = 1024;
/// An identifier that nothing has, for fields that must refer to something.
const MADE_UP: &str = "00000000-0000-4000-8000-000000000000";

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Without a body.
    Get,
    /// With a body.
    Post,
}

/// A request to the Admin API of one proxy of each profile.
#[derive(Clone)]
pub struct Question {
    /// How.
    pub method: Method,
    /// Path, with a slash in front.
    pub path: String,
    /// Body. May hold secrets.
    pub body: Option<Value>,
    /// Only proxies of this profile, by its text; all when `None`.
    pub profile: Option<String>,
    /// What it is about: answers of several profiles to one subject are weighed together.
    pub(super) subject: String,
    meaning: Meaning,
}

/// What an answer will mean.
#[derive(Clone)]
enum Meaning {
    /// The proxy would take the entity or not.
    Valid { refusal: String, secrets: Secrets },
    /// The proxy has consumer groups or not.
    ConsumerGroups,
    /// The proxy knows the type of entity, and what its fields refer to.
    Known { kind: String, fields: JsonObject },
}

/// No body: it may hold secrets.
impl fmt::Debug for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Question")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What a proxy answered.
#[derive(Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body, as far as it was read.
    pub body: Vec<u8>,
}

/// What an answer says about the object.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing against it.
    Fine,
    /// The proxy would not take it: why, without secrets.
    Refused(String),
    /// This has to be asked next.
    Further(Box<Question>),
}

impl Question {
    /// Would a proxy take an entity of that list? `refusal` stands before its reason if not.
    pub(super) fn schema(list: &str, entity: Value, refusal: impl Into<String>, secrets: Secrets) -> Self {
        Self {
            method: Method::Post,
            path: format!("/schemas/{list}/validate"),
            body: Some(entity),
            profile: None,
            subject: list.to_owned(),
            meaning: Meaning::Valid {
                refusal: refusal.into(),
                secrets,
            },
        }
    }

    /// Has a proxy consumer groups?
    pub(super) fn consumer_groups() -> Self {
        Self {
            method: Method::Get,
            path: "/consumer_groups".to_owned(),
            body: None,
            profile: None,
            subject: "consumer_groups".to_owned(),
            meaning: Meaning::ConsumerGroups,
        }
    }

    /// What are the fields of that type of entity, to proxies of that profile? The type is part of a path.
    pub fn entity_schema(kind: &str, profile: &str) -> Self {
        Self {
            profile: Some(profile.to_owned()),
            ..Self::custom_entity(kind, &JsonObject::new())
        }
    }

    /// Does a proxy know that type of entity, and would it take one with these fields?
    pub(super) fn custom_entity(kind: &str, fields: &JsonObject) -> Self {
        Self {
            method: Method::Get,
            path: format!("/schemas/{kind}"),
            body: None,
            profile: None,
            subject: kind.to_owned(),
            meaning: Meaning::Known {
                kind: kind.to_owned(),
                fields: fields.clone(),
            },
        }
    }

    /// Reads a proxy's answer. What is no answer to the question is nothing against the object.
    pub(super) fn read(&self, answer: &Answer) -> Outcome {
        match &self.meaning {
            Meaning::Valid { refusal, secrets } => match (answer.status, answer.message()) {
                (400, Some(message)) => {
                    let message: String = secrets.redact(&message).chars().take(MAX_MESSAGE).collect();
                    Outcome::Refused(format!("{refusal}{message}"))
                }
                _ => Outcome::Fine,
            },
            Meaning::ConsumerGroups => match answer.status {
                404 => Outcome::Refused("consumer group support requires Kong Enterprise".to_owned()),
                403 => Outcome::Refused("consumer group support requires a valid Kong Enterprise license".to_owned()),
                _ => Outcome::Fine,
            },
            Meaning::Known { kind, fields } => match answer.status {
                200 => Outcome::Further(Box::new(self.with_schema(kind, fields.clone(), &answer.body))),
                404 => {
                    let message = answer.message().unwrap_or_default();
                    let message: String = message.chars().take(MAX_MESSAGE).collect();
                    Outcome::Refused(format!("failed to get schema of Kong entity type '{kind}': {message}"))
                }
                _ => Outcome::Fine,
            },
        }
    }

    /// The question that follows when the schema of a type is known: fields that refer to others get made-up references,
    /// since which ones they will be follows from where the parent plugin is attached.
    fn with_schema(&self, kind: &str, mut fields: JsonObject, body: &[u8]) -> Self {
        let schema = EntitySchema::parse(body).unwrap_or_default();
        for name in schema.foreign.into_keys() {
            fields.entry(name).or_insert_with(|| json!({ "id": MADE_UP }));
        }
        let secrets = Secrets::of_settings(&fields);
        Self {
            subject: self.subject.clone(),
            ..Self::schema(
                kind,
                Value::Object(fields),
                format!("failed to validate custom entity of type '{kind}': "),
                secrets,
            )
        }
    }
}

impl Answer {
    /// The message of an answer of Kong's; pages of HTML have none.
    fn message(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Said {
            message: String,
        }
        serde_json::from_slice::<Said>(&self.body).ok().map(|said| said.message)
    }
}
