//! `/schemas`: would this proxy take such an entity? Controllers ask before objects are stored (`admin-api.md` 27).

use hyper::{Method, Request, StatusCode, body::Incoming};
use proxy_config_schema::{Configuration, Plugin, SchemaViolation};
use serde_json::{Map, Value, json};

use super::{
    AdminApi,
    body::{self, BodyFault, Posted, Unreadable},
};
use crate::{answer, data, server::Answer};

/// Largest entity, in bytes: as much as the API server of Kubernetes takes.
const MAX_ENTITY: usize = 4 << 20;

impl AdminApi {
    /// Answers to a path below `/schemas`.
    pub(super) async fn schemas(&self, path: &[&str], request: Request<Incoming>) -> Answer {
        let read = matches!(*request.method(), Method::GET | Method::HEAD);
        let (list, validates) = match path {
            ["plugins", "validate"] => ("plugins", true),
            ["plugins", name] => {
                return match data::plugin_schema(name) {
                    None => answer::message(StatusCode::NOT_FOUND, &format!("No plugin named '{name}'")),
                    Some(schema) if read => answer::json(StatusCode::OK, &schema),
                    Some(_) => answer::method_not_allowed(),
                };
            }
            [list, "validate"] => (*list, true),
            [list] => (*list, false),
            _ => return answer::not_found(),
        };
        if !Configuration::has_list(list) {
            return answer::message(StatusCode::NOT_FOUND, &format!("No entity named '{list}'"));
        }
        match *request.method() {
            Method::POST if validates => self.validate(list, request).await,
            Method::OPTIONS if validates => answer::options("OPTIONS, POST"),
            _ if validates => answer::method_not_allowed(),
            _ => answer::not_found(),
        }
    }

    async fn validate(&self, list: &str, request: Request<Incoming>) -> Answer {
        let Ok(_permit) = self.uploads.try_acquire() else {
            return answer::message(StatusCode::TOO_MANY_REQUESTS, "Currently loading configurations");
        };
        let headers = request.headers().clone();
        let body = match body::read(request, self.body_limit.min(MAX_ENTITY)).await {
            Ok(body) => body,
            Err(BodyFault::TooLarge) => return answer::too_large(),
            Err(BodyFault::Lost) => return answer::message(StatusCode::BAD_REQUEST, "the body ended early"),
        };
        let entity = match body::classify(&headers, body) {
            Ok(posted) => entity(posted),
            Err(Unreadable::Json) => return answer::message(StatusCode::BAD_REQUEST, "Cannot parse JSON body"),
            Err(_) => return answer::unsupported_media_type(),
        };
        match check(list, &entity, self.control.options()) {
            Ok(()) => answer::json(StatusCode::OK, &json!({"message": "schema validation successful"})),
            Err(violation) => answer::json(StatusCode::BAD_REQUEST, &violation.to_answer()),
        }
    }
}

/// The fields that were posted; what is no object has none.
fn entity(posted: Posted) -> Map<String, Value> {
    match posted {
        Posted::Object(object) => object,
        Posted::Form(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, Value::String(String::from_utf8_lossy(&value).into_owned())))
            .collect(),
        Posted::OtherJson(_) | Posted::Text(_) | Posted::Nothing => Map::new(),
    }
}

fn check(
    list: &str,
    entity: &Map<String, Value>,
    options: &proxy_config_schema::ValidationOptions,
) -> Result<(), SchemaViolation> {
    Configuration::validate_entity(list, entity, options)?;
    if list != "plugins" {
        return Ok(());
    }
    // Its fields have the right types, as was just seen.
    let plugin: Plugin =
        serde_json::from_value(Value::Object(entity.clone())).map_err(|_| SchemaViolation::of(None, "not a plugin"))?;
    let Err(errors) = data::check_plugin(&plugin) else {
        return Ok(());
    };
    let mut violation: Option<SchemaViolation> = None;
    for error in errors {
        let (field, message) = (error.field.as_deref(), error.message.unwrap_or_default());
        match &mut violation {
            Some(violation) => violation.add(field, &message),
            None => violation = Some(SchemaViolation::of(field, &message)),
        }
    }
    violation.map_or(Ok(()), Err)
}
