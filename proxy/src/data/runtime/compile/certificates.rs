//! Key pairs, authorities, and the TLS identities that are made of them.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use proxy_config_schema::{Certificate, ErrorDetail, Service};
use rustls::{RootCertStore, sign::CertifiedKey};

use super::{
    super::fault::{entity_error, field, whole},
    Compiler,
};
use crate::data::tls::{self, IdentityKey, KeyPairError, Shown, TrustKey, UpstreamIdentity};

/// Numbers TLS identities, for as long as the process lives.
static NEXT_IDENTITY: AtomicU64 = AtomicU64::new(1);

impl Compiler<'_> {
    /// Loads what TLS listeners show, by server name.
    pub(super) fn certificates(&mut self) {
        let mut shown: HashMap<&str, Shown> = HashMap::new();
        for certificate in self.configuration.certificates.iter().map(Arc::as_ref) {
            let main = self.key_pair(certificate, &certificate.cert, &certificate.key, ["cert", "key"]);
            let alternative = match (&certificate.cert_alt, &certificate.key_alt) {
                (Some(chain), Some(key)) => self.key_pair(certificate, chain, key, ["cert_alt", "key_alt"]),
                _ => None,
            };
            let Some(main) = main else { continue };
            if let Some(id) = certificate.id.as_deref() {
                let known = (certificate, Arc::clone(&main));
                self.client_keys.insert(id.to_ascii_lowercase(), known);
            }
            let pair = Shown { main, alternative };
            for name in &certificate.snis {
                self.runtime.certificates.insert(&name.name, pair.clone());
            }
            if let Some(id) = certificate.id.as_deref() {
                shown.insert(id, pair);
            }
        }
        for name in &self.configuration.snis {
            let pair = name
                .certificate
                .as_ref()
                .and_then(|certificate| shown.get(certificate.key()));
            if let Some(pair) = pair {
                self.runtime.certificates.insert(&name.name, pair.clone());
            }
        }
    }

    fn key_pair(
        &mut self,
        certificate: &Certificate,
        chain: &str,
        key: &str,
        fields: [&str; 2],
    ) -> Option<Arc<CertifiedKey>> {
        let place = (chain.to_owned(), key.to_owned());
        let loaded = match self.previous.key_pairs.get(&place) {
            Some(known) => Ok(Arc::clone(known)),
            None => tls::load(chain.as_bytes(), key.as_bytes()),
        };
        match loaded {
            Ok(pair) => {
                self.runtime.key_pairs.insert(place, Arc::clone(&pair));
                Some(pair)
            }
            Err(error) => {
                let detail = match &error {
                    KeyPairError::Certificate(_) => field(fields[0], error.to_string()),
                    KeyPairError::Key(_) => field(fields[1], error.to_string()),
                    KeyPairError::Mismatch => whole(error.to_string()),
                };
                self.errors.push(entity_error(certificate, vec![detail]));
                None
            }
        }
    }

    /// Checks the authorities and makes them known.
    pub(super) fn authorities(&mut self) {
        for authority in self.configuration.ca_certificates.iter().map(Arc::as_ref) {
            if let Err(error) = add_authorities(&mut RootCertStore::empty(), &authority.cert) {
                let detail = field("cert", format!("invalid certificate: {error}"));
                self.errors.push(entity_error(authority, vec![detail]));
            }
            if let Some(id) = authority.id.as_deref() {
                self.authorities.insert(id.to_ascii_lowercase(), authority);
            }
        }
    }

    /// The TLS identity towards a service: shared by all that trust and show the same, kept while they do.
    pub(super) fn identity(
        &mut self,
        service: &Service,
        host: &str,
    ) -> Result<Arc<UpstreamIdentity>, Box<ErrorDetail>> {
        let upstream = self.runtime.balancers.get(host).map(|(upstream, _)| upstream);
        let shown = service
            .client_certificate
            .as_ref()
            .or_else(|| upstream.and_then(|upstream| upstream.client_certificate.as_ref()));
        let client = match shown {
            None => None,
            Some(reference) => {
                let known = self.client_keys.get(&reference.key().to_ascii_lowercase());
                let missing = || Box::new(field("client_certificate", "no such certificate"));
                Some(known.ok_or_else(missing)?.clone())
            }
        };
        let trust = service.tls_verify.unwrap_or(false).then(|| {
            // Kong accepts identifiers of authorities that don't exist; they add nobody to those that are trusted.
            let authorities = service.ca_certificates.as_ref().map(|named| {
                let known = named
                    .iter()
                    .filter_map(|id| self.authorities.get(&id.to_ascii_lowercase()));
                known.map(|authority| authority.cert.clone()).collect()
            });
            TrustKey {
                authorities,
                depth: service.tls_verify_depth,
            }
        });
        let key = IdentityKey {
            trust,
            client_chain: client.as_ref().map(|(certificate, _)| certificate.cert.clone()),
        };
        let known = self
            .runtime
            .identities
            .get(&key)
            .or_else(|| self.previous.identities.get(&key));
        let identity = match known {
            Some(identity) => Arc::clone(identity),
            None => {
                let fault = |message: String| Box::new(field("ca_certificates", message));
                let roots = match &key.trust {
                    None => None,
                    Some(TrustKey { authorities: None, .. }) => Some(self.trusted.clone()),
                    Some(TrustKey {
                        authorities: Some(authorities),
                        ..
                    }) => {
                        let mut roots = RootCertStore::empty();
                        for authority in authorities {
                            add_authorities(&mut roots, authority).map_err(fault)?;
                        }
                        Some(roots)
                    }
                };
                let depth = key.trust.as_ref().and_then(|trust| trust.depth);
                let number = NEXT_IDENTITY.fetch_add(1, Relaxed);
                let client = client.map(|(_, pair)| pair);
                Arc::new(UpstreamIdentity::new(number, roots, depth, client).map_err(fault)?)
            }
        };
        self.runtime.identities.insert(key, Arc::clone(&identity));
        Ok(identity)
    }
}

fn add_authorities(roots: &mut RootCertStore, pem: &str) -> Result<(), String> {
    for authority in tls::certificates(pem.as_bytes())? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    Ok(())
}
