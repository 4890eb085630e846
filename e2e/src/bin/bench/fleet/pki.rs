//! Certificates of the stub proxies, of the controller, and of the API server: made for one run.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// The name that the controller asks stubs for: they are discovered as endpoints of this Service.
pub(super) const SERVER_NAME: &str = "pod.kong-admin.kong.svc";

/// Two authorities, one for each direction, as the controller wants them.
pub(super) fn write(directory: &Path) -> anyhow::Result<()> {
    let (proxies, clients) = (authority("proxies")?, authority("controllers")?);
    fs::write(directory.join("proxies-ca.crt"), proxies.pem())?;
    fs::write(directory.join("clients-ca.crt"), clients.pem())?;
    let addresses = [SERVER_NAME.to_owned(), "127.0.0.1".to_owned()];
    issue(
        &proxies,
        &addresses,
        ExtendedKeyUsagePurpose::ServerAuth,
        directory,
        "server",
    )?;
    let name = ["controller.bench".to_owned()];
    issue(
        &clients,
        &name,
        ExtendedKeyUsagePurpose::ClientAuth,
        directory,
        "client",
    )
}

fn authority(name: &str) -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    Ok(CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?)
}

fn issue(
    authority: &CertifiedIssuer<'static, KeyPair>,
    names: &[String],
    usage: ExtendedKeyUsagePurpose,
    directory: &Path,
    file: &str,
) -> anyhow::Result<()> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.extended_key_usages = vec![usage];
    let key = KeyPair::generate()?;
    fs::write(
        directory.join(format!("{file}.crt")),
        parameters.signed_by(&key, authority)?.pem(),
    )?;
    fs::write(directory.join(format!("{file}.key")), key.serialize_pem())?;
    Ok(())
}

/// The stubs' side: only the controller's certificate opens it.
pub(super) fn server_config(directory: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let verifier = WebPkiClientVerifier::builder(roots(directory, "clients-ca.crt")?.into()).build()?;
    let (chain, key) = pair(directory, "server")?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The bare client's side.
pub(super) fn client_config(directory: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let (chain, key) = pair(directory, "client")?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots(directory, "proxies-ca.crt")?)
        .with_client_auth_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// What a client without a certificate verifies a server by: the authorities in a file.
pub(super) fn verifying_config(file: &Path) -> anyhow::Result<ClientConfig> {
    let roots = roots(
        file.parent().context("a file has a directory")?,
        &file.file_name().context("a file has a name")?.to_string_lossy(),
    )?;
    Ok(ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn roots(directory: &Path, file: &str) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(directory.join(file))? {
        roots.add(certificate?)?;
    }
    Ok(roots)
}

fn pair(directory: &Path, file: &str) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = CertificateDer::pem_file_iter(directory.join(format!("{file}.crt")))?;
    let key = PrivateKeyDer::from_pem_file(directory.join(format!("{file}.key")))?;
    Ok((chain.collect::<Result<_, _>>()?, key))
}
