//! `request-termination`: answers in place of the upstream, always or where a trigger is given.
//!
//! The controller uses it where a route must not be served as it stands: what lacks its policy fails closed.

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{HeaderName, HeaderValue},
    http::request::Parts,
};
use proxy_config_schema::{ErrorDetail, JsonObject, PluginRules};
use serde_json::{Value, json};

use super::field_error;
use crate::data::{answer, forward::Body};

/// The plugin's name.
pub(super) const NAME: &str = "request-termination";

/// The settings that it has.
const SETTINGS: [&str; 6] = ["status_code", "message", "content_type", "body", "echo", "trigger"];

/// Content type of a body without one of its own, and of messages.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Its schema, as Kong 3.9 tells it, but for `echo`, which this proxy does not have.
pub(super) fn schema() -> Value {
    let protocols = json!({
        "type": "set", "required": true, "default": PluginRules::HTTP,
        "elements": {"type": "string", "one_of": PluginRules::HTTP},
    });
    let config = json!([
        {"status_code": {"type": "integer", "required": true, "default": 503, "between": [100, 599]}},
        {"message": {"type": "string"}},
        {"content_type": {"type": "string"}},
        {"body": {"type": "string"}},
        {"echo": {"type": "boolean", "required": true, "default": false, "eq": false}},
        {"trigger": {"type": "string"}},
    ]);
    json!({
        "entity_checks": [],
        "fields": [
            {"consumer": {"type": "foreign", "reference": "consumers", "eq": null}},
            {"protocols": protocols},
            {"config": {"type": "record", "required": true, "fields": config}},
        ],
    })
}

/// What is answered, and when.
#[derive(Debug)]
pub(in crate::data) struct RequestTermination {
    status: StatusCode,
    content: Option<(HeaderValue, Bytes)>,
    /// A header or query argument without which nothing happens.
    trigger: Option<String>,
}

impl RequestTermination {
    pub(super) fn new(config: &JsonObject) -> Result<Self, Vec<ErrorDetail>> {
        let mut errors = Vec::new();
        let mut text = |field: &str| match config.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                errors.push(field_error(&format!("config.{field}"), "expected a string"));
                None
            }
        };
        let (message, body) = (text("message"), text("body"));
        let (content_type, trigger) = (text("content_type"), text("trigger"));
        let status = match config.get("status_code") {
            None | Some(Value::Null) => Some(StatusCode::SERVICE_UNAVAILABLE),
            Some(code) => code
                .as_u64()
                .and_then(|code| u16::try_from(code).ok())
                .filter(|code| (100..=599).contains(code))
                .and_then(|code| StatusCode::from_u16(code).ok()),
        };
        if status.is_none() {
            errors.push(field_error("config.status_code", "value should be between 100 and 599"));
        }
        if config.get("echo") == Some(&Value::Bool(true)) {
            errors.push(field_error("config.echo", "echo is not supported by this proxy"));
        }
        for name in config.keys().filter(|name| !SETTINGS.contains(&name.as_str())) {
            errors.push(field_error(&format!("config.{name}"), "unknown field"));
        }
        let content_type = content_type.map(|kind| HeaderValue::try_from(with_charset(kind)));
        let content_type = match content_type {
            Some(Err(_)) => {
                errors.push(field_error("config.content_type", "not a header value"));
                None
            }
            Some(Ok(kind)) => Some(kind),
            None => None,
        };
        let Some(status) = status.filter(|_| errors.is_empty()) else {
            return Err(errors);
        };
        let content = match body {
            Some(_) if status == StatusCode::NO_CONTENT => None,
            Some(body) => Some((content_type.unwrap_or(JSON), Bytes::from(body))),
            None => message
                .or_else(|| default_message(status).map(str::to_owned))
                .map(|message| (JSON, Bytes::from(serde_json::json!({ "message": message }).to_string()))),
        };
        Ok(Self {
            status,
            content,
            trigger,
        })
    }

    pub(super) fn on_request(&self, request: &Parts) -> Option<Response<Body>> {
        if self.trigger.as_ref().is_some_and(|trigger| !given(trigger, request)) {
            return None;
        }
        Some(match &self.content {
            Some((kind, body)) => answer::with_body(self.status, kind.clone(), body.clone()),
            None => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = self.status;
                response
            }
        })
    }
}

/// Whether a header or query argument of this name is there.
fn given(name: &str, request: &Parts) -> bool {
    let header = name
        .parse::<HeaderName>()
        .is_ok_and(|name| request.headers.contains_key(name));
    let mut arguments = request.uri.query().unwrap_or_default().split('&');
    header || arguments.any(|argument| argument.split('=').next() == Some(name))
}

/// nginx adds the character set to the texts that it knows.
fn with_charset(kind: String) -> String {
    if ["text/plain", "text/html", "text/xml"].contains(&kind.as_str()) {
        return kind + "; charset=UTF-8";
    }
    kind
}

/// Kong's message for a status without one of its own.
fn default_message(status: StatusCode) -> Option<&'static str> {
    match status.as_u16() {
        401 => Some("Unauthorized"),
        404 => Some("Not found"),
        405 => Some("Method not allowed"),
        500 => Some("An unexpected error occurred"),
        502 => Some("Bad Gateway"),
        503 => Some("Service unavailable"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(config: &Value, uri: &str) -> Option<(u16, String)> {
        let config = config.as_object().expect("object");
        let policy = RequestTermination::new(config).expect("good settings");
        let (parts, ()) = hyper::Request::get(uri).body(()).expect("request").into_parts();
        let response = policy.on_request(&parts)?;
        let kind = response.headers().get("content-type");
        let kind = kind.map_or("", |kind| kind.to_str().expect("text")).to_owned();
        Some((response.status().as_u16(), kind))
    }

    #[test]
    fn answers_with_message_body_or_kongs_default() {
        let json = "application/json; charset=utf-8".to_owned();
        assert_eq!(answered(&serde_json::json!({}), "/"), Some((503, json.clone())));
        let message = serde_json::json!({"status_code": 418, "message": "so long"});
        assert_eq!(answered(&message, "/"), Some((418, json.clone())));
        let body = serde_json::json!({"content_type": "text/plain", "body": "gone"});
        assert_eq!(
            answered(&body, "/"),
            Some((503, "text/plain; charset=UTF-8".to_owned()))
        );
        let nothing = serde_json::json!({"status_code": 204, "body": "gone"});
        assert_eq!(answered(&nothing, "/"), Some((204, String::new())));
    }

    #[test]
    fn a_trigger_must_be_given() {
        let config = serde_json::json!({"trigger": "stop"});
        assert_eq!(answered(&config, "/?go=1"), None);
        assert!(answered(&config, "/?go=1&stop").is_some());
    }

    #[test]
    fn wrong_settings_are_told_by_field() {
        let config = serde_json::json!({"status_code": 99, "message": 1, "echo": true, "foo": 1});
        let errors = RequestTermination::new(config.as_object().expect("object")).expect_err("wrong");
        let fields: Vec<_> = errors.iter().filter_map(|error| error.field.as_deref()).collect();
        assert_eq!(
            fields,
            ["config.message", "config.status_code", "config.echo", "config.foo"]
        );
    }
}
