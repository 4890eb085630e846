//! The API server without kubectl: for what is asked several times a second.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, Method, header::CONTENT_TYPE};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::Value;

/// Limit of one request: an API server that is stopped must not hold up whoever looks at the clock.
const LIMIT: Duration = Duration::from_secs(2);

/// A client with the rights of the kubeconfig's user. Clones share connections.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    server: String,
}

impl Api {
    /// Reads the kubeconfig of the test bed: one cluster, one user, certificates in it.
    pub(crate) fn new(kubeconfig: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(kubeconfig).with_context(|| kubeconfig.display().to_string())?;
        let config: Value = serde_saphyr::from_str(&text).context("the kubeconfig")?;
        let cluster = &config["clusters"][0]["cluster"];
        let user = &config["users"][0]["user"];
        let server = cluster["server"].as_str().context("the kubeconfig has no server")?;
        let tls = client_config(
            &decoded(&cluster["certificate-authority-data"])?,
            &decoded(&user["client-certificate-data"])?,
            &decoded(&user["client-key-data"])?,
        )?;
        let http = Client::builder()
            .no_proxy()
            .timeout(LIMIT)
            .tls_backend_preconfigured(tls)
            .build()?;
        Ok(Self {
            http,
            server: server.to_owned(),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None).await
    }

    /// Applies a JSON merge patch.
    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> anyhow::Result<()> {
        self.send(Method::PATCH, path, Some(patch)).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.server));
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/merge-patch+json")
                .body(body.to_string());
        }
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!(
                "{method} {path}: {status}: {}",
                text.chars().take(400).collect::<String>()
            );
        }
        serde_json::from_str(&text).context("the API server answered no JSON")
    }
}

/// Who shows this certificate, and trusts that authority; PEM.
pub(crate) fn client_config(authority: &[u8], certificate: &[u8], key: &[u8]) -> anyhow::Result<ClientConfig> {
    let unreadable = |error: rustls::pki_types::pem::Error| anyhow!("{error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority) {
        roots.add(certificate.map_err(unreadable)?)?;
    }
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(unreadable)?;
    Ok(
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?,
    )
}

/// What a Secret or a kubeconfig holds.
pub(crate) fn decoded(value: &Value) -> anyhow::Result<Vec<u8>> {
    let text = value.as_str().context("a value is missing")?;
    STANDARD.decode(text).context("a value is not in base64")
}
