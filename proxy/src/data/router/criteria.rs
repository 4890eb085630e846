//! What a route asks of a request, each kind of criterion on its own.

use hyper::{HeaderMap, Method, header::HeaderName};
use proxy_config_schema::Route;
use regex::bytes::{Regex, RegexBuilder};

use super::{super::listener::Scheme, RequestFacts};

/// Memory that one compiled expression may take, in bytes: foreign input is bounded.
pub(super) const MAX_EXPRESSION_BYTES: usize = 1 << 20;

/// What is wrong with a route, and in which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) struct RouteError {
    /// The field: `paths.1`, counted from 1.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// Methods, headers and server names of a route. Hosts and paths are indexed and stand on their own.
#[derive(Debug, Default)]
pub(super) struct Criteria {
    methods: Vec<Method>,
    headers: Vec<HeaderRule>,
    server_names: Vec<String>,
}

impl Criteria {
    /// # Errors
    /// Header names that aren't any, expressions that don't compile.
    pub(super) fn new(route: &Route) -> Result<Self, Vec<RouteError>> {
        let mut errors = Vec::new();
        let mut headers = Vec::new();
        for (name, values) in route.headers.iter().flatten() {
            match HeaderRule::new(name, values) {
                Ok(rule) => headers.push(rule),
                Err(message) => errors.push(RouteError {
                    field: format!("headers.{name}"),
                    message,
                }),
            }
        }
        let mut methods = Vec::new();
        for method in route.methods.iter().flatten() {
            match method.parse() {
                Ok(method) => methods.push(method),
                Err(_) => errors.push(RouteError {
                    field: "methods".to_owned(),
                    message: format!("invalid method: {method:?}"),
                }),
            }
        }
        let server_names = route.snis.iter().flatten();
        let server_names = server_names
            .map(|name| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase())
            .collect();
        if errors.is_empty() {
            Ok(Self {
                methods,
                headers,
                server_names,
            })
        } else {
            Err(errors)
        }
    }

    pub(super) fn matches(&self, request: &RequestFacts<'_>) -> bool {
        let method = self.methods.is_empty() || self.methods.contains(request.method);
        method && self.matches_server_name(request) && self.headers.iter().all(|rule| rule.matches(request.headers))
    }

    /// Server names are asked of TLS connections only (Kong #6425).
    fn matches_server_name(&self, request: &RequestFacts<'_>) -> bool {
        self.server_names.is_empty()
            || request.scheme == Scheme::Http
            || request
                .server_name
                .is_some_and(|name| self.server_names.iter().any(|expected| expected == name))
    }
}

#[derive(Debug)]
struct HeaderRule {
    name: HeaderName,
    values: Vec<HeaderValueRule>,
}

#[derive(Debug)]
enum HeaderValueRule {
    /// In any case.
    Equal(String),
    /// After `~*`, in any case. Kong lowers value and expression, which breaks `\S` and its like; here the expression
    /// ignores case instead.
    Pattern(Regex),
}

impl HeaderRule {
    fn new(name: &str, values: &[String]) -> Result<Self, String> {
        let name = name.parse().map_err(|_| "invalid header name".to_owned())?;
        let values = values
            .iter()
            .map(|value| match value.strip_prefix("~*") {
                None => Ok(HeaderValueRule::Equal(value.clone())),
                Some(pattern) => RegexBuilder::new(pattern)
                    .case_insensitive(true)
                    .size_limit(MAX_EXPRESSION_BYTES)
                    .build()
                    .map(HeaderValueRule::Pattern)
                    .map_err(|error| format!("invalid regex: '{pattern}' ({error})")),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { name, values })
    }

    fn matches(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(&self.name).iter();
        given.any(|given| {
            self.values.iter().any(|rule| match rule {
                HeaderValueRule::Equal(value) => given.as_bytes().eq_ignore_ascii_case(value.as_bytes()),
                HeaderValueRule::Pattern(regex) => regex.is_match(given.as_bytes()),
            })
        })
    }
}

/// A host of a route; a port, where it names one, has to fit too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostRule {
    /// The whole name.
    Exact { name: String, port: Option<u16> },
    /// `*.example.test`: any text, then this.
    Suffix { rest: String, port: Option<u16> },
    /// `example.*`: this, then any text.
    Prefix { rest: String, port: Option<u16> },
}

impl HostRule {
    pub(super) fn new(host: &str) -> Self {
        let host = host.to_ascii_lowercase();
        let (name, port) = split_port(&host);
        if let Some(rest) = name.strip_prefix('*') {
            let rest = rest.to_owned();
            return Self::Suffix { rest, port };
        }
        if let Some(rest) = name.strip_suffix('*') {
            let rest = rest.to_owned();
            return Self::Prefix { rest, port };
        }
        let name = name.to_owned();
        Self::Exact { name, port }
    }

    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        let (fits, expected) = match self {
            Self::Exact { name, port } => (host == name, port),
            Self::Suffix { rest, port } => (host.ends_with(rest.as_str()), port),
            Self::Prefix { rest, port } => (host.starts_with(rest.as_str()), port),
        };
        fits && expected.is_none_or(|expected| expected == port)
    }
}

/// Parts a host from its port, if it has one: `a.test:80`, `[::1]:80`, `[::1]`, `a.*:80`.
pub(in crate::data) fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (host, None),
        },
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_parted_from_names_and_addresses() {
        for (host, expected) in [
            ("a.test", ("a.test", None)),
            ("a.test:80", ("a.test", Some(80))),
            ("a.*:80", ("a.*", Some(80))),
            ("[::1]:80", ("[::1]", Some(80))),
            ("[::1]", ("[::1]", None)),
            ("::1", ("::1", None)),
            ("a.test:x", ("a.test:x", None)),
        ] {
            assert_eq!(split_port(host), expected);
        }
    }
}
