//! A document -> the objects in it, or what is wrong with them.

use crate::model::{
    Kind, NamespacedName, Object, ObjectRef, Problem, Reason, SourceLocation,
    schema::{drop_nulls, fill_in},
};

use super::{
    Broken, Limits, Manifests, check,
    document::Document,
    fields, file_problem, known_kinds,
    nearest::nearest,
    node::{Node, NodeValue},
};

/// Adds what a document holds: an object, or a `List` of them.
pub(super) fn read_document(document: &Document<'_>, file: &str, limits: &Limits, manifests: &mut Manifests) {
    let place = Place {
        file,
        lines_before: document.lines_before,
        first_line: document.line,
        limits,
    };
    match &document.content {
        Ok(node) => place.read(node, document.line, manifests),
        Err(error) => {
            let identity = Identity::guessed(document.text, limits);
            let line = error.line.or(Some(document.line));
            // What the parser stumbled over could be part of a password.
            let message = if document.text.contains("Secret") {
                "not valid YAML"
            } else {
                &error.message
            };
            let mut problem = file_problem(file, line, message.to_owned(), error.remedy);
            if let Some(identity) = &identity {
                problem.object = identity.object_ref();
            }
            manifests.problems.push(problem);
            manifests
                .broken
                .push(identity.as_ref().map_or(Broken::Unknown, Identity::broken));
        }
    }
}

/// Characters of a name that count: longer ones are not valid, and must not fill problems.
const NAME_LENGTH: usize = 253;

fn clipped(text: &str) -> &str {
    match text.char_indices().nth(NAME_LENGTH) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// The API server's rule for the names of the kinds that are read (RFC 1123).
fn is_valid_name(name: &str) -> bool {
    let edge = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    let inner = |char: char| edge(char) || char == '-' || char == '.';
    name.len() <= NAME_LENGTH && name.starts_with(edge) && name.ends_with(edge) && name.chars().all(inner)
}

/// What an object says that it is.
struct Identity {
    group: String,
    version: String,
    kind: String,
    key: NamespacedName,
}

impl Identity {
    fn new(api_version: &str, kind: &str, namespace: &str, name: &str, limits: &Limits) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let namespaced = Kind::find(group, kind).is_none_or(Kind::is_namespaced);
        let namespace = match namespace {
            _ if !namespaced => "".into(),
            "" => limits.default_namespace.clone(),
            namespace => clipped(namespace).into(),
        };
        Self {
            group: clipped(group).to_owned(),
            version: clipped(version).to_owned(),
            kind: clipped(kind).to_owned(),
            key: NamespacedName::new(namespace, clipped(name)),
        }
    }

    fn of(node: &Node, limits: &Limits) -> Self {
        let metadata = node.get("metadata");
        let of_metadata = |name| metadata.and_then(|metadata| metadata.text(name)).unwrap_or_default();
        let api_version = node.text("apiVersion").unwrap_or_default();
        let kind = node.text("kind").unwrap_or_default();
        Self::new(api_version, kind, of_metadata("namespace"), of_metadata("name"), limits)
    }

    /// Read off the lines of a document that is not valid YAML, if they say enough.
    fn guessed(text: &str, limits: &Limits) -> Option<Self> {
        let mut in_metadata = false;
        let (mut api_version, mut kind, mut namespace, mut name) = ("", "", "", "");
        for line in text.lines() {
            let indented = line.starts_with([' ', '\t']);
            let Some((key, value)) = line.trim().split_once(':') else {
                continue;
            };
            let value = value.split(" #").next().unwrap_or_default();
            let value = value.trim().trim_matches(['"', '\'']);
            match (indented, key) {
                (false, "apiVersion") => api_version = value,
                (false, "kind") => kind = value,
                (false, _) => in_metadata = key == "metadata",
                (true, "name") if in_metadata && name.is_empty() => name = value,
                (true, "namespace") if in_metadata && namespace.is_empty() => namespace = value,
                (true, _) => {}
            }
        }
        let known = !kind.is_empty() && !name.is_empty();
        known.then(|| Self::new(api_version, kind, namespace, name, limits))
    }

    fn kind(&self) -> Option<Kind> {
        Kind::find(&self.group, &self.kind).filter(|kind| kind.versions().contains(&self.version.as_str()))
    }

    fn object_ref(&self) -> ObjectRef {
        ObjectRef {
            group: self.group.as_str().into(),
            version: self.version.as_str().into(),
            kind: self.kind.as_str().into(),
            namespace: self.key.namespace.clone(),
            name: self.key.name.clone(),
            uid: "".into(),
        }
    }

    fn broken(&self) -> Broken {
        match self.kind() {
            Some(kind) if !self.key.name.is_empty() => Broken::Object(kind, self.key.clone()),
            _ => Broken::Unknown,
        }
    }
}

/// Where a document stands.
struct Place<'a> {
    file: &'a str,
    lines_before: u32,
    first_line: u32,
    limits: &'a Limits,
}

impl Place<'_> {
    fn read(&self, node: &Node, line: u32, manifests: &mut Manifests) {
        // Files of other tools, such as values of charts, may stand beside manifests.
        let mut signs = ["apiVersion", "kind", "metadata"].into_iter();
        if !signs.any(|field| node.get(field).is_some()) {
            let message = "expected a Kubernetes object".to_owned();
            let remedy = "write an object with apiVersion, kind and metadata, or move the file elsewhere";
            manifests
                .problems
                .push(file_problem(self.file, Some(line), message, remedy));
            manifests.broken.push(Broken::Unknown);
            return;
        }
        let kind = node.text("kind").unwrap_or_default();
        let items = node.get("items").map(|items| &items.value);
        match items {
            // `kubectl get -o yaml` prints a `List`, the API server an `IngressList`.
            Some(NodeValue::List(items)) if kind.ends_with("List") => {
                for item in items {
                    self.read_item(item, kind, manifests);
                }
            }
            _ => self.read_object(node, line, manifests),
        }
    }

    /// Items of typed lists may leave out what the list says.
    fn read_item(&self, item: &Node, list_kind: &str, manifests: &mut Manifests) {
        let line = self.line(item.line);
        let nested = item.text("kind").is_some_and(|kind| kind.ends_with("List"));
        if nested {
            let message = format!("a list within a {list_kind}");
            let problem = file_problem(self.file, Some(line), message, "move its items to the outer list");
            manifests.problems.push(problem);
            manifests.broken.push(Broken::Unknown);
        } else {
            self.read(item, line, manifests);
        }
    }

    /// A line of the document as a line of the file.
    fn line(&self, line: u32) -> u32 {
        if line == 0 {
            self.first_line
        } else {
            self.lines_before.saturating_add(line)
        }
    }

    fn source(&self, line: u32) -> Option<SourceLocation> {
        Some(SourceLocation {
            file: self.file.to_owned(),
            line: Some(line),
        })
    }

    fn read_object(&self, node: &Node, line: u32, manifests: &mut Manifests) {
        let identity = Identity::of(node, self.limits);
        let mut problems = Vec::new();
        for field in ["apiVersion", "kind"] {
            if node.text(field).is_none() {
                problems.push(self.missing(&identity, field, line));
            }
        }
        let Some(kind) = identity.kind() else {
            if !problems.is_empty() {
                manifests.broken.push(Broken::Unknown);
                manifests.problems.extend(problems);
            } else if !known_kinds::is_of_kubernetes(&identity.group, &identity.kind) {
                self.unknown_kind(&identity, line, manifests);
            }
            return;
        };
        let as_they_stand = self.limits.default_namespace.is_empty();
        let counts = |found: &check::Mismatch| !as_they_stand || found.of_type || found.field.starts_with("metadata");
        for mismatch in check::check(node, fields::of(kind)).into_iter().filter(counts) {
            problems.push(Problem {
                object: identity.object_ref(),
                field: Some(mismatch.field).filter(|field| !field.is_empty()),
                condition: None,
                reason: mismatch.reason,
                message: mismatch.message,
                remedy: mismatch.remedy,
                source: self.source(self.line(mismatch.line)),
            });
        }
        if problems.is_empty() {
            problems.extend(self.invalid_name(&identity, node, line));
        }
        if problems.is_empty() {
            let mut value = node.clone().into_json();
            drop_nulls(&mut value, fields::of(kind));
            if !as_they_stand {
                fill_in(&mut value, fields::of(kind));
            }
            match Object::from_json(kind, value) {
                Ok(mut object) => {
                    let metadata = object.metadata_mut();
                    metadata.namespace = identity.key.namespace.clone();
                    metadata.source = self.source(line);
                    manifests.objects.push(object);
                    return;
                }
                // The message of a Secret's field could quote it.
                Err(_) if kind == Kind::Secret => problems.push(self.unfit(&identity, line, "a field does not fit")),
                Err(error) => problems.push(self.unfit(&identity, line, &error.to_string())),
            }
        }
        manifests.problems.extend(problems);
        manifests.broken.push(identity.broken());
    }

    fn missing(&self, identity: &Identity, field: &str, line: u32) -> Problem {
        Problem {
            object: identity.object_ref(),
            field: Some(field.to_owned()),
            condition: None,
            reason: Reason::InvalidField,
            message: "the field is missing, empty, or not a string".to_owned(),
            remedy: format!("add {field}"),
            source: self.source(line),
        }
    }

    fn invalid_name(&self, identity: &Identity, node: &Node, line: u32) -> Option<Problem> {
        let metadata = node.get("metadata")?;
        let fields = ["name", "namespace"].into_iter();
        let mut present = fields.filter_map(|field| Some((field, metadata.get(field)?, metadata.text(field)?)));
        let (field, found, name) = present.find(|(field, _, name)| {
            // An empty namespace is the default one.
            !(is_valid_name(name) || (name.is_empty() && *field == "namespace"))
        })?;
        Some(Problem {
            object: identity.object_ref(),
            field: Some(format!("metadata.{field}")),
            condition: None,
            reason: Reason::InvalidField,
            message: format!("{:?} is not a valid {field}", clipped(name)),
            remedy: "use at most 253 lower case letters, digits, '-' and '.', with a letter or digit at both ends"
                .to_owned(),
            source: self.source(if found.line > 0 { self.line(found.line) } else { line }),
        })
    }

    fn unfit(&self, identity: &Identity, line: u32, message: &str) -> Problem {
        Problem {
            object: identity.object_ref(),
            field: None,
            condition: None,
            reason: Reason::InvalidField,
            message: message.to_owned(),
            remedy: "compare the object with the API reference of its kind".to_owned(),
            source: self.source(line),
        }
    }

    fn unknown_kind(&self, identity: &Identity, line: u32, manifests: &mut Manifests) {
        let Identity { group, kind, key, .. } = identity;
        let names = || Kind::ALL.iter().map(|kind| kind.name());
        let meant = if names().any(|name| name == kind) {
            Some(kind.as_str())
        } else if known_kinds::is_group_of_kubernetes(group) {
            nearest(kind, names().chain(known_kinds::names()))
        } else {
            None
        };
        let meant_kind = Kind::ALL.iter().copied().find(|kind| Some(kind.name()) == meant);
        let (field, remedy) = match (meant, meant_kind) {
            (Some(name), Some(known)) if name == kind => {
                ("apiVersion", format!("use apiVersion {}", known.api_version()))
            }
            (Some(name), _) => ("kind", format!("did you mean {name:?}?")),
            (None, _) => {
                let names = names().collect::<Vec<_>>().join(", ");
                (
                    "kind",
                    format!("remove the object, or move its file elsewhere; read are {names}"),
                )
            }
        };
        if let Some(meant) = meant_kind {
            manifests.broken.push(Broken::Object(meant, key.clone()));
        }
        let object = identity.object_ref();
        manifests.problems.push(Problem {
            field: Some(field.to_owned()),
            condition: None,
            reason: Reason::UnknownKind,
            message: format!("kind {kind} of {} is not read here", object.api_version()),
            remedy,
            source: self.source(line),
            object,
        });
    }
}
