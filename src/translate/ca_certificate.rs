//! Secrets and ConfigMaps with the label `konghq.com/ca-cert: "true"`, and those that Services verify upstreams by -> CA
//! certificates (`kic.md` 3, 4.11). Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use proxy_config_schema as kong;
use serde_json::Value;
use x509_parser::pem::Pem;

use super::{
    annotations,
    plugin::{PluginObject, resolve},
    problems::{Owner, Problems, annotation_field},
    service_group::Member,
    state::State,
    tags,
};
use crate::model::{
    Kind, NamespacedName, Reason, Snapshot,
    kong::label,
    kubernetes::{ConfigMap, Metadata, Secret},
};

/// A Secret or ConfigMap that holds a CA certificate.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    Secret(&'a Secret),
    ConfigMap(&'a ConfigMap),
}

impl<'a> Source<'a> {
    pub(super) fn owner(self) -> Owner<'a> {
        match self {
            Self::Secret(secret) => Owner::new(Kind::Secret, &secret.metadata),
            Self::ConfigMap(map) => Owner::new(Kind::ConfigMap, &map.metadata),
        }
    }

    fn value(self, key: &str) -> Option<&'a [u8]> {
        match self {
            Self::Secret(secret) => secret.value(key),
            Self::ConfigMap(map) => map.data.get(key).map(String::as_bytes),
        }
    }

    /// The identifier under which others refer to the certificate.
    pub(super) fn id(self) -> Option<&'a str> {
        let id = std::str::from_utf8(self.value("id")?).ok()?.trim();
        (!id.is_empty()).then_some(id)
    }

    /// That, or one made of its name.
    fn id_or_made(self) -> String {
        let owner = self.owner();
        let metadata = owner.metadata;
        let made = || {
            let key = format!("{}/{}/{}", owner.kind.name(), metadata.namespace, metadata.name);
            kong::id::entity("ca_certificates", None, &key).to_string()
        };
        self.id().map_or_else(made, str::to_owned)
    }
}

/// Whether an object is marked as a CA certificate.
pub(super) fn is_marked(metadata: &Metadata) -> bool {
    metadata
        .labels
        .get(label::CA_CERTIFICATE)
        .is_some_and(|value| value == "true")
}

/// All that are marked, in order of precedence: the oldest first, then by name.
fn marked(snapshot: &Snapshot) -> Vec<Source<'_>> {
    let secrets = snapshot.secrets.values().filter(|secret| is_marked(&secret.metadata));
    let maps = snapshot.config_maps.values().filter(|map| is_marked(&map.metadata));
    let secrets = secrets.map(|secret| Source::Secret(secret));
    let mut sources: Vec<_> = secrets.chain(maps.map(|map| Source::ConfigMap(map))).collect();
    sources.sort_by_key(|source| {
        let owner = source.owner();
        let metadata = owner.metadata;
        (
            metadata.creation_timestamp,
            &metadata.namespace,
            &metadata.name,
            owner.kind,
        )
    });
    sources
}

/// A certificate that a service is verified by: it needs no label. Outlives the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Secret or ConfigMap, and its name.
    source: (Kind, NamespacedName),
    id: String,
    /// Whose annotation names it, and which.
    user: (Kind, NamespacedName),
    annotation: &'static str,
    /// The Kong service.
    service: String,
}

impl Claim {
    /// Whether it is that Secret or ConfigMap.
    pub(super) fn is_of(&self, kind: Kind, key: &NamespacedName) -> bool {
        self.source.0 == kind && self.source.1 == *key
    }
}

/// Makes a service verify its upstreams by the certificates that the annotations of a member name.
pub(super) fn verify_by<'a>(member: &Member<'a>, service: &mut kong::Service, state: &mut State<'a>) {
    let annotations = [
        (Kind::Secret, annotations::CA_CERTIFICATES_SECRETS),
        (Kind::ConfigMap, annotations::CA_CERTIFICATES_CONFIG_MAPS),
    ];
    for (kind, annotation) in annotations {
        let Some((user, value)) = member.annotation(annotation) else {
            continue;
        };
        let mut names = annotations::list(value).peekable();
        if names.peek().is_none() || !can_verify(user, annotation, service, &mut state.problems) {
            continue;
        }
        for name in names {
            let Some(id) = verifier(user, annotation, kind, name, state) else {
                continue;
            };
            let ids = service.ca_certificates.get_or_insert_default();
            if !ids.contains(&id) {
                ids.push(id.clone());
            }
            state.claims.push(Claim {
                source: (kind, NamespacedName::new(user.metadata.namespace.clone(), name)),
                id,
                user: (user.kind, user.metadata.key()),
                annotation,
                service: service.name.clone().unwrap_or_default(),
            });
        }
    }
}

/// The identifier of a certificate that an annotation names: its own, else one made of its name. `None`, with a problem on
/// the user, if it can't be had.
fn verifier(
    user: Owner<'_>,
    annotation: &'static str,
    kind: Kind,
    name: &str,
    state: &mut State<'_>,
) -> Option<String> {
    let namespace = &user.metadata.namespace;
    let Some(source) = state.index.ca_certificate(kind, namespace, name) else {
        let reason = match kind {
            Kind::Secret => Reason::SecretNotFound,
            _ => Reason::ReferenceNotFound,
        };
        state.problems.report(
            user,
            annotation_field(annotation),
            reason,
            format!(
                "there is no {} {name} in namespace {namespace}; upstreams are verified without it",
                kind.name()
            ),
            "create it, or correct the name",
        );
        return None;
    };
    if state.settings.raw_objects {
        return source.id().map(str::to_owned);
    }
    let id = source.id_or_made();
    if read(source, Some(&id), state).is_none() {
        report_unusable(
            user,
            annotation,
            &format!("{} holds no usable CA certificate", source.owner()),
            &mut state.problems,
        );
        return None;
    }
    Some(id)
}

fn report_unusable(user: Owner<'_>, annotation: &str, message: &str, problems: &mut Problems) {
    problems.annotation(
        user,
        annotation,
        format!("{message}; upstreams are verified without it"),
        "correct the object: its own problem says how; or name another one",
    );
}

/// Adds all CA certificates: those that are marked, then those that services claim. Of several with one identifier the
/// first in order of precedence counts; services that claimed another one lose it. Says whether any did.
pub(super) fn translate<'a>(
    snapshot: &'a Snapshot,
    claims: &[&Claim],
    configuration: &mut kong::Configuration,
    state: &mut State<'a>,
) -> bool {
    let mut winners: BTreeMap<String, (Owner<'a>, kong::CaCertificate)> = BTreeMap::new();
    let mut unusable: BTreeMap<&str, Owner<'a>> = BTreeMap::new();
    for source in marked(snapshot) {
        let owner = source.owner();
        if let Some((id, (winner, _))) = source.id().and_then(|id| winners.get_key_value(id)) {
            state.problems.report(
                owner,
                "data[id]",
                Reason::Conflict,
                format!(
                    "invalid secret CA certificate: duplicate 'id' field in multiple objects: {winner} goes first and \
                     has the id {id}; this certificate is left out"
                ),
                "give each certificate an id of its own",
            );
            continue;
        }
        match read(source, source.id(), state) {
            Some((id, entity)) => drop(winners.insert(id, (owner, entity))),
            None => {
                if let Some(id) = source.id() {
                    unusable.insert(id, owner);
                }
            }
        }
    }
    unusable.retain(|id, _| !winners.contains_key(*id));
    report_to_plugins(snapshot, &unusable, &mut state.problems);
    let mut has_lost = false;
    for claim in claims.iter().filter(|_| !state.settings.raw_objects) {
        let (kind, key) = &claim.source;
        let Some(source) = state.index.ca_certificate(*kind, &key.namespace, &key.name) else {
            continue;
        };
        match winners.get(&claim.id) {
            Some((winner, _)) if std::ptr::eq(winner.metadata, source.owner().metadata) => {}
            Some((winner, _)) => {
                has_lost = true;
                let of_winner = (winner.kind, winner.metadata.key());
                let means_winner = |other: &Claim| {
                    (&other.service, &other.id, &other.source) == (&claim.service, &claim.id, &of_winner)
                };
                if !claims.iter().any(|other| means_winner(other)) {
                    lose(claim, configuration);
                }
                let (kind, key) = &claim.user;
                if let Some(metadata) = snapshot.metadata(*kind, key) {
                    let user = Owner::new(*kind, metadata);
                    let message = format!("{winner} has the same id as {} and goes first", source.owner());
                    report_unusable(user, claim.annotation, &message, &mut state.problems);
                }
            }
            None => {
                if let Some((id, entity)) = read(source, Some(&claim.id), state) {
                    winners.insert(id, (source.owner(), entity));
                }
            }
        }
    }
    for (owner, entity) in winners.into_values() {
        state.takes_part(owner);
        configuration.ca_certificates.push(entity.into());
    }
    has_lost
}

/// Takes a certificate from a service that means another one with the same identifier.
fn lose(claim: &Claim, configuration: &mut kong::Configuration) {
    for service in &mut configuration.services {
        if service.name.as_ref() == Some(&claim.service) {
            let service = Arc::make_mut(service);
            let ids = service.ca_certificates.take().unwrap_or_default();
            let ids: Vec<String> = ids.into_iter().filter(|id| *id != claim.id).collect();
            service.ca_certificates = (!ids.is_empty()).then_some(ids);
        }
    }
}

/// Whether the service verifies its upstreams at all.
fn can_verify(user: Owner<'_>, annotation: &str, service: &kong::Service, problems: &mut Problems) -> bool {
    let protocol = service.protocol.as_deref().unwrap_or("http");
    let (message, remedy) = if !matches!(protocol, "https" | "tls") {
        (
            format!("CA certificates requested for incompatible service protocol '{protocol}'"),
            format!("set {} to https or tls", annotations::PROTOCOL),
        )
    } else if service.tls_verify != Some(true) {
        (
            "CA certificates requested for service without TLS verification enabled".to_owned(),
            format!("set {} to \"true\"", annotations::TLS_VERIFY),
        )
    } else {
        return true;
    };
    problems.annotation(user, annotation, message + "; the annotation is ignored", remedy);
    false
}

/// Reads one. `None`, with a problem on the object, if it can't be used.
fn read(source: Source<'_>, id: Option<&str>, state: &mut State<'_>) -> Option<(String, kong::CaCertificate)> {
    let State {
        settings,
        index,
        problems,
        ..
    } = state;
    let owner = source.owner();
    tags::check(owner, problems);
    let mut reject = |key: &str, what: &str, remedy: &str| {
        problems.report(
            owner,
            format!("data[{key}]"),
            Reason::InvalidCertificate,
            format!("invalid CA certificate: {what}; it is left out"),
            remedy,
        );
        None
    };
    let Some(id) = id else {
        return reject("id", "missing 'id' field in data", "put a UUID under the key id");
    };
    if !kong::id::is_uuid(id) {
        return reject("id", "the id is no UUID", "put a UUID under the key id");
    }
    let (key, value) = match (source.value("cert"), source.value("ca.crt")) {
        (Some(value), _) => ("cert", value),
        (None, Some(value)) => ("ca.crt", value),
        (None, None) => {
            return reject(
                "cert",
                "missing 'cert' field in data",
                "put the certificate under the key cert or ca.crt, as PEM",
            );
        }
    };
    match check(value, settings.now) {
        Ok((certificate, end)) => {
            index.note_end(end);
            let entity = kong::CaCertificate {
                id: Some(id.to_owned()),
                cert: certificate,
                tags: Some(tags::object_tags(owner)),
                ..kong::CaCertificate::default()
            };
            Some((id.to_owned(), entity))
        }
        Err(what) => reject(
            key,
            what,
            "put exactly one valid certificate of an authority there, as PEM",
        ),
    }
}

/// The certificate, encoded anew, and its last second.
///
/// # Errors
/// What is wrong with it.
fn check(text: &[u8], now: Option<Timestamp>) -> Result<(String, Timestamp), &'static str> {
    let mut blocks = Pem::iter_from_buffer(text);
    let block = blocks.next().and_then(Result::ok).ok_or("no PEM certificate found")?;
    if blocks.next().is_some() {
        return Err("multiple PEM certificates found");
    }
    if block.label != "CERTIFICATE" {
        return Err("the PEM block is no certificate");
    }
    let certificate = block
        .parse_x509()
        .map_err(|_| "the PEM block can't be decoded as an X.509 certificate")?;
    let constraints = certificate.basic_constraints().ok().flatten();
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err("certificate is missing the 'CA' basic constraint");
    }
    let end = certificate.validity().not_after.timestamp();
    let end = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
    if now.is_some_and(|now| end < now) {
        return Err("expired");
    }
    Ok((encoded(&block.contents), end))
}

/// PEM as everybody writes it: 64 characters a line, and a line's end.
fn encoded(der: &[u8]) -> String {
    const WIDTH: usize = 64;
    let base64 = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(WIDTH));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + "-----END CERTIFICATE-----\n"
}

/// Tells the plugins that ask for a certificate that it can't be had.
fn report_to_plugins(snapshot: &Snapshot, unusable: &BTreeMap<&str, Owner<'_>>, problems: &mut Problems) {
    if unusable.is_empty() {
        return;
    }
    let plugins = snapshot.plugins.values().map(|plugin| PluginObject::namespaced(plugin));
    let cluster_plugins = snapshot
        .cluster_plugins
        .values()
        .map(|plugin| PluginObject::cluster(plugin));
    for plugin in plugins.chain(cluster_plugins) {
        for id in wanted(plugin, snapshot) {
            if let Some(certificate) = unusable.get(id.as_str()) {
                problems.report(
                    plugin.owner,
                    "config.ca_certificates",
                    Reason::InvalidCertificate,
                    format!("the CA certificate {id} of {certificate} can't be used and is left out"),
                    "correct the certificate: its own problem says how",
                );
            }
        }
    }
}

fn wanted(plugin: PluginObject<'_>, snapshot: &Snapshot) -> BTreeSet<String> {
    // What is wrong with the plugin itself is reported where it is attached.
    let resolved = resolve(plugin, snapshot, &mut Problems::default());
    let config = resolved.and_then(|resolved| resolved.config).unwrap_or_default();
    let ids = config
        .get("ca_certificates")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    ids.filter_map(Value::as_str).map(str::to_owned).collect()
}
