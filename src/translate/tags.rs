//! Tags: an entity's owner, readable for people and for the attribution of a proxy's errors (`kic.md` 4.2).

use super::{annotations, problems::Problems, syntax};
use crate::model::Kind;

use super::problems::Owner;

/// The tags of what comes from an object: its identity, then the user's own.
pub(super) fn object_tags(owner: Owner<'_>) -> Vec<String> {
    rule_tags(owner, &[])
}

/// The tags of what comes from rules with these names: the names stand before the user's own tags.
pub(super) fn rule_tags(owner: Owner<'_>, rule_names: &[&str]) -> Vec<String> {
    let metadata = owner.metadata;
    let mut tags = Vec::with_capacity(6);
    let identity = [
        ("k8s-name:", &*metadata.name),
        ("k8s-namespace:", &*metadata.namespace),
        ("k8s-kind:", owner.kind.name()),
        ("k8s-uid:", &*metadata.uid),
        ("k8s-group:", owner.kind.group()),
        ("k8s-version:", owner.kind.version()),
    ];
    for (key, value) in identity {
        // A manifest may hold any text as its UID.
        if !value.is_empty() && (key != "k8s-uid:" || syntax::is_tag(value)) {
            tags.push([key, value].concat());
        }
    }
    for name in rule_names {
        let tag = ["k8s-named-route-rule:", name].concat();
        if syntax::is_tag(name) && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if let Some(value) = metadata.annotation(annotations::TAGS) {
        for tag in annotations::list(value) {
            if syntax::is_tag(tag) && !tags.iter().any(|present| present == tag) {
                tags.push(tag.to_owned());
            }
        }
    }
    tags
}

/// Reports what is wrong with annotations of any object that something is made of: those that nobody
/// reads there, and tags that a proxy would refuse, which [`object_tags`] leaves out.
pub(super) fn check(owner: Owner<'_>, problems: &mut Problems) {
    annotations::check(owner, problems);
    let Some(value) = owner.metadata.annotation(annotations::TAGS) else {
        return;
    };
    for tag in annotations::list(value).filter(|tag| !syntax::is_tag(tag)) {
        problems.annotation(
            owner,
            annotations::TAGS,
            format!("the tag {tag:?} holds a slash or a control character, which Kong refuses; it is left out"),
            "use tags of printable characters without a slash",
        );
    }
}

/// The tags of a service whose Kubernetes Service does not exist, as Kong Ingress Controller writes them.
pub(super) fn unknown_service_tags() -> Vec<String> {
    [
        "k8s-name:UNKNOWN".to_owned(),
        "k8s-namespace:UNKNOWN".to_owned(),
        format!("k8s-kind:{}", Kind::Service.name()),
        "k8s-uid:00000000-0000-0000-0000-000000000000".to_owned(),
        "k8s-group:core".to_owned(),
        format!("k8s-version:{}", Kind::Service.version()),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kubernetes::Metadata;

    #[test]
    fn a_uid_that_kong_would_refuse_is_no_tag() {
        let of_uid = |uid: &str| {
            let metadata = Metadata {
                name: "web".into(),
                uid: uid.into(),
                ..Metadata::default()
            };
            object_tags(Owner::new(Kind::Service, &metadata))
        };
        assert_eq!(
            of_uid("1"),
            ["k8s-name:web", "k8s-kind:Service", "k8s-uid:1", "k8s-version:v1"]
        );
        assert_eq!(of_uid("a/b"), ["k8s-name:web", "k8s-kind:Service", "k8s-version:v1"]);
    }
}
