//! Headers on their way: what belongs to one connection is taken off, what the next one shall know is put on.

use hyper::{
    HeaderMap, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, Entry, HOST, HeaderName, HeaderValue, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE, VIA,
    },
    http::request::Parts,
};

use super::{Exchange, head::Head};
use crate::data::{router::RouteMatch, runtime::RouteEntry};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PATH: HeaderName = HeaderName::from_static("x-forwarded-path");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// Identifies a request in answers, upstream and logs.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-kong-request-id");

/// Headers of one connection, beside those that `Connection` names (RFC 9110, section 7.6.1), and `Proxy`, which CGI
/// programs take for a setting of theirs.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy"),
    HeaderName::from_static("http2-settings"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The tokens of all `Connection` headers.
pub(super) fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter();
    let lists = values.filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

/// Takes off what belongs to the connection that a message came over.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // What frames or routes a message is no connection's own, whatever `Connection` says.
    let kept = [CONTENT_LENGTH, HOST, TRANSFER_ENCODING, TE, TRAILER];
    let named: Vec<HeaderName> = connection_tokens(headers)
        .filter_map(|token| token.parse().ok())
        .filter(|name| !kept.contains(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Turns a client's headers into those for the upstream, but for `Host`.
pub(super) fn for_upstream(
    parts: &mut Parts,
    head: &Head,
    route: &RouteEntry,
    found: RouteMatch,
    exchange: &Exchange<'_>,
) {
    let raw_path = parts.uri.path().to_owned();
    let headers = &mut parts.headers;
    remove_hop_by_hop(headers);
    headers.remove(EXPECT);
    let trailers = headers
        .get_all(TE)
        .iter()
        .any(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    match trailers {
        true => drop(headers.insert(TE, HeaderValue::from_static("trailers"))),
        false => drop(headers.remove(TE)),
    }
    join_cookies(headers);
    if head.websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    let product = &exchange.plane.options.product;
    append_via(headers, parts.version, product);
    let (client, origin) = (exchange.client, &exchange.origin);
    let (peer, real) = (client.peer.ip().to_canonical().to_string(), origin.address.to_string());
    let earlier = headers.get_all(FORWARDED_FOR).iter();
    let mut chain: Vec<&str> = earlier.filter_map(|value| value.to_str().ok()).collect();
    // As Kong: the first in the chain is the client, whoever told of it.
    chain.push(if chain.is_empty() { &real } else { &peer });
    let chain = chain.join(", ");
    set(headers, FORWARDED_FOR, &chain);
    set(headers, REAL_IP, &real);
    let port = client.local.port();
    let port = exchange.plane.options.port_maps.get(&port).unwrap_or(&port).to_string();
    for (name, own) in [
        (FORWARDED_PROTO, client.scheme.as_str()),
        (FORWARDED_HOST, head.host.as_str()),
        (FORWARDED_PORT, port.as_str()),
        (FORWARDED_PATH, raw_path.as_str()),
    ] {
        match origin.told(headers, &name).cloned() {
            Some(told) => drop(headers.insert(name, told)),
            None => set(headers, name, own),
        }
    }
    let prefix = origin.told(headers, &FORWARDED_PREFIX).cloned();
    headers.remove(FORWARDED_PREFIX);
    let stripped = || {
        let length = found.matched.filter(|_| route.strip_path)?;
        let prefix = &head.path[..length.min(head.path.len())];
        HeaderValue::from_bytes(prefix).ok().filter(|_| prefix != b"/")
    };
    if let Some(prefix) = prefix.or_else(stripped) {
        headers.insert(FORWARDED_PREFIX, prefix);
    }
    if exchange.plane.options.request_id_upstream {
        headers.insert(REQUEST_ID, exchange.request_id.clone());
    }
}

/// HTTP/2 splits cookies over several fields; HTTP/1 wants one (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(entry) = headers.entry(COOKIE) else {
        return;
    };
    if entry.iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = entry.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, cookie);
    }
}

/// Adds the proxy to the list of those that a message came through.
pub(super) fn append_via(headers: &mut HeaderMap, version: Version, product: &str) {
    let version = match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    let mut through: Vec<String> = headers
        .get_all(VIA)
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    through.push(format!("{version} {product}"));
    set(headers, VIA, &through.join(", "));
}

/// Sets a header, unless the text can't stand in one: then there shall be none, not a client's.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    match HeaderValue::from_str(text) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        given
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_connection_names_goes_but_never_what_frames_the_message() {
        let mut given = headers(&[
            ("connection", "close, x-private, content-length, host"),
            ("keep-alive", "timeout=5"),
            ("x-private", "1"),
            ("content-length", "3"),
            ("host", "a.test"),
            ("x-kept", "1"),
        ]);
        remove_hop_by_hop(&mut given);
        let mut left: Vec<_> = given.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "x-kept"]);
    }

    #[test]
    fn crumbs_of_cookies_are_joined() {
        let mut given = HeaderMap::new();
        given.append(COOKIE, HeaderValue::from_static("a=1"));
        given.append(COOKIE, HeaderValue::from_static("b=2"));
        join_cookies(&mut given);
        assert_eq!(given.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn via_grows() {
        let mut given = headers(&[("via", "1.0 old")]);
        append_via(&mut given, Version::HTTP_2, "kong/3.9.3");
        assert_eq!(given[VIA], "1.0 old, 2 kong/3.9.3");
    }
}
