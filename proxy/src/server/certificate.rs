//! The certificate that an admin listener shows, and the authorities that its clients are verified by.
//!
//! Both are read again when their files change, and count from the next handshake on; nothing is resumed, since a resumed
//! session would bypass changed authorities. What was verified by authorities that have changed since is verified again
//! at its next request. Clients are verified after the handshake, not in it, so that they can be told what is wrong over
//! HTTP, as nginx does; nothing else is served to them.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error as TlsError, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::pem_file::{PemFileError, Stamps, content};
use crate::settings::{AdminClients, KeyPairFiles};

/// Why a client is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientFault {
    /// It showed no certificate.
    Missing,
    /// Its certificate is of no trusted authority, expired, or not for clients.
    Untrusted,
    /// Its certificate is good, but bears no permitted name.
    Unnamed,
}

/// What is in force.
struct Loaded {
    config: Arc<ServerConfig>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    generation: u64,
}

/// What a listener shows and trusts, kept up to date.
pub(crate) struct ServerCertificate {
    /// None: the certificate was made here, and clients are not verified.
    files: Option<KeyPairFiles>,
    authorities: Option<PathBuf>,
    names: Vec<String>,
    http2: bool,
    loaded: ArcSwap<Loaded>,
    stamps: Mutex<Stamps>,
}

impl ServerCertificate {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that is missing or wrong.
    pub(crate) fn load(files: &KeyPairFiles, clients: &AdminClients, http2: bool) -> Result<Self, PemFileError> {
        let (authorities, names) = match clients {
            AdminClients::Anyone => (None, Vec::new()),
            AdminClients::Verified { authorities, names } => (Some(authorities.clone()), names.clone()),
        };
        let stamps = stamps(files, authorities.as_deref());
        let loaded = read(files, authorities.as_deref(), http2, 1)?;
        Ok(Self {
            files: Some(files.clone()),
            authorities,
            names,
            http2,
            loaded: ArcSwap::from_pointee(loaded),
            stamps: Mutex::new(stamps),
        })
    }

    /// A new self-signed certificate for `localhost`, as Kong makes one, for clients on this machine.
    ///
    /// # Errors
    /// No key can be made.
    pub(crate) fn self_signed(http2: bool) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        Ok(Self {
            files: None,
            authorities: None,
            names: Vec::new(),
            http2,
            loaded: ArcSwap::from_pointee(Loaded {
                config: Arc::new(as_wanted(config, http2)),
                clients: None,
                generation: 1,
            }),
            stamps: Mutex::new(Stamps::of([])),
        })
    }

    /// Reads the files again if one has changed. Files that don't fit together, as while they are being replaced, leave
    /// the old ones in force and are tried again at the next call.
    pub(crate) fn reload_if_changed(&self) {
        let Some(files) = &self.files else { return };
        let seen = stamps(files, self.authorities.as_deref());
        let mut stamps = self.stamps.lock().expect("no panic while the stamps are held");
        if *stamps == seen {
            return;
        }
        let generation = self.loaded.load().generation + 1;
        match read(files, self.authorities.as_deref(), self.http2, generation) {
            Ok(loaded) => {
                self.loaded.store(Arc::new(loaded));
                *stamps = seen;
                tracing::info!(certificate = %files.certificate.display(), "certificates read again");
            }
            Err(error) => tracing::warn!(%error, "changed certificates can't be used; the old ones stay in force"),
        }
    }

    /// For the next handshake.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.loaded.load().config)
    }

    /// Grows with each change of the files.
    pub(crate) fn generation(&self) -> u64 {
        self.loaded.load().generation
    }

    /// Verifies the chain that a client showed. `Ok(false)`: clients are not verified here.
    pub(crate) fn verify(&self, chain: Option<&[CertificateDer<'_>]>) -> Result<bool, ClientFault> {
        let loaded = self.loaded.load();
        let Some(verifier) = &loaded.clients else {
            return Ok(false);
        };
        let Some((leaf, intermediates)) = chain.and_then(<[_]>::split_first) else {
            return Err(ClientFault::Missing);
        };
        verifier
            .verify_client_cert(leaf, intermediates, UnixTime::now())
            .map_err(|_| ClientFault::Untrusted)?;
        if self.names.is_empty() || bears_name(leaf, &self.names) {
            Ok(true)
        } else {
            Err(ClientFault::Unnamed)
        }
    }
}

/// Whether a DNS name, URI or common name of the certificate is among these.
fn bears_name(certificate: &CertificateDer<'_>, names: &[String]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let mut alternatives = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let in_alternatives = alternatives.any(|general| match general {
        GeneralName::DNSName(name) | GeneralName::URI(name) => names.iter().any(|wanted| wanted == name),
        _ => false,
    });
    in_alternatives
        || certificate
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok())
            .any(|name| names.iter().any(|wanted| wanted == name))
}

fn stamps(files: &KeyPairFiles, authorities: Option<&Path>) -> Stamps {
    let paths = [
        Some(files.certificate.as_path()),
        Some(files.key.as_path()),
        authorities,
    ];
    Stamps::of(paths.into_iter().flatten())
}

fn read(
    files: &KeyPairFiles,
    authorities: Option<&Path>,
    http2: bool,
    generation: u64,
) -> Result<Loaded, PemFileError> {
    let chain = certificates(&files.certificate)?;
    let key_pem = content(&files.key)?;
    let key =
        PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| unusable(&files.key, "holds no private key in PEM"))?;
    let clients = authorities.map(client_verifier).transpose()?;
    let builder = ServerConfig::builder();
    let builder = match &clients {
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(AfterHandshake(Arc::clone(verifier)))),
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(chain, key).map_err(|error| {
        unusable(
            &files.certificate,
            &format!("does not fit its key {}: {error}", files.key.display()),
        )
    })?;
    Ok(Loaded {
        config: Arc::new(as_wanted(config, http2)),
        clients,
        generation,
    })
}

/// Without resumption, which would bypass changed authorities.
fn as_wanted(mut config: ServerConfig, http2: bool) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    config
}

fn client_verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, PemFileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(path, &format!("holds an authority that can't be used: {error}")))?;
    }
    WebPkiClientVerifier::builder(Arc::new(roots))
        .build()
        .map_err(|error| unusable(path, &error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    let pem = content(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| unusable(path, "is no valid PEM"))?;
    match certificates.is_empty() {
        true => Err(unusable(path, "holds no certificate in PEM")),
        false => Ok(certificates),
    }
}

fn unusable(path: &Path, message: &str) -> PemFileError {
    PemFileError::unusable(path, message)
}

/// Whether this PEM text holds an authority that rustls can use.
pub(crate) fn is_authority(pem: &[u8]) -> bool {
    CertificateDer::from_pem_slice(pem).is_ok_and(|certificate| RootCertStore::empty().add(certificate).is_ok())
}

/// Asks for a certificate in the handshake and checks that the client holds its key; the chain is verified afterwards
/// ([`ServerCertificate::verify`]).
#[derive(Debug)]
struct AfterHandshake(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AfterHandshake {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
