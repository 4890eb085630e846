//! The shorthand `url` of a service, split as Kong splits it. Called by the service's checks and by `normalize`.

/// What a service's `url` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceUrl {
    pub(crate) protocol: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: Option<String>,
}

impl ServiceUrl {
    /// `None` if there is no scheme, no host, or no valid port.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (protocol, rest) = url.split_once("://")?;
        let protocol = protocol.to_ascii_lowercase();
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let path = rest.split(['?', '#']).next().filter(|path| !path.is_empty());
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let port_at = match authority.rfind(']') {
            Some(bracket) => authority[bracket..].find(':').map(|colon| bracket + colon),
            None => authority.find(':'),
        };
        let (host, port) = match port_at {
            Some(colon) => (&authority[..colon], Some(authority[colon + 1..].parse().ok()?)),
            None => (authority, None),
        };
        if host.is_empty() {
            return None;
        }
        let default_port = match protocol.as_str() {
            "https" | "grpcs" | "wss" | "tls" | "tls_passthrough" => 443,
            _ => 80,
        };
        Some(Self {
            host: host.to_owned(),
            port: port.unwrap_or(default_port),
            path: path.map(str::to_owned),
            protocol,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ServiceUrl;

    #[test]
    fn urls_are_split_with_the_default_port_of_their_scheme() {
        let cases = [
            ("http://x:80/y", Some(("http", "x", 80, Some("/y")))),
            ("https://x", Some(("https", "x", 443, None))),
            ("https://[::1]:8443/a?b", Some(("https", "[::1]", 8443, Some("/a")))),
            ("tcp://u:p@h.example:22", Some(("tcp", "h.example", 22, None))),
            ("http://", None),
            ("h.example", None),
            ("http://h:x", None),
        ];
        for (url, expected) in cases {
            let parsed = ServiceUrl::parse(url);
            let parsed = parsed
                .as_ref()
                .map(|url| (&*url.protocol, &*url.host, url.port, url.path.as_deref()));
            assert_eq!(parsed, expected, "{url}");
        }
    }
}
