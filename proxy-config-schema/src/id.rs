//! Identifiers of entities: version 5 UUIDs (RFC 9562, SHA-1) of their names.
//!
//! Kong Ingress Controller and Kong itself use the same root namespace, so that an entity that is sent without an
//! identifier gets the one that the controller would have computed (`kic.md` 4.12). Metrics and rate-limit counters of
//! users hang on these values. Called by `translate` and by the embedded proxy.

use uuid::Uuid;

/// The namespace from which those of all entity types derive.
const ROOT: Uuid = Uuid::from_u128(0xfd02801f_0957_4a15_a55a_c8d9606f30b5);

/// The namespace of an entity type, by its plural as Kong's tables are named: `services`, `routes`, ….
pub fn namespace(plural: &str) -> Uuid {
    Uuid::new_v5(&ROOT, plural.as_bytes())
}

/// The identifier of an entity by its type's plural and its key, within a workspace if one is named.
pub fn entity(plural: &str, workspace: Option<&str>, key: &str) -> Uuid {
    let namespace = namespace(plural);
    match workspace {
        Some(workspace) => Uuid::new_v5(&namespace, format!("{workspace}/{key}").as_bytes()),
        None => Uuid::new_v5(&namespace, key.as_bytes()),
    }
}

/// Whether Kong takes the text as an identifier.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// The identifier of a service.
pub fn service(workspace: Option<&str>, name: &str) -> Uuid {
    entity("services", workspace, name)
}

/// The identifier of a route.
pub fn route(workspace: Option<&str>, name: &str) -> Uuid {
    entity("routes", workspace, name)
}

/// The identifier of a consumer. Those without a username get none from Kong Ingress Controller.
pub fn consumer(workspace: Option<&str>, username: &str) -> Uuid {
    entity("consumers", workspace, username)
}

/// The identifier of a consumer group.
pub fn consumer_group(workspace: Option<&str>, name: &str) -> Uuid {
    entity("consumergroups", workspace, name)
}

/// The identifier of a vault, by the prefix of its references.
pub fn vault(workspace: Option<&str>, prefix: &str) -> Uuid {
    entity("vaults", workspace, prefix)
}

/// The identifier of a licence, by the name of its KongLicense object (`kic.md` 4.10).
pub fn license(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::nil(), format!("KongLicense:{name}").as_bytes())
}

/// What a plugin is attached to, by name: part of its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PluginScope<'a> {
    /// Name of the service.
    pub service: Option<&'a str>,
    /// Name of the route.
    pub route: Option<&'a str>,
    /// Username of the consumer.
    pub consumer: Option<&'a str>,
    /// Name of the consumer group.
    pub consumer_group: Option<&'a str>,
}

/// The identifier of a plugin that refers to what it is attached to.
pub fn plugin(workspace: Option<&str>, name: &str, scope: PluginScope<'_>) -> Uuid {
    entity("plugins", workspace, &plugin_key(name, scope))
}

/// The key of a plugin's identifier: its type, then each reference that is present.
pub fn plugin_key(name: &str, scope: PluginScope<'_>) -> String {
    let references = [
        ("service", scope.service),
        ("route", scope.route),
        ("consumer", scope.consumer),
        ("consumer_group", scope.consumer_group),
    ];
    let mut key = name.to_owned();
    for (kind, referred) in references {
        if let Some(referred) = referred {
            key.push(':');
            key.push_str(kind);
            key.push('/');
            key.push_str(referred);
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_those_of_kong_ingress_controller() {
        let expected = [
            ("services", "90050c4f-539a-5bd9-bfb5-2ff1c430ca18"),
            ("routes", "78aafefa-16c7-5598-8955-58dc6264b27a"),
            ("consumers", "7e5adc17-c056-5c54-98c0-7f88774fccf6"),
            ("consumergroups", "4b01092a-c5c8-53f2-bed8-175b4436913f"),
            ("vaults", "66ef8da9-18d3-5bbc-9241-62b0e3ead8f1"),
            ("plugins", "e9b79996-068a-576f-804e-98a685f0a58e"),
        ];
        for (plural, id) in expected {
            assert_eq!(namespace(plural).to_string(), id, "{plural}");
        }
    }

    #[test]
    fn identifiers_are_those_of_kong_ingress_controller() {
        assert_eq!(
            service(None, "default.s1.80").to_string(),
            "9e262d22-26f2-5bcb-8d57-c5229fb8c5a2"
        );
        assert_eq!(
            service(Some("ws1"), "default.s1.80").to_string(),
            "102a7114-4222-574d-89b3-ad8b11b62b6a"
        );
        assert_eq!(
            route(None, "default.i1.s1..80").to_string(),
            "226e9894-47fd-5dd2-9af0-4b49a2b45c5e"
        );
        assert_eq!(
            consumer(None, "consumer").to_string(),
            "7deb6e70-60be-5dd2-b374-06551479ea5e"
        );
        assert_eq!(
            vault(None, "env-vault").to_string(),
            "83f8a390-9ae0-5749-bdb3-40c856a35705"
        );
        let scope = PluginScope {
            route: Some("default.i1.s1..80"),
            ..PluginScope::default()
        };
        assert_eq!(
            plugin(None, "degraphql", scope).to_string(),
            "930be9b8-4872-5184-90f6-836547507ba1"
        );
    }

    #[test]
    fn a_plugin_names_all_that_it_is_attached_to_in_a_fixed_order() {
        let scope = PluginScope {
            service: Some("s"),
            route: Some("r"),
            consumer: Some("c"),
            consumer_group: Some("g"),
        };
        assert_eq!(
            plugin_key("acl", scope),
            "acl:service/s:route/r:consumer/c:consumer_group/g"
        );
    }
}
