//! The head of a request: what it is for, checked before anything is done with it.

use hyper::{
    Method, Version,
    header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, UPGRADE},
    http::request::Parts,
};

use crate::data::{
    answer::{Failure, is_grpc},
    listener::Client,
    router::{RequestFacts, normalise, split_port},
};

/// What a request is for.
#[derive(Debug)]
pub(super) struct Head {
    /// Host as the client wrote it, with its port; `None` only in HTTP/1.0.
    pub authority: Option<String>,
    /// Host in lower case, without port.
    pub host: String,
    /// Port of the host, else the scheme's own.
    pub port: u16,
    /// Normalised path: what routes see.
    pub path: Vec<u8>,
    /// Whether it asks for a WebSocket.
    pub websocket: bool,
    /// Whether it is a gRPC call by its content type.
    pub grpc: bool,
}

impl Head {
    /// Reads a head.
    ///
    /// # Errors
    /// [`Failure::BadRequest`] where two parties could understand it differently: no host or several, a host that is
    /// none, a method that is not for gateways.
    pub(super) fn of(parts: &Parts, client: &Client) -> Result<Self, Failure> {
        if parts.method == Method::CONNECT {
            return Err(Failure::BadRequest);
        }
        let authority = authority(parts)?;
        let (name, port) = authority.as_deref().map_or(("", None), split_port);
        let host = name.to_ascii_lowercase();
        Ok(Self {
            port: port.unwrap_or(client.scheme.default_port()),
            path: normalise(parts.uri.path()).into_owned(),
            websocket: parts.version == Version::HTTP_11 && is_websocket(&parts.headers),
            grpc: parts.headers.get(CONTENT_TYPE).is_some_and(is_grpc),
            authority,
            host,
        })
    }

    /// What routes look at.
    pub(super) fn facts<'a>(&'a self, parts: &'a Parts, client: &'a Client) -> RequestFacts<'a> {
        RequestFacts {
            method: &parts.method,
            host: &self.host,
            port: self.port,
            path: &self.path,
            headers: &parts.headers,
            scheme: client.scheme,
            server_name: client.server_name.as_deref(),
        }
    }
}

fn authority(parts: &Parts) -> Result<Option<String>, Failure> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err(Failure::BadRequest);
    }
    let header = header.map(|host| text(host)).transpose()?;
    let authority = match (parts.uri.authority(), header) {
        (Some(authority), Some(host)) if parts.version == Version::HTTP_2 && authority.as_str() != host => {
            return Err(Failure::BadRequest);
        }
        (Some(authority), _) => Some(authority.as_str()),
        (None, header) => header,
    };
    let plain = |host: &str| {
        host.bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"/\\@?#,<>\"".contains(&byte))
    };
    match authority {
        None if parts.version >= Version::HTTP_11 => Err(Failure::BadRequest),
        Some(host) if !plain(host) => Err(Failure::BadRequest),
        authority => Ok(authority.map(str::to_owned)),
    }
}

fn text(value: &HeaderValue) -> Result<&str, Failure> {
    value.to_str().map_err(|_| Failure::BadRequest)
}

/// Kong passes on this one upgrade and no other.
fn is_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE);
    upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && super::headers::connection_tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade"))
}
