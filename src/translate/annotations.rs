//! Names of annotations (`kic.md` 3) and how their values are read: a bad value is reported and counts as unset.

use std::ops::RangeInclusive;

use super::problems::{Owner, Problems};
pub(super) use crate::model::annotations::*;
use crate::{
    manifest::nearest,
    model::{Kind, Reason},
};

/// Reports annotations that nobody reads where they stand, though they are ours: mistyped names, and those of another kind of
/// object.
pub(super) fn check(owner: Owner<'_>, problems: &mut Problems) {
    for name in owner.metadata.annotations.keys() {
        match find(name) {
            Some(annotation) => check_kind(owner, name, annotation, problems),
            None => check_name(owner, name, problems),
        }
    }
}

/// Annotations of Kubernetes' own may stand anywhere for others to read.
fn check_kind(owner: Owner<'_>, name: &str, annotation: &Annotation, problems: &mut Problems) {
    let is_ours = name.starts_with(PREFIX) || name.starts_with(INGRESS_PREFIX);
    if !is_ours || annotation.kinds.contains(&owner.kind) {
        return;
    }
    let kinds: Vec<_> = annotation.kinds.iter().map(|kind| kind.name()).collect();
    let kinds = match kinds.as_slice() {
        [kinds @ .., last] if !kinds.is_empty() => format!("{} or {last}", kinds.join(", ")),
        kinds => kinds.concat(),
    };
    problems.report(
        owner,
        super::problems::annotation_field(name),
        Reason::Ignored,
        format!("{name} has no effect on objects of kind {}", owner.kind.name()),
        format!("remove it, or put it on an object that it is for: {kinds}"),
    );
}

fn check_name(owner: Owner<'_>, name: &str, problems: &mut Problems) {
    let Some(suffix) = name.strip_prefix(PREFIX) else {
        return;
    };
    let known = ANNOTATIONS.iter().filter(|annotation| !annotation.name.ends_with('.'));
    let suffixes = known.filter_map(|annotation| annotation.name.strip_prefix(PREFIX));
    if let Some(meant) = nearest(suffix, suffixes) {
        let message = format!("Kong has no annotation {name}");
        let remedy = format!("did you mean {PREFIX}{meant}?");
        Reader { owner, problems }.reject(name, message, remedy);
    }
}

/// Whether an annotation is read on objects of that kind.
pub(super) fn is_read_on(name: &str, kind: Kind) -> bool {
    find(name).is_some_and(|annotation| annotation.kinds.contains(&kind))
}

/// The items of a comma list, trimmed, empty ones dropped.
pub(super) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Reads the annotations of one object.
pub(super) struct Reader<'a, 'p> {
    pub(super) owner: Owner<'a>,
    pub(super) problems: &'p mut Problems,
}

impl<'a> Reader<'a, '_> {
    /// Whether the object has any annotation that Kong's configuration depends on: most objects have none.
    pub(super) fn is_plain(owner: Owner<'_>) -> bool {
        !owner
            .metadata
            .annotations
            .keys()
            .any(|name| name.starts_with(PREFIX) || name.starts_with(INGRESS_PREFIX))
    }

    /// The value as it is written; none where the kind of object has no such annotation.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let value = self.owner.metadata.annotation(name);
        value.filter(|_| is_read_on(name, self.owner.kind))
    }

    /// `true` or `false`, in capitals or not.
    pub(super) fn true_or_false(&mut self, name: &str) -> Option<bool> {
        let value = self.text(name)?;
        match value.trim().to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                let message = format!("{value:?} is neither true nor false");
                self.reject(name, message, "set it to \"true\" or \"false\"");
                None
            }
        }
    }

    /// The same, and the short spellings that Go's `strconv.ParseBool` takes.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.text(name)?.trim() {
            "1" | "t" | "T" => Some(true),
            "0" | "f" | "F" => Some(false),
            _ => self.true_or_false(name),
        }
    }

    /// Whether it is `true`, in just these letters, as Kong Ingress Controller wants what is not its own.
    pub(super) fn is_true(&mut self, name: &str) -> bool {
        match self.text(name) {
            None | Some("false") => false,
            Some("true") => true,
            Some(value) => {
                let message = format!("{value:?} is neither \"true\" nor \"false\"");
                self.reject(name, message, "set it to \"true\" or \"false\"");
                false
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.text(name)?;
        match value.trim().parse::<i64>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let (least, greatest) = (range.start(), range.end());
                self.reject(
                    name,
                    format!("{value:?} is not a whole number from {least} to {greatest}"),
                    format!("set it to a number from {least} to {greatest}"),
                );
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word(&mut self, name: &str, words: &[&str]) -> Option<&'a str> {
        let value = self.text(name)?.trim();
        if words.contains(&value) {
            return Some(value);
        }
        let choice = words.join(", ");
        self.reject(
            name,
            format!("{value:?} is none of {choice}"),
            format!("set it to one of {choice}"),
        );
        None
    }

    /// A list whose items must all pass; one that does not makes the whole list count as unset.
    pub(super) fn list_of(
        &mut self,
        name: &str,
        what: &str,
        remedy: &str,
        passes: impl Fn(&str) -> bool,
    ) -> Option<Vec<&'a str>> {
        let items: Vec<_> = list(self.text(name)?).collect();
        if let Some(bad) = items.iter().find(|item| !passes(item)) {
            self.reject(name, format!("{bad:?} is not {what}"), remedy);
            return None;
        }
        Some(items)
    }

    /// Reports a value that can't be used.
    pub(super) fn reject(&mut self, name: &str, message: String, remedy: impl Into<String>) {
        let message = message + "; the annotation is ignored";
        self.problems.annotation(self.owner, name, message, remedy);
    }
}
