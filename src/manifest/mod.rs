//! Manifest files -> objects and problems: YAML and JSON documents, bounded, with file and line.
//!
//! Pure but for [`load`] and [`files`], which read files. What can't be read is a [`Problem`] naming file, line, object
//! and field, and takes nothing else with it: a broken document leaves the other documents of its file alone. Called by
//! the directory source of `watch` and by the offline verbs.

mod check;
mod document;
mod fields;
mod files;
mod known_kinds;
mod nearest;
mod node;
mod object;

#[cfg(test)]
mod kind_tests;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
    sync::Arc,
};

pub use files::{FileError, files, read};
pub(crate) use nearest::nearest;

use crate::model::{ByteSize, Kind, NamespacedName, Object, ObjectRef, Problem, Reason, SourceLocation};

/// Bounds of what is read, and what objects get that name no namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file; a larger one is skipped with a problem.
    pub file_bytes: u64,
    /// Files of a directory; the rest is skipped with a problem.
    pub files: usize,
    /// Documents of a file; the rest is skipped with a problem.
    pub documents: usize,
    /// Objects altogether; the rest is skipped with a problem.
    pub objects: usize,
    /// Nesting of a document; a deeper one is skipped with a problem.
    pub depth: usize,
    /// Values of a document, those counted again that an alias repeats; a larger one is skipped with a problem.
    pub nodes: usize,
    /// Namespace of namespaced objects that name none, as `kubectl` does; empty takes objects as they stand: without
    /// namespace, without the defaults that an API server fills in, and with what it would refuse, as long as types fit
    /// (`--raw-objects`).
    pub default_namespace: Arc<str>,
}

impl Default for Limits {
    /// Far above what people write by hand, far below what hurts.
    fn default() -> Self {
        Self {
            file_bytes: 8 << 20,
            files: 10_000,
            documents: 10_000,
            objects: 100_000,
            depth: 64,
            nodes: 500_000,
            default_namespace: "default".into(),
        }
    }
}

/// What manifests say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifests {
    /// The objects, in order of their appearance, each with its place.
    pub objects: Vec<Object>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// The objects that stand there but can't be read.
    pub broken: Vec<Broken>,
}

/// An object that stands in a manifest but can't be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// It says which one it is.
    Object(Kind, NamespacedName),
    /// It does not even say that: it may be any object of the file.
    Unknown,
}

/// Reads the content of one file. The name tells YAML from JSON (`*.json`) and stands in problems.
pub fn parse(file_name: &str, bytes: &[u8], limits: &Limits) -> Manifests {
    let mut manifests = Manifests::default();
    if bytes.len() as u64 > limits.file_bytes {
        let error = FileError::TooLarge {
            limit: ByteSize(limits.file_bytes),
        };
        manifests.give_up(file_name, &error);
        return manifests;
    }
    let (documents, problems) = document::split(file_name, bytes, limits);
    for document in documents {
        object::read_document(&document, file_name, limits, &mut manifests);
    }
    for problem in problems {
        manifests.problems.push(problem);
        manifests.broken.push(Broken::Unknown);
    }
    manifests.drop_duplicates();
    manifests
}

/// Reads a file, or all `*.yaml`, `*.yml` and `*.json` below a directory, in order of their paths.
pub fn load(path: &Path, limits: &Limits) -> Manifests {
    let mut all = Manifests::default();
    let (paths, problems) = files(path, limits);
    all.problems = problems;
    for path in paths {
        let name = path.to_string_lossy();
        match read(&path, limits) {
            Ok(bytes) => all.extend(parse(&name, &bytes, limits)),
            Err(error) => all.give_up(&name, &error),
        }
    }
    all.finish(limits);
    all
}

impl Manifests {
    /// Adds what another file says. [`Manifests::finish`] has to follow.
    pub fn extend(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.problems.extend(other.problems);
        self.broken.extend(other.broken);
    }

    /// Takes out objects that stand there twice and those over the limit, with a problem each.
    pub fn finish(&mut self, limits: &Limits) {
        self.drop_duplicates();
        if self.objects.len() > limits.objects {
            let first = &self.objects[limits.objects];
            self.problems.push(Problem {
                object: first.object_ref(),
                field: None,
                condition: None,
                reason: Reason::InvalidManifest,
                message: format!(
                    "more than {} objects: this one and those after it are skipped",
                    limits.objects
                ),
                remedy: "remove objects that are not needed here".to_owned(),
                source: first.metadata().source.clone(),
            });
            self.objects.truncate(limits.objects);
        }
    }

    /// Records that a file could not be read.
    pub fn give_up(&mut self, file_name: &str, error: &FileError) {
        self.broken.push(Broken::Unknown);
        self.problems
            .push(file_problem(file_name, None, error.to_string(), error.remedy()));
    }

    fn drop_duplicates(&mut self) {
        let mut seen: BTreeMap<(Kind, NamespacedName), Option<SourceLocation>> = BTreeMap::new();
        let problems = &mut self.problems;
        self.objects.retain(|object| {
            let source = object.metadata().source.clone();
            match seen.entry((object.kind(), object.key())) {
                Entry::Vacant(entry) => {
                    entry.insert(source);
                    true
                }
                Entry::Occupied(entry) => {
                    let first = entry.get().as_ref().map(SourceLocation::to_string).unwrap_or_default();
                    problems.push(Problem {
                        object: object.object_ref(),
                        field: Some("metadata.name".to_owned()),
                        condition: None,
                        reason: Reason::DuplicateObject,
                        message: format!("the same object stands in {first}; this one is ignored"),
                        remedy: "remove one of the two, or give it another name".to_owned(),
                        source,
                    });
                    false
                }
            }
        });
    }
}

/// What in an object from elsewhere does not fit its kind: the first field with a wrong type or value, if there is one.
/// Unknown fields are none of it: an API server knows more of them.
pub fn explain(object: ObjectRef, kind: Kind, value: serde_json::Value) -> Option<Problem> {
    let mut mismatches = check::check(&value.into(), fields::of(kind));
    mismatches.retain(|mismatch| mismatch.reason == Reason::InvalidField);
    // Objects written under an older definition may be out of bounds: a wrong type tells more.
    mismatches.sort_by_key(|mismatch| !mismatch.of_type);
    let mismatch = mismatches.into_iter().next()?;
    Some(Problem {
        object,
        field: Some(mismatch.field).filter(|field| !field.is_empty()),
        condition: None,
        reason: mismatch.reason,
        message: mismatch.message,
        remedy: mismatch.remedy,
        source: None,
    })
}

/// A problem of a file, or of a document in it that does not say what it is.
fn file_problem(file_name: &str, line: Option<u32>, message: String, remedy: &str) -> Problem {
    Problem {
        object: ObjectRef {
            group: "".into(),
            version: "".into(),
            kind: "Manifest".into(),
            namespace: "".into(),
            name: file_name.into(),
            uid: "".into(),
        },
        field: None,
        condition: None,
        reason: Reason::InvalidManifest,
        message,
        remedy: remedy.to_owned(),
        source: Some(SourceLocation {
            file: file_name.to_owned(),
            line,
        }),
    }
}
