//! TLS towards clients: the certificate for a server name, from the runtime in use at the handshake.

use std::{collections::HashMap, fmt, sync::Arc};

use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::data::DataPlane;

/// What is shown for a server name: a chain, and maybe a second one with a key of another type.
#[derive(Debug, Clone)]
pub(in crate::data) struct Shown {
    /// Shown to clients that can verify it.
    pub main: Arc<CertifiedKey>,
    /// Shown to the others.
    pub alternative: Option<Arc<CertifiedKey>>,
}

impl Shown {
    fn choose(&self, hello: &ClientHello<'_>) -> Arc<CertifiedKey> {
        let fits = |key: &CertifiedKey| key.key.choose_scheme(hello.signature_schemes()).is_some();
        match &self.alternative {
            Some(alternative) if !fits(&self.main) && fits(alternative) => Arc::clone(alternative),
            _ => Arc::clone(&self.main),
        }
    }
}

/// Certificates by server name, as Kong picks them.
#[derive(Debug, Default)]
pub(in crate::data) struct CertificateStore {
    by_name: HashMap<String, Shown>,
}

impl CertificateStore {
    /// Adds a certificate under a name: `a.b`, `*.b`, `a.*` or `*`.
    pub(in crate::data) fn insert(&mut self, name: &str, shown: Shown) {
        self.by_name.insert(name.to_ascii_lowercase(), shown);
    }

    /// The certificate for a server name: the name itself, then a wildcard for its first label, then one for its last,
    /// then `*` (Kong: `runloop/certificate`). A wildcard stands for exactly one label.
    pub(in crate::data) fn find(&self, server_name: Option<&str>) -> Option<&Shown> {
        let by_server_name = server_name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let leftmost = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
            let rightmost = name.rsplit_once('.').map(|(rest, _)| format!("{rest}.*"));
            self.by_name
                .get(&name)
                .or_else(|| self.by_name.get(&leftmost?))
                .or_else(|| self.by_name.get(&rightmost?))
        });
        by_server_name.or_else(|| self.by_name.get("*"))
    }
}

/// Accepts TLS with the certificates of whichever runtime is in use; HTTP/2 is preferred where it is wanted.
pub(in crate::data) fn acceptor(plane: &Arc<DataPlane>, http2: bool) -> TlsAcceptor {
    let mut config = ServerConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver(Arc::clone(plane))));
    let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    if let Ok(ticketer) = rustls::crypto::aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer;
    }
    TlsAcceptor::from(Arc::new(config))
}

struct Resolver(Arc<DataPlane>);

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let runtime = self.0.runtime.load();
        match runtime.certificates().find(hello.server_name()) {
            Some(shown) => Some(shown.choose(&hello)),
            None => Some(self.0.default_certificate.load_full()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tls::load;

    fn shown(name: &str) -> Shown {
        let issued = rcgen::generate_simple_self_signed([name.to_owned()]).expect("certificate");
        let pem = issued.cert.pem();
        let key = issued.signing_key.serialize_pem();
        Shown {
            main: load(pem.as_bytes(), key.as_bytes()).expect("key pair"),
            alternative: None,
        }
    }

    #[test]
    fn the_exact_name_wins_then_wildcards_for_one_label_then_the_default() {
        let mut store = CertificateStore::default();
        let names = ["a.example.test", "*.example.test", "a.example.*", "*"];
        let shown: Vec<_> = names.iter().map(|_| shown("any.test")).collect();
        for (name, shown) in names.iter().zip(&shown) {
            store.insert(name, shown.clone());
        }
        let found = |name: Option<&str>| {
            let found = store.find(name).expect("there is a default");
            let index = shown.iter().position(|one| Arc::ptr_eq(&one.main, &found.main));
            names[index.expect("one of them")]
        };
        assert_eq!(found(Some("A.example.test")), "a.example.test");
        assert_eq!(found(Some("b.example.test")), "*.example.test");
        assert_eq!(found(Some("a.example.org")), "a.example.*");
        assert_eq!(found(Some("deep.b.example.test")), "*");
        assert_eq!(found(None), "*");
    }
}
