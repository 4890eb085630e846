//! Who gets no certificate of a proxy: a real API server says whose tokens these are.

use std::{io::Write, net::TcpStream, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use super::release::{LIMIT, NAMESPACE, RELEASE, leader, pods};
use crate::{
    Arguments,
    cluster::{Cluster, Forward},
    http::{self, Answer},
    poll::eventually,
};

const AUDIENCE: &str = "identity.gateway.silverback.dev";
/// A pod with the proxies' ServiceAccount that is no proxy.
const STRANGER: &str = "stranger";

/// The leader's endpoint.
struct Issuer {
    way: Forward,
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Issuer {
    fn find(cluster: &Cluster) -> anyhow::Result<Self> {
        let pod = cluster.get(&["pod", "-n", NAMESPACE, &leader(cluster)?])?;
        let address = pod["status"]["podIP"].as_str().context("the leader has no address")?;
        let secret = format!("{RELEASE}-kong-proxy-tls");
        let field = "go-template={{index .data \"ca.crt\" | base64decode}}";
        let authorities = cluster.kubectl(&["get", "secret", "-n", NAMESPACE, &secret, "-o", field])?;
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            roots.add(authority?)?;
        }
        let tls = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = format!("{RELEASE}-kong-controller-identity.{NAMESPACE}.svc");
        Ok(Self {
            way: cluster.forward(&format!("{address}:8445"))?,
            tls: tls.into(),
            name: ServerName::try_from(name)?,
        })
    }

    fn send(&self, head: &str, token: &str, body: &str) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect(self.way.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        let connection = ClientConnection::new(self.tls.clone(), self.name.clone())?;
        let mut stream = StreamOwned::new(connection, stream);
        write!(
            stream,
            "{head} HTTP/1.1\r\nHost: identity\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )?;
        http::read(stream)
    }

    /// A signing request with a fresh challenge.
    fn request(&self) -> anyhow::Result<String> {
        let challenge = self.send("GET /v1/challenge", "", "")?;
        ensure!(challenge.status == 200, "{} {}", challenge.status, challenge.body);
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters
            .distinguished_name
            .push(DnType::CommonName, challenge.body.trim());
        Ok(parameters.serialize_request(&KeyPair::generate()?)?.pem()?)
    }

    fn ask(&self, token: &str, request: &str) -> anyhow::Result<Answer> {
        self.send("POST /v1/certificate", token, request)
    }

    fn refuses(&self, whose: &str, token: &str, status: u16, words: &str) -> anyhow::Result<()> {
        let answer = self.ask(token, &self.request()?)?;
        ensure!(
            answer.status == status && answer.body.contains(words),
            "{whose}: {} {}",
            answer.status,
            answer.body
        );
        println!("   {whose}: {status}, {}", answer.body.trim());
        Ok(())
    }
}

/// A token of a ServiceAccount as its pod gets it.
fn token(cluster: &Cluster, account: &str, audience: &str, pod: Option<(&str, &str)>) -> anyhow::Result<String> {
    let mut arguments = vec!["create", "token", "-n", NAMESPACE, account, "--duration=10m"];
    if !audience.is_empty() {
        arguments.extend(["--audience", audience]);
    }
    if let Some((name, uid)) = pod {
        let bound = [
            "--bound-object-kind=Pod",
            "--bound-object-name",
            name,
            "--bound-object-uid",
            uid,
        ];
        arguments.extend(bound);
    }
    Ok(cluster.kubectl(&arguments)?.trim().to_owned())
}

/// UID and ServiceAccount.
fn identity_of(cluster: &Cluster, pod: &str) -> anyhow::Result<(String, String)> {
    let pod = cluster.get(&["pod", "-n", NAMESPACE, pod])?;
    let uid = pod["metadata"]["uid"].as_str().context("it has no uid")?;
    let account = pod["spec"]["serviceAccountName"]
        .as_str()
        .context("it has no account")?;
    Ok((uid.to_owned(), account.to_owned()))
}

pub(super) fn get_no_certificate(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let issuer = Issuer::find(cluster)?;
    let proxy = pods(cluster)?.into_iter().next().context("no proxy")?.name;
    let (uid, account) = identity_of(cluster, &proxy)?;
    let of_proxy = Some((proxy.as_str(), uid.as_str()));
    let default = token(cluster, &account, "", of_proxy)?;
    issuer.refuses(
        "a proxy's token of the default audience",
        &default,
        401,
        "not valid for the audience",
    )?;
    let unbound = token(cluster, &account, AUDIENCE, None)?;
    issuer.refuses("a token that belongs to no pod", &unbound, 401, "not bound to a pod")?;
    let controller = leader(cluster)?;
    let (uid, other) = identity_of(cluster, &controller)?;
    let other = token(cluster, &other, AUDIENCE, Some((&controller, &uid)))?;
    issuer.refuses("another pod's token", &other, 403, "may not have")?;

    let stranger = a_stranger(cluster, &account, &arguments.application_image)?;
    issuer.refuses("a pod's that is no proxy", &stranger, 403, "in no EndpointSlice")?;
    cluster.kubectl(&["delete", "pod", "-n", NAMESPACE, STRANGER, "--wait", "--timeout=60s"])?;
    // The API server remembers for some seconds that it was good.
    eventually("the token of a deleted pod is refused", LIMIT, || {
        issuer.refuses(
            "the same after it was deleted",
            &stranger,
            401,
            "not valid for the audience",
        )
    })?;

    let good = token(cluster, &account, AUDIENCE, of_proxy)?;
    let request = issuer.request()?;
    let issued = issuer.ask(&good, &request)?;
    ensure!(
        issued.status == 200 && issued.body.contains("BEGIN CERTIFICATE"),
        "a proxy's own token: {} {}",
        issued.status,
        issued.body
    );
    let again = issuer.ask(&good, &request)?;
    ensure!(again.status == 409, "a replay: {} {}", again.status, again.body);
    println!("   the same request again: 409, {}", again.body.trim());
    Ok(())
}

/// Its token, while it lives.
fn a_stranger(cluster: &Cluster, account: &str, image: &str) -> anyhow::Result<String> {
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {STRANGER}, namespace: {NAMESPACE}}}\nspec:\n  \
         serviceAccountName: {account}\n  terminationGracePeriodSeconds: 0\n  \
         securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}\n  \
         containers:\n    - name: web\n      image: {image}\n      imagePullPolicy: Never\n      \
         securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}\n"
    ))?;
    let (uid, _) = identity_of(cluster, STRANGER)?;
    eventually("the stranger runs", LIMIT, || {
        let pod = cluster.get(&["pod", "-n", NAMESPACE, STRANGER])?;
        ensure!(pod["status"]["phase"] == "Running", "it is {}", pod["status"]["phase"]);
        Ok(())
    })?;
    token(cluster, account, AUDIENCE, Some((STRANGER, &uid)))
}
