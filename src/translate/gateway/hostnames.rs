//! Host names of listeners and routes: which of a route's are served by which listener. Pure.

use std::borrow::Cow;

use crate::translate::syntax;

/// Whether it is a host name as the Gateway API has them: maybe with a leading `*.`, no IP address.
pub(super) fn is_valid(hostname: &str) -> bool {
    let name = hostname.strip_prefix("*.").unwrap_or(hostname);
    syntax::is_server_name(&name.replace('_', "a"))
}

/// What both names match: the narrower one of the two, in small letters; `None` if they have nothing in common.
pub(in crate::translate) fn intersection<'h>(one: &'h str, other: &'h str) -> Option<Cow<'h, str>> {
    let (a, b) = (small(one), small(other));
    if covers(&a, &b) {
        Some(b)
    } else if covers(&b, &a) {
        Some(a)
    } else {
        None
    }
}

/// Whether all that `narrow` matches is matched by `wide`. A wildcard stands for one label or several.
fn covers(wide: &str, narrow: &str) -> bool {
    match wide.strip_prefix('*') {
        Some(suffix) => wide == narrow || (narrow.len() > suffix.len() && narrow.ends_with(suffix)),
        None => wide == narrow,
    }
}

/// In small letters: names are compared without regard to case.
pub(in crate::translate) fn small(hostname: &str) -> Cow<'_, str> {
    if hostname.bytes().any(|byte| byte.is_ascii_uppercase()) {
        hostname.to_ascii_lowercase().into()
    } else {
        hostname.into()
    }
}

/// The names under which a route is served, given its own and those of the listeners that it may attach to; empty for
/// any, `None` for none at all.
pub(super) fn served(own: &[&str], listeners: &[Option<&str>]) -> Option<Vec<String>> {
    let takes_any = listeners.iter().any(Option::is_none);
    let named = || listeners.iter().copied().flatten();
    let mut served: Vec<String> = Vec::new();
    let mut add = |name: Cow<'_, str>| {
        if !served.iter().any(|known| *known == name) {
            served.push(name.into_owned());
        }
    };
    if own.is_empty() {
        if takes_any {
            return Some(Vec::new());
        }
        named().for_each(|name| add(small(name)));
    }
    for own in own {
        if takes_any {
            add(small(own));
        } else {
            named().filter_map(|name| intersection(own, name)).for_each(&mut add);
        }
    }
    (!served.is_empty()).then_some(served)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_name_is_what_both_match() {
        let cases = [
            ("a.example", "a.example", Some("a.example")),
            ("A.Example", "a.example", Some("a.example")),
            ("*.example", "a.example", Some("a.example")),
            ("a.b.example", "*.example", Some("a.b.example")),
            ("*.example", "*.b.example", Some("*.b.example")),
            ("*.example", "*.example", Some("*.example")),
            ("*.example", "example", None),
            ("a.example", "b.example", None),
            ("*.a.example", "*.b.example", None),
        ];
        for (one, other, expected) in cases {
            assert_eq!(intersection(one, other).as_deref(), expected, "{one} {other}");
            assert_eq!(intersection(other, one).as_deref(), expected, "{other} {one}");
        }
    }

    #[test]
    fn a_route_is_served_under_what_its_listeners_have() {
        let served = |own: &[&str], listeners: &[Option<&str>]| served(own, listeners);
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(served(&[], &[None]), names(&[]));
        assert_eq!(served(&[], &[Some("a.example"), None]), names(&[]));
        assert_eq!(
            served(&[], &[Some("a.example"), Some("*.b.example")]),
            names(&["a.example", "*.b.example"])
        );
        assert_eq!(
            served(&["a.example", "b.example"], &[Some("*.example")]),
            names(&["a.example", "b.example"])
        );
        assert_eq!(served(&["*.example"], &[Some("a.example")]), names(&["a.example"]));
        assert_eq!(served(&["a.example"], &[None]), names(&["a.example"]));
        assert_eq!(served(&["a.example"], &[Some("b.example")]), None);
    }

    #[test]
    fn names_of_the_gateway_api_have_a_wildcard_in_front_only() {
        for good in ["a", "a.example", "*.example", "a_b.example"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", "*", "a.*", "10.0.0.1", "a..b", "a b"] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
