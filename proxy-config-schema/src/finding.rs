//! What is wrong in a document and where, before it takes one of the shapes in which Kong tells it.

/// A step from the document down to a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Name(String),
    /// From 0; Kong's texts count from 1.
    Index(usize),
}

impl Step {
    /// A step from text in which elements are counted from 1.
    pub(crate) fn from_text(text: &str) -> Self {
        match text.parse::<usize>() {
            Ok(position) if position > 0 => Self::Index(position - 1),
            _ => Self::Name(text.to_owned()),
        }
    }
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Singular; empty if the document itself is at fault.
    pub(crate) entity_type: String,
    /// Where the entity is.
    pub(crate) path: Vec<Step>,
    /// Where in the entity; empty if the whole entity is meant.
    pub(crate) field: Vec<Step>,
    pub(crate) message: String,
    /// Where Kong tells it in the unflattened tree, if not at the entity.
    pub(crate) told_at: Option<Vec<Step>>,
    /// The identifier that an entity without one has been given.
    pub(crate) entity_id: Option<String>,
}

impl Finding {
    pub(crate) fn new(entity_type: &str, path: &[Step], field: Vec<Step>, message: String) -> Self {
        Self {
            entity_type: entity_type.to_owned(),
            path: path.to_vec(),
            field,
            message,
            told_at: None,
            entity_id: None,
        }
    }
}
