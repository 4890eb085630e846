//! Secrets -> certificates, and the server names that they are for (`kic.md` 4.11).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    rc::Rc,
    sync::Arc,
};

use jiff::Timestamp;
use proxy_config_schema as kong;
use sha2::{Digest as _, Sha256};

use super::{
    key_pair,
    problems::{Owner, Problems},
    state::Index,
    syntax, tags,
};
use crate::model::{
    Kind, ObjectRef, Reason,
    kubernetes::{IngressTls, Secret},
};

/// Namespace and name of a Secret.
pub(super) type SecretName<'a> = (&'a str, &'a str);

/// The certificates that objects want.
#[derive(Default)]
pub(super) struct Certificates<'a> {
    /// What was found of each Secret that is referred to; `None` for one that can't be used.
    pairs: BTreeMap<SecretName<'a>, Option<Rc<Pair<'a>>>>,
    /// Who has each server name.
    server_names: HashMap<&'a str, Claim<'a>>,
}

/// A certificate and its key, good for use.
struct Pair<'a> {
    secret: &'a Secret,
    certificate: String,
    key: String,
}

struct Claim<'a> {
    owner: Owner<'a>,
    secret: SecretName<'a>,
}

/// What came of all claims of one part of a translation.
pub(super) struct Issued<'a> {
    /// The certificates, in order of their Secrets.
    pub(super) issues: Vec<Issue>,
    /// Identifiers of certificates by the Secrets that they came from.
    pub(super) ids: BTreeMap<SecretName<'a>, String>,
}

/// The certificate of a Secret, with the server names that were claimed for it. Other Secrets may hold the same one, and
/// other parts of a translation may claim names for the same Secret.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Issue {
    /// The Secret.
    pub(super) object: ObjectRef,
    created: Option<Timestamp>,
    /// Of certificate and key.
    pub(super) digest: [u8; 32],
    pub(super) certificate: Arc<kong::Certificate>,
}

impl Issue {
    /// Which goes first of two with the same certificate: the older Secret, then by identifier.
    pub(super) fn precedence(&self) -> impl Ord {
        (self.created, self.id().to_owned())
    }

    /// The entity's identifier.
    pub(super) fn id(&self) -> &str {
        self.certificate.id.as_deref().unwrap_or_default()
    }

    /// This certificate with the server names of all.
    pub(super) fn joined(&self, issues: &[&Self]) -> kong::Certificate {
        let names = issues
            .iter()
            .flat_map(|issue| &issue.certificate.snis)
            .map(|sni| sni.name.as_str());
        let names: BTreeSet<&str> = names.collect();
        kong::Certificate {
            snis: names.into_iter().map(|name| sni(name, self.id())).collect(),
            ..kong::Certificate::clone(&self.certificate)
        }
    }
}

impl<'a> Certificates<'a> {
    /// Claims the server names of an object's `spec.tls`. Called in order of precedence: the first claim of a name wins.
    pub(super) fn claim_all(
        &mut self,
        owner: Owner<'a>,
        entries: &'a [IngressTls],
        index: &Index<'a>,
        problems: &mut Problems,
    ) {
        for (position, tls) in entries.iter().enumerate() {
            self.claim_entry(owner, position, tls, index, problems);
        }
    }

    fn claim_entry(
        &mut self,
        owner: Owner<'a>,
        position: usize,
        tls: &'a IngressTls,
        index: &Index<'a>,
        problems: &mut Problems,
    ) {
        let field = |rest: &str| format!("spec.tls[{position}]{rest}");
        if tls.secret_name.is_empty() {
            return;
        }
        if tls.hosts.is_empty() {
            problems.report(
                owner,
                field(".hosts"),
                Reason::Ignored,
                format!(
                    "no host is listed, and Kong serves certificates by host: that of Secret {} is not used",
                    tls.secret_name
                ),
                "list the hosts that the certificate is for",
            );
            return;
        }
        let secret = (&*owner.metadata.namespace, tls.secret_name.as_str());
        if !self.require(owner, field(".secretName"), secret, index, problems) {
            return;
        }
        for (index, host) in tls.hosts.iter().enumerate() {
            let field = field(&format!(".hosts[{index}]"));
            // Only of Ingresses the API server refuses capitals.
            let checked = match owner.kind {
                Kind::Ingress => syntax::check_rule_host(host),
                _ => syntax::check_host_name(host),
            };
            if let Err((fault, remedy)) = checked {
                let message = format!("{fault}; no certificate is served for it");
                problems.report(owner, field.clone(), Reason::InvalidField, message, remedy);
            }
            if syntax::is_rule_host(host) {
                self.claim_name(owner, field, host, secret, problems);
            }
        }
    }

    /// Claims a server name, maybe with a wildcard, for a Secret that was required before.
    pub(super) fn claim_name(
        &mut self,
        owner: Owner<'a>,
        field: String,
        host: &'a str,
        secret: SecretName<'a>,
        problems: &mut Problems,
    ) {
        let winner = match self.server_names.entry(host) {
            Entry::Vacant(entry) => {
                entry.insert(Claim { owner, secret });
                return;
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        if winner.secret == secret || self.is_same_pair(self.server_names[host].secret, secret) {
            return;
        }
        let winner = &self.server_names[host];
        let (_, name) = winner.secret;
        problems.report(
            owner,
            field,
            Reason::Conflict,
            format!(
                "{} goes first and has the server name {host} with the certificate of Secret {name}; that of Secret {} is not served for it",
                winner.owner, secret.1
            ),
            "name the same Secret in both, or list the host in one of them only",
        );
    }

    fn is_same_pair(&self, one: SecretName<'a>, other: SecretName<'a>) -> bool {
        match (self.pairs.get(&one), self.pairs.get(&other)) {
            (Some(Some(one)), Some(Some(other))) => (&one.certificate, &one.key) == (&other.certificate, &other.key),
            _ => false,
        }
    }

    /// Makes a Secret's certificate part of the configuration. False, with problems on Secret and user, if it can't be.
    pub(super) fn require(
        &mut self,
        user: Owner<'_>,
        field: String,
        name: SecretName<'a>,
        index: &Index<'a>,
        problems: &mut Problems,
    ) -> bool {
        let (namespace, secret_name) = name;
        let Some(secret) = index.secret(namespace, secret_name) else {
            problems.report(
                user,
                field,
                Reason::SecretNotFound,
                format!("there is no Secret {secret_name} in namespace {namespace}; its certificate is left out"),
                "create the Secret, or correct the name",
            );
            return false;
        };
        let pair = self
            .pairs
            .entry(name)
            .or_insert_with(|| Pair::read(secret, problems).map(Rc::new));
        if pair.is_none() {
            problems.report(
                user,
                field,
                Reason::InvalidCertificate,
                format!("the certificate of Secret {secret_name} can't be used and is left out"),
                format!("correct the Secret {secret_name}: its own problem says how"),
            );
        }
        pair.is_some()
    }

    /// What came of it.
    pub(super) fn finish(self, raw_objects: bool) -> Issued<'a> {
        let mut names: BTreeMap<SecretName<'a>, Vec<&'a str>> = BTreeMap::new();
        for (host, claim) in &self.server_names {
            names.entry(claim.secret).or_default().push(host);
        }
        let mut issued = Issued {
            issues: Vec::with_capacity(self.pairs.len()),
            ids: BTreeMap::new(),
        };
        for (name, pair) in &self.pairs {
            let Some(pair) = pair else { continue };
            let id = identifier(pair, raw_objects);
            let mut names = names.remove(name).unwrap_or_default();
            names.sort_unstable();
            issued.issues.push(pair.issue(&id, &names));
            issued.ids.insert(*name, id);
        }
        issued
    }
}

impl<'a> Pair<'a> {
    fn issue(&self, id: &str, names: &[&str]) -> Issue {
        let owner = Owner::new(Kind::Secret, &self.secret.metadata);
        let mut digest = Sha256::new();
        digest.update(self.certificate.as_bytes());
        digest.update([0]);
        digest.update(self.key.as_bytes());
        Issue {
            object: owner.kind.object_ref(owner.metadata),
            created: owner.metadata.creation_timestamp,
            digest: digest.finalize().into(),
            certificate: Arc::new(kong::Certificate {
                cert: self.certificate.clone(),
                key: self.key.clone(),
                tags: Some(tags::object_tags(owner)),
                snis: names.iter().map(|name| sni(name, id)).collect(),
                id: Some(id.to_owned()),
                ..kong::Certificate::default()
            }),
        }
    }

    fn read(secret: &'a Secret, problems: &mut Problems) -> Option<Self> {
        let owner = Owner::new(Kind::Secret, &secret.metadata);
        tags::check(owner, problems);
        let value = |key| secret.value(key);
        let checked = match (value("tls.crt"), value("tls.key")) {
            (None, _) => Err(key_pair::Fault::Certificate("there is no such key")),
            (_, None) => Err(key_pair::Fault::Key("there is no such key")),
            (Some(certificate), Some(key)) => key_pair::check(certificate, key).map(|()| (certificate, key)),
        };
        let (certificate, key) = match checked {
            Ok(pair) => pair,
            Err(fault) => {
                let message = format!("the Secret {fault}");
                problems.report(
                    owner,
                    fault.field(),
                    Reason::InvalidCertificate,
                    message,
                    fault.remedy(),
                );
                return None;
            }
        };
        Some(Self {
            secret,
            certificate: String::from_utf8_lossy(certificate).trim().to_owned(),
            key: String::from_utf8_lossy(key).trim().to_owned(),
        })
    }
}

/// The UID. A Secret in a file has none, or one that Kong would refuse, but server names must refer to something that
/// stays the same.
fn identifier(pair: &Pair<'_>, raw_objects: bool) -> String {
    let metadata = &pair.secret.metadata;
    if raw_objects || syntax::is_uuid(&metadata.uid) {
        metadata.uid.to_string()
    } else {
        let key = format!("{}/{}", metadata.namespace, metadata.name);
        kong::id::entity("certificates", None, &key).to_string()
    }
}

fn sni(host: &str, certificate: &str) -> kong::Sni {
    kong::Sni {
        name: host.to_owned(),
        certificate: Some(kong::Reference::Id {
            id: certificate.to_owned(),
        }),
        ..kong::Sni::default()
    }
}
