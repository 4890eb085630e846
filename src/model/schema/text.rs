//! Bounds of texts.

use std::{cell::RefCell, collections::BTreeMap};

use regex::Regex;

/// Bounds of a text.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// The least number of characters.
    pub min: usize,
    /// The greatest number of characters.
    pub max: usize,
    /// What it looks like: a regular expression, as Kubernetes takes it.
    pub pattern: Option<&'static str>,
}

impl Text {
    /// No bounds.
    pub const ANY: Self = Self {
        min: 0,
        max: usize::MAX,
        pattern: None,
    };

    /// From so many characters to so many.
    pub const fn length(min: usize, max: usize) -> Self {
        Self {
            min,
            max,
            pattern: None,
        }
    }

    /// With a look.
    pub const fn like(self, pattern: &'static str) -> Self {
        Self {
            pattern: Some(pattern),
            ..self
        }
    }
}

thread_local! {
    static COMPILED: RefCell<BTreeMap<&'static str, Regex>> = const { RefCell::new(BTreeMap::new()) };
}

/// Whether a text fits a pattern of a table: a regular expression that Kubernetes (Go) and Rust take alike. Each is
/// compiled when it is first used.
pub fn is_like(text: &str, pattern: &'static str) -> bool {
    COMPILED.with_borrow_mut(|compiled| {
        let compile = || Regex::new(pattern).expect("patterns of tables are regular expressions");
        compiled.entry(pattern).or_insert_with(compile).is_match(text)
    })
}
