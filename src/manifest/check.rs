//! Compares a document with the fields that its kind has: wrong types, unknown and missing fields.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    nearest::nearest,
    node::{Key, Node, NodeValue},
};
use crate::model::Reason;

/// What a field may hold. `null` stands for unset everywhere but in lists.
#[derive(Debug)]
pub(super) enum Type {
    /// Anything.
    Any,
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// 0 (unset) to 65535.
    Port,
    /// A port, or the name of one.
    PortOrName,
    /// `true` or `false`.
    Boolean,
    /// RFC 3339.
    Timestamp,
    /// Base64; never shown.
    SecretBase64,
    /// Text; never shown.
    SecretText,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any keys, each with a value of a type.
    Map(&'static Type),
    /// Values of a type.
    List(&'static Type),
    /// Named fields.
    Object(&'static Fields),
}

/// The fields of an object.
#[derive(Debug)]
pub(super) struct Fields {
    /// Name and type of each.
    pub(super) known: &'static [(&'static str, Type)],
    /// Those that have to be there.
    pub(super) required: &'static [&'static str],
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mismatch {
    /// Path of the field, as `spec.rules[0].host`.
    pub(super) field: String,
    /// Line within the document, from 1; 0 if not known.
    pub(super) line: u32,
    pub(super) reason: Reason,
    pub(super) message: String,
    pub(super) remedy: String,
}

/// Mismatches of one object that are told: more of them only bury the first.
const TOLD: usize = 20;

/// What in the object does not fit its fields, in order of appearance.
pub(super) fn check(object: &Node, fields: &'static Fields) -> Vec<Mismatch> {
    let mut check = Check {
        path: String::new(),
        found: Vec::new(),
    };
    if let NodeValue::Map(entries) = &object.value {
        check.object(fields, entries, object.line);
    }
    check.found
}

struct Check {
    path: String,
    found: Vec<Mismatch>,
}

impl Check {
    fn value(&mut self, node: &Node, type_: &'static Type, line: u32) {
        if self.found.len() >= TOLD {
            return;
        }
        let line = if node.line > 0 { node.line } else { line };
        match (type_, &node.value) {
            (Type::Any, _) => {}
            (Type::Object(fields), NodeValue::Map(entries)) => self.object(fields, entries, line),
            (Type::List(of), NodeValue::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.within(&format!("[{index}]"), |check| check.value(item, of, line));
                }
            }
            (Type::Map(of), NodeValue::Map(entries)) => {
                for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                    self.within(&segment(&key.name), |check| check.value(value, of, key.line));
                }
            }
            (Type::SecretBase64, NodeValue::Text(text)) => {
                let compact: String = text.split_ascii_whitespace().collect();
                if STANDARD.decode(compact).is_err() {
                    let remedy = "encode the value (`base64 -w0`), or put it as it is under stringData";
                    self.report(line, "the value is not valid Base64".to_owned(), remedy.to_owned());
                }
            }
            _ => {
                if let Some((message, remedy)) = scalar(node, type_) {
                    self.report(line, message, remedy);
                }
            }
        }
    }

    fn object(&mut self, fields: &'static Fields, entries: &[(Key, Node)], line: u32) {
        for (key, value) in entries {
            let known = fields.known.iter().find(|(name, _)| *name == key.name);
            self.within(&segment(&key.name), |check| match known {
                Some(_) if value.is_null() => {}
                Some((_, type_)) => check.value(value, type_, key.line),
                None => check.unknown(fields, key, line),
            });
        }
        for name in fields.required {
            if !entries.iter().any(|(key, value)| key.name == *name && !value.is_null()) {
                self.within(&segment(name), |check| {
                    check.report(line, "the field is missing".to_owned(), format!("add {name}"));
                });
            }
        }
    }

    fn unknown(&mut self, fields: &Fields, key: &Key, line: u32) {
        let names = fields.known.iter().map(|(name, _)| *name);
        let remedy = match nearest(&key.name, names.clone()) {
            Some(name) => format!("did you mean {name:?}?"),
            None => format!("remove it; known here are {}", names.collect::<Vec<_>>().join(", ")),
        };
        self.found.push(Mismatch {
            field: self.path.clone(),
            line: if key.line > 0 { key.line } else { line },
            reason: Reason::UnknownField,
            message: format!("unknown field {:?}", shortened(&key.name)),
            remedy,
        });
    }

    fn within(&mut self, segment: &str, check: impl FnOnce(&mut Self)) {
        if self.found.len() >= TOLD {
            return;
        }
        let length = self.path.len();
        if length > 0 && !segment.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(segment);
        check(self);
        self.path.truncate(length);
    }

    fn report(&mut self, line: u32, message: String, remedy: String) {
        self.found.push(Mismatch {
            field: self.path.clone(),
            line,
            reason: Reason::InvalidField,
            message,
            remedy,
        });
    }
}

/// A key as part of a path: in brackets and quotes unless it is a plain word.
fn segment(key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '_' || char == '-');
    if plain && key.len() <= SHOWN {
        key.to_owned()
    } else {
        format!("[{:?}]", shortened(key))
    }
}

/// Message and remedy, if a value does not fit a type.
fn scalar(node: &Node, type_: &Type) -> Option<(String, String)> {
    let fits = match (type_, &node.value) {
        (Type::Text | Type::SecretText, NodeValue::Text(_)) | (Type::Boolean, NodeValue::Bool(_)) => true,
        (Type::Integer, NodeValue::Number(number)) => number.is_i64(),
        (Type::Port | Type::PortOrName, NodeValue::Number(number)) => match number.as_i64() {
            Some(port) if !(0..=65535).contains(&port) => {
                let message = format!("expected a port number from 1 to 65535, found {port}");
                return Some((message, "use a port from 1 to 65535".to_owned()));
            }
            port => port.is_some(),
        },
        (Type::PortOrName, NodeValue::Text(_)) => true,
        (Type::OneOf(words), NodeValue::Text(word)) => words.contains(&word.as_str()),
        (Type::Timestamp, NodeValue::Text(text)) => text.parse::<jiff::Timestamp>().is_ok(),
        _ => false,
    };
    if fits {
        return None;
    }
    let found = if is_secret(type_) {
        kind_of(node).to_owned()
    } else {
        describe(node)
    };
    Some((
        format!("expected {}, found {found}", expected(type_)),
        remedy(node, type_),
    ))
}

fn is_secret(type_: &Type) -> bool {
    match type_ {
        Type::SecretBase64 | Type::SecretText => true,
        Type::Map(of) | Type::List(of) => is_secret(of),
        _ => false,
    }
}

fn expected(type_: &Type) -> String {
    match type_ {
        Type::Any => "anything".to_owned(),
        Type::Text | Type::SecretText => "a string".to_owned(),
        Type::SecretBase64 => "a Base64 string".to_owned(),
        Type::Integer | Type::Port => "an integer".to_owned(),
        Type::PortOrName => "a port number or the name of a port".to_owned(),
        Type::Boolean => "true or false".to_owned(),
        Type::Timestamp => "a time as 2006-01-02T15:04:05Z".to_owned(),
        Type::OneOf(words) => format!("one of {}", words.join(", ")),
        Type::Map(_) | Type::Object(_) => "an object".to_owned(),
        Type::List(_) => "a list".to_owned(),
    }
}

fn remedy(node: &Node, type_: &Type) -> String {
    match (type_, &node.value) {
        (Type::Text | Type::SecretText, NodeValue::Number(_) | NodeValue::Bool(_)) => "put the value in quotes".into(),
        (Type::Integer | Type::Port, NodeValue::Text(text)) if text.parse::<i64>().is_ok() => {
            "remove the quotes".into()
        }
        (Type::Boolean, NodeValue::Text(_)) => "write true or false, without quotes".to_owned(),
        (Type::OneOf(words), NodeValue::Text(word)) => match nearest(word, words.iter().copied()) {
            Some(word) => format!("did you mean {word:?}?"),
            None => format!("use one of {}", words.join(", ")),
        },
        (Type::List(_), _) => "write a list: each item on a line of its own, after \"- \"".to_owned(),
        (Type::Map(_) | Type::Object(_), NodeValue::List(_)) => "remove the \"- \" in front of the fields".to_owned(),
        _ => format!("write {} there", expected(type_)),
    }
}

/// Characters of foreign text that a message shows.
const SHOWN: usize = 60;

fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}...")
}

fn kind_of(node: &Node) -> &'static str {
    match &node.value {
        NodeValue::Null => "null",
        NodeValue::Bool(_) => "a boolean",
        NodeValue::Number(_) => "a number",
        NodeValue::Text(_) => "text",
        NodeValue::List(_) => "a list",
        NodeValue::Map(_) => "an object",
    }
}

fn describe(node: &Node) -> String {
    match &node.value {
        NodeValue::Bool(value) => value.to_string(),
        NodeValue::Number(value) => value.to_string(),
        NodeValue::Text(text) => format!("{:?}", shortened(text)),
        NodeValue::Null | NodeValue::List(_) | NodeValue::Map(_) => kind_of(node).to_owned(),
    }
}
