//! `POST /config`: takes a configuration whole or not at all. `GET /config`: tells it without secrets.
//!
//! How bodies are understood follows Kong's `api/routes/config.lua`: a JSON object with `_format_version` is a table,
//! query arguments included; a parameter `config` holds the text; else the body itself is the text.

use hyper::{
    HeaderMap, Request, StatusCode,
    body::Incoming,
    header::{HeaderValue, RETRY_AFTER},
};
use proxy_config_schema::EntityError;
use serde_json::{Map, Value, json};

use super::{
    AdminApi, Peer,
    body::{self, BodyFault, Posted, Unreadable},
};
use crate::{
    answer,
    control::{Document, Epoch, Loaded, Refusal, Submission},
    server::Answer,
};

/// The leadership under which a controller of silverback sends a configuration.
const EPOCH_HEADER: &str = "silverback-epoch";

/// The epoch that it knows to have been seen here, and supersedes.
const SUPERSEDES_HEADER: &str = "silverback-supersedes";

/// Seconds after which a client may try again, as Kong says.
const RETRY_SECONDS: &str = "10";

/// What the query asks for.
#[derive(Debug, Default, PartialEq)]
struct Arguments {
    check_hash: bool,
    flatten_errors: bool,
    /// Whatever else it says. Kong takes it for fields of the configuration.
    other: Map<String, Value>,
}

impl AdminApi {
    pub(super) async fn post_config(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        let Ok(_permit) = self.uploads.try_acquire() else {
            return busy();
        };
        let arguments = arguments(request.uri().query().unwrap_or_default());
        let headers = request.headers().clone();
        let body = match body::read(request, self.body_limit).await {
            Ok(body) => body,
            Err(BodyFault::TooLarge) => return answer::too_large(),
            Err(BodyFault::Lost) => return answer::message(StatusCode::BAD_REQUEST, "the body ended early"),
        };
        let epochs =
            epoch_of(&headers, EPOCH_HEADER).and_then(|epoch| Ok((epoch, epoch_of(&headers, SUPERSEDES_HEADER)?)));
        let (epoch, supersedes) = match epochs {
            Ok(epochs) => epochs,
            Err(refused) => return *refused,
        };
        let raw = body.clone();
        let document = match body::classify(&headers, body) {
            Ok(posted) => document(posted, raw, arguments.other),
            Err(unreadable) => Err(Box::new(refuse_unreadable(unreadable))),
        };
        let document = match document {
            Ok(document) => document,
            Err(refused) => return *refused,
        };
        let submission = Submission {
            document,
            check_hash: arguments.check_hash,
            epoch,
            supersedes,
        };
        match self.control.load(submission).await {
            // Kong tells the whole configuration again, secrets included; nobody needs that.
            Ok(Loaded::Changed) => answer::json(StatusCode::CREATED, &json!({})),
            Ok(Loaded::Unchanged) => answer::empty(StatusCode::NOT_MODIFIED),
            Err(refusal) => {
                tracing::warn!(peer = %peer.address, "configuration refused: {}", refusal.summary());
                refuse(&refusal, arguments.flatten_errors)
            }
        }
    }

    pub(super) fn read_config(&self) -> Answer {
        let yaml = serde_saphyr::to_string(&self.control.current().tables().document());
        match yaml {
            Ok(yaml) => answer::json(StatusCode::OK, &json!({ "config": yaml })),
            Err(error) => {
                tracing::error!(%error, "can't write the configuration as YAML");
                answer::message(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred")
            }
        }
    }
}

fn arguments(query: &str) -> Arguments {
    let mut arguments = Arguments::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "check_hash" => arguments.check_hash = value == "1",
            "flatten_errors" => arguments.flatten_errors = matches!(value.as_ref(), "1" | "true" | "on" | "yes"),
            _ => {
                arguments
                    .other
                    .insert(name.into_owned(), Value::String(value.into_owned()));
            }
        }
    }
    arguments
}

fn document(posted: Posted, raw: bytes::Bytes, mut parameters: Map<String, Value>) -> Result<Document, Box<Answer>> {
    match posted {
        Posted::Object(object) => parameters.extend(object),
        Posted::OtherJson(Value::Array(elements)) if elements.is_empty() => {}
        Posted::OtherJson(_) => return Err(Box::new(unexpected())),
        Posted::Form(fields) => {
            for (name, value) in fields {
                if name == "config" {
                    return Ok(Document::Text(value));
                }
                let value = String::from_utf8_lossy(&value).into_owned();
                parameters.insert(name, Value::String(value));
            }
        }
        Posted::Text(_) | Posted::Nothing => {}
    }
    if parameters.contains_key("_format_version") {
        return Ok(Document::Table(Value::Object(parameters)));
    }
    match parameters.remove("config") {
        Some(Value::String(config)) => Ok(Document::Text(config.into())),
        Some(_) => Err(Box::new(unexpected())),
        None if raw.is_empty() => Err(Box::new(answer::message(
            StatusCode::BAD_REQUEST,
            "expected a declarative configuration",
        ))),
        None => Ok(Document::Text(raw)),
    }
}

fn epoch_of(headers: &HeaderMap, name: &'static str) -> Result<Option<Epoch>, Box<Answer>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let epoch = value.to_str().ok().and_then(|value| value.parse().ok());
    match epoch {
        Some(epoch) => Ok(Some(epoch)),
        None => Err(Box::new(answer::message(
            StatusCode::BAD_REQUEST,
            &format!("header {name}: expected LEASE-UID:TRANSITIONS"),
        ))),
    }
}

fn refuse_unreadable(unreadable: Unreadable) -> Answer {
    match unreadable {
        Unreadable::MediaType => answer::unsupported_media_type(),
        Unreadable::Json => answer::message(StatusCode::BAD_REQUEST, "Cannot parse JSON body"),
        Unreadable::Form => answer::message(StatusCode::BAD_REQUEST, "Cannot parse multipart/form-data body"),
    }
}

fn refuse(refusal: &Refusal, flatten: bool) -> Answer {
    match refusal {
        Refusal::Fenced { seen, .. } => {
            let mut answer = answer::message(StatusCode::CONFLICT, &refusal.to_string());
            if let Ok(seen) = HeaderValue::from_str(&seen.to_string()) {
                answer.headers_mut().insert(EPOCH_HEADER, seen);
            }
            answer
        }
        Refusal::Malformed(_) => {
            let reason = refusal.to_string();
            let quoted = Value::String(reason.clone());
            let mut body = json!({
                "code": 14,
                "name": "invalid declarative configuration",
                "message": format!("declarative config is invalid: {{error={quoted}}}"),
                "fields": {"error": reason},
            });
            if flatten {
                body["flattened_errors"] = json!({});
            }
            answer::json(StatusCode::BAD_REQUEST, &body)
        }
        Refusal::Invalid(invalid) => answer::json(StatusCode::BAD_REQUEST, &invalid.to_answer(flatten)),
        Refusal::Unusable(entities) => answer::json(StatusCode::BAD_REQUEST, &unusable(entities, flatten)),
        Refusal::Panicked => unexpected(),
    }
}

/// Errors that only compiling finds, in the shape of the others. Without `flatten_errors` they are listed by type.
fn unusable(entities: &[EntityError], flatten: bool) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    let mut body = json!({"code": 14, "name": "invalid declarative configuration"});
    if flatten {
        body["flattened_errors"] = json!(entities);
    } else {
        for entity in entities {
            let name = entity
                .entity_name
                .as_deref()
                .or(entity.entity_id.as_deref())
                .unwrap_or_default();
            let by_name = fields.entry(entity.entity_type.clone()).or_insert_with(|| json!({}));
            by_name[name] = json!(entity.errors);
        }
    }
    body["message"] = json!(format!(
        "declarative config is invalid: {}",
        if flatten {
            "{}".to_owned()
        } else {
            Value::Object(fields.clone()).to_string()
        }
    ));
    body["fields"] = Value::Object(fields);
    body
}

/// What Kong answers to JSON that is no object.
fn unexpected() -> Answer {
    answer::message(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred")
}

fn busy() -> Answer {
    let mut busy = answer::message(
        StatusCode::TOO_MANY_REQUESTS,
        "Currently loading previous configuration",
    );
    busy.headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    busy
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn arguments_are_read_as_kong_reads_them() {
        let read = arguments("check_hash=1&flatten_errors=yes&foo=b%20r");
        assert!(read.check_hash && read.flatten_errors);
        assert_eq!(read.other, *json!({"foo": "b r"}).as_object().expect("object"));
        assert!(!arguments("check_hash=true").check_hash);
        assert!(!arguments("flatten_errors=0").flatten_errors);
    }

    #[test]
    fn what_is_posted_is_a_table_or_a_text() {
        let raw = || Bytes::from_static(b"raw");
        let object = |value: Value| Posted::Object(value.as_object().expect("object").clone());
        let table = document(
            object(json!({"_format_version": "3.0"})),
            raw(),
            arguments("foo=bar").other,
        );
        assert!(
            matches!(table, Ok(Document::Table(table)) if table == json!({"_format_version": "3.0", "foo": "bar"}))
        );
        let text = |posted| match document(posted, raw(), Map::new()) {
            Ok(Document::Text(text)) => text,
            other => panic!("a text, not {other:?}"),
        };
        assert_eq!(text(object(json!({"config": "inner"}))), "inner");
        assert_eq!(text(object(json!({}))), "raw");
        assert_eq!(text(Posted::Text(raw())), "raw");
        assert_eq!(
            text(Posted::Form(vec![("config".to_owned(), Bytes::from_static(b"field"))])),
            "field"
        );
        let refused = document(Posted::Nothing, Bytes::new(), Map::new()).expect_err("nothing");
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        let refused = document(Posted::OtherJson(json!("x")), raw(), Map::new()).expect_err("a string");
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
