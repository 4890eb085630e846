//! What a route asks of a path: a prefix, or an expression that must match from the beginning.

use std::{cell::OnceCell, collections::HashMap, sync::Arc};

use proxy_config_schema::Route;
use regex::bytes::{Regex, RegexBuilder};

use super::{
    criteria::{MAX_EXPRESSION_BYTES, RouteError},
    needle::needles,
};

/// Longer literals are left to the regular expression engine and its limits.
const MAX_LITERAL_BYTES: usize = 1024;

/// One path of a route.
#[derive(Debug)]
pub(super) enum PathRule {
    /// The route looks at no path.
    Any,
    /// A prefix of the text, not of segments: `/a` takes `/ab`.
    Prefix(Box<str>),
    /// An expression that is nothing but text, as Kong Ingress Controller writes exact paths: `~/a$`.
    Literal {
        /// What paths must begin with.
        text: Box<str>,
        /// Whether nothing may follow.
        whole: bool,
    },
    /// An expression that must match from the beginning.
    Pattern {
        /// As written, after the `~`.
        source: Box<str>,
        /// Anchored.
        regex: Arc<Regex>,
        /// Text that every match begins with.
        literal: Box<str>,
        /// More of what every match contains.
        needles: Box<[Box<[u8]>]>,
    },
}

/// Compiled expressions by what was written: none is compiled twice.
pub(super) struct Patterns<'a, F> {
    before: F,
    known: OnceCell<HashMap<&'a str, &'a Arc<Regex>>>,
    new: HashMap<String, Arc<Regex>>,
}

impl<'a, F, I> Patterns<'a, F>
where
    F: Fn() -> I,
    I: Iterator<Item = &'a PathRule>,
{
    /// Takes over those in the rules that `before` gives; it is asked when the first expression comes.
    pub(super) fn new(before: F) -> Self {
        Self {
            before,
            known: OnceCell::new(),
            new: HashMap::new(),
        }
    }

    fn compile(&mut self, source: &str) -> Result<Arc<Regex>, regex::Error> {
        let known = self.known.get_or_init(|| {
            let patterns = (self.before)().filter_map(|rule| match rule {
                PathRule::Pattern { source, regex, .. } => Some((&**source, regex)),
                PathRule::Any | PathRule::Prefix(_) | PathRule::Literal { .. } => None,
            });
            patterns.collect()
        });
        if let Some(regex) = known.get(source).copied().or_else(|| self.new.get(source)) {
            return Ok(Arc::clone(regex));
        }
        let regex = RegexBuilder::new(&anchored(source))
            .size_limit(MAX_EXPRESSION_BYTES)
            .build()?;
        let regex = Arc::new(regex);
        self.new.insert(source.to_owned(), Arc::clone(&regex));
        Ok(regex)
    }
}

impl PathRule {
    /// All paths of a route; [`PathRule::Any`] for a route without.
    ///
    /// # Errors
    /// Expressions that don't compile.
    pub(super) fn all<'a, F, I>(route: &Route, patterns: &mut Patterns<'a, F>) -> Result<Vec<Self>, Vec<RouteError>>
    where
        F: Fn() -> I,
        I: Iterator<Item = &'a Self>,
    {
        let paths = route.paths.as_deref().unwrap_or_default();
        if paths.is_empty() {
            return Ok(vec![Self::Any]);
        }
        let mut rules = Vec::with_capacity(paths.len());
        let mut errors = Vec::new();
        for (position, path) in paths.iter().enumerate() {
            let Some(source) = path.strip_prefix('~') else {
                rules.push(Self::Prefix(path.as_str().into()));
                continue;
            };
            let (literal, rest) = leading_literal(source);
            if matches!(rest, "" | "$") && source.len() <= MAX_LITERAL_BYTES {
                rules.push(Self::Literal {
                    text: literal.into(),
                    whole: rest == "$",
                });
                continue;
            }
            match patterns.compile(source) {
                Ok(regex) => rules.push(Self::Pattern {
                    source: source.into(),
                    regex,
                    needles: needles(&anchored(source), &literal),
                    literal: literal.into(),
                }),
                Err(error) => errors.push(RouteError {
                    field: format!("paths.{}", position + 1),
                    message: format!("invalid regex: '{source}' ({error})"),
                }),
            }
        }
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    /// Text that every path begins with that this rule takes.
    pub(super) fn literal_prefix(&self) -> &[u8] {
        match self {
            Self::Any => b"",
            Self::Prefix(text) | Self::Literal { text, .. } | Self::Pattern { literal: text, .. } => text.as_bytes(),
        }
    }

    /// More texts, in lower case, that every path contains that this rule takes; in any case, and after the prefix.
    pub(super) fn needles(&self) -> &[Box<[u8]>] {
        match self {
            Self::Pattern { needles, .. } => needles,
            Self::Any | Self::Prefix(_) | Self::Literal { .. } => &[],
        }
    }

    /// Whether it is written as an expression.
    pub(super) fn is_expression(&self) -> bool {
        matches!(self, Self::Literal { .. } | Self::Pattern { .. })
    }

    /// Whether a path fits, and how much of it the rule took.
    pub(super) fn matches(&self, path: &[u8]) -> Option<Option<usize>> {
        match self {
            Self::Any => Some(None),
            Self::Prefix(text) => path.starts_with(text.as_bytes()).then_some(Some(text.len())),
            Self::Literal { text, whole: true } => (path == text.as_bytes()).then_some(Some(text.len())),
            Self::Literal { text, whole: false } => path.starts_with(text.as_bytes()).then_some(Some(text.len())),
            Self::Pattern { regex, .. } => regex.find(path).map(|found| Some(found.len())),
        }
    }
}

/// An expression as it is matched.
fn anchored(source: &str) -> String {
    format!("^{source}")
}

/// Plain text at the start of an anchored expression, and what follows; conservative: nothing where another alternative
/// may begin.
fn leading_literal(source: &str) -> (String, &str) {
    let mut literal = String::new();
    if has_outer_alternative(source) {
        return (literal, source);
    }
    let mut rest = source;
    loop {
        let mut characters = rest.chars();
        let plain = match characters.next() {
            // `\\<` and `\\>` are the borders of words.
            Some('\\') => characters
                .next()
                .filter(|escaped| escaped.is_ascii_punctuation() && !matches!(escaped, '<' | '>')),
            Some('.' | '^' | '$' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|') => None,
            plain => plain,
        };
        let following = characters.as_str();
        let Some(plain) = plain.filter(|_| !following.starts_with(['*', '+', '?', '{'])) else {
            return (literal, rest);
        };
        literal.push(plain);
        rest = following;
    }
}

/// Whether a `|` may stand outside of all groups. Character classes are not understood: with them, it may.
fn has_outer_alternative(source: &str) -> bool {
    if !source.contains('|') {
        return false;
    }
    let mut depth = 0_usize;
    let mut characters = source.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '[' => return true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(path: &str) -> Result<PathRule, Vec<RouteError>> {
        let route = Route {
            paths: Some(vec![path.to_owned()]),
            ..Route::default()
        };
        let mut patterns = Patterns::new(std::iter::empty);
        PathRule::all(&route, &mut patterns).map(|mut rules| rules.remove(0))
    }

    #[test]
    fn the_literal_prefix_of_an_expression_is_never_more_than_every_match_begins_with() {
        for (source, expected) in [
            ("/foo$", "/foo"),
            (r"/cap/(?<id>\d+)/x$", "/cap/"),
            (r"/a\.b/\d", "/a.b/"),
            ("/ab*", "/a"),
            ("/ab?c", "/a"),
            ("/a{2}", "/"),
            ("/a|/b", ""),
            ("/x/(a|b)", "/x/"),
            ("/x/[a|b]", ""),
            ("(?i)/FOO", ""),
            (r"/\x41", "/"),
            (r"/a\<b", "/a"),
        ] {
            assert_eq!(leading_literal(source).0, expected, "{source}");
        }
    }

    #[test]
    fn text_alone_needs_no_engine() {
        for path in ["~/a$", r"~/a\.b\-c$", "~/a", "~/ä b$", "~"] {
            assert!(matches!(rule(path), Ok(PathRule::Literal { .. })), "{path}");
        }
        for path in ["~/a.$", "~/a|/b", "~/a$b", "~/a$$", r"~/\d", r"~/\<a", "~/a*"] {
            assert!(matches!(rule(path), Ok(PathRule::Pattern { .. })), "{path}");
        }
    }

    proptest! {
        #[test]
        fn every_rule_takes_what_the_engine_takes(
            source in "(/|a|b|\\\\|\\.|\\$|\\||<|\\*|\\(|\\)|-|x|ab|\\(\\?i\\)|\\[aA\\]|\\+|\\{2\\}){0,8}",
            paths in prop::collection::vec("[/abAB.$|<x-]{0,8}", 1..8),
        ) {
            let engine = RegexBuilder::new(&format!("^{source}")).build();
            let rule = rule(&format!("~{source}"));
            prop_assert_eq!(rule.is_ok(), engine.is_ok());
            if let (Ok(rule), Ok(engine)) = (rule, engine) {
                for path in paths {
                    let expected = engine.find(path.as_bytes()).map(|found| Some(found.len()));
                    prop_assert_eq!(rule.matches(path.as_bytes()), expected, "{} {}", source, path);
                    if expected.is_some() {
                        prop_assert!(path.as_bytes().starts_with(rule.literal_prefix()));
                        let rest = path.as_bytes()[rule.literal_prefix().len()..].to_ascii_lowercase();
                        for needle in rule.needles() {
                            let stands = rest.windows(needle.len()).any(|window| *window == **needle);
                            prop_assert!(stands, "{} {}", source, path);
                        }
                    }
                }
            }
        }
    }
}
