//! What of an old release must outlive the upgrade, and when it may go.
//!
//! Helm deletes what the old release owns and the new one does not render, before the last old pod has gone: the
//! account that old pods read the cluster with, their Secrets, even definitions with every object of their kinds.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::release::{ManifestObject, ObjectName};

/// Annotation of what is kept for old pods alone: namespace and name of the release. Nothing else is ever removed.
pub const KEPT_FOR: &str = "gateway.silverback.dev/kept-for";

/// A kind of which objects are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptKind {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Version in which it can be read in every cluster.
    pub version: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Resource name in URLs.
    pub plural: &'static str,
    /// Whether objects live in namespaces.
    pub is_namespaced: bool,
}

const fn kind(group: &'static str, name: &'static str, plural: &'static str, is_namespaced: bool) -> KeptKind {
    KeptKind {
        group,
        version: "v1",
        name,
        plural,
        is_namespaced,
    }
}

/// What old pods depend on while they last, and last of all the definitions.
pub const KEPT_KINDS: [KeptKind; 8] = [
    kind("", "ServiceAccount", "serviceaccounts", true),
    kind("", "Secret", "secrets", true),
    kind("", "ConfigMap", "configmaps", true),
    kind("rbac.authorization.k8s.io", "Role", "roles", true),
    kind("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", true),
    kind("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false),
    kind(
        "rbac.authorization.k8s.io",
        "ClusterRoleBinding",
        "clusterrolebindings",
        false,
    ),
    kind(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        false,
    ),
];

/// The kind of an object, if such objects are kept.
pub fn kept_kind(name: &ObjectName) -> Option<KeptKind> {
    let mut kinds = KEPT_KINDS.into_iter();
    kinds.find(|kind| kind.group == name.group() && kind.name == name.kind)
}

/// Objects of one record.
const MAX_RECORDED: usize = 1_000;

/// What Helm would delete too early: of the old manifest, without what the new one renders; without a new one,
/// everything of these kinds.
pub fn kept(old: &[ManifestObject], new: Option<&[ManifestObject]>) -> Vec<ObjectName> {
    let is_rendered = |name: &ObjectName| {
        let mut new = new.into_iter().flatten();
        new.any(|object| object.name.is_same(name))
    };
    let kept = old
        .iter()
        .map(|object| &object.name)
        .filter(|name| kept_kind(name).is_some() && !is_rendered(name));
    kept.cloned().collect()
}

/// Whether it is a definition: those are never removed, since every object of their kinds would go with them.
pub fn is_definition(name: &ObjectName) -> bool {
    name.kind == "CustomResourceDefinition"
}

/// What the leader shall remove once no old pod is left: written by `silverback adopt` into a ConfigMap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The objects.
    pub objects: Vec<RecordedObject>,
}

/// One object of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedObject {
    /// Which one.
    #[serde(flatten)]
    pub name: ObjectName,
    /// Another one of that name is not meant.
    pub uid: String,
}

/// Why a record can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record of what an upgrade left is not usable: {0}")]
pub struct InvalidRecord(String);

impl Record {
    /// Key of the ConfigMap.
    pub const KEY: &str = "objects.json";

    /// As it is written.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("names are texts")
    }

    /// Reads what was written. Only kinds that `adopt` records are taken: whoever may write a ConfigMap must not be able
    /// to have other objects deleted.
    ///
    /// # Errors
    /// It is something else.
    pub fn read(text: &str) -> Result<Self, InvalidRecord> {
        let record: Self = serde_json::from_str(text).map_err(|error| InvalidRecord(error.to_string()))?;
        if record.objects.len() > MAX_RECORDED {
            return Err(InvalidRecord(format!("more than {MAX_RECORDED} objects")));
        }
        let removable = |object: &&RecordedObject| kept_kind(&object.name).is_some() && !is_definition(&object.name);
        match record.objects.iter().find(|object| !removable(object)) {
            Some(object) => Err(InvalidRecord(format!(
                "{} is of no kind that is ever removed",
                object.name
            ))),
            None => Ok(record),
        }
    }
}

/// A pod, as far as it may need what was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodNeeds {
    /// Its name.
    pub name: String,
    /// The account that it runs with.
    pub service_account: String,
    /// Secrets that it mounts or reads into its environment.
    pub secrets: BTreeSet<String>,
    /// ConfigMaps, the same.
    pub config_maps: BTreeSet<String>,
    /// Arguments of the controller beside its proxy, if it runs one as pods of the kong chart and of sidecar mode do.
    pub sidecar: Option<Vec<String>>,
    /// Whether all of its containers have ended for good.
    pub has_ended: bool,
}

impl PodNeeds {
    fn needs(&self, object: &RecordedObject) -> bool {
        let name = &object.name.name;
        match object.name.kind.as_str() {
            "ServiceAccount" => self.service_account == *name,
            "Secret" => self.secrets.contains(name),
            "ConfigMap" => self.config_maps.contains(name),
            // Rights: which pod has them by which binding is not asked. Whoever else runs a controller may, and counts anyway.
            _ => false,
        }
    }

    /// Whether it has a controller beside its proxy that writes statuses whoever leads: not one that asks for the Lease of the
    /// controller in the pod `own`.
    pub fn writes_statuses(&self, own: Option<&Self>) -> bool {
        fn lease(sidecar: Option<&Vec<String>>) -> Option<&str> {
            let mut arguments = sidecar?.iter();
            arguments.find_map(|argument| argument.strip_prefix("--election-id="))
        }
        let own = own.and_then(|own| lease(own.sidecar.as_ref()));
        self.sidecar.is_some() && (own.is_none() || lease(self.sidecar.as_ref()) != own)
    }
}

/// Pods of the old release that are still there: those that run with an account, or use a Secret or ConfigMap, that only
/// the old release has, and those with a controller other than that in the pod `own`: it may have rights that are kept, and writes
/// statuses. Nothing may be removed before there are none.
pub fn old_pods<'a>(record: &Record, pods: &'a [PodNeeds], own: Option<&str>) -> Vec<&'a PodNeeds> {
    let own_sidecar = pods
        .iter()
        .find(|pod| own == Some(pod.name.as_str()))
        .and_then(|pod| pod.sidecar.as_ref());
    let needs = |pod: &&PodNeeds| {
        let mut objects = record.objects.iter();
        let has_another_controller = pod.sidecar.is_some() && pod.sidecar.as_ref() != own_sidecar;
        !pod.has_ended && (has_another_controller || objects.any(|object| pod.needs(object)))
    };
    pods.iter().filter(needs).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::needless_pass_by_value, clippy::unwrap_used)]

    use super::*;
    use crate::upgrade::release::manifest;

    const OLD: &str = "\
{apiVersion: v1, kind: ServiceAccount, metadata: {name: shop-kong}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: shop-kong}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: kongplugins.configuration.konghq.com}}
---
{apiVersion: v1, kind: Secret, metadata: {name: shop-kong-validation-webhook-keypair}}
---
{apiVersion: v1, kind: Secret, metadata: {name: shop-both}}
---
{apiVersion: v1, kind: Service, metadata: {name: shop-kong-manager}}
---
{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: prometheus}}
";
    const NEW: &str = "{apiVersion: v1, kind: Secret, metadata: {name: shop-both, namespace: gateway}}";

    fn texts(names: &[ObjectName]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_old_pods_need_and_the_new_release_lacks_is_kept() {
        let (old, new) = (manifest(OLD, "gateway").unwrap(), manifest(NEW, "gateway").unwrap());
        let expected = [
            "ServiceAccount gateway/shop-kong",
            "ClusterRole shop-kong",
            "CustomResourceDefinition kongplugins.configuration.konghq.com",
            "Secret gateway/shop-kong-validation-webhook-keypair",
        ];
        assert_eq!(texts(&kept(&old, Some(&new))), expected);
        let all = texts(&kept(&old, None));
        assert_eq!(all.len(), 5, "{all:?}");
        assert!(kept(&old, Some(&old)).is_empty());
    }

    fn record() -> Record {
        let objects = kept(&manifest(OLD, "gateway").unwrap(), None).into_iter();
        let objects = objects.filter(|name| !is_definition(name));
        Record {
            objects: objects
                .map(|name| RecordedObject {
                    name,
                    uid: "1".to_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn a_record_is_read_as_it_is_written_and_names_nothing_else() {
        let record = record();
        assert_eq!(Record::read(&record.text()), Ok(record.clone()));
        let definition = record.text().replace("\"ClusterRole\"", "\"Deployment\"");
        assert!(
            Record::read(&definition)
                .unwrap_err()
                .to_string()
                .contains("ever removed")
        );
        assert!(Record::read("{}").is_err());
    }

    fn names<'a>(pods: &[&'a PodNeeds]) -> Vec<&'a str> {
        pods.iter().map(|pod| pod.name.as_str()).collect()
    }

    #[test]
    fn nothing_goes_before_the_last_old_pod() {
        let record = record();
        let pod = |name: &str, account: &str| PodNeeds {
            name: name.to_owned(),
            service_account: account.to_owned(),
            ..PodNeeds::default()
        };
        let new = pod("new", "shop-kong-controller");
        let old = pod("old", "shop-kong");
        let ended = PodNeeds {
            has_ended: true,
            ..pod("ended", "shop-kong")
        };
        let mounting = PodNeeds {
            secrets: BTreeSet::from(["shop-both".to_owned()]),
            ..pod("mounting", "default")
        };
        assert!(old_pods(&record, &[new.clone(), ended.clone()], None).is_empty());
        assert_eq!(
            names(&old_pods(&record, &[new, old, ended, mounting], None)),
            ["old", "mounting"]
        );
    }

    #[test]
    fn rights_stay_as_long_as_a_controller_beside_a_proxy_may_have_them() {
        let mut rights = record();
        rights.objects.retain(|object| object.name.kind == "ClusterRole");
        // The account is the same in both releases.
        let pod = |name: &str, arguments: Option<&[&str]>| PodNeeds {
            name: name.to_owned(),
            service_account: "shop-kong".to_owned(),
            sidecar: arguments.map(|arguments| arguments.iter().map(|word| (*word).to_owned()).collect()),
            ..PodNeeds::default()
        };
        let split = [pod("controller", None), pod("proxy", None), pod("old", Some(&[]))];
        assert_eq!(names(&old_pods(&rights, &split, Some("controller"))), ["old"]);
        assert!(old_pods(&rights, &split[..2], Some("controller")).is_empty());
        let sidecars = [
            pod("own", Some(&["run"])),
            pod("other", Some(&["run"])),
            pod("old", Some(&[])),
        ];
        assert_eq!(names(&old_pods(&rights, &sidecars, Some("own"))), ["old"]);
        assert!(old_pods(&rights, &sidecars[..2], Some("own")).is_empty());
        let nothing = Record::default();
        assert_eq!(
            names(&old_pods(&nothing, &split, Some("controller"))),
            ["old"],
            "it writes statuses"
        );
    }

    #[test]
    fn statuses_are_written_by_controllers_that_ask_for_no_lease_or_another_one() {
        let pod = |arguments: Option<&[&str]>| PodNeeds {
            sidecar: arguments.map(|arguments| arguments.iter().map(|word| (*word).to_owned()).collect()),
            ..PodNeeds::default()
        };
        let (former, proxy) = (pod(Some(&[])), pod(None));
        let (own, next) = (
            pod(Some(&["run", "--election-id=a"])),
            pod(Some(&["run", "--election-id=a", "--log-level=debug"])),
        );
        assert!(
            former.writes_statuses(Some(&proxy)) && former.writes_statuses(Some(&own)) && former.writes_statuses(None)
        );
        assert!(
            own.writes_statuses(Some(&proxy)),
            "the new leader has a Lease of its own"
        );
        assert!(!next.writes_statuses(Some(&own)) && !proxy.writes_statuses(Some(&own)));
    }
}
