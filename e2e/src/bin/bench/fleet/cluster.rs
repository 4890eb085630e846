//! A bare API server: etcd and kube-apiserver of the test bed's programs, nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use rcgen::KeyPair;
use tokio::time::sleep;

use super::api::Api;
use crate::process::Guarded;

const PORT: u16 = 16443;
const TOKEN: &str = "bench";
const PATIENCE: Duration = Duration::from_secs(120);

/// What runs as long as this is kept.
pub(super) struct Cluster {
    pub(super) api: Api,
    pub(super) kubeconfig: PathBuf,
    // In this order: the API server goes before its database.
    _api_server: Guarded,
    _etcd: Guarded,
}

impl Cluster {
    /// Starts it; `directory` has the certificates.
    pub(super) async fn start(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        let file = |name: &str| directory.join(name).display().to_string();
        let key = KeyPair::generate()?;
        fs::write(directory.join("accounts.key"), key.serialize_pem())?;
        fs::write(directory.join("accounts.pub"), key.public_key_pem())?;
        fs::write(
            directory.join("tokens.csv"),
            format!("{TOKEN},bench,bench,system:masters\n"),
        )?;
        let mut command = Command::new(program);
        command.args(["etcd", "--client-url", "http://127.0.0.1:12379"]).args([
            "--peer-url",
            "http://127.0.0.1:12380",
            "--data-dir",
            &file("etcd"),
        ]);
        let mut etcd = Guarded::start(&mut command, &directory.join("etcd.log"))?;
        let mut command = Command::new(program);
        command
            .args([
                "apiserver",
                "--etcd-servers=http://127.0.0.1:12379",
                "--bind-address=127.0.0.1",
            ])
            .args(["--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"])
            .args(["--service-account-issuer=https://bench", "--authorization-mode=RBAC"])
            .args([
                "--service-cluster-ip-range=10.96.0.0/14",
                "--disable-admission-plugins=ServiceAccount",
            ])
            .args(["--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000"])
            .arg(format!("--secure-port={PORT}"))
            .arg(format!("--tls-cert-file={}", file("server.crt")))
            .arg(format!("--tls-private-key-file={}", file("server.key")))
            .arg(format!("--service-account-key-file={}", file("accounts.pub")))
            .arg(format!("--service-account-signing-key-file={}", file("accounts.key")))
            .arg(format!("--token-auth-file={}", file("tokens.csv")));
        let mut api_server = Guarded::start(&mut command, &directory.join("apiserver.log"))?;
        let authority = directory.join("proxies-ca.crt");
        let kubeconfig = directory.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_text(&authority))?;
        let api = Api::new(&format!("https://127.0.0.1:{PORT}"), TOKEN, &authority)?;
        let began = Instant::now();
        while api.get("/readyz").await.is_err() {
            ensure!(
                etcd.is_running() && api_server.is_running(),
                "etcd or the API server ended: see their logs in {}",
                directory.display()
            );
            if began.elapsed() > PATIENCE {
                bail!(
                    "the API server is not ready after {PATIENCE:?}: see {}",
                    file("apiserver.log")
                );
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(Self {
            api,
            kubeconfig,
            _api_server: api_server,
            _etcd: etcd,
        })
    }
}

fn kubeconfig_text(authority: &Path) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: bench\n\
         clusters: [{{name: bench, cluster: {{server: \"https://127.0.0.1:{PORT}\", certificate-authority: \"{}\"}}}}]\n\
         users: [{{name: bench, user: {{token: {TOKEN}}}}}]\n\
         contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]\n",
        authority.display()
    )
}
