//! `silverback certificates rotate`: new authorities, or new certificates of the proxies, without an interruption.
//!
//! Writes an annotation of the Secret of `--ca-secret`; the controller does the rest.

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};

use super::cluster::{self, ClusterArguments};
use crate::pki::ROTATE;

/// Verbs of `silverback certificates`.
#[derive(Debug, Args)]
pub(super) struct CertificatesArguments {
    #[command(subcommand)]
    verb: CertificatesVerb,
}

#[derive(Debug, Subcommand)]
enum CertificatesVerb {
    /// Replace both authorities and all certificates, or the proxies' certificates alone.
    #[command(
        after_help = "The same with kubectl:\n  kubectl -n NAMESPACE annotate secret SECRET --overwrite gateway.silverback.dev/rotate=\"authorities $(date -Is)\""
    )]
    Rotate(RotateArguments),
}

#[derive(Debug, Args)]
struct RotateArguments {
    /// The Secret of the authorities, as --ca-secret of the controller names it (RELEASE-kong-ca with the chart)
    secret: String,
    /// Namespace of the Secret; that of the kubeconfig's context by default
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// New certificates of the proxies only, from the authority that there is
    #[arg(long)]
    leaves: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Asks for it and says what happens then.
pub(super) async fn run(arguments: CertificatesArguments) -> anyhow::Result<()> {
    let CertificatesVerb::Rotate(arguments) = arguments.verb;
    let client = arguments.cluster.client().await?;
    let namespace = cluster::namespace(arguments.namespace.as_deref(), &client);
    let api: Api<Secret> = Api::namespaced(client, &namespace);
    let what = if arguments.leaves { "leaves" } else { "authorities" };
    let request = format!("{what} {}", Timestamp::now());
    let patch = Patch::Merge(serde_json::json!({ "metadata": { "annotations": { ROTATE: request } } }));
    let parameters = PatchParams {
        field_manager: Some("silverback-cli".to_owned()),
        ..PatchParams::default()
    };
    let name = &arguments.secret;
    api.patch_metadata(name, &parameters, &patch)
        .await
        .with_context(|| format!("failed to annotate Secret {name}"))?;
    match arguments.leaves {
        true => println!("The proxies get new certificates; embedded proxies read them by themselves."),
        false => {
            println!("The controller makes new authorities. Old and new ones are trusted until every proxy shows a");
            println!("certificate of the new one, which embedded proxies do by themselves within about two minutes.");
        }
    }
    println!("Kong reads its certificate at its start only: name its workload with --restart-workload, or restart it.");
    println!("`kubectl get pxi -o yaml` shows in status.mtls what each proxy shows.");
    Ok(())
}
