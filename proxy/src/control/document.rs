//! Text to document: JSON first, then YAML, as Kong does, within bounds. Pure.

use proxy_config_schema::{Limits, ParseError};
use serde_json::Value;

/// Why a text is not a document. Quotes nothing of it, since it may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MalformedDocument {
    /// Not text.
    #[error("not UTF-8")]
    Encoding,
    /// Neither JSON nor YAML, or too much of it.
    #[error("{0}")]
    Syntax(String),
    /// A number, a string, nothing.
    #[error("expected an object")]
    NotAnObject,
}

/// What one YAML document may ask for. A configuration of the largest size that the Admin API takes by default (10 MiB)
/// stays below; a bomb does not.
const MAX_NODES: usize = 2_000_000;
const MAX_DEPTH: usize = 64;
const MAX_REPLAYED_EVENTS: usize = 1_000_000;

/// What one document may ask for, as JSON or otherwise.
pub(super) const LIMITS: Limits = Limits::DEFAULT;

/// Parses text: JSON within [`Limits`], YAML within those and up to two million nodes, aliases expanded.
pub(super) fn parse(text: &[u8]) -> Result<Value, MalformedDocument> {
    let limits = LIMITS;
    let json_error = match limits.read_json(text) {
        Ok(document @ (Value::Object(_) | Value::Array(_))) => return Ok(document),
        Ok(_) => return Err(MalformedDocument::NotAnObject),
        Err(error @ ParseError::Syntax { .. }) => error,
        Err(error) => return Err(MalformedDocument::Syntax(error.to_string())),
    };
    let text = std::str::from_utf8(text).map_err(|_| MalformedDocument::Encoding)?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * MAX_NODES,
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            max_documents: 1,
            max_inclusion_depth: 0,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED_EVENTS,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Value>(text, options) {
        Ok(document @ (Value::Object(_) | Value::Array(_))) => match limits.check(&document) {
            Ok(()) => Ok(document),
            Err(error) => Err(MalformedDocument::Syntax(error.to_string())),
        },
        Ok(_) => Err(MalformedDocument::NotAnObject),
        // For what was meant to be JSON, what YAML says of it does not help.
        Err(_) if text.trim_start().starts_with(['{', '[']) => Err(MalformedDocument::Syntax(json_error.to_string())),
        Err(error) => Err(MalformedDocument::Syntax(bounded(error.to_string()))),
    }
}

fn bounded(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(300) {
        message.truncate(end);
    }
    message
}

/// Whether a document declares no entity at all.
pub(super) fn is_empty(document: &Value) -> bool {
    document.as_object().is_none_or(|fields| {
        fields.iter().all(|(name, value)| {
            name.starts_with('_') || value.as_array().is_some_and(Vec::is_empty) || value.is_null()
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn json_and_yaml_are_the_same_document() {
        let json = br#"{"_format_version": "3.0", "services": [{"name": "a", "port": 80, "tags": null}]}"#;
        let yaml = b"_format_version: '3.0'\nservices:\n- name: a\n  port: 80\n  tags: ~\n";
        assert_eq!(parse(json).expect("JSON"), parse(yaml).expect("YAML"));
    }

    #[test]
    fn the_last_of_duplicate_keys_wins() {
        let expected = json!({"a": 2});
        assert_eq!(parse(br#"{"a": 1, "a": 2}"#).expect("JSON"), expected);
        assert_eq!(parse(b"a: 1\na: 2\n").expect("YAML"), expected);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "x", "\"x\"", "12", "# nothing\n", "~"] {
            assert_eq!(parse(text.as_bytes()), Err(MalformedDocument::NotAnObject), "{text:?}");
        }
        assert_eq!(parse(&[0xff, 0xfe]), Err(MalformedDocument::Encoding));
        assert!(matches!(parse(b"a: [1, 2"), Err(MalformedDocument::Syntax(_))));
    }

    #[test]
    fn broken_json_is_told_by_line_and_column_without_its_content() {
        let Err(MalformedDocument::Syntax(message)) = parse(b"{\"key\": \"hunter2\",\n \"x\": hunter2]") else {
            panic!("refused");
        };
        assert!(
            message.contains("line 2, column") && !message.contains("hunter2"),
            "{message}"
        );
    }

    #[test]
    fn bombs_are_refused_quickly() {
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let merges: String = (1..30).fold("m0: &m0 {a: 1}\n".to_owned(), |text, level| {
            let previous = level - 1;
            format!("{text}m{level}: &m{level} {{x: *m{previous}, y: *m{previous}}}\n")
        });
        let deep_json = "[".repeat(1_000_000);
        let deep_yaml = format!("a: {}", "[".repeat(200_000));
        let wide = format!("a: [{}]", "x,".repeat(2_100_000));
        for (name, text) in [
            ("laughs", laughs),
            ("merges", merges),
            ("deep JSON", deep_json),
            ("deep YAML", deep_yaml),
            ("wide YAML", wide),
        ] {
            let started = Instant::now();
            assert!(
                matches!(parse(text.as_bytes()), Err(MalformedDocument::Syntax(_))),
                "{name}"
            );
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{name} took {:?}",
                started.elapsed()
            );
        }
    }

    #[test]
    fn a_document_without_entities_is_empty() {
        for empty in [
            json!({"_format_version": "3.0"}),
            json!({"services": [], "routes": null}),
            json!([]),
        ] {
            assert!(is_empty(&empty), "{empty}");
        }
        assert!(!is_empty(&json!({"upstreams": [{"name": "a"}]})));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_document_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_text_is_a_document_or_an_error(text in "[-{}\\[\\]&*!|>'\": ,a-c0-9\n#%@]{0,80}") {
            let _ = parse(text.as_bytes());
        }
    }
}
