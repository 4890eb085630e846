//! Finds where values of a JSON text begin and end, without reading them. Called by `incremental`.
//!
//! What lies within a value is not checked here: whoever takes one reads it, or knows it byte for byte.

use std::ops::Range;

/// A place in a JSON text.
#[derive(Clone)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

/// What ended an element of a list or an entry of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// Another one follows.
    Comma,
    /// The list or object is over.
    End,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// How many bytes were passed.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The next byte that is no whitespace.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
        None
    }

    /// Passes this byte; nothing else may come next.
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Passes this byte if it comes next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        self.expect(byte).is_some()
    }

    /// Passes a comma or this closing bracket.
    pub(super) fn separator(&mut self, end: u8) -> Option<Separator> {
        let separator = match self.peek()? {
            b',' => Separator::Comma,
            byte if byte == end => Separator::End,
            _ => return None,
        };
        self.at += 1;
        Some(separator)
    }

    /// Passes a key and its colon. `None` also for keys that hold an escape: two of them may mean the same.
    pub(super) fn key(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let start = self.at;
        let length = self.text[start..]
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\'))?;
        self.at = start + length;
        self.expect(b'"')?;
        self.expect(b':')?;
        Some(&self.text[start..start + length])
    }

    /// Passes these bytes if they come next. They must be an object or a list as a whole.
    pub(super) fn take_known(&mut self, known: &[u8]) -> bool {
        let comes_next = self.peek().is_some() && self.text[self.at..].starts_with(known);
        if comes_next {
            self.at += known.len();
        }
        comes_next
    }

    /// Passes a value and tells where it is.
    pub(super) fn value(&mut self) -> Option<Range<usize>> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => self.string()?,
            b'{' | b'[' => {
                let mut depth = 0_usize;
                loop {
                    match self.text.get(self.at)? {
                        b'"' => {
                            self.string()?;
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => {
                let rest = self.text[start..].iter();
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                self.at += rest.take_while(|byte| !is_end(byte)).count();
            }
        }
        (self.at > start).then_some(start..self.at)
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.text.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Whether nothing but whitespace is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_they_end() {
        for value in [
            r#""a\"b\\""#,
            "12.5e3",
            "null",
            r#"{"a":"}","b":[1,{"c":"]\""}]}"#,
            "[]",
            r#"["\\"]"#,
        ] {
            for after in ["", ",", "]", " }", "\n"] {
                let text = format!(" {value}{after}");
                let mut scanner = Scanner::new(text.as_bytes());
                let range = scanner.value().expect("a value");
                assert_eq!(&text[range], value, "{text}");
            }
        }
        for broken in ["", " ", "\"a", "[1", "{\"a\":\"\\", "]", ","] {
            assert!(Scanner::new(broken.as_bytes()).value().is_none(), "{broken}");
        }
    }

    #[test]
    fn keys_are_plain_text() {
        assert_eq!(Scanner::new(br#" "ab" : 1"#).key(), Some(&b"ab"[..]));
        for broken in [r#""a\u0062":1"#, r#""a" 1"#, r#""a"#, "a:1"] {
            assert!(Scanner::new(broken.as_bytes()).key().is_none(), "{broken}");
        }
    }
}
