//! Whether regular expressions compile in the proxies' routers. Pure.
//!
//! Kong's routers `traditional_compatible` and `expressions`, and the embedded proxy's, have the engine of the crate
//! `regex`. Kong's `traditional` has PCRE, which knows more (look-around, back-references, possessive quantifiers, ...):
//! what the crate can't compile is left out there only if PCRE can't either, as far as its brackets, ranges and
//! repetitions tell. Called by all that reads regular expressions of objects.

use std::collections::HashMap;

use regex::Regex;

use crate::model::Profile;

/// Regular expressions that were compiled in this translation: the same ones come again and again.
#[derive(Debug)]
pub(super) struct Regexes {
    has_pcre: bool,
    known: HashMap<String, Result<(), String>>,
}

impl Regexes {
    /// For the routers of that profile.
    pub(super) fn of(profile: &Profile) -> Self {
        Self {
            has_pcre: profile.has_pcre(),
            known: HashMap::new(),
        }
    }

    /// Whether the proxies' routers can compile an expression, or what is wrong with it.
    pub(super) fn check(&mut self, pattern: &str) -> Result<(), String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~' | b'%');
        if pattern.bytes().all(plain) {
            return Ok(());
        }
        if let Some(known) = self.known.get(pattern) {
            return known.clone();
        }
        let result = match Regex::new(pattern) {
            Ok(_) => Ok(()),
            Err(_) if self.has_pcre => Pcre::check(pattern).map_err(str::to_owned),
            Err(error) => Err(one_line(&error)),
        };
        self.known.insert(pattern.to_owned(), result.clone());
        result
    }
}

/// The last line of the engine's message says what is wrong; those before it draw where.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.trim().trim_start_matches("error: ").to_owned()
}

const INCOMPLETE_ESCAPE: &str = "incomplete escape sequence, reached end of pattern prematurely";
const UNCLOSED_CLASS: &str = "unclosed character class";
const UNCLOSED_GROUP: &str = "unclosed group";

/// The outline of an expression of PCRE's, read as far as it takes to see what PCRE refuses for sure.
struct Pcre<'p> {
    rest: &'p str,
    /// Groups that are open.
    depth: usize,
    /// Whether a quantifier may follow.
    repeatable: bool,
}

impl<'p> Pcre<'p> {
    fn check(pattern: &'p str) -> Result<(), &'static str> {
        let mut pcre = Self {
            rest: pattern,
            depth: 0,
            repeatable: false,
        };
        while let Some(character) = pcre.next() {
            pcre.read(character)?;
        }
        if pcre.depth > 0 { Err(UNCLOSED_GROUP) } else { Ok(()) }
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next()?;
        self.rest = characters.as_str();
        Some(character)
    }

    fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Skips up to the end of what `end` ends; false if nothing does.
    fn skip_past(&mut self, end: &str) -> bool {
        match self.rest.split_once(end) {
            Some((_, rest)) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn read(&mut self, character: char) -> Result<(), &'static str> {
        match character {
            '\\' => {
                let escaped = self.next().ok_or(INCOMPLETE_ESCAPE)?;
                if escaped == 'Q' && !self.skip_past("\\E") {
                    self.rest = "";
                }
                // A number, a name or a property in braces belongs to it: `\x{20}`.
                if "xogkNpP".contains(escaped) && self.rest.starts_with('{') {
                    self.skip_past("}");
                }
                self.repeatable = true;
            }
            '[' => {
                self.class()?;
                self.repeatable = true;
            }
            '(' => {
                if self.skip("?#") {
                    return if self.skip_past(")") {
                        Ok(())
                    } else {
                        Err(UNCLOSED_GROUP)
                    };
                }
                self.depth += 1;
                self.repeatable = false;
                // What follows says what kind of group it is; a sign begins the number of another one.
                if self.skip("?") {
                    self.skip("+");
                } else {
                    self.skip("*");
                }
            }
            ')' => {
                self.depth = self.depth.checked_sub(1).ok_or("unopened group")?;
                self.repeatable = true;
            }
            '|' => self.repeatable = false,
            '*' | '+' | '?' => self.quantifier()?,
            '{' => {
                if let Some((repetition, rest)) = self.repetition() {
                    repetition?;
                    self.rest = rest;
                    self.quantifier()?;
                } else {
                    // As it stands, it is a character.
                    self.repeatable = true;
                }
            }
            _ => self.repeatable = true,
        }
        Ok(())
    }

    /// Another quantifier may make this one lazy or possessive, and none may follow.
    fn quantifier(&mut self) -> Result<(), &'static str> {
        if !self.repeatable {
            return Err("repetition operator missing expression");
        }
        if !self.skip("?") {
            self.skip("+");
        }
        self.repeatable = false;
        Ok(())
    }

    /// `3}`, `3,}` or `3,5}`, with what follows; `None` for anything else.
    fn repetition(&self) -> Option<(Result<(), &'static str>, &'p str)> {
        let (inside, rest) = self.rest.split_once('}')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        if !is_number(least) || !(most.is_empty() || is_number(most)) {
            return None;
        }
        let count = |text: &str| text.parse::<u16>();
        let result = match (count(least), most.is_empty(), count(most)) {
            (Ok(_), true, _) => Ok(()),
            (Ok(least), false, Ok(most)) if least <= most => Ok(()),
            _ => Err("invalid repetition count range"),
        };
        Some((result, rest))
    }

    /// The rest of a class of characters.
    fn class(&mut self) -> Result<(), &'static str> {
        self.skip("^");
        let mut previous = None;
        let mut is_first = true;
        loop {
            let character = self.next().ok_or(UNCLOSED_CLASS)?;
            match character {
                ']' if !is_first => return Ok(()),
                '[' if self.rest.starts_with(':') && self.rest.contains(":]") => {
                    self.skip_past(":]");
                    previous = None;
                }
                '\\' => {
                    self.next().ok_or(UNCLOSED_CLASS)?;
                    previous = None;
                }
                '-' => {
                    let end = self.rest.chars().next().filter(|end| !matches!(end, ']' | '[' | '\\'));
                    if let (Some(start), Some(end)) = (previous, end) {
                        if end < start {
                            return Err("invalid character class range, the start must be <= the end");
                        }
                        self.next();
                        previous = None;
                    } else {
                        previous = Some('-');
                    }
                }
                other => previous = Some(other),
            }
            is_first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Edition, RouterFlavor};

    fn checked(flavor: RouterFlavor, edition: Edition, pattern: &str) -> Result<(), String> {
        let profile = Profile {
            router_flavor: flavor,
            edition: Some(edition),
            ..Profile::default()
        };
        Regexes::of(&profile).check(pattern)
    }

    #[test]
    fn the_traditional_router_takes_what_pcre_takes() {
        for pattern in [
            "/api/(?!internal)",
            "/api/(?<!x)y(?<=z)",
            r"/(\w+)/\1",
            r"/(?<name>a)\k<name>",
            "/a++b*+c?+d{2,3}+",
            "/(?>atomic)[^]a]",
            r"/\Qa(b\E(c)",
            "/(?#comment(here)x",
            "/a{x}(?=b)",
            "/[[:alpha:]](?=x)",
            r"/[a\]b](?=x)",
            "(?i)/a(?!b)",
            "/(*UTF8)?(?=x)",
            r"/\x{20}*(?!b)",
            r"/(a)\g{1}*",
            r"/(?<n>a)\k{n}+",
            r"/\p{Lu}*+x",
            "/(?+1)?(a)",
        ] {
            let of = |flavor, edition| checked(flavor, edition, pattern);
            assert_eq!(of(RouterFlavor::Traditional, Edition::OpenSource), Ok(()), "{pattern}");
        }
        for flavor in [RouterFlavor::TraditionalCompatible, RouterFlavor::Expressions] {
            assert!(checked(flavor, Edition::OpenSource, "/a(?!b)").is_err(), "{flavor:?}");
        }
        let embedded = checked(RouterFlavor::Traditional, Edition::Embedded, "/a(?!b)");
        assert!(embedded.is_err(), "the embedded proxy has one engine only");
    }

    #[test]
    fn what_pcre_refuses_is_refused() {
        for (pattern, fault) in [
            ("/a(b", UNCLOSED_GROUP),
            ("/a(?!b", UNCLOSED_GROUP),
            ("/a(?#b", UNCLOSED_GROUP),
            ("/a)b", "unopened group"),
            ("/a[b", UNCLOSED_CLASS),
            ("/a[]b", UNCLOSED_CLASS),
            ("/a[z-a]", "invalid character class range, the start must be <= the end"),
            ("*", "repetition operator missing expression"),
            ("/a(+b)", "repetition operator missing expression"),
            ("/a(?=b)|*", "repetition operator missing expression"),
            ("/a{3,2}", "invalid repetition count range"),
            ("/a\\", INCOMPLETE_ESCAPE),
        ] {
            let found = checked(RouterFlavor::Traditional, Edition::OpenSource, pattern);
            assert_eq!(found, Err(fault.to_owned()), "{pattern}");
        }
    }
}
