//! Where a request comes from, as far as what stands before this proxy is believed.
//!
//! Kong's rules: what a trusted peer says in `X-Forwarded-*` is passed on and decides whether a request came over TLS, and
//! the client's address is what nginx' realip module makes of `real_ip_header`. From anybody else both are worth nothing.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::headers::{FORWARDED_HOST, FORWARDED_PROTO};
use crate::data::{
    listener::{Client, Scheme},
    options::Trust,
};

/// Where a request comes from.
#[derive(Debug)]
pub(super) struct Origin {
    /// The client's address.
    pub address: IpAddr,
    /// Whether the client's own connection was over TLS.
    pub secure: bool,
    /// The host that the client asked for, where a trusted peer says so.
    pub host: Option<HeaderValue>,
    trusted: bool,
}

impl Origin {
    /// The origin of a request with these headers.
    pub(super) fn of(headers: &HeaderMap, client: &Client, trust: &Trust) -> Self {
        let peer = client.peer.ip().to_canonical();
        let mut origin = Self {
            address: peer,
            secure: client.scheme == Scheme::Https,
            host: None,
            trusted: trust.covers(peer),
        };
        if origin.trusted {
            origin.address = real_address(headers, trust, peer);
            origin.host = origin.told(headers, &FORWARDED_HOST).cloned();
            if let Some(protocol) = origin.told(headers, &FORWARDED_PROTO) {
                origin.secure = protocol.as_bytes().eq_ignore_ascii_case(b"https");
            }
        }
        origin
    }

    /// What a trusted peer says in a header.
    pub(super) fn told<'a>(&self, headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
        headers.get(name).filter(|_| self.trusted)
    }
}

/// The address in the header, nearest first: the first one, or with `recursive` the first that is not trusted. What is
/// no address ends the walk.
fn real_address(headers: &HeaderMap, trust: &Trust, peer: IpAddr) -> IpAddr {
    let values = headers.get_all(&trust.real_ip_header).iter();
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let mut found = peer;
    for text in texts.iter().flat_map(|text| text.split(',')).rev() {
        let Some(address) = address(text.trim()) else { break };
        found = address;
        if !trust.recursive || !trust.covers(address) {
            break;
        }
    }
    found
}

/// An address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse();
    let address = address.or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(recursive: bool, values: &[&'static str]) -> String {
        let trust = Trust {
            networks: vec!["10.0.0.0/8".parse().expect("a network")],
            real_ip_header: HeaderName::from_static("x-forwarded-for"),
            recursive,
        };
        let name = HeaderName::from_static("x-forwarded-for");
        let headers = values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_static(value)));
        let peer = "10.0.0.9".parse().expect("an address");
        real_address(&headers.collect(), &trust, peer).to_string()
    }

    #[test]
    fn the_address_is_found_as_nginx_finds_it() {
        for (recursive, values, expected) in [
            (false, &[][..], "10.0.0.9"),
            (false, &["203.0.113.7"], "203.0.113.7"),
            (false, &["203.0.113.7, 10.0.0.2"], "10.0.0.2"),
            (true, &["198.51.100.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            (true, &["203.0.113.7", "10.0.0.2, 10.0.0.3"], "203.0.113.7"),
            (true, &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            (true, &["203.0.113.7, nonsense, 10.0.0.2"], "10.0.0.2"),
            (false, &["nonsense"], "10.0.0.9"),
            (false, &["203.0.113.7:4711"], "203.0.113.7"),
            (false, &["[2001:db8::1]:4711"], "2001:db8::1"),
            (false, &["[2001:db8::1]"], "2001:db8::1"),
            (false, &["::ffff:203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(found(recursive, values), expected, "{values:?}, recursive {recursive}");
        }
    }
}
