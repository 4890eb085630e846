//! What Kong takes as host, server name, path, method, tag: checked here, since one bad value makes it refuse the whole
//! configuration. Pure predicates; the callers report.

use std::net::IpAddr;

/// Whether it is a host name, maybe with a leading `*.` or a trailing `.*`, as Kong's `hosts` and the annotation
/// `konghq.com/host-aliases` take it.
pub(super) fn is_host(text: &str) -> bool {
    let text = text.strip_prefix("*.").unwrap_or(text);
    is_server_name(text.strip_suffix(".*").unwrap_or(text))
}

/// Whether it is a host name without wildcards: a TLS server name in a route.
pub(super) fn is_server_name(text: &str) -> bool {
    let is_numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.len() <= 253 && !is_numeric && text.split('.').all(is_label)
}

/// Whether it is an IP address, or a host name in which underscores may stand: what requests can be sent to.
pub(super) fn is_destination(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_server_name(&text.replace('_', "a"))
}

/// The same, with a port after it or not.
pub(super) fn is_destination_with_port(text: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    match text.split_once(':') {
        Some((name, port)) => is_destination(name) && is_port(port),
        None => is_destination(text),
    }
}

/// Whether it is the name of an object in the API server's sense; others would make names and tags that Kong refuses.
pub(super) fn is_object_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether Kong takes it as the name of an entity: letters of any script, digits, and a few signs.
pub(super) fn is_entity_name(text: &str) -> bool {
    let fits =
        |character: char| character.is_ascii_alphanumeric() || ".-_~".contains(character) || !character.is_ascii();
    !text.is_empty() && text.chars().all(fits)
}

/// Letters, digits and inner hyphens. Doubled hyphens are fine, unlike in Kong Ingress Controller's pattern: names in
/// Punycode (`xn--…`) have them.
pub(super) fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether it is the host of a rule: what the API server takes, and underscores, which Kong takes as well.
pub(super) fn is_rule_host(text: &str) -> bool {
    let plain = text.replace('_', "a");
    is_host(&plain) && plain.parse::<IpAddr>().is_err()
}

/// What is wrong with a host that must pass [`is_rule_host`], and what to write instead.
pub(super) fn check_host_name(text: &str) -> Result<(), (String, String)> {
    match is_rule_host(text) {
        true => Ok(()),
        false => Err((
            format!("{text:?} is not a host name"),
            "use a DNS name such as shop.example.com or *.example.com".to_owned(),
        )),
    }
}

/// The same of an Ingress: capitals are no host to the API server, and a proxy would look for them in vain, since clients ask
/// in small letters.
pub(super) fn check_rule_host(text: &str) -> Result<(), (String, String)> {
    check_host_name(text)?;
    let small = text.to_ascii_lowercase();
    match small == text {
        true => Ok(()),
        false => Err((
            format!("the host {text:?} has capital letters, which the API server refuses"),
            format!("write {small}"),
        )),
    }
}

/// Whether it is an HTTP method in capitals.
pub(super) fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Whether it is a header name that a route can match on. `Host` is matched by `hosts` alone.
pub(super) fn is_header_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && !text.eq_ignore_ascii_case("host")
}

/// Whether it is a UUID in its usual form.
pub(super) fn is_uuid(text: &str) -> bool {
    let is_dash = |position| matches!(position, 8 | 13 | 18 | 23);
    text.len() == 36
        && text.bytes().enumerate().all(|(position, byte)| {
            if is_dash(position) {
                byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        })
}

/// Whether Kong takes it as a tag: printable, without slash and comma.
pub(super) fn is_tag(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', ',']) && !text.chars().any(char::is_control)
}

/// The form in which Kong takes a path that is no regular expression, or what is wrong with it.
///
/// Kong refuses a path that is not in normal form (`kong.tools.uri.normalize`): dot segments, percent escapes of
/// unreserved characters or in lower case, characters outside of RFC 3986.
pub(super) fn check_path(path: &str) -> Result<(), PathFault> {
    if !path.starts_with('/') {
        return Err(PathFault::NotAbsolute);
    }
    let normal = normalize(path).ok_or(PathFault::BadEscape)?;
    if normal == path {
        Ok(())
    } else {
        Err(PathFault::NotNormal(normal))
    }
}

/// Whether Kong takes it as the path that requests of a service get in front.
pub(super) fn is_service_path(path: &str) -> bool {
    !path.contains("//") && !path.contains(['#', '?', '[', ']']) && check_path(path).is_ok()
}

/// What is wrong with a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PathFault {
    /// It does not start with a slash.
    NotAbsolute,
    /// A percent sign without two hexadecimal digits.
    BadEscape,
    /// Kong wants this form.
    NotNormal(String),
}

fn normalize(path: &str) -> Option<String> {
    const UNRESERVED: &[u8] = b"-._~";
    const RESERVED: &[u8] = b"!#$&'()*+,/:;=?@[]%";
    let mut escaped = Vec::with_capacity(path.len());
    let bytes = path.as_bytes();
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        let (value, was_escaped, width) = if byte == b'%' {
            let digits = std::str::from_utf8(bytes.get(index + 1..index + 3)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            (u8::from_str_radix(digits, 16).ok()?, true, 3)
        } else {
            (byte, false, 1)
        };
        let plain = value.is_ascii_alphanumeric() || UNRESERVED.contains(&value);
        if plain || (!was_escaped && RESERVED.contains(&value)) {
            escaped.push(value);
        } else {
            escaped.extend_from_slice(format!("%{value:02X}").as_bytes());
        }
        index += width;
    }
    let escaped = String::from_utf8(escaped).expect("every byte is ASCII by now");
    if !escaped.contains("/.") {
        return Some(escaped);
    }
    let mut segments: Vec<&str> = Vec::new();
    let mut trailing = false;
    for segment in escaped.split('/').skip(1) {
        trailing = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut normal: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
    if trailing || normal.is_empty() {
        normal.push('/');
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_may_have_one_wildcard_at_an_end() {
        for good in [
            "a",
            "a.example",
            "*.example.com",
            "shop.*",
            "xn--bcher-kva.example",
            "A-1.b",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "", "*", "a..b", "-a.b", "a-.b", "a b", "a.*.b", "a/b", "*.*", "a:80", "1", "1.2",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
        assert!(!is_server_name("*.example.com"));
        assert!(is_rule_host("my_host.example"));
        assert!(!is_rule_host("10.0.0.1"));
        assert_eq!(check_rule_host("*.shop.example"), Ok(()));
        let (message, remedy) = check_rule_host("*.Shop.example").expect_err("capitals");
        assert!(message.contains("capital letters"), "{message}");
        assert_eq!(remedy, "write *.shop.example");
    }

    #[test]
    fn a_host_header_may_have_a_port() {
        for good in ["shop.example", "my_host:8080", "10.0.0.1:80", "10.0.0.1"] {
            assert!(is_destination_with_port(good), "{good}");
        }
        for bad in [
            "",
            "a b",
            "shop.example:",
            "shop.example:http",
            "shop.example:65536",
            "a:+1",
            "a:1:2",
            ":80",
        ] {
            assert!(!is_destination_with_port(bad), "{bad}");
        }
    }

    #[test]
    fn a_path_must_be_in_the_form_that_kong_wants() {
        for good in [
            "/",
            "/a/b",
            "/a%2Fb",
            "/%C3%BC",
            "/.well-known/x",
            "/a.b/...",
            "/a;v=1,2",
        ] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        assert_eq!(check_path("a"), Err(PathFault::NotAbsolute));
        assert_eq!(check_path("/%zz"), Err(PathFault::BadEscape));
        assert_eq!(check_path("/%4"), Err(PathFault::BadEscape));
        for (path, normal) in [
            ("/a b", "/a%20b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/%7Ea", "/~a"),
            ("/%c3", "/%C3"),
            ("/\u{fc}", "/%C3%BC"),
        ] {
            assert_eq!(check_path(path), Err(PathFault::NotNormal(normal.to_owned())), "{path}");
        }
    }
}
