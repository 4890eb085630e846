//! May our custom resource definitions be put over those that stand in the cluster?

use semver::Version;
use serde_json::Value;

/// Annotation of our definitions: the release of silverback that they belong to.
pub const VERSION_ANNOTATION: &str = "gateway.silverback.dev/definitions-version";
/// Annotation of Kong's definitions: the release of their common source.
const KONG_VERSION_ANNOTATION: &str = "kubernetes-configuration.konghq.com/version";
/// Annotation of what a Helm release owns: its name.
const HELM_RELEASE: &str = "meta.helm.sh/release-name";
/// Annotation of what a Helm release owns: its namespace.
const HELM_NAMESPACE: &str = "meta.helm.sh/release-namespace";
/// Annotation by which Helm never deletes an object.
const HELM_POLICY: &str = "helm.sh/resource-policy";

/// A definition, ours or one in a cluster, as far as decisions need it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definition {
    /// `PLURAL.GROUP`
    pub name: String,
    /// The release of silverback that put it there.
    pub version: Option<String>,
    /// The release of Kong's definitions that it is, or is compatible with.
    pub kong_version: Option<String>,
    /// `Namespaced` or `Cluster`.
    pub scope: String,
    /// Versions that it has.
    pub versions: Vec<String>,
    /// Versions in which objects may be stored.
    pub stored_versions: Vec<String>,
    /// Whether somebody deleted it, and it is not gone yet.
    pub is_going: bool,
    /// Namespace and name of the Helm release that owns it.
    pub helm_release: Option<(String, String)>,
    /// Whether Helm never deletes it.
    pub is_kept: bool,
    /// Whether the API server serves it.
    pub is_established: bool,
}

impl Definition {
    /// Reads it from JSON; what is not there is empty.
    pub fn read(definition: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &definition["metadata"];
        let annotation = |name: &str| metadata["annotations"][name].as_str().map(str::to_owned);
        let texts = |list: &Value| list.as_array().into_iter().flatten().map(text).collect();
        let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
        let mut conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
        Self {
            name: text(&metadata["name"]),
            version: annotation(VERSION_ANNOTATION),
            kong_version: annotation(KONG_VERSION_ANNOTATION),
            scope: text(&definition["spec"]["scope"]),
            versions: versions.map(|version| text(&version["name"])).collect(),
            stored_versions: texts(&definition["status"]["storedVersions"]),
            is_going: !metadata["deletionTimestamp"].is_null(),
            helm_release: annotation(HELM_RELEASE)
                .map(|release| (annotation(HELM_NAMESPACE).unwrap_or_default(), release)),
            is_kept: annotation(HELM_POLICY).as_deref() == Some("keep"),
            is_established: conditions
                .any(|condition| condition["type"] == "Established" && condition["status"] == "True"),
        }
    }
}

/// What is to be done about one definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// There is none.
    Create,
    /// One stands there that no silverback put there, such as Kong Ingress Controller's.
    TakeOver,
    /// One of an older silverback stands there.
    Upgrade {
        /// Its release.
        from: String,
    },
    /// The same release stands there: what was changed by hand is put right.
    Confirm,
    /// It must not be touched.
    Refuse(Refusal),
}

/// Why something must not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do, without a full stop.
    pub remedy: String,
}

/// What is to be done so that `wanted` stands where `found` does.
pub fn step(wanted: &Definition, found: Option<&Definition>) -> Step {
    let Some(found) = found else {
        return Step::Create;
    };
    match refusal(wanted, found) {
        Some((message, remedy)) => Step::Refuse(Refusal {
            message,
            remedy: remedy.to_owned(),
        }),
        None => match &found.version {
            None => Step::TakeOver,
            Some(version) if Some(version) == wanted.version.as_ref() => Step::Confirm,
            Some(version) => Step::Upgrade { from: version.clone() },
        },
    }
}

fn refusal(wanted: &Definition, found: &Definition) -> Option<(String, &'static str)> {
    if found.is_going {
        return Some((
            "it is being deleted, and all objects of its kind with it".to_owned(),
            "wait until it is gone, then try again",
        ));
    }
    if let (Some(here), Some(ours)) = (&found.version, &wanted.version) {
        match is_older(ours, here) {
            Some(false) => {}
            Some(true) => {
                return Some((
                    format!("it is of silverback {here}, which is newer than {ours}: fields of objects would be lost"),
                    "use that release or a newer one; or leave the definitions as they are, which an older controller \
                     works with: crds.manage=false in the chart",
                ));
            }
            None => {
                return Some((
                    format!("its annotation {VERSION_ANNOTATION} is {here:?}, which is no version"),
                    "remove the annotation if no newer silverback put it there",
                ));
            }
        }
    }
    // Of ours, our own release decides: it is the same source.
    if let (None, Some(here), Some(ours)) = (&found.version, &found.kong_version, &wanted.kong_version)
        && is_older(ours, here) == Some(true)
    {
        return Some((
            format!("it is of Kong's definitions {here}, which are newer than {ours}: fields of objects would be lost"),
            "use a newer silverback; or leave Kong's definitions as they are: crds.manage=false in the chart, and \
             `silverback crds apply --group gateway.silverback.dev` for those that are missing then",
        ));
    }
    if !found.scope.is_empty() && found.scope != wanted.scope {
        return Some((
            format!("its scope is {}, and can't become {}", found.scope, wanted.scope),
            "it is of an earlier generation of this kind: back up its objects, delete it, and create them again after \
             this",
        ));
    }
    let lost = found
        .stored_versions
        .iter()
        .find(|stored| !wanted.versions.contains(stored));
    lost.map(|lost| {
        (
            format!(
                "objects may be stored in version {lost}, which is not among ours ({}): they could not be read any more",
                wanted.versions.join(", ")
            ),
            "write all objects of the kind once more (kubectl get … -A -o json | kubectl replace -f -), then take the \
             version out of status.storedVersions",
        )
    })
}

/// Whether one version is older than another; `None` if the other one is no version.
fn is_older(one: &str, other: &str) -> Option<bool> {
    let read = |text: &str| Version::parse(text.trim_start_matches('v')).ok();
    Some(read(one)? < read(other)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::needless_pass_by_value, clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn wanted() -> Definition {
        Definition {
            name: "kongplugins.configuration.konghq.com".to_owned(),
            version: Some("0.2.0".to_owned()),
            kong_version: Some("v2.0.0-alpha.1".to_owned()),
            scope: "Namespaced".to_owned(),
            versions: vec!["v1".to_owned()],
            ..Definition::default()
        }
    }

    /// One in a cluster, with annotations and stored versions.
    fn found(annotations: Value, stored: Value) -> Definition {
        Definition::read(&json!({
            "metadata": { "name": "kongplugins.configuration.konghq.com", "annotations": annotations },
            "spec": { "scope": "Namespaced", "versions": [{ "name": "v1" }, { "name": "v1beta1" }] },
            "status": { "storedVersions": stored },
        }))
    }

    fn said(step: &Step) -> &str {
        match step {
            Step::Refuse(refusal) => &refusal.message,
            _ => panic!("{step:?} is no refusal"),
        }
    }

    #[test]
    fn what_is_older_or_nobody_s_makes_way() {
        let wanted = wanted();
        assert_eq!(step(&wanted, None), Step::Create);
        assert_eq!(step(&wanted, Some(&found(json!({}), json!(["v1"])))), Step::TakeOver);
        let kong = found(json!({ KONG_VERSION_ANNOTATION: "v2.0.0-alpha.1" }), json!(["v1"]));
        assert_eq!(step(&wanted, Some(&kong)), Step::TakeOver);
        let older = found(json!({ VERSION_ANNOTATION: "0.1.9" }), json!(["v1"]));
        assert_eq!(
            step(&wanted, Some(&older)),
            Step::Upgrade {
                from: "0.1.9".to_owned()
            }
        );
        let same = found(json!({ VERSION_ANNOTATION: "0.2.0" }), json!(["v1"]));
        assert_eq!(step(&wanted, Some(&same)), Step::Confirm);
    }

    #[test]
    fn what_is_newer_stays() {
        let wanted = wanted();
        let newer = found(json!({ VERSION_ANNOTATION: "0.10.0" }), json!(["v1"]));
        assert!(said(&step(&wanted, Some(&newer))).contains("silverback 0.10.0"));
        let newer = found(json!({ KONG_VERSION_ANNOTATION: "v2.0.0" }), json!(["v1"]));
        assert!(said(&step(&wanted, Some(&newer))).contains("v2.0.0"));
        let ours_of_newer = found(
            json!({ VERSION_ANNOTATION: "0.1.0", KONG_VERSION_ANNOTATION: "v2.0.0" }),
            json!(["v1"]),
        );
        assert!(matches!(step(&wanted, Some(&ours_of_newer)), Step::Upgrade { .. }));
        let unknown = found(json!({ VERSION_ANNOTATION: "latest" }), json!(["v1"]));
        assert!(said(&step(&wanted, Some(&unknown))).contains("no version"));
    }

    #[test]
    fn no_stored_version_is_lost() {
        let step = step(&wanted(), Some(&found(json!({}), json!(["v1", "v1beta1"]))));
        assert!(said(&step).contains("v1beta1"), "{step:?}");
    }

    #[test]
    fn what_is_going_or_of_another_scope_is_not_touched() {
        let mut going = found(json!({}), json!(["v1"]));
        going.is_going = true;
        assert!(said(&step(&wanted(), Some(&going))).contains("deleted"));
        let mut cluster = found(json!({}), json!(["v1"]));
        cluster.scope = "Cluster".to_owned();
        assert!(said(&step(&wanted(), Some(&cluster))).contains("scope"));
    }

    #[test]
    fn owners_are_read() {
        let owned = found(
            json!({ HELM_RELEASE: "old", HELM_NAMESPACE: "kong", HELM_POLICY: "keep" }),
            json!(["v1"]),
        );
        assert_eq!(owned.helm_release, Some(("kong".to_owned(), "old".to_owned())));
        assert!(owned.is_kept && !owned.is_established);
    }
}
