//! Whether a certificate and a key belong together. Pure.
//!
//! Looser than rustls on purpose: what Kong serves (short RSA keys, X.509 v1, any curve of OpenSSL) must pass. Kinds of
//! keys that are not known here pass unless they can't be decoded at all; the proxy has the last word on them.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};
use x509_parser::{
    der_parser::{ber::BerObject, der::parse_der},
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
        OID_SIG_ED25519,
    },
    pem::Pem,
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

/// What is wrong with a certificate and its key. Holds nothing of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The certificate, and what is wrong with it.
    Certificate(&'static str),
    /// The key, and what is wrong with it.
    Key(&'static str),
    /// Both are fine by themselves.
    Mismatch,
}

/// Reads on after "Secret a/b": what is wrong.
impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(what) => write!(formatter, "holds no usable certificate in tls.crt: {what}"),
            Self::Key(what) => write!(formatter, "holds no usable key in tls.key: {what}"),
            Self::Mismatch => {
                formatter.write_str("holds a key in tls.key that is not that of the certificate in tls.crt")
            }
        }
    }
}

impl Fault {
    /// The field of the Secret.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "data[tls.crt]",
            Self::Key(_) | Self::Mismatch => "data[tls.key]",
        }
    }

    /// What to do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "put a PEM certificate chain there, leaf first",
            Self::Key(_) => "put the certificate's private key there, as unencrypted PEM",
            Self::Mismatch => "put the private key there that the certificate was made for",
        }
    }
}

/// Checks a PEM chain and a PEM key.
pub(super) fn check(certificate: &[u8], key: &[u8]) -> Result<(), Fault> {
    let chain = certificates(certificate)?;
    let (leaf, issuers) = chain
        .split_first()
        .ok_or(Fault::Certificate("there is no PEM block of a certificate"))?;
    let leaf = leaf.parse_x509().map_err(|_| BROKEN_CERTIFICATE)?;
    for issuer in issuers {
        issuer.parse_x509().map_err(|_| BROKEN_CERTIFICATE)?;
    }
    let key = PrivateKey::read(key)?;
    let subject = leaf.public_key();
    let is_ed25519 = subject.algorithm.algorithm == OID_SIG_ED25519;
    let matches = match (subject.parsed(), key) {
        (Ok(PublicKey::RSA(public)), PrivateKey::Rsa { modulus, exponent }) => {
            unsigned(public.modulus) == modulus && unsigned(public.exponent) == exponent
        }
        (Ok(PublicKey::EC(point)), PrivateKey::Ec(key)) => match curve(subject) {
            Some(algorithm) => ec_matches(&key, algorithm, point.data())?,
            None => true,
        },
        (_, PrivateKey::Ed25519(key)) => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key).map_err(|_| BROKEN_KEY)?;
            is_ed25519 && pair.public_key().as_ref() == &*subject.subject_public_key.data
        }
        (Ok(PublicKey::RSA(_) | PublicKey::EC(_)), _) | (_, PrivateKey::Rsa { .. } | PrivateKey::Ec(_)) => false,
        (_, PrivateKey::Unknown) => !is_ed25519,
    };
    if matches { Ok(()) } else { Err(Fault::Mismatch) }
}

const BROKEN_CERTIFICATE: Fault = Fault::Certificate("a PEM block can't be decoded as an X.509 certificate");
const BROKEN_KEY: Fault = Fault::Key("the PEM block can't be decoded as a private key");

fn certificates(text: &[u8]) -> Result<Vec<Pem>, Fault> {
    let mut chain = Vec::new();
    for block in Pem::iter_from_buffer(text) {
        let block = block.map_err(|_| Fault::Certificate("a PEM block is broken"))?;
        if block.label == "CERTIFICATE" {
            chain.push(block);
        }
    }
    Ok(chain)
}

/// A private key as far as it must be understood.
enum PrivateKey {
    /// Big-endian, without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// RFC 5915, or PKCS #8 around it.
    Ec(Vec<u8>),
    /// PKCS #8.
    Ed25519(Vec<u8>),
    /// Something that OpenSSL may know.
    Unknown,
}

impl PrivateKey {
    /// Reads the first private key; blocks in front of it (`EC PARAMETERS`) are skipped.
    fn read(text: &[u8]) -> Result<Self, Fault> {
        for block in Pem::iter_from_buffer(text) {
            let block = block.map_err(|_| Fault::Key("a PEM block is broken, or the key is encrypted"))?;
            match block.label.as_str() {
                "PRIVATE KEY" => return Self::from_pkcs8(block.contents),
                "RSA PRIVATE KEY" => return Self::from_pkcs1(&block.contents),
                "EC PRIVATE KEY" => return Ok(Self::Ec(block.contents)),
                "ENCRYPTED PRIVATE KEY" => return Err(Fault::Key("it is encrypted")),
                _ => {}
            }
        }
        Err(Fault::Key("there is no PEM block of a private key"))
    }

    /// RFC 5208: version, algorithm, key as octets.
    fn from_pkcs8(der: Vec<u8>) -> Result<Self, Fault> {
        let (_, outer) = parse_der(&der).map_err(|_| BROKEN_KEY)?;
        let [_, algorithm, key, ..] = items(&outer)? else {
            return Err(BROKEN_KEY);
        };
        let algorithm = items(algorithm)?
            .first()
            .and_then(|oid| oid.as_oid().ok())
            .ok_or(BROKEN_KEY)?;
        if *algorithm == OID_PKCS1_RSAENCRYPTION {
            return Self::from_pkcs1(key.as_slice().map_err(|_| BROKEN_KEY)?);
        }
        let (is_ec, is_ed25519) = (*algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY, *algorithm == OID_SIG_ED25519);
        drop(outer);
        Ok(match (is_ec, is_ed25519) {
            (true, _) => Self::Ec(der),
            (_, true) => Self::Ed25519(der),
            _ => Self::Unknown,
        })
    }

    /// RFC 8017: version, modulus, public exponent, and the secret rest.
    fn from_pkcs1(der: &[u8]) -> Result<Self, Fault> {
        let (_, outer) = parse_der(der).map_err(|_| BROKEN_KEY)?;
        let [_, modulus, exponent, _, ..] = items(&outer)? else {
            return Err(BROKEN_KEY);
        };
        Ok(Self::Rsa {
            modulus: unsigned(modulus.as_slice().map_err(|_| BROKEN_KEY)?).to_owned(),
            exponent: unsigned(exponent.as_slice().map_err(|_| BROKEN_KEY)?).to_owned(),
        })
    }
}

fn items<'o, 'd>(object: &'o BerObject<'d>) -> Result<&'o [BerObject<'d>], Fault> {
    object.as_sequence().map(Vec::as_slice).map_err(|_| BROKEN_KEY)
}

/// A number without the leading zeros that DER puts in front of high bits.
fn unsigned(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

const CURVES: [&EcdsaSigningAlgorithm; 3] = [
    &ECDSA_P256_SHA256_ASN1_SIGNING,
    &ECDSA_P384_SHA384_ASN1_SIGNING,
    &ECDSA_P521_SHA512_ASN1_SIGNING,
];

/// The curve of a public key, among those that are known here.
fn curve(key: &SubjectPublicKeyInfo<'_>) -> Option<&'static EcdsaSigningAlgorithm> {
    let oid = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let known = [OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521];
    let position = known.iter().position(|known| *known == oid)?;
    Some(CURVES[position])
}

/// Whether the key's public part is the point. A key of another curve is a good key that does not match.
fn ec_matches(key: &[u8], algorithm: &'static EcdsaSigningAlgorithm, point: &[u8]) -> Result<bool, Fault> {
    match EcdsaKeyPair::from_private_key_der(algorithm, key) {
        Ok(pair) => Ok(pair.public_key().as_ref() == point),
        Err(_)
            if CURVES
                .iter()
                .any(|other| EcdsaKeyPair::from_private_key_der(other, key).is_ok()) =>
        {
            Ok(false)
        }
        Err(_) => Err(BROKEN_KEY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Throw-away keys, made with OpenSSL for these tests.
    fn pem(name: &str) -> Vec<u8> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/translate/testdata/pem")
            .join(name);
        std::fs::read(path).expect("the file is in the repository")
    }

    #[test]
    fn every_usual_kind_of_key_is_matched_with_its_certificate() {
        let kinds = ["ec", "p384", "rsa", "ed25519"];
        for certificate in kinds {
            for key in kinds {
                let expected = if certificate == key {
                    Ok(())
                } else {
                    Err(Fault::Mismatch)
                };
                let got = check(&pem(&format!("{certificate}.crt")), &pem(&format!("{key}.key")));
                assert_eq!(got, expected, "{certificate} certificate, {key} key");
            }
        }
        let another = check(&pem("rsa.crt"), &pem("k256.key"));
        assert_eq!(another, Err(Fault::Mismatch));
    }

    #[test]
    fn what_only_openssl_knows_is_left_to_the_proxy() {
        assert_eq!(check(&pem("k256.crt"), &pem("k256.key")), Ok(()));
    }

    #[test]
    fn what_is_broken_is_said() {
        let (certificate, key) = (pem("ec.crt"), pem("ec.key"));
        let fault = |certificate: &[u8], key: &[u8]| check(certificate, key).expect_err("broken").to_string();
        assert!(fault(b"", &key).contains("tls.crt: there is no PEM block of a certificate"));
        assert!(fault(&certificate, b"").contains("tls.key: there is no PEM block of a private key"));
        assert!(fault(&key, &key).contains("there is no PEM block of a certificate"));
        assert!(fault(&certificate, &pem("encrypted.key")).contains("it is encrypted"));
        assert!(fault(&pem("rsa.crt"), &pem("legacy-encrypted.key")).contains("encrypted"));
        let cut = &certificate[..certificate.len() / 2];
        assert!(fault(cut, &key).contains("a PEM block is broken"));
        let nonsense = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(fault(&certificate, nonsense).contains("can't be decoded as a private key"));
    }
}
