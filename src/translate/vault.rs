//! KongVaults -> vaults (`kic.md` 4.10). Pure.

use std::collections::HashMap;

use proxy_config_schema as kong;

use super::{
    Settings, bounds,
    class::Class,
    problems::{Owner, Problems},
    state::State,
    tags,
};
use crate::model::{
    Edition, Kind, Reason, Snapshot,
    kong::{ControlPlaneRef, KongVault},
};

/// Backends of Kong: a prefix of such a name would hide the backend itself.
const BACKENDS: [&str; 6] = ["env", "aws", "azure", "conjur", "gcp", "hcv"];
/// The backend that open-source Kong has.
const OPEN_BACKEND: &str = "env";

/// Whether a vault is ours.
pub(super) fn is_ours(vault: &KongVault, class: &Class<'_>) -> bool {
    let control_plane = vault.spec.control_plane_ref.as_ref();
    class.takes_annotated(&vault.metadata) && control_plane.is_none_or(ControlPlaneRef::is_ours)
}

/// The vaults of our class, in order of precedence: the older one, then the first by name.
pub(super) fn ours<'a>(snapshot: &'a Snapshot, class: &Class<'_>) -> Vec<&'a KongVault> {
    let mut ours: Vec<&KongVault> = snapshot.vaults.values().map(AsRef::as_ref).collect();
    ours.retain(|vault| is_ours(vault, class));
    ours.sort_by_key(|vault| (vault.metadata.creation_timestamp, &vault.metadata.name));
    ours
}

/// Adds the vaults of our class. Of several with one prefix the first counts.
pub(super) fn translate<'a>(
    snapshot: &'a Snapshot,
    class: &Class<'a>,
    configuration: &mut kong::Configuration,
    state: &mut State<'a>,
) {
    let mut prefixes: HashMap<&str, Owner<'_>> = HashMap::new();
    for vault in ours(snapshot, class) {
        let owner = Owner::new(Kind::KongVault, &vault.metadata);
        if let Some(winner) = prefixes.get(vault.spec.prefix.as_str()) {
            report_duplicate(owner, *winner, &vault.spec.prefix, &mut state.problems);
            continue;
        }
        prefixes.insert(&vault.spec.prefix, owner);
        if let Some(entity) = entity(vault, state.settings, &mut state.problems) {
            configuration.vaults.push(entity.into());
            state.takes_part(owner);
        }
    }
}

pub(super) fn report_duplicate(owner: Owner<'_>, winner: Owner<'_>, prefix: &str, problems: &mut Problems) {
    problems.report(
        owner,
        "spec.prefix",
        Reason::Conflict,
        format!("spec.prefix {prefix:?} is duplicate: {winner} goes first and has it; this vault is left out"),
        "give each vault a prefix of its own",
    );
}

/// One vault by itself. `None`, with problems on it, if Kong would refuse it.
pub(super) fn entity(vault: &KongVault, settings: &Settings, problems: &mut Problems) -> Option<kong::Vault> {
    let owner = Owner::new(Kind::KongVault, &vault.metadata);
    tags::check(owner, problems);
    let spec = &vault.spec;
    let mut is_sound = true;
    let mut reject = |field: &str, reason, message: String, remedy: &str| {
        problems.report(owner, field, reason, message + "; the vault is left out", remedy);
        is_sound = false;
    };
    if spec.backend.is_empty() {
        reject(
            "spec.backend",
            Reason::InvalidField,
            "the backend is not named".to_owned(),
            "name it, for example env",
        );
    }
    let is_bundled = BACKENDS.contains(&spec.backend.as_str());
    match settings.profile.edition {
        Some(Edition::Embedded) => reject(
            "spec.backend",
            Reason::Unsupported,
            "the embedded proxy has no vaults".to_owned(),
            "write the values into Secrets",
        ),
        Some(Edition::OpenSource) if is_bundled && spec.backend != OPEN_BACKEND => reject(
            "spec.backend",
            Reason::Unsupported,
            format!("the backend {} exists in Kong Gateway Enterprise only", spec.backend),
            "use the backend env",
        ),
        _ => {}
    }
    if spec.prefix.is_empty() || !(settings.raw_objects || is_prefix(&spec.prefix)) {
        reject(
            "spec.prefix",
            Reason::InvalidField,
            format!("{:?} is no prefix that Kong takes", spec.prefix),
            "use lower-case letters, digits and inner hyphens, two at the least, beginning with a letter, and no name of a backend",
        );
    }
    if let Err(excess) = spec.config.as_ref().map_or(Ok(()), bounds::check) {
        reject(
            "spec.config",
            Reason::InvalidField,
            format!("the settings {excess}"),
            "make them smaller",
        );
    }
    is_sound.then(|| kong::Vault {
        id: settings
            .feature_gates
            .fill_ids
            .then(|| kong::id::vault(settings.workspace(), &spec.prefix).to_string()),
        name: spec.backend.clone(),
        prefix: spec.prefix.clone(),
        description: (!spec.description.is_empty()).then(|| spec.description.clone()),
        config: spec.config.clone().filter(|config| !config.is_empty()),
        tags: Some(tags::object_tags(owner)),
        ..kong::Vault::default()
    })
}

/// Kong's rule: `^[a-z][a-z%d-]-[a-z%d]+$`, and no backend's name.
fn is_prefix(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() >= 2
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(is_inner)
        && !BACKENDS.contains(&text)
}
