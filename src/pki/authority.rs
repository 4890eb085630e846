//! A certificate authority of ours, and what it issues. Pure but for randomness and the clock that it is given.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKey, PublicKeyData, SanType,
};
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;

use super::client;
use crate::model::PodRef;

/// How long an authority's certificate is valid.
const AUTHORITY_VALIDITY: Duration = Duration::from_secs(10 * 365 * DAY);
/// How long an issued certificate is valid; it is renewed at two thirds.
const LEAF_VALIDITY: Duration = Duration::from_secs(90 * DAY);
/// The same for a certificate whose key never leaves its pod.
const IDENTITY_VALIDITY: Duration = Duration::from_secs(DAY);
/// Certificates begin to be valid this long before they are made: clocks of nodes differ.
const BACKDATED: Duration = Duration::from_secs(3600);
const DAY: u64 = 24 * 3600;

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The library refused.
    #[error("failed to make a certificate")]
    Issue(#[from] rcgen::Error),
    /// What was given is no certificate.
    #[error("failed to read a certificate: {0}")]
    Parse(String),
}

/// A certificate chain and its key, as PEM. The debug form shows no key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPairPem {
    /// Leaf first.
    pub certificate: String,
    /// PKCS #8. Secret.
    pub key: String,
}

impl std::fmt::Debug for KeyPairPem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("KeyPairPem")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// Signs certificates of one purpose: the controller's client certificate, or the proxies' server certificates.
pub struct Authority {
    pem: KeyPairPem,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new authority: ECDSA P-256, self-signed.
    ///
    /// # Errors
    /// When the random generator or the library fails.
    pub fn generate(common_name: &str, now: Timestamp) -> Result<Self, Error> {
        let mut parameters = parameters(common_name, now, AUTHORITY_VALIDITY)?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let key_pem = key.serialize_pem();
        let certified = CertifiedIssuer::self_signed(parameters, key)?;
        Self::from_pem(KeyPairPem {
            certificate: certified.pem(),
            key: key_pem,
        })
    }

    /// An authority that was made before.
    ///
    /// # Errors
    /// When certificate or key can't be read.
    pub fn from_pem(pem: KeyPairPem) -> Result<Self, Error> {
        let key = KeyPair::from_pem(&pem.key)?;
        let issuer = Issuer::from_ca_cert_pem(&pem.certificate, key)?;
        Ok(Self { pem, issuer })
    }

    /// Certificate and key.
    pub fn pem(&self) -> &KeyPairPem {
        &self.pem
    }

    /// A server certificate for these names and addresses. It never carries clientAuth, so that a proxy's certificate
    /// opens no other proxy.
    ///
    /// # Errors
    /// When a name is no valid host name.
    pub fn issue_server(&self, common_name: &str, names: &[String], now: Timestamp) -> Result<KeyPairPem, Error> {
        let mut parameters = parameters(common_name, now, LEAF_VALIDITY)?;
        for name in names {
            parameters.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(parameters)
    }

    /// A client certificate.
    ///
    /// # Errors
    /// When the name is no valid host name.
    pub fn issue_client(&self, common_name: &str, now: Timestamp) -> Result<KeyPairPem, Error> {
        let mut parameters = parameters(common_name, now, LEAF_VALIDITY)?;
        parameters
            .subject_alt_names
            .push(SanType::DnsName(common_name.try_into()?));
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(parameters)
    }

    /// A server certificate of a proxy for a key that it made itself. It names the pod's uid and nothing else, for a day.
    ///
    /// # Errors
    /// When the uid can't stand in a certificate.
    pub fn issue_identity(&self, pod: &PodRef, key: &PublicKey, now: Timestamp) -> Result<String, Error> {
        let mut parameters = parameters(&pod.uid, now, IDENTITY_VALIDITY)?;
        parameters.subject_alt_names = vec![SanType::DnsName((&*pod.uid).try_into()?)];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(parameters, key)
    }

    fn issue(&self, parameters: CertificateParams) -> Result<KeyPairPem, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(KeyPairPem {
            certificate: self.sign(parameters, &key)?,
            key: key.serialize_pem(),
        })
    }

    fn sign(&self, mut parameters: CertificateParams, key: &impl PublicKeyData) -> Result<String, Error> {
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.use_authority_key_identifier_extension = true;
        Ok(parameters.signed_by(key, &self.issuer)?.pem())
    }
}

fn parameters(common_name: &str, now: Timestamp, validity: Duration) -> Result<CertificateParams, Error> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    parameters.distinguished_name = name;
    parameters.not_before = SystemTime::from(now - BACKDATED).into();
    parameters.not_after = SystemTime::from(now + validity).into();
    Ok(parameters)
}

/// SHA-256 of the first certificate of a PEM chain, hexadecimal.
pub(super) fn fingerprint(pem: &str) -> Result<String, Error> {
    let block = first_block(pem)?;
    Ok(Sha256::digest(&block.contents)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Distinguished name of the first certificate of a PEM chain, as certificates that it issued say it.
pub(super) fn subject(pem: &str) -> Result<String, Error> {
    let block = first_block(pem)?;
    let certificate = block.parse_x509().map_err(|error| Error::Parse(error.to_string()))?;
    Ok(certificate.subject().to_string())
}

/// The names and addresses that the first certificate of a PEM chain is for.
pub(super) fn names(pem: &str) -> Result<BTreeSet<String>, Error> {
    let block = first_block(pem)?;
    let certificate = block.parse_x509().map_err(|error| Error::Parse(error.to_string()))?;
    Ok(client::names(&certificate).into_iter().collect())
}

fn first_block(pem: &str) -> Result<Pem, Error> {
    Pem::iter_from_buffer(pem.as_bytes())
        .next()
        .ok_or_else(|| Error::Parse("there is none".to_owned()))?
        .map_err(|error| Error::Parse(error.to_string()))
}

/// When a certificate ceases to be valid, and when it shall be renewed: at two thirds of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Expiry.
    pub not_after: Timestamp,
    /// Two thirds.
    pub renew_at: Timestamp,
}

impl Validity {
    /// Reads it from the first certificate of a PEM chain.
    ///
    /// # Errors
    /// When there is no certificate.
    pub fn of_pem(pem: &str) -> Result<Self, Error> {
        let block = first_block(pem)?;
        let certificate = block.parse_x509().map_err(|error| Error::Parse(error.to_string()))?;
        let validity = certificate.validity();
        let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let second = |seconds| Timestamp::from_second(seconds).map_err(|error| Error::Parse(error.to_string()));
        Ok(Self {
            not_after: second(to)?,
            renew_at: second(from + (to - from) / 3 * 2)?,
        })
    }
}
