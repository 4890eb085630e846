//! One conversation with the controller: a challenge, a signing request that bears it, a certificate.

use std::{fs, io::Read, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    client::conn::http1,
    header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use sha2::{Digest, Sha256};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::settings::IdentitySource;

/// For the whole conversation.
const LIMIT: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;
/// Largest token, in bytes.
const MAX_TOKEN: u64 = 16 << 10;
/// Authorities that the controller is told of: there are two at the most, but for files that were put together by hand.
const MAX_TOLD: usize = 32;

/// Header that says by which authorities controllers are verified here: SHA-256 of their certificates, hexadecimal, with
/// commas between them. While authorities are replaced, it decides whose certificate this proxy gets.
pub const TRUSTED_AUTHORITIES: HeaderName = HeaderName::from_static("silverback-trusted-authorities");

/// A certificate for this key.
///
/// # Errors
/// The controller can't be reached, is not who it should be, or refuses; what it says is part of the error.
pub(super) async fn certificate(
    source: &IdentitySource,
    authorities: &[u8],
    key: &rcgen::KeyPair,
) -> anyhow::Result<String> {
    let conversation = async {
        let mut sender = connect(source, authorities).await?;
        let nothing = (HeaderMap::new(), String::new());
        let challenge = send(&mut sender, source, Method::GET, "/v1/challenge", nothing).await?;
        let request = signing_request(challenge.trim(), key)?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization(source)?);
        headers.insert(TRUSTED_AUTHORITIES, trusted(authorities)?);
        let asked = (headers, request);
        send(&mut sender, source, Method::POST, "/v1/certificate", asked).await
    };
    let chain = timeout(LIMIT, conversation).await.context("no answer in time")??;
    ensure!(
        CertificateDer::from_pem_slice(chain.as_bytes()).is_ok(),
        "the answer is no certificate"
    );
    Ok(chain)
}

/// Names are set by the controller; the common name is the challenge, so that the key signs it.
fn signing_request(challenge: &str, key: &rcgen::KeyPair) -> anyhow::Result<String> {
    let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, challenge);
    Ok(parameters.serialize_request(key)?.pem()?)
}

fn trusted(authorities: &[u8]) -> anyhow::Result<HeaderValue> {
    let certificates = CertificateDer::pem_slice_iter(authorities).take(MAX_TOLD);
    let mut hashes = Vec::new();
    for certificate in certificates {
        let hash = Sha256::digest(certificate.context("the authorities' file is no PEM")?);
        hashes.push(hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    Ok(hashes.join(",").try_into()?)
}

fn authorization(source: &IdentitySource) -> anyhow::Result<HeaderValue> {
    let token = read_token(source)?;
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).context("the token is no text of one line")?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_token(source: &IdentitySource) -> anyhow::Result<String> {
    let path = source.token.display();
    let file = fs::File::open(&source.token).with_context(|| format!("can't read the token {path}"))?;
    let mut token = String::new();
    file.take(MAX_TOKEN)
        .read_to_string(&mut token)
        .with_context(|| format!("can't read the token {path}"))?;
    Ok(token.trim().to_owned())
}

type Sender = http1::SendRequest<Full<Bytes>>;

async fn connect(source: &IdentitySource, authorities: &[u8]) -> anyhow::Result<Sender> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities) {
        roots.add(authority.context("the authorities' file is no PEM")?)?;
    }
    ensure!(
        !roots.is_empty(),
        "there is no authority in {}",
        source.authorities.display()
    );
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(source.host.clone()).context("the controller's host can't be verified")?;
    let address = (source.host.as_str(), source.port);
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("can't reach {}:{}", source.host, source.port))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .with_context(|| format!("no TLS with {}:{}", source.host, source.port))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; what goes wrong is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(
    sender: &mut Sender,
    source: &IdentitySource,
    method: Method,
    path: &str,
    (headers, body): (HeaderMap, String),
) -> anyhow::Result<String> {
    let request = Request::builder().method(method).uri(path).header(HOST, &source.host);
    let mut request = request.body(Full::from(body))?;
    request.headers_mut().extend(headers);
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let answer = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let answer = answer.map_err(|_| anyhow::anyhow!("the answer ended early, or is too long"))?;
    let answer = String::from_utf8_lossy(&answer.to_bytes()).into_owned();
    if status != StatusCode::OK {
        bail!("the controller answered {status}: {}", answer.trim());
    }
    Ok(answer)
}
