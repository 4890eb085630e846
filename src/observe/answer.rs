//! What `GET /` and `GET /status` answer. Only what is used is read; everything is optional, since Kong versions differ.

use std::sync::Arc;

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use serde::Deserialize;
use serde_json::Value;

use crate::model::{Edition, PluginTypes, RouterFlavor};

/// What a proxy is: `GET /`, read once per start of the proxy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Identity {
    pub(super) version: String,
    pub(super) edition: Edition,
    pub(super) router_flavor: RouterFlavor,
    /// `plugins.available_on_server`; `None` where that is not told.
    pub(super) plugins: Option<PluginTypes>,
    pub(super) database: String,
    pub(super) node_id: Option<String>,
    pub(super) started_at: Option<Timestamp>,
    /// `nginx_admin_client_max_body_size`, in bytes, if it is told and there is a limit.
    pub(super) body_limit: Option<u64>,
}

#[derive(Deserialize)]
struct Root {
    version: String,
    #[serde(default)]
    edition: Option<String>,
    #[serde(default)]
    node_id: Option<String>,
    #[serde(default)]
    configuration: RootConfiguration,
    #[serde(default)]
    embedded: Option<Embedded>,
    #[serde(default)]
    plugins: Value,
}

#[derive(Deserialize, Default)]
struct RootConfiguration {
    #[serde(default)]
    router_flavor: Option<String>,
    #[serde(default)]
    database: Option<String>,
    #[serde(default)]
    nginx_admin_client_max_body_size: Option<Value>,
}

/// Only the embedded proxy says this.
#[derive(Deserialize)]
struct Embedded {
    #[serde(default)]
    started_at: Option<Timestamp>,
}

impl Identity {
    /// Reads the answer of `GET /`.
    ///
    /// # Errors
    /// It is not Kong's, in words.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let root: Root =
            serde_json::from_slice(body).map_err(|error| format!("GET / is not answered as Kong does: {error}"))?;
        let is_enterprise = root.edition.as_deref() == Some("enterprise") || root.version.contains("enterprise");
        Ok(Self {
            edition: match (&root.embedded, is_enterprise) {
                (Some(_), _) => Edition::Embedded,
                (None, true) => Edition::Enterprise,
                (None, false) => Edition::OpenSource,
            },
            router_flavor: match root.configuration.router_flavor.as_deref() {
                Some("expressions") => RouterFlavor::Expressions,
                Some("traditional_compatible") => RouterFlavor::TraditionalCompatible,
                _ => RouterFlavor::Traditional,
            },
            plugins: plugin_types(&root.plugins["available_on_server"]),
            // Kong without the key is older than the key; such a one is DB-less only if it says so.
            database: root.configuration.database.unwrap_or_else(|| "postgres".to_owned()),
            body_limit: root
                .configuration
                .nginx_admin_client_max_body_size
                .and_then(|size| nginx_size(size.as_str()?)),
            node_id: root.node_id,
            started_at: root.embedded.and_then(|embedded| embedded.started_at),
            version: root.version,
        })
    }

    pub(super) fn has_database(&self) -> bool {
        self.database != "off"
    }
}

/// A size as nginx writes it: `10m`. `None` for 0, which is no limit, and for what is no size.
fn nginx_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|size| *size > 0)
}

/// The keys: what stands under them differs between versions. Without any the proxy does not tell.
fn plugin_types(available: &Value) -> Option<PluginTypes> {
    let available = available.as_object().filter(|available| !available.is_empty())?;
    Some(Arc::new(available.keys().map(|type_| type_.as_str().into()).collect()))
}

/// What a proxy runs: `GET /status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    /// [`ConfigHash::NONE`] where there is none, as with a database.
    pub(super) hash: Option<ConfigHash>,
    /// Requests since its start: fewer than before means that it has started again.
    pub(super) total_requests: Option<u64>,
}

#[derive(Deserialize)]
struct StatusAnswer {
    #[serde(default)]
    configuration_hash: Option<ConfigHash>,
    #[serde(default)]
    server: Server,
}

#[derive(Deserialize, Default)]
struct Server {
    #[serde(default)]
    total_requests: Option<u64>,
}

impl Status {
    /// Reads the answer of `GET /status`.
    ///
    /// # Errors
    /// It is not Kong's, in words.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let answer: StatusAnswer = serde_json::from_slice(body)
            .map_err(|error| format!("GET /status is not answered as Kong does: {error}"))?;
        Ok(Self {
            hash: answer.configuration_hash,
            total_requests: answer.server.total_requests,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn reads_what_kong_answers() {
        let identity = Identity::parse(include_bytes!("testdata/kong-3.9.3-root.json")).unwrap();
        assert_eq!(identity.version, "3.9.3");
        assert_eq!(identity.edition, Edition::OpenSource);
        assert_eq!(identity.router_flavor, RouterFlavor::TraditionalCompatible);
        assert!(!identity.has_database());
        assert_eq!(identity.body_limit, Some(10 << 20));
        let plugins = identity.plugins.as_ref().unwrap();
        assert!(plugins.contains("key-auth") && plugins.len() == 45, "{plugins:?}");
        assert_eq!(
            identity.node_id.as_deref(),
            Some("67d4f5b0-ec01-47be-ab3c-44f6b7414a90")
        );
        let status = Status::parse(include_bytes!("testdata/kong-3.9.3-status.json")).unwrap();
        assert_eq!(status.hash, Some("8ed3c281818a434b0846860bb8ad87c4".parse().unwrap()));
        assert_eq!(status.total_requests, Some(15));
    }

    #[test]
    fn tells_editions_and_flavors() {
        let parse = |text: &str| Identity::parse(text.as_bytes()).unwrap();
        let enterprise = parse(r#"{"version":"3.9.0.1-enterprise-edition","configuration":{"database":"off"}}"#);
        assert_eq!(enterprise.edition, Edition::Enterprise);
        assert_eq!(enterprise.plugins, None, "not told");
        let embedded = parse(
            r#"{"version":"3.9.3","embedded":{"started_at":"2026-11-21T04:02:25Z"},
                "configuration":{"database":"off","router_flavor":"expressions"}}"#,
        );
        assert_eq!(embedded.edition, Edition::Embedded);
        assert_eq!(embedded.router_flavor, RouterFlavor::Expressions);
        assert!(embedded.started_at.is_some());
        let compatible = r#"{"version":"3.9.3","configuration":{"router_flavor":"traditional_compatible"}}"#;
        assert_eq!(parse(compatible).router_flavor, RouterFlavor::TraditionalCompatible);
        assert!(parse(r#"{"version":"3.9.3","configuration":{"database":"postgres"}}"#).has_database());
    }

    #[test]
    fn reads_sizes_as_nginx_does() {
        let sizes = ["10m", "512K", "1g", "1048576", "0", "", "m", "10x", "99999999999g"];
        let read = sizes.map(nginx_size);
        let expected = [Some(10 << 20), Some(512 << 10), Some(1 << 30), Some(1 << 20)];
        assert_eq!(read[..4], expected);
        assert!(read[4..].iter().all(Option::is_none), "{read:?}");
    }

    #[test]
    fn refuses_what_is_not_kong() {
        assert!(Identity::parse(b"<html>").is_err());
        assert!(Identity::parse(b"{}").unwrap_err().contains("version"));
        assert!(Status::parse(br#"{"configuration_hash":"xyz"}"#).is_err());
    }
}
