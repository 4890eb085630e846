//! Paths of routes of the traditional router, with what they were made of: two that are written differently may pick the very
//! same requests, and of two that are written alike one may be what was asked for, and the other one only a part of a prefix.
//!
//! Made of matches of the Gateway API and of paths of Ingresses, compared by `field_conflict`. Pure.

/// The path `/` alone, as a regular expression.
const ROOT_ITSELF: &str = "~/$";

/// A path of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldPath {
    /// As Kong has it: a prefix, or a regular expression after `~`.
    pub(super) text: String,
    pub(super) origin: Origin,
    /// The prefix, where the text says it as a regular expression.
    prefix: Option<String>,
}

/// What a path was made of. Of two that pick the very same the lesser goes first, as the ranks of expressions have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Origin {
    /// A path that was asked for by itself.
    Exact,
    /// A regular expression.
    Regex,
    /// The path that a prefix is named by, which it covers as well.
    PrefixItself,
    /// All that a prefix has below it.
    Below,
}

/// What a path picks, as others may pick it.
pub(super) struct PathClaim<'p> {
    /// Equal of all that pick the very same.
    pub(super) key: &'p str,
    pub(super) origin: Origin,
    /// Whether nothing is left of the path where another one has this.
    pub(super) is_whole: bool,
}

impl FieldPath {
    /// A path as Kong has it.
    pub(super) fn new(text: impl Into<String>, origin: Origin) -> Self {
        Self {
            text: text.into(),
            origin,
            prefix: None,
        }
    }

    /// What is below a prefix (`/a/`), written as a regular expression, so that a part of it can be replaced.
    pub(super) fn below(text: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            prefix: Some(prefix.into()),
            ..Self::new(text, Origin::Below)
        }
    }

    /// All that it claims.
    pub(super) fn claims(&self) -> impl Iterator<Item = PathClaim<'_>> {
        let whole = |key| PathClaim {
            key,
            origin: self.origin,
            is_whole: true,
        };
        let prefix = self.prefix.as_deref();
        let is_root = self.origin == Origin::Below && prefix.unwrap_or(&self.text) == "/";
        let itself = is_root.then_some(PathClaim {
            key: ROOT_ITSELF,
            origin: Origin::PrefixItself,
            is_whole: false,
        });
        let wholes = prefix.into_iter().chain([self.text.as_str()]);
        wholes.map(whole).chain(itself)
    }
}

/// Adds a path to those of a route. What is there is not there twice, and counts as the more precise of the two.
pub(super) fn add(paths: &mut Vec<FieldPath>, path: FieldPath) {
    match paths.iter_mut().find(|known| known.text == path.text) {
        Some(known) => known.origin = known.origin.min(path.origin),
        None => paths.push(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(path: &FieldPath) -> Vec<(&str, Origin, bool)> {
        let claims = path.claims();
        claims.map(|claim| (claim.key, claim.origin, claim.is_whole)).collect()
    }

    #[test]
    fn a_prefix_claims_the_same_however_it_is_written() {
        let plain = FieldPath::new("/a/", Origin::Below);
        assert_eq!(claims(&plain), [("/a/", Origin::Below, true)]);
        let replaced = FieldPath::below("~/a(/.*)", "/a/");
        assert_eq!(
            claims(&replaced),
            [("/a/", Origin::Below, true), ("~/a(/.*)", Origin::Below, true)]
        );
        let itself = ("~/$", Origin::PrefixItself, false);
        assert_eq!(
            claims(&FieldPath::new("/", Origin::Below)),
            [("/", Origin::Below, true), itself]
        );
        let replaced = FieldPath::below("~/(.*)", "/");
        assert_eq!(
            claims(&replaced),
            [("/", Origin::Below, true), ("~/(.*)", Origin::Below, true), itself]
        );
        assert_eq!(
            claims(&FieldPath::new("~/$", Origin::Exact)),
            [("~/$", Origin::Exact, true)]
        );
    }

    #[test]
    fn a_path_stands_once_and_is_exact_if_any_asks_for_it() {
        let mut paths = Vec::new();
        for origin in [Origin::PrefixItself, Origin::Exact, Origin::Regex] {
            add(&mut paths, FieldPath::new("~/a$", origin));
        }
        assert_eq!(paths, [FieldPath::new("~/a$", Origin::Exact)]);
    }
}
