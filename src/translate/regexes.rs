//! Whether regular expressions compile in the proxies' routers. Pure.
//!
//! Kong's routers `traditional_compatible` and `expressions`, and the embedded proxy's, have the engine of the crate
//! `regex`. Kong's `traditional` has PCRE, which knows more (look-around, back-references, possessive quantifiers, ...):
//! what the crate can't compile is left out there only if PCRE can't either, as far as its brackets, ranges and
//! repetitions tell. Where it is only assumed that the proxies have PCRE, whoever needs it is told. Called by all that reads
//! regular expressions of objects.

use std::collections::{HashMap, HashSet};

use regex::Regex;

use super::{
    Settings,
    problems::{Owner, Problems},
};
use crate::model::{Profile, Reason};

/// Regular expressions that were compiled in this translation: the same ones come again and again.
#[derive(Debug)]
pub(super) struct Regexes {
    has_pcre: bool,
    /// Whether that is only assumed.
    is_assumed: bool,
    known: HashMap<String, Result<(), String>>,
    /// Those that PCRE alone can compile, where it is only assumed that the proxies have it.
    doubtful: HashSet<String>,
}

impl Regexes {
    /// For the routers of that profile.
    pub(super) fn of(profile: &Profile) -> Self {
        Self {
            has_pcre: profile.has_pcre(),
            is_assumed: false,
            known: HashMap::new(),
            doubtful: HashSet::new(),
        }
    }

    /// For the routers of the profile of these settings, as far as it is known.
    pub(super) fn with(settings: &Settings) -> Self {
        let is_assumed = settings.router_assumed || settings.profile.edition.is_none();
        Self {
            is_assumed: is_assumed && !settings.raw_objects,
            ..Self::of(&settings.profile)
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
        if self.is_assumed && result.is_ok() && Regex::new(pattern).is_err() {
            self.doubtful.insert(pattern.to_owned());
        }
        self.known.insert(pattern.to_owned(), result.clone());
        result
    }

    /// Whether any expression may be one that the proxies can't compile.
    pub(super) fn has_doubts(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// Says of an expression that was found good whether it is so only if the proxies are what is assumed.
    pub(super) fn tell_doubt(
        &self,
        owner: Owner<'_>,
        field: impl FnOnce() -> String,
        pattern: &str,
        problems: &mut Problems,
    ) {
        if self.doubtful.contains(pattern) {
            problems.report(
                owner,
                field(),
                Reason::Unsupported,
                format!(
                    "{pattern:?} is for PCRE, which only Kong with the router flavour traditional has; other proxies leave it \
                     out, and nothing says yet which ones these are"
                ),
                "write it without look-around, back-references and possessive quantifiers, or offline say what the proxies \
                 are: --router-flavor and --edition",
            );
        }
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
    use crate::model::{Edition, Kind, RouterFlavor, kubernetes::Metadata};

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
    fn what_needs_pcre_is_told_where_proxies_are_only_assumed_to_have_it() {
        let told = |settings: &Settings, pattern: &str| {
            let mut regexes = Regexes::with(settings);
            assert_eq!(regexes.check(pattern), Ok(()));
            let (metadata, mut problems) = (Metadata::default(), Problems::default());
            let owner = Owner::new(Kind::Ingress, &metadata);
            regexes.tell_doubt(owner, || "path".to_owned(), pattern, &mut problems);
            problems.finish().len()
        };
        let of = |edition| Settings {
            profile: Profile {
                edition,
                ..Profile::default()
            },
            ..Settings::default()
        };
        let known = of(Some(Edition::OpenSource));
        assert_eq!(told(&known, "/a(?!b)"), 0);
        assert_eq!(told(&of(None), "/a(?!b)"), 1, "the edition is not known");
        assert_eq!(told(&of(None), "/a[0-9]+"), 0, "everybody takes it");
        let guessed = Settings {
            router_assumed: true,
            ..known
        };
        assert_eq!(told(&guessed, "/a(?!b)"), 1, "the flavour is not known");
        let compared = Settings {
            raw_objects: true,
            ..of(None)
        };
        assert_eq!(told(&compared, "/a(?!b)"), 0, "Kong Ingress Controller does not tell");
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
