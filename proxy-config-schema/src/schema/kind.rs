//! Kinds of fields: what a value must be. Called by the walk in `schema`.

use serde_json::Value;

use super::Depth;
use crate::{JsonObject, ValidationOptions, finding::Step};

/// What a text must be: the error message if it is not.
pub(crate) type TextRule = fn(&str) -> Result<(), String>;

/// What a value must be.
pub(crate) enum Kind {
    Any,
    Boolean,
    /// Inclusive bounds.
    Integer(i64, i64),
    OneOfInteger(&'static [i64]),
    /// Inclusive bounds.
    Number(f64, f64),
    /// Not empty.
    Text,
    /// Not empty, and by a rule.
    TextBy(TextRule),
    /// May be empty.
    FreeText,
    OneOf(&'static [&'static str]),
    /// As `OneOf`, where sticky sessions are known also these.
    OneOfOrSticky(&'static [&'static str], &'static [&'static str]),
    Uuid,
    Array(&'static Kind),
    /// At least so many elements.
    Set(&'static Kind, usize),
    /// A rule for keys, and the kind of values.
    Map(TextRule, &'static Kind),
    Record(&'static [Field]),
    /// A free-form object.
    Object,
    /// Name or identifier of an entity of the list, or an object with its identifier.
    Reference(&'static str),
}

/// Whether a field must be there, and where it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Optional,
    /// An entity type can't do without.
    Required,
    /// Kong can't do without.
    RequiredByKong,
    /// Required by Kong unless the other field is there.
    RequiredUnless(&'static str),
    /// Known to Kong Enterprise alone.
    Enterprise,
    /// Known to the router flavour `expressions` alone.
    Expressions,
    /// Known since Kong has sticky sessions.
    StickySessions,
}

/// A field of an entity or record.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) presence: Presence,
}

impl Field {
    pub(crate) const fn optional(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            presence: Presence::Optional,
        }
    }

    pub(crate) const fn required(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            presence: Presence::Required,
        }
    }

    pub(crate) const fn with(name: &'static str, kind: Kind, presence: Presence) -> Self {
        Self { name, kind, presence }
    }

    /// Whether the proxy knows the field.
    pub(crate) fn is_available(&self, options: &ValidationOptions) -> bool {
        match self.presence {
            Presence::Optional | Presence::Required | Presence::RequiredByKong | Presence::RequiredUnless(_) => true,
            Presence::Enterprise => options.enterprise,
            Presence::Expressions => options.router_flavor == crate::RouterFlavor::Expressions,
            Presence::StickySessions => options.sticky_sessions,
        }
    }

    /// Whether the object must have the field.
    pub(crate) fn is_required(&self, object: &JsonObject, depth: Depth) -> bool {
        let full = depth == Depth::Full;
        match self.presence {
            Presence::Required => true,
            Presence::RequiredByKong => full,
            Presence::RequiredUnless(other) => full && object.get(other).is_none_or(Value::is_null),
            Presence::Optional | Presence::Enterprise | Presence::Expressions | Presence::StickySessions => false,
        }
    }
}

/// Where below the value, and what is wrong there.
type Errors = Vec<(Vec<Step>, String)>;

impl Kind {
    /// Checks a value that is not `null`.
    pub(crate) fn check(&self, value: &Value, depth: Depth, options: &ValidationOptions) -> Result<(), Errors> {
        let here = |message: &str| Err(vec![(Vec::new(), message.to_owned())]);
        let full = depth == Depth::Full;
        match self {
            Self::Any => Ok(()),
            Self::Boolean if value.is_boolean() => Ok(()),
            Self::Boolean => here("expected a boolean"),
            Self::Integer(least, most) => match integer(value) {
                None => here("expected an integer"),
                Some(number) if (*least..=*most).contains(&number) => Ok(()),
                Some(_) => here(&format!("value should be between {least} and {most}")),
            },
            Self::OneOfInteger(known) => match integer(value) {
                None => here("expected an integer"),
                Some(number) if known.contains(&number) || !full => Ok(()),
                Some(_) => here(&format!(
                    "expected one of: {}",
                    known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                )),
            },
            Self::Number(least, most) => match value.as_f64() {
                None => here("expected a number"),
                Some(number) if (*least..=*most).contains(&number) || !full => Ok(()),
                Some(_) => here(&format!("value should be between {least} and {most}")),
            },
            Self::Object if value.is_object() || is_empty_table(value) => Ok(()),
            Self::Object => here("expected a record"),
            Self::Array(element) => match list(value) {
                Some(elements) => check_elements(element, elements, depth, options),
                None => here("expected an array"),
            },
            Self::Set(element, least) => match list(value) {
                None => here("expected a set"),
                Some(elements) if full && elements.len() < *least => here(&format!("length must be at least {least}")),
                Some(elements) => check_elements(element, elements, depth, options),
            },
            Self::Map(rule, kind) => match value {
                Value::Object(entries) => check_entries(*rule, kind, entries, depth, options),
                _ if is_empty_table(value) => Ok(()),
                _ => here("expected a map"),
            },
            Self::Record(fields) => match value {
                Value::Object(object) => check_record(fields, object, depth, options),
                _ if is_empty_table(value) => Ok(()),
                _ => here("expected a record"),
            },
            // Objects without an identifier are the walk's: another entity is at fault.
            Self::Reference(_) if value.is_object() || value.is_string() => Ok(()),
            Self::Reference(_) => here("expected a record"),
            Self::Text | Self::TextBy(_) | Self::FreeText | Self::OneOf(_) | Self::OneOfOrSticky(..) | Self::Uuid => {
                match value.as_str() {
                    None => here("expected a string"),
                    Some(text) if full => self.check_text(text, options).or_else(|message| here(&message)),
                    Some(_) => Ok(()),
                }
            }
        }
    }

    fn check_text(&self, text: &str, options: &ValidationOptions) -> Result<(), String> {
        match self {
            Self::FreeText => Ok(()),
            Self::OneOf(known) if known.contains(&text) => Ok(()),
            Self::OneOf(known) => Err(format!("expected one of: {}", known.join(", "))),
            Self::OneOfOrSticky(known, _) if known.contains(&text) => Ok(()),
            Self::OneOfOrSticky(_, sticky) if options.sticky_sessions && sticky.contains(&text) => Ok(()),
            Self::OneOfOrSticky(known, sticky) => {
                let sticky = if options.sticky_sessions { *sticky } else { &[] };
                Err(format!("expected one of: {}", [*known, sticky].concat().join(", ")))
            }
            Self::Uuid => match uuid::Uuid::try_parse(text) {
                Ok(_) if text.len() == 36 => Ok(()),
                _ => Err("expected a valid UUID".to_owned()),
            },
            _ if text.is_empty() => Err("length must be at least 1".to_owned()),
            Self::TextBy(rule) => rule(text),
            _ => Ok(()),
        }
    }
}

fn check_elements(kind: &Kind, elements: &[Value], depth: Depth, options: &ValidationOptions) -> Result<(), Errors> {
    let mut errors = Errors::new();
    for (index, element) in elements.iter().enumerate() {
        if let Err(below) = kind.check(element, depth, options) {
            errors.extend(prefixed(Step::Index(index), below));
        }
    }
    none_or(errors)
}

/// A bad key is an error of the map, as Kong has it.
fn check_entries(
    rule: TextRule,
    kind: &Kind,
    entries: &JsonObject,
    depth: Depth,
    options: &ValidationOptions,
) -> Result<(), Errors> {
    let mut errors = Errors::new();
    for (key, value) in entries {
        if depth == Depth::Full
            && let Err(message) = rule(key)
        {
            return Err(vec![(Vec::new(), message)]);
        }
        if let Err(below) = kind.check(value, depth, options) {
            errors.extend(prefixed(Step::Name(key.clone()), below));
        }
    }
    none_or(errors)
}

fn check_record(
    fields: &[Field],
    object: &JsonObject,
    depth: Depth,
    options: &ValidationOptions,
) -> Result<(), Errors> {
    let mut errors = Errors::new();
    for (name, value) in object {
        match fields.iter().find(|field| field.name == name) {
            Some(_) if value.is_null() => {}
            Some(field) => {
                if let Err(below) = field.kind.check(value, depth, options) {
                    errors.extend(prefixed(Step::Name(name.clone()), below));
                }
            }
            None => errors.push((vec![Step::Name(name.clone())], "unknown field".to_owned())),
        }
    }
    none_or(errors)
}

fn prefixed(step: Step, errors: Errors) -> impl Iterator<Item = (Vec<Step>, String)> {
    errors.into_iter().map(move |(mut path, message)| {
        path.insert(0, step.clone());
        (path, message)
    })
}

fn none_or(errors: Errors) -> Result<(), Errors> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Lua has one kind of number: `80.0` is an integer.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    let number = value.as_number()?;
    number.as_i64().or_else(|| {
        let number = number.as_f64()?;
        let whole = number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
        // Checked above: whole, and within the integers that a float holds exactly.
        #[allow(clippy::cast_possible_truncation)]
        whole.then_some(number as i64)
    })
}

/// The elements of a list; an empty object is one too, since Lua has one empty table.
pub(super) fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(elements) => Some(elements),
        Value::Object(entries) if entries.is_empty() => Some(&[]),
        _ => None,
    }
}

fn is_empty_table(value: &Value) -> bool {
    list(value).is_some_and(<[Value]>::is_empty)
}
