//! Compares a document with the fields that its kind has: wrong types, values out of bounds, unknown and missing
//! fields, broken rules.

mod value;

use serde_json::Value;

use self::value::{Unfit, shortened, unfit};
use super::{
    nearest::nearest,
    node::{Key, Node, NodeValue},
};
use crate::model::{
    Reason,
    schema::{Fields, Identity, List, Rule, Type},
};

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mismatch {
    /// Path of the field, as `spec.rules[0].host`; empty for the object as a whole.
    pub(super) field: String,
    /// Line within the document, from 1; 0 if not known.
    pub(super) line: u32,
    pub(super) reason: Reason,
    /// Whether the type of a value is wrong, rather than the value itself.
    pub(super) of_type: bool,
    pub(super) message: String,
    pub(super) remedy: String,
}

/// Mismatches of one object that are told: more of them only bury the first.
const TOLD: usize = 20;

/// What in the object does not fit its fields, in order of appearance. Its status is left alone: it is not the user's
/// to write, and no one reads it.
pub(super) fn check(object: &Node, fields: &'static Fields) -> Vec<Mismatch> {
    let mut check = Check {
        path: String::new(),
        found: Vec::new(),
    };
    if let NodeValue::Map(entries) = &object.value {
        let has_status = fields.get("status").is_some();
        let checked = || entries.iter().filter(|(key, _)| !(has_status && key.name == "status"));
        check.fields(fields, &checked(), object.line);
        if !checked().any(|(key, value)| key.name == "metadata" && !value.is_null()) {
            check.within("metadata", |check| check.missing("metadata", object.line));
        }
        check.rules(fields.rules, object, object.line);
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
            (Type::Object(fields), NodeValue::Map(entries)) => {
                let before = self.found.len();
                self.fields(fields, &entries.iter(), line);
                if self.found.len() == before {
                    self.rules(fields.rules, node, line);
                }
            }
            (Type::List(list), NodeValue::List(items)) => self.list(list, items, node, line),
            (Type::Map(of), NodeValue::Map(entries)) => {
                for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                    self.within(&segment(&key.name), |check| check.value(value, of, key.line));
                }
            }
            _ => {
                if let Some(unfit) = unfit(node, type_) {
                    self.report(line, unfit);
                }
            }
        }
    }

    fn fields<'a>(
        &mut self,
        fields: &'static Fields,
        entries: &(impl Iterator<Item = &'a (Key, Node)> + Clone),
        line: u32,
    ) {
        for (key, value) in entries.clone() {
            let known = fields.get(&key.name);
            self.within(&segment(&key.name), |check| match known {
                Some(_) if value.is_null() => {}
                Some(field) => check.value(value, &field.type_, key.line),
                None => check.unknown(fields, key, line),
            });
        }
        for field in fields.fields.iter().filter(|field| field.is_missed()) {
            let mut entries = entries.clone();
            if !entries.any(|(key, value)| key.name == field.name && !value.is_null()) {
                self.within(&segment(field.name), |check| check.missing(field.name, line));
            }
        }
    }

    fn list(&mut self, list: &'static List, items: &[Node], node: &Node, line: u32) {
        let before = self.found.len();
        for (index, item) in items.iter().enumerate() {
            self.within(&format!("[{index}]"), |check| check.value(item, &list.items, line));
        }
        if self.found.len() > before {
            return;
        }
        if items.len() < list.min || items.len() > list.max {
            let bound = if items.len() < list.min {
                format!("at least {}", list.min)
            } else {
                format!("at most {}", list.max)
            };
            let message = format!("expected {bound} values, found {}", items.len());
            self.report(line, Unfit::value(message, format!("write {bound}")));
            return;
        }
        if let Some(index) = first_double(list.identity, items) {
            self.within(&format!("[{index}]"), |check| {
                let line = if items[index].line > 0 { items[index].line } else { line };
                let (message, remedy) = match list.identity {
                    Identity::Keys(keys) => (
                        format!("an item with the same {} stands before it", keys.join(" and ")),
                        "remove one of the two, or give it another name",
                    ),
                    _ => ("the same value stands before it".to_owned(), "remove one of the two"),
                };
                check.report(line, Unfit::value(message, remedy.to_owned()));
            });
        }
        self.rules(list.rules, node, line);
    }

    fn rules(&mut self, rules: &'static [Rule], node: &Node, line: u32) {
        // Rules may rely on fields having their types.
        if rules.is_empty() || self.found.iter().any(|found| found.field.starts_with(&self.path)) {
            return;
        }
        let value = node.clone().into_json();
        for rule in rules {
            if rule.holds.is_some_and(|holds| !holds(&value)) {
                let remedy = "change one of the fields that the rule names".to_owned();
                self.report(line, Unfit::value(rule.message.to_owned(), remedy));
            }
        }
    }

    fn unknown(&mut self, fields: &'static Fields, key: &Key, line: u32) {
        let names = fields.fields.iter().map(|field| field.name);
        let remedy = match nearest(&key.name, names.clone()) {
            Some(name) => format!("did you mean {name:?}?"),
            None => format!("remove it; known here are {}", names.collect::<Vec<_>>().join(", ")),
        };
        self.found.push(Mismatch {
            field: self.path.clone(),
            line: if key.line > 0 { key.line } else { line },
            reason: Reason::UnknownField,
            of_type: false,
            message: format!("unknown field {:?}", shortened(&key.name)),
            remedy,
        });
    }

    fn missing(&mut self, name: &str, line: u32) {
        self.report(
            line,
            Unfit::value("the field is missing".to_owned(), format!("add {name}")),
        );
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

    fn report(&mut self, line: u32, unfit: Unfit) {
        if self.found.len() >= TOLD {
            return;
        }
        self.found.push(Mismatch {
            field: self.path.clone(),
            line,
            reason: Reason::InvalidField,
            of_type: unfit.of_type,
            message: unfit.message,
            remedy: unfit.remedy,
        });
    }
}

/// The first item that stands before already, as far as items of the list must differ.
fn first_double(identity: Identity, items: &[Node]) -> Option<usize> {
    let identify = |item: &Node| match identity {
        Identity::Position | Identity::Atomic => None,
        Identity::Set => Some(vec![item.clone().into_json()]),
        Identity::Keys(keys) => {
            let value = |key: &&str| item.get(key).map_or(Value::Null, |value| value.clone().into_json());
            Some(keys.iter().map(value).collect())
        }
    };
    let mut seen = std::collections::BTreeSet::new();
    items.iter().position(|item| {
        identify(item).is_some_and(|identity| !seen.insert(serde_json::to_string(&identity).unwrap_or_default()))
    })
}

/// A key as part of a path: in brackets and quotes unless it is a plain word.
fn segment(key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '_' || char == '-');
    if plain && shortened(key) == key {
        key.to_owned()
    } else {
        format!("[{:?}]", shortened(key))
    }
}
