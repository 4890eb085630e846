//! ReferenceGrants: whether an object may refer to one of another namespace. Pure; asked for backends, listeners'
//! certificates and plugins.

use std::collections::HashMap;

use crate::{
    model::{Kind, Snapshot, gateway::ReferenceGrant},
    translate::problems::Owner,
};

/// The grants by the namespace that gives them.
#[derive(Debug, Default)]
pub(in crate::translate) struct Grants<'a>(HashMap<&'a str, Vec<&'a ReferenceGrant>>);

impl<'a> Grants<'a> {
    /// Those of all namespaces.
    pub(in crate::translate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut grants: HashMap<&str, Vec<&ReferenceGrant>> = HashMap::new();
        for (key, grant) in &*snapshot.reference_grants {
            grants.entry(&key.namespace).or_default().push(grant);
        }
        Self(grants)
    }

    /// Whether `from` may refer to that object: within a namespace always, to another one if a grant there says so.
    pub(in crate::translate) fn permits(&self, from: Owner<'_>, to: Kind, namespace: &str, name: &str) -> bool {
        if *from.metadata.namespace == *namespace {
            return true;
        }
        let grants = self.0.get(namespace).map_or(&[][..], Vec::as_slice);
        grants.iter().any(|grant| {
            let is_from = grant.spec.from.iter().any(|given| {
                (given.group.as_str(), given.kind.as_str(), given.namespace.as_str())
                    == (from.kind.group(), from.kind.name(), &*from.metadata.namespace)
            });
            let is_to = grant.spec.to.iter().any(|given| {
                let is_name = given
                    .name
                    .as_deref()
                    .is_none_or(|given| given.is_empty() || given == name);
                given.group == to.group() && given.kind == to.name() && is_name
            });
            is_from && is_to
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Object, kubernetes::Metadata};

    fn permits(grant: &serde_json::Value, namespace: &str, name: &str) -> bool {
        let mut snapshot = Snapshot::default();
        let object = json!({"metadata": {"name": "grant", "namespace": "data"}, "spec": grant});
        snapshot.insert(Object::from_json(Kind::ReferenceGrant, object).expect("a grant"));
        let metadata = Metadata {
            name: "web".into(),
            namespace: "shop".into(),
            ..Metadata::default()
        };
        Grants::new(&snapshot).permits(Owner::new(Kind::HTTPRoute, &metadata), Kind::Service, namespace, name)
    }

    #[test]
    fn a_grant_says_who_may_refer_to_what() {
        let from = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}]);
        let services = json!([{"group": "", "kind": "Service"}]);
        let all = json!({"from": from, "to": services});
        assert!(permits(&all, "data", "db"));
        assert!(permits(&json!({}), "shop", "db"), "the own namespace needs no grant");
        assert!(!permits(&all, "other", "db"), "a grant speaks for its own namespace");
        let one = json!({"from": from, "to": [{"kind": "Service", "name": "db"}]});
        assert!(permits(&one, "data", "db"));
        assert!(!permits(&one, "data", "other"));
        let secrets = json!({"from": from, "to": [{"kind": "Secret"}]});
        assert!(!permits(&secrets, "data", "db"));
        let others = json!([{"group": "gateway.networking.k8s.io", "kind": "TCPRoute", "namespace": "shop"}]);
        assert!(!permits(&json!({"from": others, "to": services}), "data", "db"));
        let elsewhere = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "else"}]);
        assert!(!permits(&json!({"from": elsewhere, "to": services}), "data", "db"));
    }
}
