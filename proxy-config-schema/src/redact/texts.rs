//! Secrets found in texts that quote them: messages of proxies, logs. Pure.
//!
//! What is secret says the module above; this one knows how it looks where somebody quotes it.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use super::{REDACTED, visit_object, visit_value};
use crate::JsonObject;

/// Bytes. Shorter secrets are taken out only where they stand alone, and shorter lines of a secret are not looked for: they
/// would be found everywhere.
const SHORTEST_LINE: usize = 12;

/// The secrets of a configuration.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Longest first: what a short one touches may be the rest of a longer one.
    patterns: Vec<String>,
}

impl Secrets {
    pub(super) fn new<'a>(values: impl IntoIterator<Item = &'a String>) -> Self {
        let patterns: BTreeSet<String> = values.into_iter().flat_map(|value| forms(value)).collect();
        Self::of_patterns(patterns)
    }

    fn of_patterns(patterns: BTreeSet<String>) -> Self {
        let mut patterns: Vec<String> = patterns.into_iter().filter(|pattern| !pattern.is_empty()).collect();
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.len()));
        Self { patterns }
    }

    /// The secrets of free-form settings: of a plugin, a vault, a custom entity.
    pub fn of_settings(settings: &JsonObject) -> Self {
        let mut values = BTreeSet::new();
        visit_object(&mut settings.clone(), &mut |secret| {
            values.insert(std::mem::take(secret));
        });
        Self::new(&values)
    }

    /// Every text in free-form settings, for those that come from a Secret as a whole.
    pub fn of_all_texts(settings: &JsonObject) -> Self {
        let mut values = BTreeSet::new();
        for value in settings.clone().values_mut() {
            visit_value(value, true, &mut |secret| {
                values.insert(std::mem::take(secret));
            });
        }
        Self::new(&values)
    }

    /// These and further ones.
    #[must_use]
    pub fn with(self, values: &BTreeSet<String>) -> Self {
        if values.is_empty() {
            return self;
        }
        let further = Self::new(values).patterns;
        Self::of_patterns(self.patterns.into_iter().chain(further).collect())
    }

    /// The text with [`REDACTED`] for every secret in it.
    ///
    /// A secret of fewer than 12 bytes is taken out only where neither a letter nor a digit touches it, lest a key `a` blots
    /// out all text.
    pub fn redact(&self, text: &str) -> String {
        // All are looked for in the text as it was: neither is what stands for one searched for another, nor does what was
        // found of one leave a piece of another that overlaps it.
        let mut hidden = vec![false; text.len()];
        for pattern in &self.patterns {
            for start in occurrences(text, pattern) {
                let end = start + pattern.len();
                if pattern.len() >= SHORTEST_LINE || stands_alone(text, &hidden, start, end) {
                    hidden[start..end].fill(true);
                }
            }
        }
        let mut redacted = String::with_capacity(text.len());
        let mut was_hidden = false;
        for (index, character) in text.char_indices() {
            if !hidden[index] {
                redacted.push(character);
            } else if !was_hidden {
                redacted.push_str(REDACTED);
            }
            was_hidden = hidden[index];
        }
        redacted
    }
}

/// How a secret looks where somebody quotes it: within JSON, within Lua or a log, without the white space around it, line by
/// line.
fn forms(secret: &str) -> Vec<String> {
    let unquoted = |quoted: String| quoted[1..quoted.len() - 1].to_owned();
    let lines = secret
        .lines()
        .filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with("-----"));
    let mut forms: Vec<String> = lines.map(str::to_owned).collect();
    for value in [secret, secret.trim()] {
        let json = unquoted(Value::from(value).to_string());
        forms.extend([
            value.to_owned(),
            value.replace('\n', "\\n"),
            value.escape_default().to_string(),
            unquoted(format!("{value:?}")),
            // As Kong's encoder writes it.
            json.replace('/', "\\/"),
            json,
        ]);
    }
    forms
}

/// Where a pattern begins in a text, also where it overlaps itself.
fn occurrences(text: &str, pattern: &str) -> impl Iterator<Item = usize> {
    let step = pattern.chars().next().map_or(1, char::len_utf8);
    let next = move |from: usize| text.get(from..)?.find(pattern).map(|at| from + at);
    std::iter::successors(next(0), move |start| next(start + step))
}

/// Whether neither a letter nor a digit touches that part of a text, hidden ones aside.
fn stands_alone(text: &str, hidden: &[bool], start: usize, end: usize) -> bool {
    let before = text[..start].chars().next_back();
    let is_joined_before = before.is_some_and(char::is_alphanumeric) && !hidden[start - 1];
    let after = text[end..].chars().next();
    let is_joined_after = after.is_some_and(char::is_alphanumeric) && !hidden[end];
    !is_joined_before && !is_joined_after
}

/// How many there are, nothing of them.
impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secrets({} patterns)", self.patterns.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        Secrets::new(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_secret_is_found_in_every_form_that_it_is_quoted_in() {
        let secret = "é\"'\\/ö\tß\n";
        let found = secrets(&[secret]);
        let json = Value::from(secret).to_string();
        for quoted in [
            format!("'{secret}'"),
            format!("'{}'", secret.trim()),
            format!("{secret:?}"),
            json.replace('/', "\\/"),
            json,
            format!("'{}'", secret.escape_default()),
        ] {
            let text = format!("value {quoted} refused");
            let redacted = found.redact(&text);
            assert!(!redacted.contains(['é', 'ö', 'ß']), "{text}: {redacted}");
            assert!(!redacted.contains("u{e9}"), "{text}: {redacted}");
            assert!(
                redacted.starts_with("value ") && redacted.ends_with(" refused"),
                "{redacted}"
            );
        }
    }

    #[test]
    fn a_short_secret_is_found_where_it_stands_alone_and_nothing_tells_that_it_is_short() {
        let found = secrets(&["a", "vault", "hunter2", "x-x", "sixteen-letters!"]);
        for (text, expected) in [
            ("value 'a' at config.a: a", "value '*' at config.*: *"),
            ("a plan, banana", "* plan, banana"),
            ("the vault: hunter2", "the *: *"),
            ("hunter22, a_hunter2", "hunter22, *_*"),
            // What stands for one is not searched for another.
            ("'sixteen-letters!'", "'*'"),
            // A longer one is a neighbour that nobody sees.
            ("sixteen-letters!hunter2", "*"),
            // The first one is a part of something else, the one that overlaps it is not.
            ("ax-x-x", "ax-*"),
        ] {
            assert_eq!(found.redact(text), expected.replace('*', REDACTED), "{text}");
        }
    }

    #[test]
    fn of_secrets_that_overlap_nothing_stays() {
        let found = secrets(&["begin-of-both", "of-both-and-end"]);
        assert_eq!(found.redact("<begin-of-both-and-end>"), format!("<{REDACTED}>"));
    }
}
