//! Secrets and ConfigMaps with the label `konghq.com/ca-cert: "true"` -> CA certificates (`kic.md` 4.11). Pure.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use proxy_config_schema as kong;
use serde_json::Value;
use x509_parser::pem::Pem;

use super::{
    Settings,
    plugin::{PluginObject, resolve},
    problems::{Owner, Problems},
    state::State,
    tags,
};
use crate::model::{
    Kind, Reason, Snapshot,
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
}

/// Whether an object is marked as a CA certificate.
pub(super) fn is_marked(metadata: &Metadata) -> bool {
    metadata
        .labels
        .get(label::CA_CERTIFICATE)
        .is_some_and(|value| value == "true")
}

/// All that are marked, in order of precedence.
fn sources(snapshot: &Snapshot) -> Vec<Source<'_>> {
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

/// Adds all CA certificates. Of several with one identifier the oldest counts, then the first by name.
pub(super) fn translate<'a>(snapshot: &'a Snapshot, configuration: &mut kong::Configuration, state: &mut State<'a>) {
    let sources = sources(snapshot);
    let mut winners: BTreeMap<&str, Owner<'a>> = BTreeMap::new();
    let mut unusable: BTreeMap<&str, Owner<'a>> = BTreeMap::new();
    for source in sources {
        let owner = source.owner();
        if let Some((id, winner)) = source.id().and_then(|id| winners.get_key_value(id)) {
            state.problems.report(
                owner,
                "data[id]",
                Reason::Conflict,
                format!(
                    "invalid secret CA certificate: duplicate 'id' field in multiple objects: {winner} goes first and has \
                     the id {id}; this certificate is left out"
                ),
                "give each certificate an id of its own",
            );
            continue;
        }
        match read(source, state.settings, &mut state.problems) {
            Some(entity) => {
                let id = source.id().expect("a certificate that is read has an id");
                winners.insert(id, owner);
                state.takes_part(owner);
                configuration.ca_certificates.push(entity.into());
            }
            None => {
                if let Some(id) = source.id() {
                    unusable.insert(id, owner);
                }
            }
        }
    }
    unusable.retain(|id, _| !winners.contains_key(id));
    report_to_plugins(snapshot, &unusable, &mut state.problems);
}

/// Reads one. `None`, with a problem on the object, if it can't be used.
pub(super) fn read(source: Source<'_>, settings: &Settings, problems: &mut Problems) -> Option<kong::CaCertificate> {
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
    let Some(id) = source.id() else {
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
        Ok(certificate) => Some(kong::CaCertificate {
            id: Some(id.to_owned()),
            cert: certificate,
            tags: Some(tags::object_tags(owner)),
            ..kong::CaCertificate::default()
        }),
        Err(what) => reject(
            key,
            what,
            "put exactly one valid certificate of an authority there, as PEM",
        ),
    }
}

/// The certificate, encoded anew.
///
/// # Errors
/// What is wrong with it.
fn check(text: &[u8], now: Option<Timestamp>) -> Result<String, &'static str> {
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
    if now.is_some_and(|now| certificate.validity().not_after.timestamp() < now.as_second()) {
        return Err("expired");
    }
    Ok(encoded(&block.contents))
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
