//! What a certificate says, for people.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::model::PeerCertificate;

/// Names of a certificate that are shown at the most.
const MAX_NAMES: usize = 8;

/// Distinguished name of the subject, or that it can't be read.
pub(super) fn subject(der: &[u8]) -> String {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => certificate.subject().to_string(),
        Err(_) => "an unreadable certificate".to_owned(),
    }
}

/// What is kept of a proxy's certificate; `None` if it can't be parsed.
pub(super) fn describe(der: &[u8], server_name: &str) -> Option<PeerCertificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    Some(PeerCertificate {
        server_name: server_name.to_owned(),
        issuer: certificate.issuer().to_string(),
        fingerprint: Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect(),
        not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
        not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
    })
}

/// One line: whose certificate it is, whom it names, who signed it.
pub(super) fn summary(der: &[u8]) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return "it can't be parsed".to_owned();
    };
    let names: Vec<String> = names(&certificate).into_iter().take(MAX_NAMES).collect();
    let called = |name: String| match &*name {
        "" => "nobody".to_owned(),
        name => format!("{name:?}"),
    };
    format!(
        "it is of {}, for {}, issued by {}",
        called(certificate.subject().to_string()),
        if names.is_empty() {
            "no name".to_owned()
        } else {
            names.join(", ")
        },
        called(certificate.issuer().to_string()),
    )
}

/// The DNS names, URIs and addresses that it is for.
pub(in crate::pki) fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => Some(std::net::IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string()),
                16 => Some(std::net::IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}
