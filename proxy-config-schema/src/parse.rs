//! JSON into a document, bounded in size, depth and number of values. Called by the embedded proxy's Admin API.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{Configuration, InvalidConfiguration, JsonObject, schema::ENTITIES};

/// How much of foreign input is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the text.
    pub bytes: usize,
    /// Lists and objects within one another; at most 127.
    pub depth: usize,
    /// JSON values, keys not counted: bounds the memory, about 100 bytes each.
    pub values: usize,
    /// Entities, nested ones counted.
    pub entities: usize,
}

impl Limits {
    /// Room for 100,000 routes with all that belongs to them.
    pub const DEFAULT: Self = Self {
        bytes: 128 << 20,
        depth: 64,
        values: 10_000_000,
        entities: 1_000_000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A document can't be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// More bytes than allowed.
    #[error("the document is larger than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// Deeper than allowed.
    #[error("the document is nested deeper than {limit} levels")]
    TooDeep {
        /// Levels.
        limit: usize,
    },
    /// More values than allowed.
    #[error("the document has more than {limit} values")]
    TooManyValues {
        /// JSON values.
        limit: usize,
    },
    /// More entities than allowed.
    #[error("the document has more than {limit} entities")]
    TooManyEntities {
        /// Entities.
        limit: usize,
    },
    /// No JSON. The message quotes nothing of the text.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What was expected.
        message: String,
    },
    /// JSON, but no configuration.
    #[error(transparent)]
    Invalid(#[from] InvalidConfiguration),
}

impl Configuration {
    /// Reads a configuration that was written as JSON: limits, syntax, known fields, types. What else a proxy asks is
    /// checked by [`Self::load`], which takes a document from [`Limits::read_json`].
    ///
    /// # Errors
    /// See [`ParseError`]; all entities at fault are told.
    pub fn parse(text: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        Ok(Self::from_value(limits.read_json(text)?)?)
    }
}

impl Limits {
    /// Reads JSON within these limits. Of duplicate keys the last wins, as with Kong.
    ///
    /// # Errors
    /// A limit is exceeded, or the text is no JSON.
    pub fn read_json(&self, text: &[u8]) -> Result<Value, ParseError> {
        let document = self.read_nested(text, 0)?;
        self.check_entities(&document)?;
        Ok(document)
    }

    /// Reads a part of a document that is so many levels down in it; entities are not counted.
    pub(crate) fn read_nested(&self, text: &[u8], levels: usize) -> Result<Value, ParseError> {
        if text.len() > self.bytes {
            return Err(ParseError::TooLarge { limit: self.bytes });
        }
        let too_deep = ParseError::TooDeep { limit: self.depth };
        let depth = self.depth.min(127).checked_sub(levels).ok_or(too_deep)?;
        let budget = Budget {
            values: Cell::new(self.values),
            exceeded: Cell::new(None),
        };
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let bounded = Bounded { depth, budget: &budget };
        let read = bounded.deserialize(&mut deserializer);
        read.and_then(|value| deserializer.end().map(|()| value))
            .map_err(|error| match budget.exceeded.get() {
                Some(Exceeded::Depth) => ParseError::TooDeep { limit: self.depth },
                Some(Exceeded::Values) => ParseError::TooManyValues { limit: self.values },
                None => syntax(&error),
            })
    }

    /// Checks a document that was read by other means (YAML).
    ///
    /// # Errors
    /// A limit is exceeded.
    pub fn check(&self, document: &Value) -> Result<(), ParseError> {
        let mut left = self.values;
        let mut rest = vec![(document, self.depth)];
        while let Some((value, depth)) = rest.pop() {
            left = left
                .checked_sub(1)
                .ok_or(ParseError::TooManyValues { limit: self.values })?;
            let below = || depth.checked_sub(1).ok_or(ParseError::TooDeep { limit: self.depth });
            match value {
                Value::Array(elements) => {
                    let below = below()?;
                    rest.extend(elements.iter().map(|element| (element, below)));
                }
                Value::Object(entries) => {
                    let below = below()?;
                    rest.extend(entries.values().map(|entry| (entry, below)));
                }
                _ => {}
            }
        }
        self.check_entities(document)
    }

    fn check_entities(&self, document: &Value) -> Result<(), ParseError> {
        if entity_count(document) > self.entities {
            return Err(ParseError::TooManyEntities { limit: self.entities });
        }
        Ok(())
    }
}

/// Elements of lists at the top and of the lists of entities within them.
pub(crate) fn entity_count(document: &Value) -> usize {
    let lists = document.as_object().into_iter().flat_map(|lists| lists.values());
    count_elements(lists.collect())
}

/// Elements of the lists of entities within an entity.
pub(crate) fn count_within(entity: &JsonObject) -> usize {
    count_elements(lists_within(entity).collect())
}

fn count_elements(mut lists: Vec<&Value>) -> usize {
    let mut count = 0;
    while let Some(list) = lists.pop() {
        for element in list.as_array().into_iter().flatten() {
            count += 1;
            lists.extend(element.as_object().into_iter().flat_map(lists_within));
        }
    }
    count
}

fn lists_within(entity: &JsonObject) -> impl Iterator<Item = &Value> {
    let lists = entity.iter().filter(|(name, _)| is_list_of_entities(name));
    lists.map(|(_, list)| list)
}

fn is_list_of_entities(name: &str) -> bool {
    // A service has a list of that name that holds identifiers.
    name != "ca_certificates" && ENTITIES.iter().any(|entity| entity.plural == name)
}

/// The text of serde_json without what it quotes: the document may hold secrets.
fn syntax(error: &serde_json::Error) -> ParseError {
    let message = if error.is_eof() {
        "unexpected end"
    } else {
        "invalid JSON"
    };
    ParseError::Syntax {
        line: error.line(),
        column: error.column(),
        message: message.to_owned(),
    }
}

#[derive(Clone, Copy)]
enum Exceeded {
    Depth,
    Values,
}

struct Budget {
    values: Cell<usize>,
    exceeded: Cell<Option<Exceeded>>,
}

/// Builds a value, and stops when the budget is spent.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    depth: usize,
    budget: &'a Budget,
}

impl Bounded<'_> {
    fn spend<E: serde::de::Error>(&self) -> Result<(), E> {
        match self.budget.values.get().checked_sub(1) {
            Some(left) => {
                self.budget.values.set(left);
                Ok(())
            }
            None => Err(self.exceed(Exceeded::Values)),
        }
    }

    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.exceed(Exceeded::Depth)),
        }
    }

    fn exceed<E: serde::de::Error>(&self, limit: Exceeded) -> E {
        self.budget.exceeded.set(Some(limit));
        E::custom("limit exceeded")
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.spend()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(below)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            object.insert(key, entries.next_value_seed(below)?);
        }
        Ok(Value::Object(object))
    }
}
