//! Rules for texts: names, tags, host names, paths. Messages are Kong's.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Any text.
pub(crate) fn any(_: &str) -> Result<(), String> {
    Ok(())
}

/// Names of services, routes and the like.
pub(crate) fn name(text: &str) -> Result<(), String> {
    let allowed = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~');
    if text.chars().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "invalid value '{text}': the only accepted ascii characters are alphanumerics or ., -, _, and ~"
    ))
}

/// Tags.
pub(crate) fn tag(text: &str) -> Result<(), String> {
    let allowed = |c: char| !c.is_ascii() || ((' '..='~').contains(&c) && c != ',' && c != '/');
    if text.chars().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "invalid tag '{text}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
    ))
}

/// Prefix of a vault's references.
pub(crate) fn vault_prefix(text: &str) -> Result<(), String> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    let valid = bytes.len() >= 2
        && bytes[0].is_ascii_lowercase()
        && allowed(bytes[bytes.len() - 1])
        && bytes.iter().all(|&byte| allowed(byte) || byte == b'-');
    matches_or(valid, text)
}

/// Methods: upper-case letters.
pub(crate) fn method(text: &str) -> Result<(), String> {
    matches_or(text.bytes().all(|byte| byte.is_ascii_uppercase()), text)
}

/// Names of header fields.
pub(crate) fn header_name(text: &str) -> Result<(), String> {
    if !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    {
        return Ok(());
    }
    Err(format!(
        "bad header name '{text}', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
    ))
}

/// Names of header fields by which a route matches.
pub(crate) fn route_header_name(text: &str) -> Result<(), String> {
    if text.eq_ignore_ascii_case("host") {
        return Err("cannot contain 'host' header, which must be specified in the 'hosts' attribute".to_owned());
    }
    header_name(text)
}

/// Host names and IP addresses, without a port.
pub(crate) fn host(text: &str) -> Result<(), String> {
    match split_port(text) {
        Some((host, None)) if is_host(host) => Ok(()),
        Some((host, Some(_))) if is_host(host) => Err("must not have a port".to_owned()),
        _ => Err(format!("invalid value: {text}")),
    }
}

/// Host names with a `*` as the leftmost or rightmost label, or the `*` alone: server names of TLS.
pub(crate) fn wildcard_host(text: &str) -> Result<(), String> {
    wildcard(text)?;
    host(&without_wildcard(text)).map_err(|_| format!("invalid value: {text}"))
}

/// Hosts of routes: as server names, a port allowed.
pub(crate) fn route_host(text: &str) -> Result<(), String> {
    wildcard(text)?;
    match split_port(&without_wildcard(text)) {
        Some((host, _)) if is_host(host) => Ok(()),
        _ => Err(format!("invalid value: {text}")),
    }
}

fn wildcard(text: &str) -> Result<(), String> {
    match text.matches('*').count() {
        0 => Ok(()),
        1 if text == "*" || text.starts_with("*.") || text.ends_with(".*") => Ok(()),
        1 if text.split_once(':').is_some_and(|(host, _)| host.ends_with(".*")) => Ok(()),
        1 => Err("invalid wildcard: must be placed at leftmost or rightmost label".to_owned()),
        _ => Err("invalid wildcard: must have at most one wildcard".to_owned()),
    }
}

fn without_wildcard(text: &str) -> String {
    text.replacen('*', "a", 1)
}

/// Names of upstreams.
pub(crate) fn upstream_name(text: &str) -> Result<(), String> {
    match split_port(text) {
        Some((host, _)) if is_address(host) => Err(format!("Invalid name ('{text}'); no ip addresses allowed")),
        Some((host, Some(_))) if is_host(host) => Err(format!("Invalid name ('{text}'); no port allowed")),
        Some((host, None)) if is_host(host) => Ok(()),
        _ => Err(format!("Invalid name ('{text}'); must be a valid hostname")),
    }
}

/// Targets: `host`, `host:port`, `[IPv6]:port`.
pub(crate) fn target(text: &str) -> Result<(), String> {
    match split_port(text) {
        Some((host, _)) if is_host(host) => Ok(()),
        _ => Err(format!("Invalid target ('{text}'); not a valid hostname or ip address")),
    }
}

/// IP addresses and CIDR blocks.
pub(crate) fn address_or_block(text: &str) -> Result<(), String> {
    let valid = match text.split_once('/') {
        None => is_address(text),
        Some((address, length)) => {
            let most = if address.contains(':') { 128 } else { 32 };
            is_address(address) && length.parse::<u8>().is_ok_and(|length| length <= most)
        }
    };
    if valid {
        return Ok(());
    }
    Err(format!("invalid ip or cidr range: '{text}'"))
}

/// Paths of services: what is sent to the upstream.
pub(crate) fn service_path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err("should start with: /".to_owned());
    }
    if text.contains("//") {
        return Err("must not have empty segments".to_owned());
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
    if !text.bytes().all(allowed) {
        return Err(format!(
            "invalid path: '{text}' (characters outside of the reserved list of RFC 3986 found)"
        ));
    }
    percent_encoded(text)
}

/// Paths of health checks: with a query.
pub(crate) fn probe_path(text: &str) -> Result<(), String> {
    if text.starts_with('/') {
        Ok(())
    } else {
        Err("should start with: /".to_owned())
    }
}

/// Paths of routes: a prefix in normal form, or a regular expression after `~`.
pub(crate) fn route_path(text: &str) -> Result<(), String> {
    let pattern = text.strip_prefix('~');
    if !pattern.unwrap_or(text).starts_with('/') {
        return Err("should start with: / (fixed path) or ~/ (regex path)".to_owned());
    }
    if text.contains("//") {
        return Err("must not have empty segments".to_owned());
    }
    if let Some(pattern) = pattern {
        return pattern_compiles(pattern);
    }
    let normal = normal_path(text);
    if normal == text {
        return Ok(());
    }
    Err(format!("non-normalized path, consider use '{normal}' instead"))
}

/// Whether a regular expression compiles. The embedded proxy, like Kong's `traditional_compatible`, matches by this crate.
fn pattern_compiles(pattern: &str) -> Result<(), String> {
    // Most paths of a controller are plain text and an anchor: compiling thousands of them takes longer than all else.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~%".contains(&byte);
    if pattern.strip_suffix('$').unwrap_or(pattern).bytes().all(plain) {
        return Ok(());
    }
    match regex::Regex::new(pattern) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("invalid regex: '{pattern}' ({error})")),
    }
}

/// Removes dot segments and needless percent-encoding (RFC 3986, 6.2.2).
fn normal_path(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        match rest.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                decoded.push(char::from(byte));
                rest = &rest[3..];
            }
            Some(byte) => {
                decoded.push_str(&format!("%{byte:02X}"));
                rest = &rest[3..];
            }
            None => {
                decoded.push('%');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_in_dots = false;
    for segment in decoded.split('/').skip(1) {
        ends_in_dots = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let slash = if ends_in_dots && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", segments.join("/"))
}

fn percent_encoded(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('%') {
        let digits = text.get(at + 1..at + 3).unwrap_or("");
        if digits.len() < 2 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let found = text.get(at..(at + 3).min(text.len())).unwrap_or("%");
            return Err(format!("invalid url-encoded value: '{found}'"));
        }
    }
    Ok(())
}

/// Host and port, if the text can be split so; IPv6 addresses with a port stand in brackets.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((address, Some(port.parse().ok()?))),
            None if after.is_empty() => Some((address, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok()
}

/// An IP address, or a host name of letters, digits, `-` and `_` in labels. Of any length: Kong goes by characters alone,
/// and names of upstreams are hosts that no DNS ever sees.
fn is_host(text: &str) -> bool {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().is_ok();
    }
    let bare = text.strip_suffix('.').unwrap_or(text);
    let numeric = bare.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric {
        return bare.parse::<Ipv4Addr>().is_ok();
    }
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    bare.split('.').all(label)
}

fn matches_or(valid: bool, text: &str) -> Result<(), String> {
    if valid {
        Ok(())
    } else {
        Err(format!("invalid value: {text}"))
    }
}
