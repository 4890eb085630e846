//! Text that stands in every path that an expression takes: an expression whose text a path lacks need not be asked.

use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind},
};

/// Shorter text stands in too many paths.
const MIN_BYTES: usize = 2;
/// Of more texts of one expression the longest are kept.
const MOST: usize = 8;

/// Such texts, in lower case, the longest first: they may stand in a path in any case. `literal`, with which all begin, is no
/// part of them, since expressions that share it are told apart by what follows. Which of them tells an expression apart
/// only those beside it can say.
pub(super) fn needles(anchored: &str, literal: &str) -> Box<[Box<[u8]>]> {
    // As the engine for bytes reads it.
    let Ok(hir) = ParserBuilder::new().utf8(false).build().parse(anchored) else {
        return Box::default();
    };
    let mut search = Search {
        literal: literal.as_bytes(),
        ..Search::default()
    };
    search.visit(&hir);
    search.end();
    let mut found = search.found;
    found.sort_by_key(|text| std::cmp::Reverse(text.len()));
    found.dedup();
    found.truncate(MOST);
    found.into()
}

/// Goes through an expression from left to right.
#[derive(Default)]
struct Search<'a> {
    /// What the first text begins with.
    literal: &'a [u8],
    /// The text that everything up to here ends with.
    run: Vec<u8>,
    found: Vec<Box<[u8]>>,
}

impl Search<'_> {
    fn visit(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(text) => self.run.extend(text.0.iter().map(u8::to_ascii_lowercase)),
            HirKind::Class(class) => match letter(class) {
                Some(letter) => self.run.push(letter),
                None => self.end(),
            },
            HirKind::Capture(group) => self.visit(&group.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.visit(part)),
            HirKind::Repetition(repetition) => {
                self.end();
                if repetition.min > 0 {
                    self.visit(&repetition.sub);
                    self.end();
                }
            }
            HirKind::Alternation(_) => self.end(),
        }
    }

    /// What follows does not follow at once.
    fn end(&mut self) {
        let run = std::mem::take(&mut self.run);
        let literal = std::mem::take(&mut self.literal);
        let begins = run.len() >= literal.len() && run[..literal.len()].eq_ignore_ascii_case(literal);
        let run = if begins { &run[literal.len()..] } else { &run[..] };
        if run.len() >= MIN_BYTES {
            self.found.push(run.into());
        }
    }
}

/// The letter of a class that is one ASCII letter in both cases. Those that have a third form outside of ASCII are not.
fn letter(class: &Class) -> Option<u8> {
    let (upper, lower) = match class {
        Class::Unicode(class) => match class.ranges() {
            [upper, lower] if upper.len() == 1 && lower.len() == 1 => {
                (u8::try_from(upper.start()).ok()?, u8::try_from(lower.start()).ok()?)
            }
            _ => return None,
        },
        Class::Bytes(class) => match class.ranges() {
            [upper, lower] if upper.len() == 1 && lower.len() == 1 => (upper.start(), lower.start()),
            _ => return None,
        },
    };
    (upper.is_ascii_uppercase() && upper.to_ascii_lowercase() == lower).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_no_match_is_without() {
        for (expression, literal, expected) in [
            (r"^/[^/]+/orders/(\d+)$", "/", "/orders/"),
            (r"^/[^/]+/api/v[0-9]+/x17$", "/", "/api/v /x17"),
            (r"^/api/[a-z]+/x1", "/api/", "/x1"),
            (r"^/(?:en|de)/p12", "/", "/p12"),
            ("^/api(?:/v1)/users[0-9]*", "/api", "/v1/users"),
            ("(?i)^/Foo", "", "/foo"),
            // `s` and `k` have a third form: the long s, and the sign of Kelvin.
            ("(?i)^/order/ask", "", "/order/a"),
            ("^/a(?:bc)+d", "/a", "bc"),
            ("^/a(?:bcd)*ef", "/a", "ef"),
            ("^/a|/bcd", "", ""),
            (r"^/\d+/?", "/", ""),
            ("^/same", "/same", ""),
            ("^/([", "/", ""),
        ] {
            let found = needles(expression, literal);
            let found: Vec<_> = found.iter().map(|text| String::from_utf8_lossy(text)).collect();
            assert_eq!(found.join(" "), expected, "{expression}");
        }
    }
}
