//! `crds.md`: every field of every definition.

use std::fmt::Write as _;

use serde_json::Value;

use super::{cell, holds};
use crate::status::resource::definitions;

#[test]
fn every_definition_is_explained() {
    let mut text = String::new();
    for definition in definitions() {
        let definition = serde_json::to_value(definition).expect("JSON");
        kind(&definition["spec"], &mut text).expect("text");
    }
    text.push('\n');
    holds("crds.md", &text);
}

fn words(list: &Value) -> String {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let words = list.iter().filter_map(Value::as_str).map(|word| format!("`{word}`"));
    words.collect::<Vec<_>>().join(", ")
}

fn kind(spec: &Value, text: &mut String) -> std::fmt::Result {
    let version = &spec["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let plain = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    writeln!(text, "\n## {}\n", plain(&spec["names"]["kind"]))?;
    writeln!(text, "{}\n", cell(&plain(&schema["description"])))?;
    write!(
        text,
        "`apiVersion: {}/{}`, {}, `kubectl get {}`",
        plain(&spec["group"]),
        plain(&version["name"]),
        plain(&spec["scope"]).to_lowercase(),
        plain(&spec["names"]["plural"]),
    )?;
    let short = words(&spec["names"]["shortNames"]);
    if !short.is_empty() {
        write!(text, " or {short}")?;
    }
    if let Some(warning) = version["deprecationWarning"].as_str() {
        write!(text, ". The API server warns: {warning}")?;
    }
    text.push_str(".\n\n| field | value | meaning |\n|---|---|---|\n");
    let mut rules = Vec::new();
    fields(schema, "", text, &mut rules)?;
    if !rules.is_empty() {
        text.push_str("\nRules, in the words of the API server:\n\n");
        for (path, message) in rules {
            let place = if path.is_empty() {
                String::new()
            } else {
                format!("`{path}`: ")
            };
            writeln!(text, "- {place}{}", cell(&message))?;
        }
    }
    Ok(())
}

fn fields(schema: &Value, path: &str, text: &mut String, rules: &mut Vec<(String, String)>) -> std::fmt::Result {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let message = rule["message"].as_str().expect("rules have messages");
        rules.push((path.to_owned(), message.to_owned()));
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            continue;
        }
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let mark = if required.contains(&name.as_str().into()) {
            " *"
        } else {
            ""
        };
        let meaning = cell(field["description"].as_str().unwrap_or_default());
        writeln!(text, "| `{path}`{mark} | {} | {meaning} |", value(field))?;
        within(field, path, text, rules)?;
    }
    Ok(())
}

/// What stands below a field.
fn within(field: &Value, mut path: String, text: &mut String, rules: &mut Vec<(String, String)>) -> std::fmt::Result {
    let mut inner = field;
    loop {
        if inner["items"].is_object() {
            path.push_str("[]");
            for rule in inner["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let message = rule["message"].as_str().expect("rules have messages");
                rules.push((path.clone(), message.to_owned()));
            }
            inner = &inner["items"];
        } else if inner["additionalProperties"].is_object() {
            path.push_str(".KEY");
            inner = &inner["additionalProperties"];
        } else {
            break;
        }
    }
    // Their fields are the same everywhere.
    if is_condition(inner) {
        Ok(())
    } else {
        fields(inner, &path, text, rules)
    }
}

fn is_condition(schema: &Value) -> bool {
    schema["properties"]["lastTransitionTime"].is_object() && schema["properties"]["reason"].is_object()
}

/// Type, bounds and default of a field.
fn value(field: &Value) -> String {
    let mut text = type_of(field);
    let bound = |name: &str| field[name].as_i64();
    let range = |unit: &str, low: Option<i64>, high: Option<i64>| match (low, high) {
        (Some(low), Some(high)) => format!(", {low} to {high}{unit}"),
        (Some(low), None) => format!(", from {low}{unit}"),
        (None, Some(high)) => format!(", at most {high}{unit}"),
        (None, None) => String::new(),
    };
    text += &range(" characters", bound("minLength"), bound("maxLength"));
    text += &range("", bound("minimum"), bound("maximum"));
    text += &range(" entries", bound("minItems"), bound("maxItems"));
    // Longer ones explain nothing to people.
    if let Some(pattern) = field["pattern"].as_str().filter(|pattern| pattern.len() < 20) {
        text += &format!(", like `{}`", pattern.replace('|', "\\|"));
    }
    match &field["default"] {
        // Defaults of statuses are the controller's first word, not the user's.
        Value::Null | Value::Array(_) | Value::Object(_) => {}
        default => text += &format!("; `{default}` if unset"),
    }
    text
}

fn type_of(field: &Value) -> String {
    if field["enum"].is_array() {
        return words(&field["enum"]);
    }
    match field["type"].as_str() {
        Some("array") if is_condition(&field["items"]) => "list of conditions".to_owned(),
        Some("array") => format!("list of {}", value(&field["items"])),
        Some("object") if field["additionalProperties"].is_object() => {
            format!("map to {}", value(&field["additionalProperties"]))
        }
        Some("object") if field["x-kubernetes-preserve-unknown-fields"] == true => "any object".to_owned(),
        Some("string") if field["format"] == "date-time" => "time".to_owned(),
        Some(type_) => type_.to_owned(),
        None if field["x-kubernetes-int-or-string"] == true => "integer or string".to_owned(),
        None => "anything".to_owned(),
    }
}
