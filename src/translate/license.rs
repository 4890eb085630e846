//! KongLicenses -> the licence of Kong Gateway Enterprise (`kic.md` 4.10, 7.4). Pure.

use std::cmp::Reverse;

use proxy_config_schema as kong;

use super::{
    Settings,
    problems::{Owner, Problems},
    state::State,
};
use crate::model::{Edition, Kind, Reason, Snapshot, kong::KongLicense};

/// The licence that counts: of those that are enabled the newest, then the first by name.
pub(super) fn pick(snapshot: &Snapshot) -> Option<&KongLicense> {
    let enabled = snapshot
        .licenses
        .values()
        .map(AsRef::as_ref)
        .filter(|license: &&KongLicense| license.enabled);
    // They come in order of names, and `min_by_key` takes the first of equals.
    enabled.min_by_key(|license| Reverse(license.metadata.creation_timestamp))
}

/// Adds the licence. Open-source Kong knows none.
pub(super) fn translate<'a>(snapshot: &'a Snapshot, configuration: &mut kong::Configuration, state: &mut State<'a>) {
    for license in snapshot.licenses.values() {
        check(license, state.settings, &mut state.problems);
    }
    // Kong Ingress Controller takes proxies for open-source ones until it is told otherwise.
    let takes = match state.settings.profile.edition {
        Some(edition) => edition == Edition::Enterprise,
        None => !state.settings.raw_objects,
    };
    let Some(license) = pick(snapshot).filter(|_| takes) else {
        return;
    };
    if !(state.settings.raw_objects || is_json(license)) {
        return;
    }
    state.takes_part(Owner::new(Kind::KongLicense, &license.metadata));
    let entity = kong::License {
        id: Some(kong::id::license(&license.metadata.name).to_string()),
        payload: license.raw_license_string.clone(),
        ..kong::License::default()
    };
    configuration.licenses.push(entity.into());
}

/// Reports a licence that no proxy can use. The licence itself is not told.
pub(super) fn check(license: &KongLicense, settings: &Settings, problems: &mut Problems) {
    let owner = Owner::new(Kind::KongLicense, &license.metadata);
    if !license.enabled {
        return;
    }
    if matches!(settings.profile.edition, Some(Edition::OpenSource | Edition::Embedded)) {
        problems.report(
            owner,
            "rawLicenseString",
            Reason::Unsupported,
            "licences are for Kong Gateway Enterprise only; it is left out",
            "remove the object, or use Kong Gateway Enterprise",
        );
    } else if !(settings.raw_objects || is_json(license)) {
        problems.report(
            owner,
            "rawLicenseString",
            Reason::InvalidField,
            "the licence is no JSON object; it is left out",
            "put the licence there as Kong delivered it",
        );
    }
}

fn is_json(license: &KongLicense) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(&license.raw_license_string).is_ok()
        && license.raw_license_string.trim_start().starts_with('{')
}
