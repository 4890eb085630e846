//! Authorities and certificates, made anew for each test.

use std::{fs, path::Path, time::SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

/// An authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, key()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn server(&self) -> Leaf {
        self.issue("proxy", &["localhost"], ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn client(&self, name: &str) -> Leaf {
        self.issue(name, &[name], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate of a proxy for the key of a signing request (PEM), for a time.
    pub(crate) fn sign(&self, request: &str, from: SystemTime, to: SystemTime) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(request).unwrap();
        request.params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        request.params.not_before = from.into();
        request.params.not_after = to.into();
        request.signed_by(&self.0).unwrap().pem()
    }

    /// A certificate of whoever serves for clients of this authority.
    pub(crate) fn issuer(&self) -> Leaf {
        self.issue("controller", &["localhost"], ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn issue(&self, common_name: &str, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![usage];
        let key = key();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

/// The two authorities of a fleet: one for proxies, the other for the controller.
pub(crate) struct Pki {
    pub(crate) servers: Authority,
    pub(crate) clients: Authority,
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self {
            servers: Authority::new("proxies"),
            clients: Authority::new("controllers"),
        }
    }

    /// Writes what a proxy needs.
    pub(crate) fn write(&self, directory: &Path) {
        let server = self.servers.server();
        write(directory, "tls.key", &server.key);
        write(directory, "tls.crt", &server.certificate);
        write(directory, "ca.crt", &self.clients.pem());
    }
}

/// Replaces a file whole, as a kubelet does.
pub(crate) fn write(directory: &Path, name: &str, content: &str) {
    let temporary = directory.join(format!(".{name}"));
    fs::write(&temporary, content).unwrap();
    fs::rename(temporary, directory.join(name)).unwrap();
}
