//! Matches of HTTPRoutes, checked: what is in here a proxy takes in either flavour (`kic.md` 4.6.2, 4.6.4).

use std::borrow::Cow;

use super::note_error;
use crate::{
    model::{
        Reason,
        gateway::{HttpNameMatch, HttpPathMatch, HttpRouteMatch},
    },
    translate::{
        field_path::{FieldPath, Origin},
        problems::Owner,
        route_annotations::HEADER_REGEX_MARKER,
        state::State,
        syntax::{self, PathFault},
    },
};

/// What a request must be like; all of it must hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Match<'a> {
    /// Its position in the rule.
    pub(super) index: usize,
    /// `None` for any.
    pub(super) path: Option<PathRule<'a>>,
    /// Each name once, in the user's order.
    pub(super) headers: Vec<NameRule<'a>>,
    /// Each name once, in the user's order; empty in the traditional router, which can't match on them.
    pub(super) query: Vec<NameRule<'a>>,
    pub(super) method: Option<&'a str>,
}

/// What a path must be like.
#[derive(Debug, Clone)]
pub(super) struct PathRule<'a> {
    pub(super) kind: PathKind,
    /// As it is given.
    pub(super) value: &'a str,
    /// As it stands in regular expressions: with backslashes, if it would be none without.
    literal: Cow<'a, str>,
}

/// How a path is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathKind {
    Exact,
    Prefix,
    Regex,
}

/// What a header or a query parameter must be like.
#[derive(Debug, Clone)]
pub(super) struct NameRule<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) is_regex: bool,
}

impl NameRule<'_> {
    /// As the traditional router has it: regular expressions bear a marker, which nothing else may begin with.
    pub(super) fn traditional(&self) -> String {
        if self.is_regex {
            format!("{HEADER_REGEX_MARKER}{}", self.value)
        } else if self.value.starts_with(HEADER_REGEX_MARKER) {
            format!("{HEADER_REGEX_MARKER}^{}$", regex::escape(self.value))
        } else {
            self.value.to_owned()
        }
    }
}

impl<'a> PathRule<'a> {
    const ROOT: PathRule<'static> = PathRule {
        kind: PathKind::Prefix,
        value: "/",
        literal: Cow::Borrowed("/"),
    };

    /// The path without slashes at its end: empty for the root.
    pub(super) fn trimmed(&self) -> &'a str {
        self.value.trim_end_matches('/')
    }

    /// The same, as it stands in regular expressions.
    pub(super) fn literal(&self) -> &str {
        self.literal.trim_end_matches('/')
    }

    /// Whether it is the prefix of everything.
    pub(super) fn is_root(&self) -> bool {
        self.kind == PathKind::Prefix && self.trimmed().is_empty()
    }

    /// Paths of a route of the traditional router. Of raw objects a slash at the end of a prefix stays, as in KIC.
    pub(super) fn traditional(&self, raw_objects: bool) -> Vec<FieldPath> {
        match self.kind {
            PathKind::Exact => vec![FieldPath::new(format!("~{}$", self.literal), Origin::Exact)],
            PathKind::Regex => vec![FieldPath::new(format!("~{}", self.value), Origin::Regex)],
            PathKind::Prefix => {
                let itself = match &*self.literal {
                    _ if self.is_root() => "/",
                    literal if raw_objects => literal,
                    _ => self.literal(),
                };
                vec![
                    FieldPath::new(format!("~{itself}$"), Origin::PrefixItself),
                    FieldPath::new(format!("{}/", self.trimmed()), Origin::Below),
                ]
            }
        }
    }
}

/// The matches of a rule that can be used, and whether there are none at all, which is anything.
pub(super) fn read<'a>(
    owner: Owner<'a>,
    rule: usize,
    matches: &'a [HttpRouteMatch],
    state: &mut State<'a>,
) -> Vec<Match<'a>> {
    if matches.is_empty() && !state.settings.raw_objects {
        return vec![Match {
            path: Some(PathRule::ROOT),
            ..Match::default()
        }];
    }
    let mut found = Vec::with_capacity(matches.len());
    for (index, given) in matches.iter().enumerate() {
        let reader = Reader {
            owner,
            field: format!("spec.rules[{rule}].matches[{index}]"),
        };
        found.extend(reader.read(index, given, state));
    }
    found
}

/// Reads one match.
struct Reader<'a> {
    owner: Owner<'a>,
    field: String,
}

impl<'a> Reader<'a> {
    fn read(&self, index: usize, given: &'a HttpRouteMatch, state: &mut State<'a>) -> Option<Match<'a>> {
        let path = match &given.path {
            Some(path) => Some(self.path(path, state)?),
            None => (!state.settings.raw_objects).then_some(PathRule::ROOT),
        };
        let headers = self.names("headers", &given.headers, state)?;
        let query = self.names("queryParams", &given.query_params, state)?;
        let method = given.method.as_deref();
        if let Some(bad) = method.filter(|method| !syntax::is_method(method)) {
            self.refuse(
                ".method",
                Reason::InvalidField,
                format!("{bad:?} is not an HTTP method"),
                "use a method such as GET",
                state,
            );
            return None;
        }
        Some(Match {
            index,
            path,
            headers,
            query,
            method,
        })
    }

    fn path(&self, given: &'a HttpPathMatch, state: &mut State<'a>) -> Option<PathRule<'a>> {
        let value = given.value.as_deref().unwrap_or("/");
        let kind = match given.type_.as_deref() {
            Some("Exact") => PathKind::Exact,
            None | Some("PathPrefix") => PathKind::Prefix,
            Some("RegularExpression") => PathKind::Regex,
            Some(other) => {
                let message = format!("paths of type {other:?} are not supported");
                let remedy = "use Exact, PathPrefix or RegularExpression";
                self.refuse(".path.type", Reason::InvalidField, message, remedy, state);
                return None;
            }
        };
        match check_path(kind, value, state) {
            Ok(literal) => {
                if kind == PathKind::Regex {
                    self.tell_doubt(".path.value", value, state);
                }
                Some(PathRule { kind, value, literal })
            }
            Err((reason, message, remedy)) => {
                self.refuse(".path.value", reason, message, remedy, state);
                None
            }
        }
    }

    fn names(&self, list: &str, given: &'a [HttpNameMatch], state: &mut State<'a>) -> Option<Vec<NameRule<'a>>> {
        let is_header = list == "headers";
        let mut found: Vec<NameRule<'a>> = Vec::with_capacity(given.len());
        for (position, given) in given.iter().enumerate() {
            let field = |rest: &str| format!(".{list}[{position}].{rest}");
            let is_regex = match given.type_.as_deref() {
                None | Some("Exact") => false,
                Some("RegularExpression") => true,
                Some(other) => {
                    let message = format!("matches of type {other:?} are not supported");
                    let remedy = "use Exact or RegularExpression";
                    self.refuse(&field("type"), Reason::InvalidField, message, remedy, state);
                    return None;
                }
            };
            let is_good = if is_header {
                syntax::is_header_name(&given.name)
            } else {
                is_field_name(&given.name)
            };
            if !is_good {
                let (message, remedy) = if is_header {
                    ("headers", "name another header; hosts are matched by spec.hostnames")
                } else {
                    ("query parameters", "use letters, digits and underscores")
                };
                let message = format!("a route can't match on {message} with the name {:?}", given.name);
                self.refuse(&field("name"), Reason::InvalidField, message, remedy, state);
                return None;
            }
            if is_regex && let Err(fault) = state.regexes.check(&given.value) {
                let message = format!("the regular expression {:?} does not compile: {fault}", given.value);
                self.refuse(
                    &field("value"),
                    Reason::InvalidRegex,
                    message,
                    "correct the expression",
                    state,
                );
                return None;
            }
            if is_regex {
                self.tell_doubt(&field("value"), &given.value, state);
            }
            let same = |known: &&NameRule<'_>| {
                if is_header {
                    known.name.eq_ignore_ascii_case(&given.name)
                } else {
                    known.name == given.name
                }
            };
            if found.iter().any(|known| same(&known)) {
                let message = format!(
                    "multiple header matches for the same header are not allowed: {}; the first one counts",
                    given.name
                );
                let field = format!("{}{}", self.field, field("name"));
                let remedy = "keep one match for each name";
                state
                    .problems
                    .report(self.owner, field, Reason::InvalidField, message, remedy);
                continue;
            }
            found.push(NameRule {
                name: &given.name,
                value: &given.value,
                is_regex,
            });
        }
        Some(found)
    }

    fn tell_doubt(&self, field: &str, pattern: &str, state: &mut State<'a>) {
        let State { regexes, problems, .. } = state;
        regexes.tell_doubt(self.owner, || format!("{}{field}", self.field), pattern, problems);
    }

    fn refuse(&self, field: &str, reason: Reason, message: String, remedy: impl Into<String>, state: &mut State<'a>) {
        let field = format!("{}{field}", self.field);
        let message = message + "; the match is left out";
        note_error(self.owner, &format!("{field}: {message}"), state);
        state.problems.report(self.owner, field, reason, message, remedy);
    }
}

/// Whether a query parameter can be named in an expression.
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

/// What a path is in a regular expression, or why a proxy would refuse it.
fn check_path<'v>(
    kind: PathKind,
    value: &'v str,
    state: &mut State<'_>,
) -> Result<Cow<'v, str>, (Reason, String, String)> {
    let invalid = |message: String, remedy: String| Err((Reason::InvalidField, message, remedy));
    if value.contains("//") {
        let squeezed = format!("the path {value:?} has two slashes after one another, which Kong refuses");
        return invalid(squeezed, "write one slash".to_owned());
    }
    let flavor = state.settings.profile.router_flavor;
    if kind == PathKind::Regex {
        let fault = state.regexes.check(value).err();
        let fault = fault.or_else(|| {
            let is_bound = flavor.is_expressions() || value.starts_with('/');
            (!is_bound).then(|| "it does not start with a slash".to_owned())
        });
        return match fault {
            None => Ok(value.into()),
            Some(fault) => Err((
                Reason::InvalidRegex,
                format!("the regular expression of the path {value:?} can't be used: {fault}"),
                "correct the expression".to_owned(),
            )),
        };
    }
    match syntax::check_path(value) {
        Ok(()) => {}
        Err(PathFault::NotAbsolute) => {
            let message = format!("the path {value:?} does not start with a slash");
            return invalid(message, "put a slash in front".to_owned());
        }
        Err(PathFault::BadEscape) => {
            let message = format!("the path {value:?} holds a percent sign without two hexadecimal digits");
            return invalid(message, "write a percent sign as %25".to_owned());
        }
        Err(PathFault::NotNormal(normal)) => {
            let message = format!("the path {value:?} is not in the normal form that Kong wants");
            return invalid(message, format!("write {normal}"));
        }
    }
    if state.regexes.check(value).is_ok() {
        Ok(value.into())
    } else {
        Ok(regex::escape(value).into())
    }
}
