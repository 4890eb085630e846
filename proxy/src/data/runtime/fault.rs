//! What is wrong with an entity, in the shape of Kong's flattened errors.

use proxy_config_schema::{CaCertificate, Certificate, EntityError, ErrorDetail, ErrorKind, Plugin, Route, Service};
use serde::Serialize;

/// An entity that errors can be told about.
pub(super) trait Entity: Serialize {
    /// Singular, as in Kong's answers.
    const TYPE: &'static str;

    fn name(&self) -> Option<&String> {
        None
    }

    fn id(&self) -> Option<&String>;

    fn tags(&self) -> Option<&Vec<String>>;

    /// Lists of other entities, which are left out of the answer.
    const NESTED: &'static [&'static str] = &[];
}

impl Entity for Service {
    const TYPE: &'static str = "service";
    const NESTED: &'static [&'static str] = &["routes", "plugins"];

    fn name(&self) -> Option<&String> {
        self.name.as_ref()
    }

    fn id(&self) -> Option<&String> {
        self.id.as_ref()
    }

    fn tags(&self) -> Option<&Vec<String>> {
        self.tags.as_ref()
    }
}

impl Entity for Route {
    const TYPE: &'static str = "route";
    const NESTED: &'static [&'static str] = &["plugins"];

    fn name(&self) -> Option<&String> {
        self.name.as_ref()
    }

    fn id(&self) -> Option<&String> {
        self.id.as_ref()
    }

    fn tags(&self) -> Option<&Vec<String>> {
        self.tags.as_ref()
    }
}

impl Entity for Plugin {
    const TYPE: &'static str = "plugin";

    fn name(&self) -> Option<&String> {
        Some(&self.name)
    }

    fn id(&self) -> Option<&String> {
        self.id.as_ref()
    }

    fn tags(&self) -> Option<&Vec<String>> {
        self.tags.as_ref()
    }
}

impl Entity for Certificate {
    const TYPE: &'static str = "certificate";
    const NESTED: &'static [&'static str] = &["snis"];

    fn id(&self) -> Option<&String> {
        self.id.as_ref()
    }

    fn tags(&self) -> Option<&Vec<String>> {
        self.tags.as_ref()
    }
}

impl Entity for CaCertificate {
    const TYPE: &'static str = "ca_certificate";

    fn id(&self) -> Option<&String> {
        self.id.as_ref()
    }

    fn tags(&self) -> Option<&Vec<String>> {
        self.tags.as_ref()
    }
}

/// All that is wrong with one entity.
pub(super) fn entity_error<E: Entity>(entity: &E, errors: Vec<ErrorDetail>) -> EntityError {
    let mut value = serde_json::to_value(entity).ok();
    if let Some(fields) = value.as_mut().and_then(serde_json::Value::as_object_mut) {
        for nested in E::NESTED {
            fields.remove(*nested);
        }
    }
    EntityError {
        entity_type: E::TYPE.to_owned(),
        entity: value,
        entity_name: entity.name().cloned(),
        entity_id: entity.id().cloned(),
        entity_tags: entity.tags().cloned(),
        errors,
    }
}

/// A field that is wrong.
pub(super) fn field(field: impl Into<String>, message: impl Into<String>) -> ErrorDetail {
    ErrorDetail {
        kind: ErrorKind::Field,
        field: Some(field.into()),
        message: Some(message.into()),
        messages: None,
    }
}

/// Fields that contradict each other.
pub(super) fn whole(message: impl Into<String>) -> ErrorDetail {
    ErrorDetail {
        kind: ErrorKind::Entity,
        field: None,
        message: Some(message.into()),
        messages: None,
    }
}
