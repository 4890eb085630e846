//! What is secret in a configuration: replaced in copies that are shown, and found (`texts`) in texts that quote it.
//!
//! Secret are keys and passwords of credentials, private keys of certificates, licences, and in free-form settings all
//! texts under keys that look like it. References to a vault are none: they say where the secret is. Called by `render`,
//! by the dashboard's and dump's makers, and by `push`, since Kong's error messages quote values.

mod texts;

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde_json::Value;

pub use self::texts::Secrets;

use crate::{
    BasicAuthCredential, Certificate, Configuration, Consumer, ConsumerGroup, HmacAuthCredential, JsonObject,
    JwtSecret, KeyAuthCredential, License, Oauth2Credential, Plugin, Route, Service, Vault,
};

/// What stands for a secret, as in Kong Ingress Controller's dumps.
pub const REDACTED: &str = "{vault://redacted-value}";

impl Configuration {
    /// A copy with [`REDACTED`] for every secret.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut copy = self.clone();
        copy.visit_secrets(&mut |secret| REDACTED.clone_into(secret));
        copy
    }

    /// A copy with [`REDACTED`] for every secret, and in settings of plugins for these values as well: such that came from
    /// Secrets, whatever they are called there.
    #[must_use]
    pub fn redacted_with(&self, confidential: &BTreeSet<String>) -> Self {
        let mut copy = self.redacted();
        if !confidential.is_empty() {
            copy.visit_plugins(&mut |plugin| {
                for value in plugin
                    .config
                    .iter_mut()
                    .flat_map(|config| Arc::make_mut(config).values_mut())
                {
                    withhold(value, confidential);
                }
            });
        }
        copy
    }

    /// All plugins, wherever they stand.
    fn visit_plugins(&mut self, visit: &mut dyn FnMut(&mut Plugin)) {
        for service in &mut self.services {
            let service = Arc::make_mut(service);
            service.plugins.iter_mut().for_each(&mut *visit);
            for route in &mut service.routes {
                Arc::make_mut(route).plugins.iter_mut().for_each(&mut *visit);
            }
        }
        for route in &mut self.routes {
            Arc::make_mut(route).plugins.iter_mut().for_each(&mut *visit);
        }
        for consumer in &mut self.consumers {
            Arc::make_mut(consumer).plugins.iter_mut().for_each(&mut *visit);
        }
        for group in &mut self.consumer_groups {
            Arc::make_mut(group).plugins.iter_mut().for_each(&mut *visit);
        }
        self.plugins.iter_mut().map(Arc::make_mut).for_each(visit);
    }

    /// All secrets in it, to take them out of texts that come back from proxies.
    pub fn secrets(&self) -> Secrets {
        let mut values = BTreeSet::new();
        self.clone().visit_secrets(&mut |secret| {
            values.insert(std::mem::take(secret));
        });
        Secrets::new(&values)
    }
}

/// An entity that holds secrets, or entities that do.
pub(crate) trait HasSecrets {
    /// Calls `visit` with every secret that is set.
    fn visit_secrets(&mut self, visit: &mut dyn FnMut(&mut String));
}

impl<T: HasSecrets> HasSecrets for Vec<T> {
    fn visit_secrets(&mut self, visit: &mut dyn FnMut(&mut String)) {
        for entity in self {
            entity.visit_secrets(visit);
        }
    }
}

impl<T: HasSecrets + Clone> HasSecrets for Arc<T> {
    fn visit_secrets(&mut self, visit: &mut dyn FnMut(&mut String)) {
        Arc::make_mut(self).visit_secrets(visit);
    }
}

impl HasSecrets for Service {
    fn visit_secrets(&mut self, visit: &mut dyn FnMut(&mut String)) {
        if let Some(url) = &mut self.url {
            visit_embedded(url, visit);
        }
        self.routes.visit_secrets(visit);
        self.plugins.visit_secrets(visit);
    }
}

impl HasSecrets for Route {
    fn visit_secrets(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.plugins.visit_secrets(visit);
    }
}

impl HasSecrets for ConsumerGroup {
    fn visit_secrets(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.plugins.visit_secrets(visit);
    }
}

impl HasSecrets for Consumer {
    fn visit_secrets(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.keyauth_credentials.visit_secrets(visit);
        self.basicauth_credentials.visit_secrets(visit);
        self.hmacauth_credentials.visit_secrets(visit);
        self.jwt_secrets.visit_secrets(visit);
        self.oauth2_credentials.visit_secrets(visit);
        self.plugins.visit_secrets(visit);
    }
}

/// Entities with secrets of their own: how to find them, and a debug form without them.
macro_rules! secrets_of {
    ($($entity:ident: |$this:ident, $visit:ident| $body:block)*) => {$(
        impl HasSecrets for $entity {
            fn visit_secrets(&mut self, $visit: &mut dyn FnMut(&mut String)) {
                let $this = self;
                $body
            }
        }

        impl fmt::Debug for $entity {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut copy = self.clone();
                copy.visit_secrets(&mut |secret| REDACTED.clone_into(secret));
                let fields = serde_json::to_string(&copy).map_err(|_| fmt::Error)?;
                write!(formatter, concat!(stringify!($entity), " {}"), fields)
            }
        }
    )*};
}

secrets_of! {
    Configuration: |this, visit| {
        this.services.visit_secrets(visit);
        this.routes.visit_secrets(visit);
        this.plugins.visit_secrets(visit);
        this.consumers.visit_secrets(visit);
        this.consumer_groups.visit_secrets(visit);
        this.certificates.visit_secrets(visit);
        this.licenses.visit_secrets(visit);
        this.vaults.visit_secrets(visit);
        this.keyauth_credentials.visit_secrets(visit);
        this.basicauth_credentials.visit_secrets(visit);
        this.hmacauth_credentials.visit_secrets(visit);
        this.jwt_secrets.visit_secrets(visit);
        this.oauth2_credentials.visit_secrets(visit);
        for entity in this.custom.values_mut().flatten() {
            visit_object(entity, visit);
        }
    }
    Certificate: |this, visit| {
        visit_text(Some(&mut this.key), visit);
        visit_text(this.key_alt.as_mut(), visit);
    }
    License: |this, visit| { visit_text(Some(&mut this.payload), visit) }
    KeyAuthCredential: |this, visit| { visit_text(this.key.as_mut(), visit) }
    BasicAuthCredential: |this, visit| { visit_text(this.password.as_mut(), visit) }
    HmacAuthCredential: |this, visit| { visit_text(this.secret.as_mut(), visit) }
    JwtSecret: |this, visit| { visit_text(this.secret.as_mut(), visit) }
    Oauth2Credential: |this, visit| { visit_text(this.client_secret.as_mut(), visit) }
    Plugin: |this, visit| { visit_settings(this.config.as_mut().map(Arc::make_mut), visit) }
    Vault: |this, visit| { visit_settings(this.config.as_mut(), visit) }
}

/// Replaces values that are given as text.
fn withhold(value: &mut Value, confidential: &BTreeSet<String>) {
    match value {
        Value::String(text) if confidential.contains(text) && !is_vault_reference(text) => REDACTED.clone_into(text),
        Value::Number(number) if confidential.contains(&number.to_string()) => *value = REDACTED.into(),
        Value::Array(elements) => elements.iter_mut().for_each(|element| withhold(element, confidential)),
        Value::Object(object) => object.values_mut().for_each(|below| withhold(below, confidential)),
        Value::String(_) | Value::Number(_) | Value::Null | Value::Bool(_) => {}
    }
}

fn visit_text(text: Option<&mut String>, visit: &mut dyn FnMut(&mut String)) {
    if let Some(text) = text.filter(|text| !text.is_empty() && !is_vault_reference(text)) {
        visit(text);
    }
}

fn visit_settings(settings: Option<&mut JsonObject>, visit: &mut dyn FnMut(&mut String)) {
    if let Some(settings) = settings {
        visit_object(settings, visit);
    }
}

fn visit_object(object: &mut JsonObject, visit: &mut dyn FnMut(&mut String)) {
    for (key, value) in object.iter_mut() {
        visit_setting(key, value, false, visit);
    }
}

/// Texts below a key that looks secret, and what others hold of it.
fn visit_value(value: &mut Value, secret: bool, visit: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) if secret => visit_text(Some(text), visit),
        Value::String(text) => visit_embedded(text, visit),
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| visit_value(element, secret, visit)),
        Value::Object(object) => {
            for (key, below) in object.iter_mut() {
                visit_setting(key, below, secret, visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What stands under a key. YAML makes a number of a password of digits that was not quoted.
fn visit_setting(key: &str, value: &mut Value, secret: bool, visit: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Number(number) if looks_secret(key) && !is_measured(key) => {
            let written = number.to_string();
            let mut text = written.clone();
            visit_text(Some(&mut text), visit);
            if text != written {
                *value = Value::String(text);
            }
        }
        value => visit_value(value, secret || looks_secret(key), visit),
    }
}

/// Whether numbers under a key that looks secret say how many or how long: `max_tokens`, `authorization_rolling_timeout`.
fn is_measured(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let measures = ["_timeout", "_interval", "_length", "_size", "_ttl"];
    ["token", "license", "credential"].iter().any(|part| key.contains(part))
        || measures.iter().any(|end| key.ends_with(end))
}

/// Secrets within a text: the password of a URL, the value of `Name: value` (header lists of transformers).
fn visit_embedded(text: &mut String, visit: &mut dyn FnMut(&mut String)) {
    let password = text.find("://").and_then(|scheme| {
        let start = scheme + 3;
        let authority = &text[start..];
        let end = authority.find('/').unwrap_or(authority.len());
        let at = authority[..end].rfind('@')?;
        let colon = authority[..at].find(':')?;
        Some((start + colon + 1, start + at))
    });
    let value = || {
        let colon = text.find(':').filter(|&colon| looks_secret(&text[..colon]))?;
        let space = text[colon + 1..].len() - text[colon + 1..].trim_start().len();
        Some((colon + 1 + space, text.len()))
    };
    if let Some((start, end)) = password.or_else(value) {
        let mut secret = text[start..end].to_owned();
        visit_text(Some(&mut secret), visit);
        text.replace_range(start..end, &secret);
    }
}

/// Whether a setting, or a header, of that name usually holds a secret.
fn looks_secret(key: &str) -> bool {
    let key: String = key.trim().to_ascii_lowercase().replace('-', "_");
    let telling = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "api_key",
        "credential",
        "private_key",
        "authorization",
        "cookie_key",
        "jwk",
        "license",
    ];
    let harmless = [
        "_name",
        "_names",
        "_header",
        "_headers",
        "_ttl",
        "_type",
        "_endpoint",
        "_url",
        "_in",
        "_lifetime",
    ];
    if harmless.iter().any(|ending| key.ends_with(ending)) {
        return false;
    }
    telling.iter().any(|part| key.contains(part))
        || key == "key"
        || key == "keys"
        || (key.ends_with("_key") && !key.contains("public") && !key.starts_with("hide"))
}

fn is_vault_reference(text: &str) -> bool {
    text.starts_with("{vault://") && text.ends_with('}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configuration() -> Configuration {
        let document = json!({
            "_format_version": "3.0",
            "services": [{"name": "s", "host": "h", "plugins": [
                {"name": "openid-connect", "config": {"client_secret": ["plugin-secret-1"], "issuer": "https://i", "proxy": "http://u:url-pass@p/x"}},
            ], "routes": [{"name": "r", "paths": ["/"], "plugins": [
                {"name": "request-transformer", "config": {"add": {"headers": ["Authorization:Bearer abc", "x-a:b"]}}},
                {"name": "rate-limiting", "config": {"redis": {"password": "redis-password", "host": "redis"}}},
                {"name": "key-auth", "config": {"key_names": ["apikey"], "anonymous": "{vault://env/x}"}},
            ]}]}],
            "consumers": [{
                "username": "alice",
                "keyauth_credentials": [{"key": "key-1"}],
                "basicauth_credentials": [{"username": "alice", "password": "pass-1"}],
                "hmacauth_credentials": [{"username": "alice", "secret": "hmac-1"}],
                "jwt_secrets": [{"key": "issuer", "secret": "{vault://env/jwt}"}],
                "oauth2_credentials": [{"name": "app", "client_id": "id", "client_secret": "oauth-1"}],
            }],
            "keyauth_credentials": [{"key": "key-2", "consumer": "alice"}],
            "certificates": [{"cert": "CERT", "key": "-----BEGIN KEY-----\nAAAAAAAAAAAAAAAA\n-----END KEY-----\n"}],
            "licenses": [{"payload": "licence-payload"}],
            "vaults": [{"name": "hcv", "prefix": "hcv", "config": {"token": "vault-token", "host": "v"}}],
            "degraphql_routes": [{"uri": "/a", "api_key": "custom-1"}],
        });
        Configuration::from_value(document).expect("a valid configuration")
    }

    const SECRETS: [&str; 13] = [
        "plugin-secret-1",
        "Bearer abc",
        "redis-password",
        "key-1",
        "pass-1",
        "hmac-1",
        "oauth-1",
        "key-2",
        "AAAAAAAAAAAAAAAA",
        "licence-payload",
        "vault-token",
        "custom-1",
        "url-pass",
    ];

    #[test]
    fn no_secret_stays_in_a_redacted_copy_or_a_debug_form() {
        let configuration = configuration();
        let redacted = configuration.redacted();
        let shown = [
            String::from_utf8(redacted.to_bytes().to_vec()).expect("JSON"),
            format!("{configuration:?}"),
        ];
        for text in shown {
            for secret in SECRETS {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
            for kept in [
                "issuer",
                "https://i",
                "apikey",
                "{vault://env/x}",
                "{vault://env/jwt}",
                "CERT",
                "x-a:b",
            ] {
                assert!(text.contains(kept), "{kept} not in {text}");
            }
        }
    }

    #[test]
    fn a_password_of_digits_is_one_also_where_it_was_not_quoted() {
        let document = json!({
            "_format_version": "3.0",
            "plugins": [{"name": "p", "config": {
                "redis": {"password": 654_321, "port": 6379}, "api_key": 987_654, "max_tokens": 1_000, "token_expiration": 7_200,
                "authorization_rolling_timeout": 600,
            }}],
        });
        let configuration = Configuration::from_value(document).expect("a valid configuration");
        let shown = String::from_utf8(configuration.redacted().to_bytes().to_vec()).expect("JSON");
        for secret in ["654321", "987654"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
            assert!(
                !configuration
                    .secrets()
                    .redact(&format!("not {secret}"))
                    .contains(secret)
            );
        }
        for kept in ["6379", "1000", "7200", "600"] {
            assert!(shown.contains(kept), "{kept} not in {shown}");
        }
    }

    #[test]
    fn values_of_secrets_are_withheld_whatever_they_are_called() {
        let document = json!({
            "_format_version": "3.0",
            "plugins": [{"name": "http-log", "config": {"http_endpoint": "https://quiet.example", "port": 654_321, "on": true}}],
            "services": [{"name": "s", "host": "h", "routes": [{"name": "r", "paths": ["/"], "plugins": [
                {"name": "acl", "config": {"allow": ["https://quiet.example", "loud"]}},
            ]}]}],
        });
        let configuration = Configuration::from_value(document).expect("a valid configuration");
        let confidential = BTreeSet::from(["https://quiet.example".to_owned(), "654321".to_owned()]);
        let shown = String::from_utf8(configuration.redacted_with(&confidential).to_bytes().to_vec()).expect("JSON");
        assert!(!shown.contains("quiet") && !shown.contains("654321"), "{shown}");
        assert!(shown.contains("loud") && shown.contains(r#""on":true"#), "{shown}");
        let secrets = configuration.secrets().with(&confidential);
        assert!(
            !secrets
                .redact("value 'https://quiet.example' refused")
                .contains("quiet")
        );
    }

    #[test]
    fn secrets_are_found_in_messages_that_quote_them() {
        let secrets = configuration().secrets();
        for secret in SECRETS {
            let message = format!("uniqueness violation: 'x' with key set to '{secret}' already declared");
            assert!(!secrets.redact(&message).contains(secret), "{secret}");
        }
        let quoted = r#"{"key":"-----BEGIN KEY-----\nAAAAAAAAAAAAAAAA\n-----END KEY-----\n"}"#;
        assert_eq!(secrets.redact(quoted), format!(r#"{{"key":"{REDACTED}"}}"#));
        assert_eq!(secrets.redact("monkey-12 is no secret"), "monkey-12 is no secret");
        let shown = format!("{secrets:?}");
        assert!(shown.starts_with("Secrets(") && shown.len() < 30, "{shown}");
    }

    #[test]
    fn settings_of_a_secret_are_secret_as_a_whole() {
        let settings = json!({"a": {"token": "secret-token-1"}, "policy": ["odd-value-1", 5]});
        let settings = settings.as_object().expect("an object");
        let message = "config.policy: 'odd-value-1' is wrong, and so is secret-token-1";
        let all = Secrets::of_all_texts(settings).redact(message);
        assert!(!all.contains("odd-value-1") && !all.contains("secret-token-1"), "{all}");
        let telling = Secrets::of_settings(settings).redact(message);
        assert!(
            telling.contains("odd-value-1") && !telling.contains("secret-token-1"),
            "{telling}"
        );
    }
}
