//! A single value against its type: what does not fit, in words.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::super::{
    nearest::nearest,
    node::{Node, NodeValue},
};
use crate::model::schema::{Range, Text, Type, is_like};

/// Why a value does not fit, and what to do.
pub(super) struct Unfit {
    /// Whether its type is wrong, rather than the value itself.
    pub(super) of_type: bool,
    pub(super) message: String,
    pub(super) remedy: String,
}

impl Unfit {
    /// The value is wrong, not its type.
    pub(super) fn value(message: String, remedy: String) -> Self {
        Self {
            of_type: false,
            message,
            remedy,
        }
    }
}

/// Why the value does not fit the type, if so. Objects and lists are not looked into.
pub(super) fn unfit(node: &Node, type_: &Type) -> Option<Unfit> {
    match (type_, &node.value) {
        (Type::Any, _)
        | (Type::AnyObject, NodeValue::Map(_))
        | (Type::Number, NodeValue::Number(_))
        | (Type::SecretText, NodeValue::Text(_))
        | (Type::Boolean, NodeValue::Bool(_)) => None,
        (Type::Text(bounds), NodeValue::Text(text)) => out_of_bounds(text, *bounds),
        (Type::Integer(range), NodeValue::Number(number)) if number.is_i64() => out_of_range(number.as_i64()?, *range),
        (Type::PortOrName, NodeValue::Text(_)) => None,
        (Type::PortOrName, NodeValue::Number(number)) if number.is_i64() => {
            out_of_range(number.as_i64()?, Range::ANY.from(0).to(65535))
        }
        (Type::OneOf(words), NodeValue::Text(word)) if words.contains(&word.as_str()) => None,
        (Type::OneOfNumbers(numbers), NodeValue::Number(number))
            if number.as_i64().is_some_and(|number| numbers.contains(&number)) =>
        {
            None
        }
        (Type::Timestamp, NodeValue::Text(text)) if text.parse::<jiff::Timestamp>().is_ok() => None,
        (Type::SecretBase64, NodeValue::Text(text)) => {
            let compact: String = text.split_ascii_whitespace().collect();
            STANDARD.decode(compact).is_err().then(|| {
                let remedy = "encode the value (`base64 -w0`), or put it as it is under stringData";
                Unfit {
                    of_type: true,
                    message: "the value is not valid Base64".to_owned(),
                    remedy: remedy.to_owned(),
                }
            })
        }
        _ => {
            let found = if is_secret(type_) {
                kind_of(node).to_owned()
            } else {
                describe(node)
            };
            Some(Unfit {
                of_type: !matches!((type_, &node.value), (Type::OneOf(_), NodeValue::Text(_))),
                message: format!("expected {}, found {found}", expected(type_)),
                remedy: remedy(node, type_),
            })
        }
    }
}

fn out_of_bounds(text: &str, bounds: Text) -> Option<Unfit> {
    let length = text.chars().count();
    let shown = shortened(text);
    if length < bounds.min {
        let message = if text.is_empty() {
            "the text is empty".to_owned()
        } else {
            format!("expected at least {} characters, found {length}", bounds.min)
        };
        Some(Unfit::value(message, "write a value there".to_owned()))
    } else if length > bounds.max {
        let message = format!("expected at most {} characters, found {length}", bounds.max);
        Some(Unfit::value(message, "shorten the value".to_owned()))
    } else {
        let pattern = bounds.pattern.filter(|pattern| !is_like(text, pattern))?;
        let remedy = format!("write a value that the pattern {pattern} matches");
        Some(Unfit::value(
            format!("{shown:?} has not the form of this field"),
            remedy,
        ))
    }
}

fn out_of_range(number: i64, range: Range) -> Option<Unfit> {
    if (range.min..=range.max).contains(&number) {
        return None;
    }
    // 0 is a port only to those who write it for none.
    if range.max == 65535 && range.min <= 1 {
        let message = format!("expected a port number from 1 to 65535, found {number}");
        return Some(Unfit::value(message, "use a port from 1 to 65535".to_owned()));
    }
    let bounds = match (range.min, range.max) {
        (min, i64::MAX) => format!("of at least {min}"),
        (i64::MIN, max) => format!("of at most {max}"),
        (min, max) => format!("from {min} to {max}"),
    };
    let message = format!("expected a number {bounds}, found {number}");
    Some(Unfit::value(message, format!("use a number {bounds}")))
}

fn is_secret(type_: &Type) -> bool {
    match type_ {
        Type::SecretBase64 | Type::SecretText => true,
        Type::Map(of) => is_secret(of),
        Type::List(list) => is_secret(&list.items),
        _ => false,
    }
}

fn expected(type_: &Type) -> String {
    match type_ {
        Type::Any => "anything".to_owned(),
        Type::Text(_) | Type::SecretText => "a string".to_owned(),
        Type::SecretBase64 => "a Base64 string".to_owned(),
        Type::Integer(_) => "an integer".to_owned(),
        Type::Number => "a number".to_owned(),
        Type::PortOrName => "a port number or the name of a port".to_owned(),
        Type::Boolean => "true or false".to_owned(),
        Type::Timestamp => "a time as 2006-01-02T15:04:05Z".to_owned(),
        Type::OneOf(words) => format!("one of {}", words.join(", ")),
        Type::OneOfNumbers(numbers) => {
            let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
            format!("one of {}", numbers.join(", "))
        }
        Type::AnyObject | Type::Map(_) | Type::Object(_) => "an object".to_owned(),
        Type::List(_) => "a list".to_owned(),
    }
}

fn remedy(node: &Node, type_: &Type) -> String {
    match (type_, &node.value) {
        (Type::Text(_) | Type::SecretText, NodeValue::Number(_) | NodeValue::Bool(_)) => {
            "put the value in quotes".to_owned()
        }
        (Type::Integer(_) | Type::OneOfNumbers(_) | Type::Number, NodeValue::Text(text))
            if text.parse::<i64>().is_ok() =>
        {
            "remove the quotes".to_owned()
        }
        (Type::Boolean, NodeValue::Text(_)) => "write true or false, without quotes".to_owned(),
        (Type::OneOf(words), NodeValue::Text(word)) => match nearest(word, words.iter().copied()) {
            Some(word) => format!("did you mean {word:?}?"),
            None => format!("use one of {}", words.join(", ")),
        },
        (Type::List(_), _) => "write a list: each item on a line of its own, after \"- \"".to_owned(),
        (Type::AnyObject | Type::Map(_) | Type::Object(_), NodeValue::List(_)) => {
            "remove the \"- \" in front of the fields".to_owned()
        }
        _ => format!("write {} there", expected(type_)),
    }
}

/// Characters of foreign text that a message shows.
const SHOWN: usize = 60;

/// The text, as far as a message shows it.
pub(super) fn shortened(text: &str) -> String {
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
