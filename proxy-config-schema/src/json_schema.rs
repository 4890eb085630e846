//! The JSON Schema of a configuration, for editors and other tools: `schema.json` of this crate.

use serde_json::Value;

use crate::Configuration;

/// The JSON Schema (draft 2020-12) of a declarative configuration, made from the entity types.
///
/// It tells shape and types; what else a proxy asks (names, ranges, references) only
/// [`Configuration::load`] knows.
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Configuration).to_value();
    schema["title"] = "Kong's declarative configuration, DB-less".into();
    schema
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
        let mut generated = serde_json::to_string_pretty(&super::json_schema()).expect("JSON");
        generated.push('\n');
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, &generated).expect("writable repository");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == generated,
            "schema.json is stale: run `UPDATE=1 cargo test -p proxy-config-schema`"
        );
    }
}
