//! Policies on requests. One enum, since the set is closed: a configuration with any other plugin is refused.
//!
//! Of several instances of one plugin that apply to a request, the most specific acts: route, then service, then all
//! (Kong's precedence).

mod request_termination;

use hyper::{Response, http::request::Parts};
use proxy_config_schema::{ErrorDetail, ErrorKind, Plugin};
use serde_json::Value;

use super::forward::Body;
use request_termination::RequestTermination;

/// The plugins that this data plane can run, by name. A configuration with any other is to be refused.
pub(crate) const KNOWN_PLUGINS: &[&str] = &[request_termination::NAME];

/// The schema of a plugin as Kong tells it; `None` if this data plane can't run it.
pub(crate) fn schema(name: &str) -> Option<Value> {
    match name {
        request_termination::NAME => Some(request_termination::schema()),
        _ => None,
    }
}

/// Whether a plugin could be put to work.
///
/// # Errors
/// What is wrong with it, by field.
pub(crate) fn check(plugin: &Plugin) -> Result<(), Vec<ErrorDetail>> {
    Policy::new(plugin).map(drop)
}

/// A plugin ready to act.
#[derive(Debug)]
pub(super) enum Policy {
    /// Answers in place of the upstream.
    RequestTermination(RequestTermination),
}

impl Policy {
    /// Reads a plugin's settings.
    ///
    /// # Errors
    /// What is wrong with them, by field.
    pub(super) fn new(plugin: &Plugin) -> Result<Self, Vec<ErrorDetail>> {
        match plugin.name.as_str() {
            request_termination::NAME => {
                RequestTermination::new(&plugin.config.clone().unwrap_or_default()).map(Self::RequestTermination)
            }
            other => {
                let message = format!("plugin '{other}' not enabled; add it to the 'plugins' configuration property");
                Err(vec![field_error("name", message)])
            }
        }
    }

    /// Acts before a request is forwarded; an answer ends it.
    pub(super) fn on_request(&self, request: &Parts) -> Option<Response<Body>> {
        match self {
            Self::RequestTermination(policy) => policy.on_request(request),
        }
    }
}

fn field_error(field: &str, message: impl Into<String>) -> ErrorDetail {
    ErrorDetail {
        kind: ErrorKind::Field,
        field: Some(field.to_owned()),
        message: Some(message.into()),
        messages: None,
    }
}
