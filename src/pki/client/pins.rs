//! The keys of proxies whose certificates are not verified (`--kong-admin-tls-skip-verify`): the one that is seen first
//! is the only one that a proxy may show from then on.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::model::ProxyId;

/// SHA-256 of a public key with its algorithm (SubjectPublicKeyInfo).
pub(super) type KeyHash = [u8; 32];

/// Pinned keys, by proxy. They outlive a change of our certificates, and not the process.
#[derive(Debug, Default)]
pub struct Pins(Mutex<HashMap<ProxyId, KeyHash>>);

impl Pins {
    /// A proxy that is gone; its uid never comes back.
    pub fn forget(&self, proxy: &ProxyId) {
        self.keys().remove(proxy);
    }

    /// Whether another key is pinned.
    pub(super) fn contradict(&self, proxy: &ProxyId, key: &KeyHash) -> bool {
        self.keys().get(proxy).is_some_and(|pinned| pinned != key)
    }

    /// The proxy has shown that it has the key. `false`: another one is pinned.
    pub(super) fn pin(&self, proxy: &ProxyId, key: KeyHash) -> bool {
        *self.keys().entry(proxy.clone()).or_insert(key) == key
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<ProxyId, KeyHash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hash of a certificate's key; `None` if the certificate can't be parsed.
pub(super) fn key_hash(der: &[u8]) -> Option<KeyHash> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(Sha256::digest(certificate.public_key().raw).into())
}
