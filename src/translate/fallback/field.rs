//! Where in an object it stands what a proxy refused of an entity that was made of it. Pure.

use crate::{
    model::{
        Object,
        kong::PluginFields,
        kubernetes::{Ingress, Metadata, Secret},
    },
    translate::{
        annotations::{self, PREFIX, UPSTREAM_POLICY},
        problems::annotation_field,
    },
};

/// Settings of an upstream that a KongUpstreamPolicy makes.
const OF_POLICY: &[&str] = &["algorithm", "slots", "hash_", "healthchecks", "sticky_sessions"];

/// The object's own field, if that can be known; else the entity's, as Kong names it (`paths.1`, `config.minute`).
pub(super) fn of(object: &Object, entity_type: &str, field: &str) -> String {
    let root = field.split(['.', '[']).next().unwrap_or_default();
    let known = match object {
        Object::KongPlugin(found) => of_plugin(&found.plugin, root),
        Object::KongClusterPlugin(found) => of_plugin(&found.plugin, root),
        Object::KongVault(_) if entity_type == "vault" => Some(match root {
            "name" => "spec.backend".to_owned(),
            _ => format!("spec.{field}"),
        }),
        Object::KongCustomEntity(found) if found.spec.fields.contains_key(root) => Some(format!("spec.fields.{field}")),
        Object::Secret(found) => of_secret(found, entity_type, root),
        Object::Ingress(found) if entity_type == "route" => of_ingress(found, root),
        _ => None,
    };
    let known = known.or_else(|| of_annotation(object.metadata(), entity_type, root));
    known.unwrap_or_else(|| field.to_owned())
}

fn of_plugin(plugin: &PluginFields, root: &str) -> Option<String> {
    match root {
        "name" => Some("plugin".to_owned()),
        "enabled" => Some("disabled".to_owned()),
        "config" if plugin.config_from.is_some() => Some("configFrom".to_owned()),
        _ => None,
    }
}

fn of_secret(secret: &Secret, entity_type: &str, root: &str) -> Option<String> {
    let key = match (entity_type, root) {
        ("certificate", "cert") => "tls.crt",
        ("certificate", "key") => "tls.key",
        _ => root,
    };
    let has_it = secret.data.contains_key(key) || secret.string_data.contains_key(key);
    has_it.then(|| format!("data[{key}]"))
}

/// Several paths go to Kong in another order than they stand in.
fn of_ingress(ingress: &Ingress, root: &str) -> Option<String> {
    let [rule] = &*ingress.spec.rules else { return None };
    match root {
        "hosts" if !rule.host.is_empty() => Some("spec.rules[0].host".to_owned()),
        "paths" if rule.http.as_ref()?.paths.len() == 1 => Some("spec.rules[0].http.paths[0].path".to_owned()),
        _ => None,
    }
}

/// What an annotation of the object says.
fn of_annotation(metadata: &Metadata, entity_type: &str, root: &str) -> Option<String> {
    let own = format!("{PREFIX}{}", root.replace('_', "-"));
    let is_of_policy = entity_type == "upstream" && OF_POLICY.iter().any(|setting| root.starts_with(setting));
    let candidates = match root {
        "ca_certificates" => [
            annotations::CA_CERTIFICATES_SECRETS,
            annotations::CA_CERTIFICATES_CONFIG_MAPS,
        ]
        .as_slice(),
        "client_certificate" => &[annotations::CLIENT_CERT],
        _ if is_of_policy => &[UPSTREAM_POLICY],
        _ => &[own.as_str()],
    };
    let set = candidates.iter().find(|name| metadata.annotation(name).is_some())?;
    Some(annotation_field(set))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Kind;

    fn field(kind: Kind, mut object: Value, entity_type: &str, field: &str) -> String {
        object["metadata"]["name"] = json!("web");
        let object = Object::from_json(kind, object).expect("it can be read");
        of(&object, entity_type, field)
    }

    #[test]
    fn it_is_the_objects_own_where_that_is_known() {
        let paths = |count: usize| {
            let path = json!({"path": "/", "pathType": "Prefix", "backend": {}});
            json!({"metadata": {"annotations": {"konghq.com/methods": "get", "konghq.com/headers.x": "~*("}},
                "spec": {"rules": [{"host": "a.example", "http": {"paths": vec![path; count]}}]}})
        };
        let plugin = json!({"plugin": "rate-limiting", "config": {"minute": 0}});
        let from_secret = json!({"plugin": "rate-limiting", "configFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
        let service = json!({"metadata": {"annotations": {"konghq.com/connect-timeout": "1", "konghq.com/upstream-policy": "p",
            "konghq.com/ca-certificates-secrets": "ca"}}});
        let vault = json!({"spec": {"backend": "env", "prefix": "v"}});
        let custom = json!({"spec": {"type": "things", "fields": {"uri": "x"}}});
        let pair = json!({"data": {"tls.crt": "", "tls.key": ""}});
        let credential = json!({"stringData": {"username": "u"}});
        for (kind, object, entity_type, kongs, expected) in [
            (
                Kind::Ingress,
                paths(1),
                "route",
                "paths.1",
                "spec.rules[0].http.paths[0].path",
            ),
            (Kind::Ingress, paths(2), "route", "paths.1", "paths.1"),
            (Kind::Ingress, paths(2), "route", "hosts[0]", "spec.rules[0].host"),
            (
                Kind::Ingress,
                paths(1),
                "route",
                "methods.1",
                "metadata.annotations[konghq.com/methods]",
            ),
            (Kind::Ingress, paths(1), "service", "path", "path"),
            (
                Kind::KongPlugin,
                plugin.clone(),
                "plugin",
                "config.minute",
                "config.minute",
            ),
            (Kind::KongPlugin, plugin, "plugin", "name", "plugin"),
            (Kind::KongPlugin, from_secret, "plugin", "config.minute", "configFrom"),
            (
                Kind::Service,
                service.clone(),
                "service",
                "connect_timeout",
                "metadata.annotations[konghq.com/connect-timeout]",
            ),
            (
                Kind::Service,
                service.clone(),
                "service",
                "ca_certificates",
                "metadata.annotations[konghq.com/ca-certificates-secrets]",
            ),
            (
                Kind::Service,
                service,
                "upstream",
                "healthchecks.active.timeout",
                "metadata.annotations[konghq.com/upstream-policy]",
            ),
            (Kind::KongVault, vault.clone(), "vault", "name", "spec.backend"),
            (Kind::KongVault, vault, "vault", "config.host", "spec.config.host"),
            (
                Kind::KongCustomEntity,
                custom.clone(),
                "thing",
                "uri",
                "spec.fields.uri",
            ),
            (Kind::KongCustomEntity, custom, "thing", "other", "other"),
            (Kind::Secret, pair, "certificate", "cert", "data[tls.crt]"),
            (
                Kind::Secret,
                credential,
                "basicauth_credential",
                "username",
                "data[username]",
            ),
        ] {
            assert_eq!(
                field(kind, object, entity_type, kongs),
                expected,
                "{kind:?}: {entity_type} {kongs}"
            );
        }
    }
}
