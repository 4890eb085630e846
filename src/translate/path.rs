//! What a path of an Ingress matches, in both router flavours (`kic.md` 4.3.2-4.3.4, 4.3.8, 4.4). Pure.

use std::borrow::Cow;

use super::{
    expression::{Operator, Predicate},
    field_path::{FieldPath, Origin},
    regexes::Regexes,
    syntax::{self, PathFault},
};
use crate::model::{RouterFlavor, kubernetes::PathType};

/// The field that paths are compared with.
const FIELD: &str = "http.path";

/// The marker of regular expressions, where no annotation sets another.
pub(super) const REGEX_MARKER: &str = "/~";

/// A path with its type.
///
/// The two parts of a prefix (`/a/…` and `/a` itself) can be lost one by one to other objects that claim them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathMatch {
    kind: PathType,
    /// Runs of slashes squeezed, never empty.
    path: String,
    marker: String,
    flavor: RouterFlavor,
    /// Whether the path is written literally in regular expressions: as it stands it is none.
    escape: bool,
    /// Whether a path that looks like a regular expression is one.
    detect: bool,
    lost: Vec<PathPart>,
}

/// A part of a path that other objects may claim as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum PathPart {
    /// Everything that starts with it.
    StartsWith,
    /// The very path.
    Equal,
    /// A regular expression.
    Regex,
}

impl PathMatch {
    /// Reads a path of a rule.
    pub(super) fn new(path: &str, kind: Option<PathType>, marker: &str, flavor: RouterFlavor) -> Self {
        Self {
            kind: kind.unwrap_or(PathType::ImplementationSpecific),
            path: squeeze(path),
            marker: marker.to_owned(),
            flavor,
            escape: false,
            detect: false,
            lost: Vec::new(),
        }
    }

    /// Takes a path for a regular expression if it looks like one, as Kong Ingress Controller 2 did
    /// (`enableLegacyRegexDetection`). Expressions do so where they know the marker.
    pub(super) fn detect_regex(&mut self, detect: bool) {
        self.detect = detect;
    }

    /// Everything: the path of a default backend.
    pub(super) fn everything(flavor: RouterFlavor) -> Self {
        Self::new("/", Some(PathType::Prefix), REGEX_MARKER, flavor)
    }

    /// The parts that are still this path's own, each with the text that says what it matches.
    pub(super) fn parts(&self) -> Vec<(PathPart, Cow<'_, str>)> {
        let trimmed = self.path.trim_matches('/');
        let mut parts: Vec<(PathPart, Cow<'_, str>)> = Vec::with_capacity(2);
        match self.kind {
            PathType::Exact => parts.push((
                PathPart::Equal,
                format!("/{}", self.path.trim_start_matches('/')).into(),
            )),
            PathType::Prefix if trimmed.is_empty() => parts.push((PathPart::StartsWith, "/".into())),
            PathType::Prefix => {
                parts.push(self.marked(format!("/{trimmed}/").into()));
                parts.push((PathPart::Equal, format!("/{trimmed}").into()));
            }
            PathType::ImplementationSpecific => parts.push(self.marked(self.path.as_str().into())),
        }
        parts.retain(|(part, _)| !self.lost.contains(part));
        parts
    }

    /// A path, or the regular expression after the marker. Expressions know the marker in `ImplementationSpecific` only.
    fn marked<'a>(&'a self, path: Cow<'a, str>) -> (PathPart, Cow<'a, str>) {
        if self.flavor.is_expressions() && self.kind != PathType::ImplementationSpecific {
            return (PathPart::StartsWith, path);
        }
        match path.strip_prefix(self.effective_marker()) {
            Some(regex) => (PathPart::Regex, regex.to_owned().into()),
            None if self.detect && looks_like_regex(&path) => (PathPart::Regex, path),
            None => (PathPart::StartsWith, path),
        }
    }

    /// An empty marker makes every path a regular expression in the traditional router, and is the default otherwise.
    fn effective_marker(&self) -> &str {
        if self.flavor.is_expressions() && self.marker.is_empty() {
            REGEX_MARKER
        } else {
            &self.marker
        }
    }

    /// Whether the user asked for this very path.
    pub(super) fn is_exact(&self) -> bool {
        self.kind == PathType::Exact
    }

    /// Gives up a part that another object has.
    pub(super) fn lose(&mut self, part: PathPart) {
        self.lost.push(part);
    }

    /// The values of `paths` of a traditional route, with what they were made of.
    pub(super) fn traditional(&self) -> impl Iterator<Item = FieldPath> + '_ {
        self.parts().into_iter().map(|(part, text)| match part {
            PathPart::StartsWith => FieldPath::new(text, Origin::Below),
            PathPart::Equal if self.is_exact() => FieldPath::new(format!("~{}$", self.literal(&text)), Origin::Exact),
            PathPart::Equal => FieldPath::new(format!("~{}$", self.literal(&text)), Origin::PrefixItself),
            PathPart::Regex => FieldPath::new(format!("~{text}"), Origin::Regex),
        })
    }

    fn literal<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.escape {
            regex::escape(text).into()
        } else {
            text.into()
        }
    }

    /// The predicates of an expression, in KIC's order: the very path, then what is below.
    pub(super) fn predicates(&self) -> Predicate {
        let mut members: Vec<_> = self
            .parts()
            .into_iter()
            .map(|(part, text)| match part {
                PathPart::Equal => Predicate::compare(FIELD, Operator::Equal, text),
                PathPart::StartsWith => Predicate::compare(FIELD, Operator::StartsWith, text),
                PathPart::Regex => Predicate::compare(FIELD, Operator::Matches, anchored(&text)),
            })
            .collect();
        members.reverse();
        Predicate::any(members)
    }

    /// Whether the traditional router would take it for a regular expression: all prefixes count, the root too.
    pub(super) fn counts_as_regex(&self) -> bool {
        match self.kind {
            PathType::Exact | PathType::Prefix => true,
            PathType::ImplementationSpecific => {
                self.path.starts_with(self.effective_marker()) || (self.detect && looks_like_regex(&self.path))
            }
        }
    }

    /// Its length, as priorities count it.
    pub(super) fn length(&self) -> usize {
        match self.kind {
            PathType::Exact => 1 + self.path.trim_start_matches('/').len(),
            PathType::Prefix => match self.path.trim_matches('/').len() {
                0 => 1,
                length => 2 + length,
            },
            PathType::ImplementationSpecific => match self.path.strip_prefix(self.effective_marker()) {
                Some(regex) => regex.len(),
                None => self.path.len(),
            },
        }
    }

    /// Checks it as a proxy would. A literal path that is no regular expression (`/a(b`) is escaped then.
    pub(super) fn check(&mut self, regexes: &mut Regexes) -> Result<(), Fault> {
        let mut escape = false;
        for (part, text) in self.parts() {
            match part {
                PathPart::StartsWith => syntax::check_path(&text).map_err(Fault::Path)?,
                PathPart::Equal if self.flavor.is_expressions() => syntax::check_path(&text).map_err(Fault::Path)?,
                PathPart::Equal => escape = regexes.check(&text).is_err(),
                PathPart::Regex => {
                    regexes.check(&text).map_err(Fault::Regex)?;
                    if !self.flavor.is_expressions() && !text.starts_with('/') {
                        return Err(Fault::Regex("it does not start with a slash".to_owned()));
                    }
                }
            }
        }
        self.escape = escape;
        Ok(())
    }
}

/// Why a proxy would refuse a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// As a plain path.
    Path(PathFault),
    /// As a regular expression, with what is wrong.
    Regex(String),
}

/// A regular expression bound to the start of the path.
pub(super) fn anchored(regex: &str) -> Cow<'_, str> {
    if regex.is_empty() {
        "^/".into()
    } else if regex.starts_with('^') {
        regex.into()
    } else {
        format!("^{regex}").into()
    }
}

/// Whether a path holds what plain paths seldom hold.
fn looks_like_regex(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b'/' | b'%');
    !path.starts_with('~') && !path.bytes().all(plain)
}

/// Makes one slash of runs of slashes: Kong refuses them. An empty path is the root.
fn squeeze(path: &str) -> String {
    if path.is_empty() {
        return "/".to_owned();
    }
    if !path.contains("//") {
        return path.to_owned();
    }
    let mut squeezed = String::with_capacity(path.len());
    for character in path.chars() {
        if !(character == '/' && squeezed.ends_with('/')) {
            squeezed.push(character);
        }
    }
    squeezed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Profile;

    fn traditional(path: &str, kind: PathType, marker: &str) -> Vec<String> {
        let mut path = PathMatch::new(path, Some(kind), marker, RouterFlavor::Traditional);
        path.check(&mut Regexes::of(&Profile::default())).expect("a good path");
        path.traditional().map(|path| path.text).collect()
    }

    fn expression(path: &str, kind: PathType) -> String {
        let mut path = PathMatch::new(path, Some(kind), REGEX_MARKER, RouterFlavor::Expressions);
        path.check(&mut Regexes::of(&Profile::default())).expect("a good path");
        path.predicates().to_string()
    }

    #[test]
    fn traditional_paths_are_those_of_kong_ingress_controller() {
        use PathType::{Exact, ImplementationSpecific, Prefix};
        let cases: &[(&str, PathType, &[&str])] = &[
            ("/a", Exact, &["~/a$"]),
            ("/", Exact, &["~/$"]),
            ("//a", Exact, &["~/a$"]),
            ("/", Prefix, &["/"]),
            ("", Prefix, &["/"]),
            ("/a/b", Prefix, &["/a/b/", "~/a/b$"]),
            ("/a/b/", Prefix, &["/a/b/", "~/a/b$"]),
            ("/~/a", Prefix, &["~/a/", "~/~/a$"]),
            ("/a/b/", ImplementationSpecific, &["/a/b/"]),
            ("/a//b", ImplementationSpecific, &["/a/b"]),
            (r"/~/foo/\d+", ImplementationSpecific, &[r"~/foo/\d+"]),
            ("/a(b", Exact, &[r"~/a\(b$"]),
        ];
        for (path, kind, expected) in cases {
            assert_eq!(&traditional(path, *kind, REGEX_MARKER), expected, "{path} {kind:?}");
        }
        assert_eq!(traditional("/@/x", ImplementationSpecific, "/@"), ["~/x"]);
        assert_eq!(traditional("/x", ImplementationSpecific, ""), ["~/x"]);
    }

    #[test]
    fn expressions_are_those_of_kong_ingress_controller() {
        use PathType::{Exact, ImplementationSpecific, Prefix};
        for (path, kind, expected) in [
            ("/a", Exact, r#"http.path == "/a""#),
            ("/", Prefix, r#"http.path ^= "/""#),
            ("/a", Prefix, r#"(http.path == "/a") || (http.path ^= "/a/")"#),
            ("/a", ImplementationSpecific, r#"http.path ^= "/a""#),
            (r"/~/a\d", ImplementationSpecific, r#"http.path ~ "^/a\\d""#),
            ("/~^/a", ImplementationSpecific, r#"http.path ~ "^/a""#),
            ("/~", ImplementationSpecific, r#"http.path ~ "^/""#),
        ] {
            assert_eq!(expression(path, kind), expected, "{path} {kind:?}");
        }
    }

    #[test]
    fn what_looks_like_a_regular_expression_is_one_if_asked() {
        let detected = |path: &str, kind, flavor| {
            let mut path = PathMatch::new(path, Some(kind), REGEX_MARKER, flavor);
            path.detect_regex(true);
            path.check(&mut Regexes::of(&Profile::default())).expect("a good path");
            (
                path.traditional().map(|path| path.text).collect::<Vec<_>>(),
                path.predicates().to_string(),
            )
        };
        use PathType::{ImplementationSpecific, Prefix};
        let (traditional, _) = detected("/a/[0-9]+", ImplementationSpecific, RouterFlavor::Traditional);
        assert_eq!(traditional, ["~/a/[0-9]+"]);
        let (traditional, _) = detected("/a/[0-9]+", Prefix, RouterFlavor::Traditional);
        assert_eq!(traditional, ["~/a/[0-9]+/", "~/a/[0-9]+$"]);
        let (traditional, _) = detected("/a.b/~c", ImplementationSpecific, RouterFlavor::Traditional);
        assert_eq!(traditional, ["/a.b/~c"], "plain");
        let (_, expression) = detected("/a/[0-9]+", ImplementationSpecific, RouterFlavor::Expressions);
        assert_eq!(expression, r#"http.path ~ "^/a/[0-9]+""#);
    }

    #[test]
    fn a_regular_expression_that_does_not_compile_is_named() {
        let kind = Some(PathType::ImplementationSpecific);
        let mut path = PathMatch::new("/~/foo(", kind, REGEX_MARKER, RouterFlavor::Traditional);
        assert_eq!(
            path.check(&mut Regexes::of(&Profile::default())),
            Err(Fault::Regex("unclosed group".to_owned()))
        );
        let mut path = PathMatch::new("/~foo", kind, REGEX_MARKER, RouterFlavor::Traditional);
        assert!(matches!(
            path.check(&mut Regexes::of(&Profile::default())),
            Err(Fault::Regex(_))
        ));
    }
}
