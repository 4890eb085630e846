//! `silverback adopt`: the chart's pre-upgrade hook that writes. Keeps what old pods need and Helm would delete too early,
//! and records it, so that the leader removes it once the last old pod has gone.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

use super::{
    cluster::{self, ClusterArguments, failure, is_forbidden, is_missing},
    failure::one_line,
    helm,
};
use crate::upgrade::{
    keep::{self, KEPT_FOR, KEPT_KINDS, KeptKind, Record, RecordedObject},
    release::{ManifestObject, ObjectName, manifest},
};

/// Who owns what it writes.
const FIELD_MANAGER: &str = "silverback-adopt";
/// Objects of a kind that a release may have.
const MOST_OF_A_KIND: u32 = 500;
/// The largest manifest that is read.
const MAX_MANIFEST: u64 = 64 << 20;

/// Flags of `silverback adopt`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Of what the deployed revision owns and the new one does not render, definitions, ServiceAccounts, roles, their bindings,
Secrets and ConfigMaps get the annotation helm.sh/resource-policy: keep, and all of these but definitions are recorded in a
ConfigMap. The controller that leads (silverback run --upgrade-record) removes them, and the record, once no pod uses them.

Needs list and get on secrets in the release's namespace, patch on the kinds above (roles: escalate and bind too, since the API server
takes any change for a grant), create and patch on configmaps; where Helm keeps no Secrets, list on the kinds above as well. Exit code: 0 done or nothing to do, 1 something failed, 2 usage.")]
pub(super) struct AdoptArguments {
    /// Name of the Helm release
    #[arg(long, value_name = "NAME")]
    release: String,
    /// Namespace of its objects; that of the kubeconfig's context by default
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Namespace where Helm keeps the release; that of its objects by default (the chart's value `namespace` parts the two)
    #[arg(long, value_name = "NAMESPACE")]
    release_namespace: Option<String>,
    /// ConfigMap that holds the record; RELEASE-upgrade-record by default
    #[arg(long, value_name = "NAME")]
    record: Option<String>,
    /// Manifest of the new revision, or - for standard input; in a hook that of the revision that Helm is about to deploy
    #[arg(long, value_name = "FILE|-")]
    new_manifest: Option<PathBuf>,
    /// Say what would be done, but write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Carries the verb out.
pub(super) async fn run(arguments: AdoptArguments) -> anyhow::Result<()> {
    let client = arguments.cluster.client().await?;
    let namespace = cluster::namespace(arguments.namespace.as_deref(), &client);
    let release_namespace = arguments.release_namespace.clone().unwrap_or_else(|| namespace.clone());
    let given = arguments
        .new_manifest
        .as_ref()
        .map(|path| given(path, &release_namespace))
        .transpose()?;
    let adoption = Adoption {
        client,
        namespace,
        release_namespace,
        arguments,
    };
    adoption.carry_out(given, &mut |line| println!("{line}")).await
}

/// The manifest that `--new-manifest` names.
fn given(path: &Path, namespace: &str) -> anyhow::Result<Vec<ManifestObject>> {
    let mut text = String::new();
    let input: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(path).with_context(|| format!("failed to open {}", path.display()))?),
    };
    let read = input.take(MAX_MANIFEST).read_to_string(&mut text);
    read.with_context(|| format!("failed to read {}", path.display()))?;
    Ok(manifest(&text, namespace)?)
}

struct Adoption {
    client: Client,
    /// Where the release's objects are.
    namespace: String,
    /// Where Helm keeps the release.
    release_namespace: String,
    arguments: AdoptArguments,
}

/// What became of an object that Helm would delete too early.
enum Outcome {
    /// It is kept; its UID.
    Kept(Option<String>),
    Gone,
    /// There is no right to, in a namespace that is not the release's own.
    NotKept(anyhow::Error),
}

impl Adoption {
    async fn carry_out(
        self,
        given: Option<Vec<ManifestObject>>,
        say: &mut (dyn FnMut(String) + Send),
    ) -> anyhow::Result<()> {
        let kept = self.to_keep(given).await?;
        let mut record = Record::default();
        for name in kept {
            match self.keep(&name).await? {
                Outcome::Kept(uid) => {
                    say(format!("{name}: kept"));
                    if !keep::is_definition(&name) {
                        let uid = uid.unwrap_or_default();
                        record.objects.push(RecordedObject { name, uid });
                    }
                }
                Outcome::Gone => say(format!("{name}: is not there any more")),
                Outcome::NotKept(error) => {
                    say(format!("{name}: not kept, Helm deletes it: {}", one_line(&error)));
                }
            }
        }
        if record.objects.is_empty() {
            say("there is nothing to remove later".to_owned());
            return Ok(());
        }
        self.write(&record).await?;
        say(format!(
            "{} objects go when no pod uses them any more",
            record.objects.len()
        ));
        Ok(())
    }

    /// What Helm would delete too early.
    async fn to_keep(&self, given: Option<Vec<ManifestObject>>) -> anyhow::Result<Vec<ObjectName>> {
        let (release, namespace) = (&self.arguments.release, &self.release_namespace);
        let revisions = helm::revisions(&self.client, namespace).await;
        let revisions = revisions.map_err(|error| {
            let doing = format!("list the Helm releases of namespace {namespace}");
            failure(&doing, "list on secrets", &error)
        })?;
        let own: Vec<_> = revisions
            .iter()
            .filter(|revision| revision.release == *release)
            .collect();
        let Some(deployed) = helm::deployed(&own) else {
            return self.of_the_cluster(given).await;
        };
        let old = helm::read(&self.client, namespace, deployed).await?;
        let pending = own.last().filter(|revision| revision.is_pending());
        let new = match (given, pending) {
            (Some(given), _) => given,
            (None, Some(pending)) => helm::read(&self.client, namespace, pending).await?.objects,
            (None, None) => bail!(
                "Helm is not at work on release {release}, so that it is not known what the new revision renders: give it \
                 (helm template … | silverback adopt --new-manifest -)"
            ),
        };
        Ok(keep::kept(&old.objects, Some(&new)))
    }

    /// Where Helm keeps no Secrets for the release: what the cluster shows to be of it, but for our own chart's.
    async fn of_the_cluster(&self, given: Option<Vec<ManifestObject>>) -> anyhow::Result<Vec<ObjectName>> {
        let mut found = Vec::new();
        let release = &self.arguments.release;
        let selected = ListParams::default()
            .labels(&format!(
                "app.kubernetes.io/instance={release},app.kubernetes.io/managed-by=Helm"
            ))
            .limit(MOST_OF_A_KIND);
        for kind in KEPT_KINDS {
            let namespace = if kind.is_namespaced {
                self.namespace.as_str()
            } else {
                ""
            };
            let api = api(&self.client, &kind, namespace);
            let listed = api.list_metadata(&selected).await;
            let listed = listed.map_err(|error| {
                let right = format!("list on {}", kind.plural);
                failure(&format!("list {} of release {release}", kind.plural), &right, &error)
            })?;
            for object in listed.items {
                let metadata = object.metadata;
                let (labels, annotations) = (
                    metadata.labels.unwrap_or_default(),
                    metadata.annotations.unwrap_or_default(),
                );
                let is = |name: &str, value: &str| annotations.get(name).is_some_and(|found| found == value);
                let is_own = labels
                    .get("helm.sh/chart")
                    .is_some_and(|chart| chart.starts_with("silverback-"));
                if is_own
                    || !is("meta.helm.sh/release-name", release)
                    || !is("meta.helm.sh/release-namespace", &self.release_namespace)
                {
                    continue;
                }
                let name = ObjectName {
                    api_version: match kind.group {
                        "" => kind.version.to_owned(),
                        group => format!("{group}/{}", kind.version),
                    },
                    kind: kind.name.to_owned(),
                    namespace: namespace.to_owned(),
                    name: metadata.name.unwrap_or_default(),
                };
                found.push(ManifestObject {
                    name,
                    content: Value::Null,
                });
            }
        }
        Ok(keep::kept(&found, given.as_deref()))
    }

    /// Keeps Helm from deleting it.
    async fn keep(&self, name: &ObjectName) -> anyhow::Result<Outcome> {
        let kind = keep::kept_kind(name).expect("only such kinds are kept");
        let mut annotations = json!({ "helm.sh/resource-policy": "keep" });
        if !keep::is_definition(name) {
            annotations[KEPT_FOR] = json!(format!("{}/{}", self.release_namespace, self.arguments.release));
        }
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            dry_run: self.arguments.dry_run,
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        let api = api(&self.client, &kind, &name.namespace);
        match api.patch_metadata(&name.name, &parameters, &patch).await {
            Ok(object) => Ok(Outcome::Kept(object.metadata.uid)),
            Err(error) if is_missing(&error) => Ok(Outcome::Gone),
            Err(error) => {
                // The API server takes any change of a role or binding for a grant of what is in it.
                let right = match kind.name {
                    "Role" | "ClusterRole" => format!("patch and escalate on {}", kind.plural),
                    "RoleBinding" | "ClusterRoleBinding" => {
                        format!("patch on {}, and bind on their roles", kind.plural)
                    }
                    _ => format!("patch on {}", kind.plural),
                };
                let failure = failure(&format!("keep {name}"), &right, &error);
                // Namespaces that the old release watched and the new one does not: what goes on there is not worth an end.
                match self.is_elsewhere(name) && is_forbidden(&error) {
                    true => Ok(Outcome::NotKept(failure)),
                    false => Err(failure),
                }
            }
        }
    }

    /// Whether it is in a namespace that is not the release's own.
    fn is_elsewhere(&self, name: &ObjectName) -> bool {
        !["", &self.namespace, &self.release_namespace].contains(&name.namespace.as_str())
    }

    async fn write(&self, record: &Record) -> anyhow::Result<()> {
        let name = self
            .arguments
            .record
            .clone()
            .unwrap_or_else(|| format!("{}-upgrade-record", self.arguments.release));
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut parameters = PatchParams::apply(FIELD_MANAGER).force();
        parameters.dry_run = self.arguments.dry_run;
        let patch = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "labels": { "app.kubernetes.io/instance": self.arguments.release },
                "annotations": { "gateway.silverback.dev/description":
                    "What an upgrade left for old pods. The controller removes it, and this, once no pod uses it." },
            },
            "data": { (Record::KEY): record.text() },
        });
        let written = api.patch(&name, &parameters, &Patch::Apply(patch)).await;
        written.map(drop).map_err(|error| {
            let doing = format!("write the record ConfigMap {}/{name}", self.namespace);
            failure(&doing, "create and patch on configmaps", &error)
        })
    }
}

/// Objects of a kind, of which only the metadata matters: Secrets are not read.
fn api(client: &Client, kind: &KeptKind, namespace: &str) -> Api<DynamicObject> {
    let named = GroupVersionKind::gvk(kind.group, kind.version, kind.name);
    let resource = ApiResource::from_gvk_with_plural(&named, kind.plural);
    match namespace {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::needless_pass_by_value, clippy::unwrap_used)]

    use std::io::Write;

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::lease::fake_api::FakeApi;

    const OLD: &str = "\
{apiVersion: v1, kind: ServiceAccount, metadata: {name: shop-kong}}
---
{apiVersion: v1, kind: Service, metadata: {name: shop-kong-manager}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: shop-kong}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: kongplugins.configuration.konghq.com}}
---
{apiVersion: v1, kind: Secret, metadata: {name: shop-gone}}
";

    fn revision(api: &FakeApi, number: u64, status: &str, manifest: &str) {
        let release = json!({
            "name": "shop", "namespace": "gateway", "version": number, "info": { "status": status },
            "chart": { "metadata": { "name": "kong", "version": "3.4.1" } }, "manifest": manifest,
        });
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(release.to_string().as_bytes()).unwrap();
        let packed = STANDARD.encode(STANDARD.encode(packer.finish().unwrap()));
        api.put(
            &format!("/api/v1/namespaces/gateway/secrets/sh.helm.release.v1.shop.v{number}"),
            json!({
                "metadata": { "labels": { "owner": "helm", "name": "shop", "version": number.to_string(), "status": status } },
                "type": "helm.sh/release.v1", "data": { "release": packed },
            }),
        );
    }

    async fn adopt(api: &FakeApi, dry_run: bool) -> (anyhow::Result<()>, Vec<String>) {
        adopt_into(api, "gateway", dry_run).await
    }

    async fn adopt_into(api: &FakeApi, namespace: &str, dry_run: bool) -> (anyhow::Result<()>, Vec<String>) {
        let adoption = Adoption {
            client: api.client(),
            namespace: namespace.to_owned(),
            release_namespace: "gateway".to_owned(),
            arguments: AdoptArguments {
                release: "shop".to_owned(),
                namespace: None,
                release_namespace: None,
                record: None,
                new_manifest: None,
                dry_run,
                cluster: ClusterArguments::default(),
            },
        };
        let mut said = Vec::new();
        let outcome = adoption.carry_out(None, &mut |line| said.push(line)).await;
        (outcome, said)
    }

    const ACCOUNT: &str = "/api/v1/namespaces/gateway/serviceaccounts/shop-kong";
    const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/shop-kong";
    const DEFINITION: &str =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/kongplugins.configuration.konghq.com";
    const RECORD: &str = "/api/v1/namespaces/gateway/configmaps/shop-upgrade-record";

    fn installed() -> FakeApi {
        let api = FakeApi::new();
        for path in [
            ACCOUNT,
            ROLE,
            DEFINITION,
            "/api/v1/namespaces/gateway/services/shop-kong-manager",
        ] {
            api.put(path, json!({}));
        }
        revision(&api, 1, "deployed", OLD);
        api
    }

    #[tokio::test]
    async fn what_old_pods_need_is_kept_and_recorded() {
        let api = installed();
        revision(
            &api,
            2,
            "pending-upgrade",
            "{apiVersion: v1, kind: Service, metadata: {name: shop-kong-proxy}}",
        );
        let (outcome, said) = adopt(&api, false).await;
        outcome.unwrap();
        assert!(
            said.contains(&"Secret gateway/shop-gone: is not there any more".to_owned()),
            "{said:?}"
        );
        for path in [ACCOUNT, ROLE, DEFINITION] {
            let annotations = &api.get(path).unwrap()["metadata"]["annotations"];
            assert_eq!(annotations["helm.sh/resource-policy"], "keep", "{path}");
            assert_eq!(annotations[KEPT_FOR] == "gateway/shop", path != DEFINITION, "{path}");
        }
        let service = api
            .get("/api/v1/namespaces/gateway/services/shop-kong-manager")
            .unwrap();
        assert!(service["metadata"]["annotations"].is_null(), "no pod needs it");
        let record = api.get(RECORD).unwrap();
        let record = Record::read(record["data"][Record::KEY].as_str().unwrap()).unwrap();
        let names: Vec<String> = record.objects.iter().map(|object| object.name.to_string()).collect();
        assert_eq!(names, ["ServiceAccount gateway/shop-kong", "ClusterRole shop-kong"]);
    }

    #[tokio::test]
    async fn without_a_new_manifest_nothing_is_done() {
        let api = installed();
        let (outcome, _) = adopt(&api, false).await;
        assert!(format!("{:#}", outcome.unwrap_err()).contains("--new-manifest"));
        assert!(api.get(RECORD).is_none());
        let (outcome, said) = adopt(&FakeApi::new(), false).await;
        outcome.unwrap();
        assert_eq!(said, ["there is nothing to remove later"]);
    }

    #[tokio::test]
    async fn missing_rights_are_named() {
        let api = installed();
        revision(&api, 2, "pending-upgrade", "");
        api.fail("clusterroles", 403);
        let (outcome, _) = adopt(&api, false).await;
        let message = format!("{:#}", outcome.unwrap_err());
        assert!(
            message.contains("keep ClusterRole shop-kong") && message.contains("patch and escalate on clusterroles"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn what_is_in_namespaces_without_rights_is_not_kept_and_said() {
        let api = installed();
        let elsewhere = "\
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: shop-kong-team, namespace: team}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: shop-kong}}
";
        api.put(
            "/apis/rbac.authorization.k8s.io/v1/namespaces/team/roles/shop-kong-team",
            json!({}),
        );
        revision(&api, 1, "deployed", elsewhere);
        revision(&api, 2, "pending-upgrade", "");
        api.fail("namespaces/team", 403);
        let (outcome, said) = adopt(&api, false).await;
        outcome.unwrap();
        assert!(
            said[0].starts_with("Role team/shop-kong-team: not kept")
                && said[0].contains("patch and escalate on roles"),
            "{said:?}"
        );
        assert_eq!(said[1], "ServiceAccount gateway/shop-kong: kept");
        let record = api.get(RECORD).unwrap();
        let record = Record::read(record["data"][Record::KEY].as_str().unwrap()).unwrap();
        assert_eq!(record.objects.len(), 1);
    }

    #[tokio::test]
    async fn the_record_is_where_the_objects_are_and_helm_s_secrets_where_the_release_is() {
        let api = installed();
        revision(&api, 2, "pending-upgrade", "");
        let (outcome, _) = adopt_into(&api, "proxies", false).await;
        outcome.unwrap();
        assert!(api.get(RECORD).is_none());
        let record = RECORD.replace("/gateway/", "/proxies/");
        assert!(api.get(&record).is_some());
        let annotations = &api.get(ACCOUNT).unwrap()["metadata"]["annotations"];
        assert_eq!(annotations[KEPT_FOR], "gateway/shop");
    }

    #[tokio::test]
    async fn where_helm_keeps_no_secrets_the_cluster_tells() {
        let api = FakeApi::new();
        let of_release = |chart: &str| {
            json!({ "metadata": {
                "labels": { "helm.sh/chart": chart },
                "annotations": { "meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "gateway" },
            } })
        };
        api.put(ACCOUNT, of_release("kong-3.4.1"));
        api.put(
            "/api/v1/namespaces/gateway/serviceaccounts/shop-kong-controller",
            of_release("silverback-0.1.0"),
        );
        api.put("/api/v1/namespaces/gateway/serviceaccounts/default", json!({}));
        let (outcome, said) = adopt(&api, false).await;
        outcome.unwrap();
        assert_eq!(said[0], "ServiceAccount gateway/shop-kong: kept");
        assert_eq!(said.len(), 2, "{said:?}");
    }
}
