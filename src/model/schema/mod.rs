//! What objects may say: names, types, bounds, defaults and rules of fields, as static tables beside the types.
//!
//! One table serves all: the definitions in `deploy/crds` are printed from it ([`open_api`]), manifests are checked
//! against it, objects from files get its defaults ([`fill_in`]), and the reference is written from it. Pure data.

mod defaults;
mod open_api;
mod text;

pub use defaults::{drop_nulls, fill_in};
pub use open_api::open_api;
pub use text::{Text, is_like};

use serde_json::Value;

/// What a field may hold. `null` stands for unset everywhere but in lists.
#[derive(Debug)]
pub enum Type {
    /// Anything.
    Any,
    /// Any fields.
    AnyObject,
    /// Text.
    Text(Text),
    /// A whole number.
    Integer(Range),
    /// Any number.
    Number,
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
    /// One of these numbers.
    OneOfNumbers(&'static [i64]),
    /// Any keys, each with a value of a type.
    Map(&'static Type),
    /// Values of a type.
    List(&'static List),
    /// Named fields.
    Object(&'static Fields),
}

/// Text of any length.
pub const TEXT: Type = Type::Text(Text::ANY);
/// A whole number.
pub const INTEGER: Type = Type::Integer(Range::ANY);
/// 0 (unset) to 65535.
pub const PORT: Type = Type::Integer(Range::ANY.from(0).to(65535));
/// A list of texts.
pub const TEXTS: Type = Type::List(&List::of(TEXT));
/// Text by text.
pub const TEXT_MAP: Type = Type::Map(&TEXT);
/// What every object says of itself.
pub const METADATA: Type = Type::Object(&OBJECT_META);

/// Bounds of a whole number, both included.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// The least.
    pub min: i64,
    /// The greatest.
    pub max: i64,
    /// Its width as OpenAPI names it: `int32`, `int64`; empty if it isn't told.
    pub format: &'static str,
}

impl Range {
    /// No bounds.
    pub const ANY: Self = Self {
        min: i64::MIN,
        max: i64::MAX,
        format: "",
    };

    /// From that number.
    pub const fn from(self, min: i64) -> Self {
        Self { min, ..self }
    }

    /// Up to that number.
    pub const fn to(self, max: i64) -> Self {
        Self { max, ..self }
    }

    /// With a width.
    pub const fn format(self, format: &'static str) -> Self {
        Self { format, ..self }
    }
}

/// A list.
#[derive(Debug)]
pub struct List {
    /// Type of its values.
    pub items: Type,
    /// The least number of them.
    pub min: usize,
    /// The greatest number of them.
    pub max: usize,
    /// How they are told apart.
    pub identity: Identity,
    /// What else has to hold.
    pub rules: &'static [Rule],
}

/// How values of a list are told apart, when two writers change it (`x-kubernetes-list-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Not at all; nothing is said of it.
    Position,
    /// Not at all: the list is replaced as a whole.
    Atomic,
    /// Each value once.
    Set,
    /// By these of their fields.
    Keys(&'static [&'static str]),
}

impl List {
    /// Any number of values.
    pub const fn of(items: Type) -> Self {
        Self {
            items,
            min: 0,
            max: usize::MAX,
            identity: Identity::Position,
            rules: &[],
        }
    }

    /// The list with at least so many values.
    pub const fn min(mut self, min: usize) -> Self {
        self.min = min;
        self
    }

    /// The list with at most so many values.
    pub const fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// The list with a way to tell its values apart.
    pub const fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// The list with rules.
    pub const fn rules(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }
}

/// The fields of an object.
#[derive(Debug)]
pub struct Fields {
    /// Each of them.
    pub fields: &'static [Field],
    /// What has to hold between them.
    pub rules: &'static [Rule],
}

impl Fields {
    /// The field of that name.
    pub fn get(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Names of the fields that have to be there once defaults are filled in.
    pub fn required(&self) -> impl Iterator<Item = &'static str> {
        self.fields
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name)
    }
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// Name.
    pub name: &'static str,
    /// What it means, for users: Markdown, one paragraph.
    pub description: &'static str,
    /// What it may hold.
    pub type_: Type,
    /// Whether it has to be there.
    pub required: bool,
    /// What the API server puts there when it is not.
    pub default: Option<Literal>,
}

impl Field {
    /// Whether an object is refused that leaves the field out: it has to be there, and no default stands in for it.
    pub fn is_missed(&self) -> bool {
        self.required && self.default.is_none()
    }
}

/// A value in a table.
#[derive(Debug)]
pub enum Literal {
    /// Text.
    Text(&'static str),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// JSON.
    Json(&'static str),
}

impl Literal {
    /// As JSON.
    pub fn value(&self) -> Value {
        match self {
            Self::Text(text) => (*text).into(),
            Self::Integer(number) => (*number).into(),
            Self::Boolean(value) => (*value).into(),
            Self::Json(text) => serde_json::from_str(text).expect("tables hold JSON"),
        }
    }
}

/// What has to hold of a value besides its type: for the API server in CEL, for files as a function that says the same.
#[derive(Debug)]
pub struct Rule {
    /// What users read when it does not hold.
    pub message: &'static str,
    /// In the Common Expression Language; `self` is the value.
    pub cel: &'static str,
    /// Whether it holds; `None` for rules of a change, which a file can't break.
    pub holds: Option<fn(&Value) -> bool>,
}

impl Rule {
    /// A rule of a value.
    pub const fn new(message: &'static str, cel: &'static str, holds: fn(&Value) -> bool) -> Self {
        Self {
            message,
            cel,
            holds: Some(holds),
        }
    }

    /// A rule of a change: it speaks of `oldSelf`.
    pub const fn of_change(message: &'static str, cel: &'static str) -> Self {
        Self {
            message,
            cel,
            holds: None,
        }
    }
}

/// A table of fields: `/// meaning`, `name: type`, `name required: type`, `name: type => default`.
macro_rules! fields {
    ($(#[$about:meta])* $visibility:vis $name:ident {
        $($(#[doc = $doc:literal])* $field:ident $($required:ident)?: $type:expr $(=> $default:expr)?),* $(,)?
    } $(rules $rules:expr)?) => {
        $(#[$about])*
        $visibility static $name: $crate::model::schema::Fields = $crate::model::schema::Fields {
            fields: &[$($crate::model::schema::Field {
                name: stringify!($field),
                description: concat!($($doc),*),
                type_: $type,
                required: $crate::model::schema::fields!(@required $($required)?),
                default: $crate::model::schema::fields!(@default $($default)?),
            }),*],
            rules: $crate::model::schema::fields!(@rules $($rules)?),
        };
    };
    (@required) => { false };
    (@required required) => { true };
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
    (@rules) => { &[] };
    (@rules $rules:expr) => { $rules };
}
pub(crate) use fields;

fields!(#[doc = "Fields of `metadata`."] pub OBJECT_META {
    annotations: TEXT_MAP,
    creationTimestamp: Type::Timestamp,
    deletionGracePeriodSeconds: INTEGER,
    deletionTimestamp: Type::Timestamp,
    finalizers: TEXTS,
    generateName: TEXT,
    generation: INTEGER,
    labels: TEXT_MAP,
    managedFields: Type::Any,
    name required: TEXT,
    namespace: TEXT,
    ownerReferences: Type::List(&List::of(Type::Object(&OWNER_REFERENCE))),
    resourceVersion: TEXT,
    selfLink: TEXT,
    uid: TEXT,
});

fields!(OWNER_REFERENCE {
    apiVersion required: TEXT,
    blockOwnerDeletion: Type::Boolean,
    controller: Type::Boolean,
    kind required: TEXT,
    name required: TEXT,
    uid: TEXT,
});
