//! Whose fault an error of a proxy is: the tags of an entity name the object that it comes from.

use std::sync::Arc;

use jiff::Timestamp;

use super::{EntityError, ProxyError};
use crate::model::ObjectRef;

/// Errors that are kept per proxy.
pub(super) const MAX_ERRORS: usize = 20;

/// The errors as they are shown; the whole configuration's message when no entity is named.
pub(super) fn proxy_errors(message: &str, entities: &[EntityError], since: Timestamp) -> Vec<ProxyError> {
    if entities.is_empty() {
        return vec![ProxyError {
            object: None,
            entity_type: String::new(),
            field: None,
            message: message.to_owned(),
            since,
        }];
    }
    entities
        .iter()
        .take(MAX_ERRORS)
        .map(|error| ProxyError {
            object: object_of(&error.entity_tags),
            entity_type: error.entity_type.clone(),
            field: error.field.clone(),
            message: match &error.entity_name {
                Some(name) => format!("{name}: {}", error.message),
                None => error.message.clone(),
            },
            since,
        })
        .collect()
}

/// The object that `k8s-*` tags name (KIC's; `k8s-group` is absent for the core group, `k8s-namespace` for
/// cluster-scoped kinds).
pub(super) fn object_of(tags: &[String]) -> Option<ObjectRef> {
    let tag = |name: &str| -> Option<Arc<str>> {
        tags.iter()
            .find_map(|tag| tag.strip_prefix("k8s-")?.strip_prefix(name)?.strip_prefix(':'))
            .filter(|value| !value.is_empty())
            .map(Into::into)
    };
    Some(ObjectRef {
        group: tag("group").filter(|group| &**group != "core").unwrap_or_default(),
        version: tag("version")?,
        kind: tag("kind")?,
        namespace: tag("namespace").unwrap_or_default(),
        name: tag("name").filter(|name| &**name != "UNKNOWN")?,
        uid: tag("uid").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_tags_of_kic() {
        let tags = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
        let ingress = object_of(&tags(&[
            "k8s-name:web",
            "k8s-namespace:shop",
            "k8s-kind:Ingress",
            "k8s-uid:u1",
            "k8s-group:networking.k8s.io",
            "k8s-version:v1",
            "mine",
        ]))
        .expect("complete");
        assert_eq!(ingress.to_string(), "Ingress shop/web");
        assert_eq!(ingress.api_version(), "networking.k8s.io/v1");
        let plugin = object_of(&tags(&[
            "k8s-name:cors",
            "k8s-kind:KongClusterPlugin",
            "k8s-version:v1",
            "k8s-uid:u",
        ]));
        assert_eq!(
            plugin.map(|object| object.to_string()).as_deref(),
            Some("KongClusterPlugin cors")
        );
        assert_eq!(
            object_of(&tags(&["k8s-name:web", "k8s-kind:Ingress"])),
            None,
            "no version"
        );
        let placeholder = [
            "k8s-name:UNKNOWN",
            "k8s-kind:Service",
            "k8s-version:v1",
            "k8s-group:core",
        ];
        assert_eq!(object_of(&tags(&placeholder)), None);
    }
}
