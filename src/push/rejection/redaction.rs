//! Kong quotes values in its messages: the secrets of the configuration that was sent are taken out of them.

use serde_json::Value;

/// Shorter values are left: they are no secrets worth the name, and would tear every message apart.
const MIN_SECRET: usize = 4;
/// Values of plugin configurations are secret only maybe: short words such as `local` or `redis` stay readable.
const MIN_CONFIG_VALUE: usize = 8;
/// What stands in place of a secret.
const REPLACEMENT: &str = "***";

/// Fields that hold secrets, in whatever entity they stand.
const SECRET_FIELDS: [&str; 8] = [
    "key",
    "key_alt",
    "password",
    "secret",
    "client_secret",
    "token",
    "private_key",
    "payload",
];

/// The secrets of one configuration.
pub(super) struct Redaction {
    /// Longest first, so that no part of one remains.
    secrets: Vec<String>,
}

impl Redaction {
    /// Collects them from the document that was sent.
    pub(super) fn of(sent: Option<&Value>) -> Self {
        let mut secrets = Vec::new();
        if let Some(sent) = sent {
            visit(sent, MIN_SECRET, false, &mut secrets);
        }
        secrets.sort_by(|a: &String, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets }
    }

    /// The text without them.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REPLACEMENT);
            }
        }
        text
    }
}

fn visit(value: &Value, minimum: usize, is_secret: bool, secrets: &mut Vec<String>) {
    match value {
        Value::String(text) if is_secret => {
            // Of a key in PEM each line counts, as it may be quoted in part.
            for part in text.lines().chain([text.as_str()]) {
                if part.len() >= minimum && !part.starts_with("-----") {
                    secrets.push(part.to_owned());
                }
            }
        }
        Value::Number(number) if is_secret => {
            let text = number.to_string();
            if text.len() >= minimum {
                secrets.push(text);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, minimum, is_secret, secrets)),
        Value::Object(map) => {
            for (name, child) in map {
                // Configurations of plugins and vaults hold tokens, headers, URLs with passwords under any name.
                match name.as_str() {
                    "config" if child.is_object() => visit(child, MIN_CONFIG_VALUE, true, secrets),
                    name if SECRET_FIELDS.contains(&name) => visit(child, MIN_SECRET, true, secrets),
                    _ => visit(child, minimum, is_secret, secrets),
                }
            }
        }
        Value::String(_) | Value::Number(_) | Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn takes_out_what_is_secret_and_nothing_else() {
        let sent = json!({
            "consumers": [{"username": "alice", "keyauth_credentials": [{"key": "s3cr3t-key"}],
                           "basicauth_credentials": [{"username": "alice", "password": "hunter2"}]}],
            "certificates": [{"cert": "PUBLIC-PEM", "key": "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"}],
            "plugins": [{"name": "rate-limiting", "config": {"policy": "redis", "redis": {"password": "abcd"},
                         "header": "Bearer 0123456789"}}],
        });
        let redaction = Redaction::of(Some(&sent));
        assert_eq!(
            redaction.clean("alice: uniqueness violation: 's3cr3t-key', hunter2, MIGHAgEAMBMGByqGSM49, abcd"),
            "alice: uniqueness violation: '***', ***, ***, ***"
        );
        assert_eq!(redaction.clean("invalid: Bearer 0123456789"), "invalid: ***");
        assert_eq!(
            redaction.clean("expected one of: local, redis"),
            "expected one of: local, redis"
        );
        assert_eq!(redaction.clean("cert PUBLIC-PEM"), "cert PUBLIC-PEM");
    }
}
