//! Every field of Kong's kinds and every annotation has a case that depends on it.
//!
//! `src/translate/testdata/coverage.txt` names for each of them a run of a golden case whose configuration or problems
//! change when it is taken out of the case's objects, or says why there is none. The list of fields comes from the
//! definitions in `deploy/crds`, that of annotations from the table of `model::annotations`.
//! `UPDATE=1 cargo test coverage` looks for a case for what has none, and drops what is no more.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    model::annotations::{ANNOTATIONS, Annotation},
    reference::annotations::shown,
};

/// What is taken out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// A field, by the names on the way: `[]` are the elements of a list, `{}` the values of a map.
    Field(Vec<String>),
    /// An annotation; where its name ends with a dot, it stands for all that begin so.
    Annotation(&'static str),
}

type Entry = (&'static str, Part);

impl Part {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Field(path) => path.join(".").replace(".[]", "[]").replace(".{}", "{}"),
            Self::Annotation(name) => format!("@{}", shown(name)),
        }
    }

    /// Takes it out of an object. False if it is not there.
    pub(super) fn take_from(&self, object: &mut Value) -> bool {
        match self {
            Self::Field(path) => take(object, path),
            Self::Annotation(_) => {
                let meant = self.annotations_of(object);
                for name in &meant {
                    object["metadata"]["annotations"].as_object_mut().unwrap().remove(name);
                }
                !meant.is_empty()
            }
        }
    }

    /// Gives an annotation another value. False if it is not there.
    pub(super) fn put_into(&self, object: &mut Value, value: &str) -> bool {
        let meant = self.annotations_of(object);
        for name in &meant {
            object["metadata"]["annotations"][name] = json!(value);
        }
        !meant.is_empty()
    }

    /// The annotations of an object that are meant.
    fn annotations_of(&self, object: &Value) -> Vec<String> {
        let Self::Annotation(name) = self else {
            return Vec::new();
        };
        let annotations = object["metadata"]["annotations"].as_object();
        let names = annotations.into_iter().flat_map(|annotations| annotations.keys());
        let is_meant = |key: &&String| match name.ends_with('.') {
            true => key.starts_with(name),
            false => key == name,
        };
        names.filter(is_meant).cloned().collect()
    }
}

fn take(value: &mut Value, path: &[String]) -> bool {
    let [step, rest @ ..] = path else { return false };
    match (step.as_str(), value) {
        ("[]", Value::Array(elements)) => elements.iter_mut().fold(false, |taken, one| take(one, rest) | taken),
        ("{}", Value::Object(entries)) => entries.values_mut().fold(false, |taken, one| take(one, rest) | taken),
        (name, Value::Object(fields)) if rest.is_empty() => fields.remove(name).is_some(),
        (name, Value::Object(fields)) => fields.get_mut(name).is_some_and(|field| take(field, rest)),
        _ => false,
    }
}

/// Kinds that users do not shape the configuration by.
const OURS: &str = "gateway.silverback.dev";

/// All fields of Kong's kinds, but what every object has, and the status.
fn fields() -> BTreeSet<Entry> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crds");
    let mut entries = BTreeSet::new();
    for file in fs::read_dir(root).unwrap() {
        let definition = value(&fs::read_to_string(file.unwrap().path()).unwrap());
        let spec = &definition["spec"];
        let group = spec["group"].as_str().unwrap();
        if group == OURS {
            continue;
        }
        let kind = Kind::find(group, spec["names"]["kind"].as_str().unwrap()).expect("every definition is of a kind");
        for version in spec["versions"].as_array().unwrap() {
            let mut paths = Vec::new();
            walk(&version["schema"]["openAPIV3Schema"], &mut Vec::new(), &mut paths);
            let own = |path: &Vec<String>| !matches!(path[0].as_str(), "apiVersion" | "kind" | "metadata" | "status");
            let own = paths.into_iter().filter(own);
            entries.extend(own.map(|path| (kind.name(), Part::Field(path))));
        }
    }
    entries
}

fn walk(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        path.push(name.clone());
        found.push(path.clone());
        walk(field, path, found);
        path.pop();
    }
    for (key, step) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[key].is_object() {
            path.push(step.to_owned());
            walk(&schema[key], path, found);
            path.pop();
        }
    }
}

fn annotations_by_kind() -> BTreeSet<Entry> {
    let of_kinds = |annotation: &'static Annotation| {
        let kinds = annotation.kinds.iter();
        kinds.map(|kind| (kind.name(), Part::Annotation(annotation.name)))
    };
    ANNOTATIONS.iter().flat_map(of_kinds).collect()
}

/// A run of a golden case.
pub(super) struct Run {
    pub(super) name: String,
    pub(super) arguments: TranslationArguments,
    pub(super) objects: Vec<Value>,
    outcome: Value,
}

impl Run {
    pub(super) fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/translate/testdata");
        let mut runs = Vec::new();
        for case in cases(&root) {
            let input = fs::read_to_string(case.join("in.yaml")).unwrap();
            let documents = input.split("\n---").map(|text| text.trim_start_matches("---"));
            let objects: Vec<_> = documents.map(value).filter(Value::is_object).collect();
            for directory in directories(&case) {
                let arguments = arguments(&fs::read_to_string(directory.join("arguments")).unwrap());
                let mut run = Self {
                    name: directory.strip_prefix(&root).unwrap().to_string_lossy().into_owned(),
                    arguments,
                    objects: objects.clone(),
                    outcome: Value::Null,
                };
                run.outcome = run.render(&objects);
                runs.push(run);
            }
        }
        runs
    }

    /// Configuration and problems, without the lines that these are on.
    fn render(&self, objects: &[Value]) -> Value {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let manifests = manifest::parse("in.json", list.as_bytes(), &self.arguments.limits());
        let mut outcome = outcome(manifests, &self.arguments);
        for problem in &mut outcome.problems {
            problem.source = None;
        }
        json!([outcome.configuration, outcome.problems])
    }

    /// Configuration and problems once the objects of a kind are changed.
    pub(super) fn changed(&self, kind: &str, with: impl Fn(&mut Value) -> bool) -> Value {
        let mut objects = self.objects.clone();
        assert!(change(&mut objects, kind, with), "{}: no {kind} has it", self.name);
        self.render(&objects)
    }

    /// What is another one without it.
    fn depends_on(&self, (kind, part): &Entry) -> Dependence {
        let mut objects = self.objects.clone();
        if !change(&mut objects, kind, |object| part.take_from(object)) {
            return Dependence::Absent;
        }
        let outcome = self.render(&objects);
        match (outcome[0] == self.outcome[0], outcome[1] == self.outcome[1]) {
            (true, true) => Dependence::None,
            (true, false) => Dependence::Problems,
            (false, _) => Dependence::Configuration,
        }
    }
}

/// Changes the objects of a kind. False if there was nothing to change.
fn change(objects: &mut [Value], kind: &str, change: impl Fn(&mut Value) -> bool) -> bool {
    let of_kind = objects.iter_mut().filter(|object| object["kind"] == kind);
    of_kind.fold(false, |changed, object| change(object) | changed)
}

/// What of a run's outcome depends on a part of its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Dependence {
    /// The part is not there.
    Absent,
    None,
    Problems,
    Configuration,
}

/// The first run that depends most on it.
fn find<'r>(runs: &'r [Run], entry: &Entry) -> Option<&'r Run> {
    let dependent = runs.iter().map(|run| (run.depends_on(entry), run));
    let dependent = dependent.filter(|(dependence, _)| *dependence > Dependence::None);
    let most = dependent.rev().max_by_key(|(dependence, _)| *dependence);
    most.map(|(_, run)| run)
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/translate/testdata/coverage.txt");
/// Begins the reason of what has no effect.
const NONE: &str = "no effect: ";

/// The file: kind and part, and the case.
pub(super) fn table() -> BTreeMap<(String, String), String> {
    let text = fs::read_to_string(FILE).unwrap();
    let (_, lines) = text.split_once("\n\n").unwrap();
    let entry = |line: &str| {
        let (entry, case) = line.split_once(" | ").expect("kind, field, and case");
        let (kind, part) = entry.split_once(' ').expect("kind and field");
        ((kind.to_owned(), part.to_owned()), case.to_owned())
    };
    lines.lines().map(entry).collect()
}

#[test]
fn coverage() {
    let update = std::env::var_os("UPDATE").is_some();
    let text = fs::read_to_string(FILE).unwrap();
    let (head, _) = text.split_once("\n\n").unwrap();
    let mut table = table();
    let runs = Run::all();
    let mut wrong = Vec::new();
    let mut written = String::new();
    let entries = fields().into_iter().chain(annotations_by_kind());
    for entry in entries {
        let (kind, part) = (entry.0, entry.1.text());
        let case = table.remove(&(kind.to_owned(), part.clone()));
        let fault = match case.as_deref() {
            None => Some("has no case".to_owned()),
            Some(reason) if reason.starts_with(NONE) => {
                find(&runs, &entry).map(|run| format!("is said to have no effect, but {} depends on it", run.name))
            }
            Some(case) => match runs.iter().find(|run| run.name == case) {
                None => Some(format!("names the run {case}, which is not there")),
                Some(run) => match run.depends_on(&entry) {
                    Dependence::Absent => Some(format!("is not in {case}")),
                    Dependence::None => Some(format!("is in {case}, but changes nothing there")),
                    Dependence::Problems | Dependence::Configuration => None,
                },
            },
        };
        let mut case = case;
        if let Some(fault) = fault {
            match find(&runs, &entry) {
                Some(run) if update => case = Some(run.name.clone()),
                Some(run) => wrong.push(format!("{kind} {part} {fault}; {} depends on it", run.name)),
                None => wrong.push(format!("{kind} {part} {fault}; no other case depends on it")),
            }
        }
        if let Some(case) = case {
            written.push_str(&format!("{kind} {part} | {case}\n"));
        }
    }
    if update {
        fs::write(FILE, format!("{head}\n\n{written}")).unwrap();
        table.clear();
    }
    let gone = table.keys().map(|(kind, part)| format!("{kind} {part} is no more"));
    wrong.extend(gone);
    assert!(
        wrong.is_empty(),
        "run `UPDATE=1 cargo test coverage`, and write cases or reasons for what is left:\n{}",
        wrong.join("\n")
    );
}
