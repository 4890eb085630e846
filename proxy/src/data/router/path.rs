//! Paths: normalised before routes see them, joined with the service's path afterwards (Kong: `kong.tools.uri`,
//! `kong.router.utils`).

use std::borrow::Cow;

/// Characters that mean something in a URI: encoding or decoding them would change what it means (RFC 3986, 2.2).
fn is_reserved(byte: u8) -> bool {
    b"!*'();:@&=+$,/?%#[]".contains(&byte)
}

/// The path that routes see: percent-encoded characters without a meaning of their own decoded, others in upper-case
/// hexadecimal, dot segments resolved, slashes merged.
pub(in crate::data) fn normalise(path: &str) -> Cow<'_, [u8]> {
    let decoded = decode(path.as_bytes());
    let has_dots = decoded.windows(2).any(|pair| pair == b"/.");
    let has_double_slash = decoded.windows(2).any(|pair| pair == b"//");
    if !has_dots && !has_double_slash || decoded.first() != Some(&b'/') {
        return decoded;
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut directory = false;
    for segment in decoded[1..].split(|&byte| byte == b'/') {
        directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut normal = Vec::with_capacity(decoded.len());
    for segment in &segments {
        normal.push(b'/');
        normal.extend_from_slice(segment);
    }
    if directory || normal.is_empty() {
        normal.push(b'/');
    }
    Cow::Owned(normal)
}

fn decode(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.contains(&b'%') {
        return Cow::Borrowed(path);
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let value = match (first, tail) {
            (b'%', [high, low, ..]) => hexadecimal(*high).zip(hexadecimal(*low)),
            _ => None,
        };
        let Some((high, low)) = value else {
            decoded.push(first);
            continue;
        };
        let byte = high << 4 | low;
        if is_reserved(byte) {
            decoded.extend([b'%', tail[0].to_ascii_uppercase(), tail[1].to_ascii_uppercase()]);
        } else {
            decoded.push(byte);
        }
        rest = &tail[2..];
    }
    Cow::Owned(decoded)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// A path as it may stand in a request line: characters that may not are percent-encoded.
pub(in crate::data) fn escape(path: &[u8]) -> String {
    let mut escaped = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || is_reserved(byte) || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// The path for the upstream by `path_handling` v0: the service's path, then what is left of the request's.
///
/// `stripped` is how much of the request's path the route takes away; `None` if it takes nothing. Kong's
/// `traditional_compatible` joins by v0 whatever the route says, so v1 is the same here.
pub(in crate::data) fn join(base: &[u8], path: &[u8], stripped: Option<usize>) -> Vec<u8> {
    let slashed = base.ends_with(b"/");
    let Some(stripped) = stripped else {
        return match path {
            b"/" if !slashed => base.to_vec(),
            path if slashed => [base, path.strip_prefix(b"/").unwrap_or(path)].concat(),
            path => [base, path].concat(),
        };
    };
    let rest = without_leading_dots(&path[stripped.min(path.len())..]);
    let bare = base.strip_suffix(b"/").unwrap_or(base);
    if !rest.is_empty() {
        let slash: &[u8] = if rest.starts_with(b"/") { b"" } else { b"/" };
        return [bare, slash, rest].concat();
    }
    if base == b"/" {
        return base.to_vec();
    }
    // The whole path was taken: it ended in a slash, so shall the upstream's.
    let directory = path.ends_with(b"/") && (slashed || path.len() > 1);
    [bare, if directory { b"/" } else { b"" }].concat()
}

/// What is left after a prefix must not begin with a dot segment: it would reach outside of the service's path.
fn without_leading_dots(rest: &[u8]) -> &[u8] {
    match rest {
        b"." | b".." => b"",
        [b'.', b'/', rest @ ..] | [b'.', b'.', b'/', rest @ ..] => rest,
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn normalises_as_kong_does() {
        for (path, expected) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a//../b", "/b"),
            ("/../../b", "/b"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a%2fb", "/a%2Fb"),
            ("/%7Euser/%41", "/~user/A"),
            ("/a%20b", "/a b"),
            ("/100%", "/100%"),
            ("/%zz", "/%zz"),
            ("/%2525", "/%2525"),
            ("/a...b/.c", "/a...b/.c"),
        ] {
            assert_eq!(String::from_utf8_lossy(&normalise(path)), expected, "{path}");
        }
    }

    #[test]
    fn escapes_what_may_not_stand_in_a_request_line() {
        assert_eq!(escape(b"/a b/\xff\"{}%2F?"), "/a%20b/%FF%22%7B%7D%2F?");
    }

    #[test]
    fn joins_as_path_handling_v0_does() {
        for (base, path, stripped, expected) in [
            ("/", "/plain/x", Some(6), "/x"),
            ("/", "/plain", Some(6), "/"),
            ("/", "/plain/", Some(6), "/"),
            ("/", "/a/x", None, "/a/x"),
            ("/", "/", None, "/"),
            ("/s", "/tv0/req", Some(4), "/s/req"),
            ("/s", "/tv0/req", Some(5), "/s/req"),
            ("/s/", "/tv0/req", Some(4), "/s/req"),
            ("/s/", "/tv0/req", Some(5), "/s/req"),
            ("/s", "/tv0", Some(4), "/s"),
            ("/s", "/tv0/", Some(5), "/s/"),
            ("/s/", "/tv0", Some(4), "/s"),
            ("/s/", "/tv0/", Some(5), "/s/"),
            ("/s", "/", Some(1), "/s"),
            ("/s/", "/", Some(1), "/s/"),
            ("/s", "/fv0/req", None, "/s/fv0/req"),
            ("/s/", "/fv0/req", None, "/s/fv0/req"),
            ("/s", "/", None, "/s"),
            ("/s/", "/", None, "/s/"),
            ("/s", "/tv0/..", Some(5), "/s"),
            ("/s", "/abc", Some(2), "/s/bc"),
        ] {
            let joined = join(base.as_bytes(), path.as_bytes(), stripped);
            assert_eq!(String::from_utf8_lossy(&joined), expected, "{base} {path} {stripped:?}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_path_is_absolute_without_dot_segments_and_stays_as_it_is(path in "/[a-c./%2eEfF]{0,24}") {
            let normal = normalise(&path).into_owned();
            prop_assert!(normal.starts_with(b"/"));
            prop_assert!(!normal.windows(2).any(|pair| pair == b"//"));
            prop_assert!(normal[1..].split(|&byte| byte == b'/').all(|segment| segment != b"." && segment != b".."));
            let text = escape(&normal);
            prop_assert_eq!(normalise(&text).into_owned(), normal);
        }
    }
}
