//! Upgrades that can't be meant, or can't be done: each fails before anything has changed, with a remedy, and the release of
//! before serves on.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{
    edge::{NAMESPACE, RELEASE},
    run::{Run, images},
};
use crate::poll::eventually;

/// A definition that no scenario has objects of.
const SPARE: &str = "kongvaults.configuration.konghq.com";
/// One of ours: what it has stands beside the objects, not in them.
const OWN: &str = "proxyfleets.gateway.silverback.dev";
/// Helm deletes in the background.
const RIGHTS_LIMIT: Duration = Duration::from_secs(30);
const VERSION: &str = "gateway.silverback.dev/definitions-version";

impl Run<'_> {
    /// Values that the chart refuses by itself.
    pub(super) fn wrong_values(&self) -> anyhow::Result<()> {
        for (value, words) in [
            ("proxy.replicas=many", &["proxy", "replicas", "integer"][..]),
            ("proxy.replica=3", &["replica", "not allowed"]),
            ("env.database=postgres", &["env.database=postgres", "env.database=off"]),
            ("deployment.daemonset=true", &["DaemonSet", "another release name"]),
            (
                "ingressController.watchNamespaces={shop,edge},ingressController.rbac.enableClusterRoles=false",
                &["rbac.enableClusterRoles=false", "Remove it"],
            ),
            ("admin.enabled=true", &["admin.enabled=true", "Remove it"]),
            (
                "adopt=ingress,controller.ingressController.ingressClass=edge",
                &["is a value of the kong chart", "set adopt=kong"],
            ),
        ] {
            self.refused(&["--set", value], words)?;
        }
        Ok(())
    }

    /// Definitions that are missing, or older, where the chart shall not apply them.
    pub(super) fn wrong_definitions(&self) -> anyhow::Result<()> {
        self.cluster.kubectl(&["delete", "crd", SPARE])?;
        let missing = self.refused(
            &["--set", "crds.manage=false"],
            &["FAILURE", "definitions", SPARE, "silverback crds apply"],
        );
        self.cluster
            .kubectl(&["annotate", "crd", OWN, "--overwrite", &format!("{VERSION}=0.0.1")])?;
        let older = self.refused(
            &["--set", "crds.manage=false"],
            &["FAILURE", "older silverback", OWN, "silverback crds apply"],
        );
        self.cluster
            .kubectl(&["annotate", "crd", OWN, "--overwrite", &format!("{VERSION}=99.0.0")])?;
        let newer = self.refused(&[], &["FAILURE", OWN, "99.0.0", "newer"]);
        self.cluster
            .kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "deploy/crds"])?;
        missing.and(older).and(newer)
    }

    /// Whoever may only work in the namespace, and whoever may nothing.
    pub(super) fn no_permission(&self) -> anyhow::Result<()> {
        self.cluster
            .kubectl(&["create", "serviceaccount", "-n", NAMESPACE, "deployer"])?;
        let account = format!("system:serviceaccount:{NAMESPACE}:deployer");
        let as_nobody = self.refused(&["--kube-as-user", &account], &["forbidden", "secrets"]);
        let subject = format!("--serviceaccount={NAMESPACE}:deployer");
        self.cluster.kubectl(&[
            "create",
            "rolebinding",
            "-n",
            NAMESPACE,
            "deployer",
            "--clusterrole=admin",
            &subject,
        ])?;
        let as_admin = self.refused(&["--kube-as-user", &account], &["forbidden", "clusterroles"]);
        as_nobody.and(as_admin)
    }

    /// Another release of the chart beside this one.
    pub(super) fn second_release(&self) -> anyhow::Result<()> {
        let before = self.what_runs()?;
        let chart = self.arguments.chart.display().to_string();
        let images = images(self.arguments);
        let values = format!("{images},ingressClass.name=edge,ingressClass.create=false");
        let outcome = self.cluster.helm_of(
            self.helm,
            &[
                "install",
                "second",
                &chart,
                "-n",
                NAMESPACE,
                "--set",
                &values,
                "--timeout",
                "60s",
            ],
        );
        let said = self.said(&outcome.err().context("a second release was installed")?);
        self.cluster.uninstall("second", NAMESPACE)?;
        self.cluster.kubectl(&[
            "delete",
            "job,serviceaccount,role,rolebinding,configmap,clusterrole,clusterrolebinding",
            "-n",
            NAMESPACE,
            "-l",
            "app.kubernetes.io/instance=second",
        ])?;
        tells(&said, &["FAILURE", "other-controllers"])?;
        self.is_as_before(&before)
    }

    /// The certificate that the new proxies would show is for somebody else.
    pub(super) fn wrong_certificate(&self) -> anyhow::Result<()> {
        let pair = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()])?;
        let name = format!("{}-proxy-tls", self.edge.name);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": name, "namespace": NAMESPACE,
                "labels": {"app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": NAMESPACE},
            },
            "stringData": {"tls.crt": pair.cert.pem(), "tls.key": pair.signing_key.serialize_pem(), "ca.crt": pair.cert.pem()},
        });
        self.cluster.apply(&secret.to_string())?;
        let refused = self.refused(&[], &["FAILURE", "elsewhere.example", "delete the Secret"]);
        self.cluster.kubectl(&["delete", "secret", "-n", NAMESPACE, &name])?;
        refused
    }

    /// The upgrade fails, says these words, and changes nothing.
    fn refused(&self, more: &[&str], words: &[&str]) -> anyhow::Result<()> {
        let before = self.what_runs()?;
        let outcome = self.upgrade(more);
        let error = outcome.err().with_context(|| format!("not refused: {more:?}"))?;
        let said = self.said(&error);
        tells(&said, words).with_context(|| format!("{more:?}"))?;
        self.no_rights_are_left()?;
        self.is_as_before(&before)
    }

    /// The Job that failed stays for its log; what Jobs may do does not.
    fn no_rights_are_left(&self) -> anyhow::Result<()> {
        eventually("the rights of hooks go", RIGHTS_LIMIT, || {
            let kinds = "clusterroles,clusterrolebindings,roles,rolebindings";
            let selected = format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=hook");
            let left = self.cluster.list(&[kinds, "-n", NAMESPACE, "-l", &selected])?;
            let names: Vec<_> = left.iter().map(|one| one["metadata"]["name"].to_string()).collect();
            ensure!(left.is_empty(), "{} are left", names.join(", "));
            Ok(())
        })
    }

    /// What a failed upgrade says, and its preflight.
    fn said(&self, error: &anyhow::Error) -> String {
        let said = format!("{error:#}");
        // What was called stands before it.
        let said = said
            .split_once(": Error: ")
            .map_or(said.as_str(), |(_, said)| said)
            .to_owned();
        if !said.contains("preflight") {
            return said;
        }
        let log = self.preflight_log().unwrap_or_else(|error| format!("{error:#}"));
        format!("{said}\n{log}")
    }

    /// The log of the newest preflight.
    fn preflight_log(&self) -> anyhow::Result<String> {
        let jobs = self.cluster.list(&["jobs", "-n", NAMESPACE])?;
        let name = |job: &Value| job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let newest = jobs
            .iter()
            .filter(|job| name(job).ends_with("-preflight"))
            .max_by_key(|job| job["metadata"]["creationTimestamp"].to_string());
        let job = format!("job/{}", name(newest.context("no preflight has run")?));
        self.cluster.kubectl(&["logs", "-n", NAMESPACE, &job])
    }

    /// Which proxies run, and what the release's own objects say.
    fn what_runs(&self) -> anyhow::Result<Value> {
        let pods = self
            .cluster
            .list(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=app"])?;
        let pods: BTreeSet<_> = pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
        let deployments = self.cluster.list(&["deployments", "-n", NAMESPACE])?;
        let deployments: Vec<_> = deployments
            .iter()
            .map(|one| json!([one["metadata"]["name"], one["metadata"]["uid"], one["spec"]]))
            .collect();
        let services = self.cluster.list(&["services", "-n", NAMESPACE])?;
        let services: Vec<_> = services
            .iter()
            .map(|one| json!([one["metadata"]["name"], one["metadata"]["uid"], one["spec"]]))
            .collect();
        Ok(json!({"pods": pods, "deployments": deployments, "services": services}))
    }

    fn is_as_before(&self, before: &Value) -> anyhow::Result<()> {
        let now = self.what_runs()?;
        ensure!(now == *before, "something has changed\nfrom {before}\nto   {now}");
        Ok(())
    }
}

/// Whether all of these words are there; shows the lines that have the first of them.
fn tells(said: &str, words: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
    ensure!(missing.is_empty(), "{missing:?} is not in what was said:\n{said}");
    let lines = said.lines().skip_while(|line| !line.contains(words[0]));
    for line in lines.take(3) {
        println!("     {}", line.trim());
    }
    Ok(())
}
