//! A Helm release, as Helm keeps it in a Secret: base64, gzip, JSON, and in it the manifest as YAML.
//!
//! What is in such a Secret was written by whoever may write Secrets there: everything is bounded.

use std::{fmt, io::Read};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Type of the Secrets.
pub const SECRET_TYPE: &str = "helm.sh/release.v1";
/// A release unpacked; a Secret holds at most 1 MiB of it packed.
const MAX_UNPACKED: u64 = 64 << 20;
/// Objects of one manifest.
const MAX_OBJECTS: usize = 10_000;
/// Values in one document of a manifest.
const MAX_VALUES: usize = 200_000;

/// One revision of a release.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Counts from 1.
    pub revision: u64,
    /// `deployed`, `superseded`, `pending-upgrade`, …
    pub status: String,
    /// Name of the chart.
    pub chart: String,
    /// Version of the chart.
    pub chart_version: String,
    /// What the user set.
    pub values: Value,
    /// The objects that it owns.
    pub objects: Vec<ManifestObject>,
}

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestObject {
    /// What is meant.
    pub name: ObjectName,
    /// All of it.
    pub content: Value,
}

/// Which object is meant, across versions of its API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectName {
    /// `group/version`, or the version alone in the core group.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, empty for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectName {
    /// API group, empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// Whether both mean the same object: Helm does not look at the version either.
    pub fn is_same(&self, other: &Self) -> bool {
        self.group() == other.group()
            && self.kind == other.kind
            && self.namespace == other.namespace
            && self.name == other.name
    }
}

/// `ServiceAccount shop/web`
impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(formatter, "{} {}", self.kind, self.name),
            namespace => write!(formatter, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// Why a release can't be read. Quotes nothing of it: values hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRelease {
    /// It is not what Helm writes.
    #[error("it is not in the form in which Helm keeps releases ({0})")]
    Form(&'static str),
    /// It is too large.
    #[error("it is larger than {} MiB unpacked, or has more than {MAX_OBJECTS} objects", MAX_UNPACKED >> 20)]
    TooLarge,
    /// Its manifest is no YAML.
    #[error("its manifest is no YAML{}", .line.map_or_else(String::new, |line| format!(" (line {line})")))]
    Manifest {
        /// Where.
        line: Option<u64>,
    },
}

impl Release {
    /// Reads what a Secret has under the key `release`.
    ///
    /// # Errors
    /// It is something else, or larger than any release is.
    pub fn decode(data: &[u8]) -> Result<Self, InvalidRelease> {
        let packed = STANDARD
            .decode(data.trim_ascii())
            .map_err(|_| InvalidRelease::Form("no base64"))?;
        let mut json = Vec::new();
        // Helm 2 did not pack them.
        if packed.starts_with(&[0x1f, 0x8b, 0x08]) {
            GzDecoder::new(&*packed)
                .take(MAX_UNPACKED + 1)
                .read_to_end(&mut json)
                .map_err(|_| InvalidRelease::Form("no gzip"))?;
            if json.len() as u64 > MAX_UNPACKED {
                return Err(InvalidRelease::TooLarge);
            }
        } else {
            json = packed;
        }
        let kept: Kept = serde_json::from_slice(&json).map_err(|_| InvalidRelease::Form("no JSON of a release"))?;
        let objects = manifest(&kept.manifest, &kept.namespace)?;
        Ok(Self {
            name: kept.name,
            revision: kept.version,
            status: kept.info.status,
            chart: kept.chart.metadata.name,
            chart_version: kept.chart.metadata.version,
            values: kept.config.unwrap_or(Value::Null),
            objects,
            namespace: kept.namespace,
        })
    }

    /// The objects of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a ManifestObject> {
        self.objects.iter().filter(move |object| object.name.kind == kind)
    }

    /// Whether Helm is at work on it.
    pub fn is_pending(&self) -> bool {
        self.status.starts_with("pending")
    }
}

/// Helm's own form, as far as it is used.
#[derive(Deserialize)]
struct Kept {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    version: u64,
    #[serde(default)]
    info: Info,
    #[serde(default)]
    chart: Chart,
    #[serde(default)]
    config: Option<Value>,
    #[serde(default)]
    manifest: String,
}

#[derive(Default, Deserialize)]
struct Info {
    #[serde(default)]
    status: String,
}

#[derive(Default, Deserialize)]
struct Chart {
    #[serde(default)]
    metadata: ChartMetadata,
}

#[derive(Default, Deserialize)]
struct ChartMetadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
}

/// The objects of a manifest, as `helm template` and `helm get manifest` print it.
///
/// # Errors
/// It is no YAML, or has too many objects.
pub fn manifest(text: &str, release_namespace: &str) -> Result<Vec<ManifestObject>, InvalidRelease> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 100,
            max_nodes: MAX_VALUES,
            max_events: MAX_VALUES * 2,
            max_total_scalar_bytes: text.len(),
            max_documents: MAX_OBJECTS,
        },
        with_snippet: false,
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let line = error.without_snippet().location().map(|location| location.line());
        InvalidRelease::Manifest { line }
    })?;
    let mut objects = Vec::new();
    for document in documents {
        // `kind: List` is applied as its items.
        match document["items"].as_array() {
            Some(items) if document["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => {
                objects.extend(items.iter().filter_map(|item| object(item.clone(), release_namespace)));
            }
            _ => objects.extend(object(document, release_namespace)),
        }
    }
    if objects.len() > MAX_OBJECTS {
        return Err(InvalidRelease::TooLarge);
    }
    Ok(objects)
}

fn object(content: Value, release_namespace: &str) -> Option<ManifestObject> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let kind = text(&content["kind"])?;
    let namespace = text(&content["metadata"]["namespace"]).filter(|namespace| !namespace.is_empty());
    let name = ObjectName {
        api_version: text(&content["apiVersion"])?,
        namespace: match is_cluster_scoped(&kind) {
            true => String::new(),
            false => namespace.unwrap_or_else(|| release_namespace.to_owned()),
        },
        kind,
        name: text(&content["metadata"]["name"])?,
    };
    Some(ManifestObject { name, content })
}

/// Kinds without a namespace that charts bring.
fn is_cluster_scoped(kind: &str) -> bool {
    [
        "APIService",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "GatewayClass",
        "IngressClass",
        "KongClusterPlugin",
        "KongLicense",
        "KongVault",
        "MutatingWebhookConfiguration",
        "Namespace",
        "PersistentVolume",
        "PriorityClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    ]
    .contains(&kind)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::needless_pass_by_value, clippy::unwrap_used)]

    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use serde_json::json;

    use super::*;

    pub(in crate::upgrade) const MANIFEST: &str = "\
---
# Source: kong/templates/service-account.yaml
apiVersion: v1
kind: ServiceAccount
metadata: {name: shop-kong, namespace: gateway}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: shop-kong}
---
# Source: kong/templates/empty.yaml
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop-kong}
";

    /// As Helm keeps it.
    fn packed(release: &Value) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(release.to_string().as_bytes()).unwrap();
        STANDARD.encode(packer.finish().unwrap()).into_bytes()
    }

    fn release(manifest: &str) -> Value {
        json!({
            "name": "shop", "namespace": "gateway", "version": 3,
            "info": { "status": "deployed" },
            "chart": { "metadata": { "name": "kong", "version": "3.4.1" }, "templates": [{ "data": "aGVsbG8=" }] },
            "config": { "env": { "database": "off" } },
            "manifest": manifest,
        })
    }

    #[test]
    fn a_release_is_read_as_helm_keeps_it() {
        let release = Release::decode(&packed(&release(MANIFEST))).unwrap();
        assert_eq!(
            (release.name.as_str(), release.revision, release.status.as_str()),
            ("shop", 3, "deployed")
        );
        assert_eq!(
            (release.chart.as_str(), release.chart_version.as_str()),
            ("kong", "3.4.1")
        );
        assert_eq!(release.values["env"]["database"], "off");
        let names: Vec<String> = release.objects.iter().map(|object| object.name.to_string()).collect();
        assert_eq!(
            names,
            [
                "ServiceAccount gateway/shop-kong",
                "ClusterRole shop-kong",
                "Deployment gateway/shop-kong"
            ]
        );
    }

    #[test]
    fn what_is_no_release_is_refused_without_a_word_of_it() {
        for (data, says) in [
            (b"%%%".to_vec(), "base64"),
            (STANDARD.encode(b"\x1f\x8b\x08rest").into_bytes(), "gzip"),
            (STANDARD.encode(b"{\"name\": 7}").into_bytes(), "JSON"),
            (packed(&release("kind: [SECRET\n")), "YAML"),
        ] {
            let message = Release::decode(&data).unwrap_err().to_string();
            assert!(message.contains(says) && !message.contains("SECRET"), "{message}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![b' '; 1 << 20];
        for _ in 0..=(MAX_UNPACKED >> 20) {
            packer.write_all(&zeros).unwrap();
        }
        let data = STANDARD.encode(packer.finish().unwrap()).into_bytes();
        assert_eq!(Release::decode(&data), Err(InvalidRelease::TooLarge));
    }

    #[test]
    fn versions_of_an_api_make_no_other_object() {
        let one = &manifest("{apiVersion: policy/v1beta1, kind: P, metadata: {name: a}}", "x").unwrap()[0].name;
        let other = &manifest(
            "{apiVersion: policy/v1, kind: P, metadata: {name: a, namespace: x}}",
            "y",
        )
        .unwrap()[0];
        assert!(one.is_same(&other.name) && *one != other.name);
    }
}
