//! The verbs that ask and prepare a cluster, as a user runs them: with a kubeconfig and nothing else.

use std::{net::TcpStream, time::Duration};

use anyhow::{Context, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};

use super::release::{NAMESPACE, RELEASE, SHOP, all_answer_for, in_sync, ingress_of, pods, ways};
use crate::{
    Arguments,
    chaos::Bed,
    cluster::{Cluster, Forward},
    http,
    poll::eventually,
};

/// Host of the object that is waited for; what nobody claims is a 404.
const HOST: &str = "verbs.example";
/// How long an event may take that goes after everything else.
const EVENT: Duration = Duration::from_secs(20);
/// The key by which a consumer is known, and another one by which somebody else's is.
const SECRET: &str = "correct-horse-battery-staple";
const STRANGERS: &str = "open-sesame-said-the-stranger";
const CONSUMER: &str = "regular-customer";
const NEWER: &str = "gateway.silverback.dev/definitions-version=99.0.0";
const DEFINITION: &str = "crd/kongplugins.configuration.konghq.com";

pub(super) fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let user = User { cluster, arguments };
    user.definitions()?;
    user.preflight()?;
    let outcome = user.wait();
    for kind in ["ingress/verbs", "secret/verbs-tls"] {
        cluster.kubectl(&["delete", "--ignore-not-found", "-n", SHOP, kind])?;
    }
    outcome?;
    cluster.apply(&consumer())?;
    let outcome = user.one_proxy().and_then(|()| user.bundle());
    cluster.delete(&consumer())?;
    outcome
}

struct User<'a> {
    cluster: &'a Cluster,
    arguments: &'a Arguments,
}

impl User<'_> {
    /// `silverback …`: exit code, and what it prints on both outputs.
    fn silverback(&self, words: &[&str]) -> anyhow::Result<(i32, String)> {
        let program = self.arguments.silverback.as_ref().context("give --silverback")?;
        let output = self.cluster.run(program, words)?;
        println!("   $ silverback {}", words.join(" "));
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        for line in text.lines().take(30) {
            println!("   {}", line.chars().take(160).collect::<String>());
        }
        Ok((output.status.code().unwrap_or(-1), text))
    }

    fn good(&self, words: &[&str]) -> anyhow::Result<String> {
        match self.silverback(words)? {
            (0, text) => Ok(text),
            (code, text) => bail!("exit code {code}: {text}"),
        }
    }

    fn bad(&self, words: &[&str], says: &str) -> anyhow::Result<()> {
        let (code, text) = self.silverback(words)?;
        ensure!(
            code == 1 && text.contains(says),
            "exit code {code}, without {says:?}: {text}"
        );
        Ok(())
    }

    fn definitions(&self) -> anyhow::Result<()> {
        self.good(&["crds", "apply"])?;
        let again = self.good(&["crds", "apply"])?;
        ensure!(again.lines().all(|line| line.ends_with(": unchanged")), "{again}");
        self.cluster.kubectl(&["annotate", "--overwrite", DEFINITION, NEWER])?;
        self.bad(&["crds", "apply"], "nothing was changed")?;
        self.cluster
            .kubectl(&["annotate", DEFINITION, "gateway.silverback.dev/definitions-version-"])?;
        let back = self.good(&["crds", "apply"])?;
        ensure!(
            back.contains("kongplugins.configuration.konghq.com: taken over"),
            "{back}"
        );
        Ok(())
    }

    fn preflight(&self) -> anyhow::Result<()> {
        let words = ["preflight", "--release", RELEASE, "--namespace", NAMESPACE];
        let report = self.good(&words)?;
        ensure!(report.contains("is of the chart silverback"), "{report}");
        let renamed = [&words[..], &["--proxy-deployment", "other"]].concat();
        self.bad(&renamed, "Helm would delete all old pods at once")?;
        let second = ["preflight", "--release", "second", "--namespace", NAMESPACE];
        self.bad(&second, &format!("helm upgrade {RELEASE}"))
    }

    /// Only an annotation changes, then only a Secret; then nothing goes out.
    fn wait(&self) -> anyhow::Result<()> {
        let wait = ["wait", "ingress/verbs", "-n", SHOP, "--timeout", "30s"];
        self.cluster.apply(&ingress_of("verbs", HOST, "/verbs", "web"))?;
        self.good(&wait)?;
        self.each_answers(200)?;
        // For whoever looks later: an Ingress has no conditions.
        eventually("the Ingress says that it is live", EVENT, || {
            let described = self.cluster.kubectl(&["describe", "ingress/verbs", "-n", SHOP])?;
            ensure!(
                described.contains("Programmed") && described.contains("live on all proxies (2), within"),
                "{described}"
            );
            Ok(())
        })?;
        // Nothing else says that it is everywhere: the generation stays.
        self.cluster
            .kubectl(&["annotate", "ingress/verbs", "-n", SHOP, "konghq.com/methods=POST"])?;
        self.good(&wait)?;
        self.each_answers(404)?;

        let ways = self.tls_ways()?;
        for name in ["one", "two"] {
            let (secret, certificate) = secret(name)?;
            self.cluster.apply(&secret)?;
            if name == "one" {
                let tls = format!(
                    "{}  tls: [{{hosts: [{HOST}], secretName: verbs-tls}}]\n",
                    ingress_of("verbs", HOST, "/verbs", "web")
                );
                self.cluster.apply(&tls)?;
            }
            let outcome = self.good(&[&wait[..], &["--output", "json"]].concat())?;
            let outcome: Value = serde_json::from_str(outcome.lines().next().unwrap_or_default())?;
            ensure!(outcome["effectiveAfterMilliseconds"].is_u64(), "{outcome}");
            each_shows(&ways, &certificate)?;
        }

        let fleet = format!("{RELEASE}-kong-gateway-admin");
        self.good(&["pause", &fleet, "-n", NAMESPACE])?;
        self.cluster.kubectl(&[
            "annotate",
            "--overwrite",
            "ingress/verbs",
            "-n",
            SHOP,
            "konghq.com/methods=GET",
        ])?;
        let held = self.bad(&["wait", "ingress/verbs", "-n", SHOP, "--timeout", "8s"], "Paused");
        self.good(&["resume", &fleet, "-n", NAMESPACE])?;
        held?;
        self.good(&wait)?;
        all_answer_for(self.cluster, HOST, "/verbs", 200)
    }

    /// At once: no proxy may be asked twice.
    fn each_answers(&self, status: u16) -> anyhow::Result<()> {
        for (name, way) in ways(self.cluster)? {
            let answer = http::get(way.address, HOST, "/verbs")?;
            ensure!(
                answer.status == status,
                "{name} answers {}, not {status}",
                answer.status
            );
        }
        Ok(())
    }

    /// Ways to the TLS port of every proxy.
    fn tls_ways(&self) -> anyhow::Result<Vec<(String, Forward)>> {
        let pods = pods(self.cluster)?.into_iter();
        pods.map(|pod| Ok((pod.name, self.cluster.forward(&format!("{}:8443", pod.address))?)))
            .collect()
    }

    /// With a consumer, whose key nobody is shown.
    fn one_proxy(&self) -> anyhow::Result<()> {
        self.good(&[
            "wait",
            &format!("kongconsumer/{CONSUMER}"),
            "-n",
            SHOP,
            "--timeout",
            "30s",
        ])?;
        in_sync(self.cluster, 2)?;
        let pods = pods(self.cluster)?;
        let name = &pods.first().context("no pod")?.name;
        let text = self.good(&["proxies", "config", name, "--output", "json"])?;
        let configuration: Value = serde_json::from_str(text.lines().next().unwrap_or_default())?;
        ensure!(configuration["services"].is_array(), "{configuration}");
        ensure!(
            text.contains(CONSUMER) && text.contains("keyauth_credentials") && !text.contains(SECRET),
            "it has no credential, or tells it: {text}"
        );
        let same = self.good(&["proxies", "config", name, "--diff"])?;
        ensure!(same.contains("runs what it shall"), "{same}");
        self.bad(&["proxies", "config", "nobody"], "no proxy of that name")?;

        // While the fleet is paused what somebody else has written stays.
        let fleet = format!("{RELEASE}-kong-gateway-admin");
        self.good(&["pause", &fleet, "-n", NAMESPACE])?;
        let differs = self.differs(name);
        self.good(&["resume", &fleet, "-n", NAMESPACE])?;
        differs?;
        in_sync(self.cluster, 2)
    }

    fn differs(&self, name: &str) -> anyhow::Result<()> {
        let bed = Bed::new(self.cluster, self.arguments, 2, None)?;
        bed.write(
            name,
            &json!({
                "_format_version": "3.0",
                "services": [{"name": "strangers-service", "url": "http://192.0.2.1:80"}],
                "consumers": [{"username": "strangers-consumer", "keyauth_credentials": [{"key": STRANGERS}]}],
            }),
        )?;
        let differs = eventually("the difference is shown", EVENT, || {
            let (code, text) = self.silverback(&["proxies", "config", name, "--diff"])?;
            let is_shown = ["strangers-service", "strangers-consumer", CONSUMER]
                .iter()
                .all(|part| text.contains(part));
            ensure!(code == 1 && is_shown, "exit code {code}: {text}");
            Ok(text)
        })?;
        let runs = self.good(&["proxies", "config", name])?;
        ensure!(runs.contains("strangers-service"), "{runs}");
        for secret in [SECRET, STRANGERS] {
            ensure!(!differs.contains(secret) && !runs.contains(secret), "a key is shown");
        }
        Ok(())
    }

    fn bundle(&self) -> anyhow::Result<()> {
        let directory = self.arguments.cluster.join("bundle");
        // What an earlier run left.
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory)?;
        let file = directory.join("bundle.tar.gz");
        let path = file.to_str().context("a path is text")?;
        self.good(&["support-bundle", "-n", NAMESPACE, "--output-file", path])?;
        let unpacked = std::process::Command::new("tar")
            .args(["-xzf", path, "-C"])
            .arg(&directory)
            .status()?;
        ensure!(unpacked.success(), "tar can't unpack it");
        let (mut names, mut text) = (Vec::new(), String::new());
        read_all(&directory, &mut names, &mut text)?;
        for wanted in [
            "versions.json",
            "proxyinstances.json",
            "pods.json",
            "configuration.json",
            "controller.log",
            "proxy.log",
        ] {
            ensure!(
                names.iter().any(|name| name.ends_with(wanted)),
                "{wanted} is not in {names:?}"
            );
        }
        let key = self
            .cluster
            .get(&["secret", "-n", NAMESPACE, &format!("{RELEASE}-kong-ca")])?;
        let values = key["data"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, value)| value.as_str());
        // The credential is there, and its key is not.
        ensure!(
            text.contains(CONSUMER) && text.contains("keyauth_credentials"),
            "the bundle holds no consumer"
        );
        for value in values.chain([SECRET, &STANDARD.encode(SECRET), "PRIVATE KEY"]) {
            ensure!(!text.contains(value), "the bundle holds the value of a Secret");
        }
        Ok(())
    }
}

/// A consumer, and the credential that it uses.
fn consumer() -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {CONSUMER}, namespace: {SHOP}, \
         labels: {{konghq.com/credential: key-auth}}}}\nstringData: {{key: {SECRET}}}\n---\n\
         apiVersion: configuration.konghq.com/v1\nkind: KongConsumer\nmetadata: {{name: {CONSUMER}, namespace: {SHOP}, \
         annotations: {{kubernetes.io/ingress.class: kong}}}}\nusername: {CONSUMER}\ncredentials: [{CONSUMER}]\n"
    )
}

/// Each proxy shows just this certificate to whoever asks for the host. At once: none may be asked twice.
fn each_shows(ways: &[(String, Forward)], certificate: &str) -> anyhow::Result<()> {
    let expected = CertificateDer::from_pem_slice(certificate.as_bytes())?;
    let mut roots = RootCertStore::empty();
    roots.add(expected.clone())?;
    let tls = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = std::sync::Arc::new(tls);
    for (name, way) in ways {
        let mut stream = TcpStream::connect(way.address)?;
        stream.set_read_timeout(Some(EVENT))?;
        let mut connection = ClientConnection::new(tls.clone(), ServerName::try_from(HOST)?)?;
        while connection.is_handshaking() {
            let step = connection.complete_io(&mut stream);
            step.with_context(|| format!("{name} shows another certificate"))?;
        }
        let shown = connection.peer_certificates().and_then(<[_]>::first);
        ensure!(shown == Some(&expected), "{name} shows another certificate");
    }
    Ok(())
}

/// A certificate for the shop's host, another one each time: the Secret with it, and itself.
fn secret(name: &str) -> anyhow::Result<(String, String)> {
    let key = rcgen::KeyPair::generate()?;
    let mut parameters = rcgen::CertificateParams::new(vec![HOST.to_owned()])?;
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    let certificate = parameters.self_signed(&key)?;
    let value = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": "verbs-tls", "namespace": SHOP },
        "stringData": { "tls.crt": certificate.pem(), "tls.key": key.serialize_pem() },
    });
    Ok((value.to_string(), certificate.pem()))
}

fn read_all(directory: &std::path::Path, names: &mut Vec<String>, text: &mut String) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path, names, text)?;
        } else if path.extension().is_none_or(|extension| extension != "gz") {
            names.push(path.display().to_string());
            text.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}
