//! One side of a comparison: whatever it is, a configuration.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use proxy_config_schema::{Configuration, InvalidConfiguration};
use serde_json::Value;

use super::super::{
    kinds::KindArguments,
    offline::{Outcome, counted, standard_input},
};
use crate::{
    manifest::{self, Limits, Manifests},
    render,
    translate::Settings,
};

/// A configuration, and what of it must not be shown besides what is secret by its name.
pub(super) struct Side {
    pub(super) configuration: Configuration,
    pub(super) confidential: Arc<BTreeSet<String>>,
}

/// One whose origin is not known.
impl From<Configuration> for Side {
    fn from(configuration: Configuration) -> Self {
        Self {
            configuration,
            confidential: Arc::default(),
        }
    }
}

/// Reads a side. Problems of manifests are counted on standard error: `lint` tells them.
///
/// # Errors
/// It does not exist, or can't be read at all. The message holds nothing of its content.
pub(super) fn read(source: &str, settings: &Settings, limits: &Limits, kinds: &KindArguments) -> Result<Side, String> {
    if source.starts_with("http://") || source.starts_with("https://") {
        return from_dashboard(source, settings).map(Side::from);
    }
    let path = Path::new(source);
    let mut manifests = if source == "-" {
        let bytes = standard_input(&roomy(limits))?;
        match declarative(source, &bytes)? {
            Some(configuration) => return Ok(configuration.into()),
            None => manifest::parse(source, &bytes, limits),
        }
    } else {
        let metadata = std::fs::metadata(path).map_err(|error| format!("{source}: {error}"))?;
        if metadata.is_file() {
            let bytes = manifest::read(path, &roomy(limits)).map_err(|error| format!("{source}: {error}"))?;
            if let Some(configuration) = declarative(source, &bytes)? {
                return Ok(configuration.into());
            }
        }
        manifest::load(path, limits)
    };
    manifests.finish(limits);
    kinds.leave_out(&mut manifests);
    Ok(translated(source, manifests, settings))
}

/// Declarative configurations are larger than manifests.
fn roomy(limits: &Limits) -> Limits {
    Limits {
        file_bytes: proxy_config_schema::Limits::default().bytes as u64,
        ..limits.clone()
    }
}

fn translated(source: &str, manifests: Manifests, settings: &Settings) -> Side {
    let outcome = Outcome::new(manifests, settings);
    if !outcome.problems.is_empty() {
        let problems = counted(outcome.problems.len(), "problem");
        eprintln!("{source}: {problems}; silverback lint -f {source} tells them");
    }
    Side {
        configuration: outcome.configuration,
        confidential: outcome.rendered.confidential,
    }
}

/// A declarative configuration, if that is what it is: of Kong, decK, `silverback render`, or a dump of Kong Ingress
/// Controller's diagnostics (`{"hash": …, "config": …}`).
fn declarative(source: &str, bytes: &[u8]) -> Result<Option<Configuration>, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(None);
    };
    let is_json = text.trim_start().starts_with('{');
    if !text.contains("_format_version") {
        return Ok(None);
    }
    let document = if is_json {
        let limits = proxy_config_schema::Limits::default();
        limits.read_json(bytes).map_err(|error| format!("{source}: {error}"))?
    } else if text
        .lines()
        .any(|line| line.trim_matches(['"', '\'']).starts_with("_format_version"))
    {
        yaml(source, text)?
    } else {
        return Ok(None);
    };
    let inner = match &document {
        Value::Object(object) if !object.contains_key("_format_version") => object.get("config").cloned(),
        _ => None,
    };
    let document = match inner {
        Some(Value::String(text)) => yaml(source, &text)?,
        Some(inner) => inner,
        None => document,
    };
    if document.get("_format_version").is_none() {
        return Ok(None);
    }
    let invalid = |invalid: InvalidConfiguration| invalid_message(source, &invalid);
    Configuration::from_value(document).map(Some).map_err(invalid)
}

/// Where it is wrong, without the message: that may quote a secret.
fn invalid_message(source: &str, invalid: &InvalidConfiguration) -> String {
    let place = match invalid.entities.first() {
        Some(entity) => {
            let name = entity.entity_name.as_deref().unwrap_or_default();
            let field = entity.errors.first().and_then(|error| error.field.as_deref());
            format!("{} {name} {}", entity.entity_type, field.unwrap_or_default())
        }
        None => invalid.fields.keys().next().cloned().unwrap_or_default(),
    };
    format!("{source}: no configuration that a proxy takes: see {}", place.trim())
}

fn yaml(source: &str, text: &str) -> Result<Value, String> {
    render::yaml(text).map_err(|error| {
        let line = error.without_snippet().location().map(|location| location.line());
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        format!("{source}{line}: not valid YAML")
    })
}

#[cfg(feature = "controller")]
fn from_dashboard(source: &str, settings: &Settings) -> Result<Configuration, String> {
    super::dashboard::configuration(source, settings)
}

#[cfg(not(feature = "controller"))]
fn from_dashboard(source: &str, _: &Settings) -> Result<Configuration, String> {
    Err(format!("{source}: this build speaks no HTTP"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn name(text: &str) -> Option<String> {
        let configuration = declarative("x", text.as_bytes()).unwrap()?;
        Some(configuration.services[0].name.clone().unwrap_or_default())
    }

    #[test]
    fn declarative_configurations_are_told_from_manifests() {
        let yaml = "_format_version: '3.0'\nservices:\n- {name: web, host: web}\n";
        let json = r#"{"services": [{"name": "web", "host": "web"}], "_format_version": "3.0"}"#;
        let dump = format!(r#"{{"hash": "0", "config": {json}}}"#);
        let of_kong = serde_json::json!({"config": yaml}).to_string();
        for text in [yaml, json, &dump, &of_kong] {
            assert_eq!(name(text).as_deref(), Some("web"), "{text}");
        }
        for text in [
            "",
            "kind: Service\n",
            "kind: ConfigMap\ndata:\n  kong.yml: |\n    _format_version: '3.0'\n",
        ] {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_located_without_a_secret() {
        let text =
            "_format_version: '3.0'\nconsumers:\n- username: alice\n  keyauth_credentials:\n  - {key: [SECRET]}\n";
        let message = declarative("a.yaml", text.as_bytes()).unwrap_err();
        assert!(
            message.contains("a.yaml") && message.contains("keyauth_credential"),
            "{message}"
        );
        assert!(!message.contains("SECRET"), "{message}");
        let message = declarative("a.yaml", b"_format_version: '3.0'\nservices: [SECRET\n").unwrap_err();
        assert!(
            message.starts_with("a.yaml:") && !message.contains("SECRET"),
            "{message}"
        );
    }
}
