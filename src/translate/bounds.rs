//! Limits of what users write freely: settings of plugins and vaults, fields of custom entities. Pure.
//!
//! Kong's own parser and those that read a configuration back stop at some depth; one object must not take all others
//! with it.

use serde_json::Value;

use crate::model::kong::JsonObject;

/// Objects and lists within each other.
pub(super) const DEPTH: usize = 64;
/// Values, keys not counted.
pub(super) const VALUES: usize = 100_000;
/// Bytes of text in all of them together.
pub(super) const BYTES: usize = 1 << 20;

/// Whether settings are within the limits.
///
/// # Errors
/// What they exceed, in words that read on after "they".
pub(super) fn check(settings: &JsonObject) -> Result<(), String> {
    let mut left = Left {
        values: VALUES,
        bytes: BYTES,
    };
    settings.iter().try_for_each(|(key, value)| {
        left.take_text(key)?;
        left.take(value, DEPTH - 1)
    })
}

struct Left {
    values: usize,
    bytes: usize,
}

impl Left {
    fn take(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        self.values = self
            .values
            .checked_sub(1)
            .ok_or_else(|| format!("hold more than {VALUES} values"))?;
        if depth == 0 {
            return Err(format!("are nested more than {DEPTH} deep"));
        }
        match value {
            Value::String(text) => self.take_text(text),
            Value::Array(elements) => elements.iter().try_for_each(|element| self.take(element, depth - 1)),
            Value::Object(object) => object.iter().try_for_each(|(key, below)| {
                self.take_text(key)?;
                self.take(below, depth - 1)
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn take_text(&mut self, text: &str) -> Result<(), String> {
        let left = self.bytes.checked_sub(text.len());
        self.bytes = left.ok_or_else(|| format!("hold more than {BYTES} bytes of text"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(value: &Value) -> Result<(), String> {
        check(value.as_object().expect("an object"))
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(checked(&json!({"a": {"b": [1, "x", null]}})), Ok(()));
        let deep = (0..DEPTH).fold(json!(1), |below, _| json!({ "a": below }));
        assert!(checked(&deep).is_err_and(|message| message.contains("deep")));
        let wide: Vec<_> = (0..VALUES).map(|_| json!(0)).collect();
        assert!(checked(&json!({ "a": wide })).is_err_and(|message| message.contains("values")));
        let long = "x".repeat(BYTES + 1);
        assert!(checked(&json!({ "a": long })).is_err_and(|message| message.contains("bytes")));
    }
}
