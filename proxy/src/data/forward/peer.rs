//! Where an attempt goes: the balancer's choice, resolved, with the name that the upstream goes by.

use std::{net::SocketAddr, sync::Arc};

use hyper::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use rustls::pki_types::ServerName;

use super::{Exchange, Routed};
use crate::data::{
    answer::Failure,
    balancer::{Balancer, Destination, HashInput, Target, authority, hash},
    router::split_port,
    runtime::{Backend, ServiceEntry},
};

/// Where an attempt goes.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Address and port.
    pub address: SocketAddr,
    /// Host header.
    pub authority: String,
    /// Which target of an upstream it is, if it is one.
    pub target: Option<Arc<Target>>,
}

impl Peer {
    /// The name that the peer has to prove over TLS: its Host header without port.
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        let (host, _) = split_port(&self.authority);
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        ServerName::try_from(host).ok()
    }

    /// The next address for a request. Targets in `tried` have failed; those whose name has no address are added.
    ///
    /// # Errors
    /// [`Failure::NoPeer`] without usable targets, [`Failure::NameResolution`] without addresses.
    pub(super) async fn next(
        exchange: &Exchange<'_>,
        service: &ServiceEntry,
        routed: &Routed<'_>,
        hash: Option<u64>,
        tried: &mut Vec<Arc<Target>>,
    ) -> Result<Self, Failure> {
        let resolver = &exchange.plane.resolver;
        let preserved = routed.head.authority.as_ref().filter(|_| routed.route.preserve_host);
        let named = |destination: &Destination, host_header: Option<&String>| {
            let default_port = service.protocol.default_port();
            match (preserved, host_header) {
                (Some(preserved), _) => preserved.clone(),
                (None, Some(header)) if split_port(header).1.is_some() => header.clone(),
                (None, Some(header)) => authority(header, destination.port, default_port),
                (None, None) => destination.authority(default_port),
            }
        };
        let balancer = match &service.backend {
            Backend::Upstream(balancer) => balancer,
            Backend::Host(destination) => {
                let address = resolver.resolve(&destination.host).await.map_err(|error| {
                    tracing::warn!(request = exchange.request_text, %error, "no address for a service");
                    Failure::NameResolution
                })?;
                return Ok(Self {
                    address: SocketAddr::new(address, destination.port),
                    authority: named(destination, None),
                    target: None,
                });
            }
        };
        let known = tried.len();
        loop {
            let target = balancer.pick(hash, tried).ok_or(Failure::NoPeer)?;
            if tried[known..].iter().any(|tried| Arc::ptr_eq(tried, &target)) {
                return Err(Failure::NameResolution);
            }
            match resolver.resolve(&target.destination.host).await {
                Ok(address) => {
                    return Ok(Self {
                        address: SocketAddr::new(address, target.destination.port),
                        authority: named(&target.destination, balancer.host_header.as_ref()),
                        target: Some(target),
                    });
                }
                Err(error) => {
                    tracing::warn!(request = exchange.request_text, %error, "no address for a target");
                    tried.push(target);
                }
            }
        }
    }
}

/// What a request hashes to, and a cookie to set where one had to be made.
pub(super) fn request_hash(
    exchange: &Exchange<'_>,
    balancer: &Balancer,
    routed: &Routed<'_>,
) -> (Option<u64>, Option<(HeaderName, HeaderValue)>) {
    let headers = &routed.parts.headers;
    for input in &balancer.hash_inputs {
        let found = match input {
            HashInput::Ip => Some(exchange.origin.address.to_string()),
            HashInput::Path => Some(String::from_utf8_lossy(&routed.head.path).into_owned()),
            HashInput::Header(name) => {
                let value = headers.get(name.as_str());
                value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            }
            HashInput::QueryArgument(name) => {
                let arguments = routed.parts.uri.query().unwrap_or_default().split('&');
                let mut pairs = arguments.filter_map(|argument| argument.split_once('='));
                pairs.find(|(key, _)| key == name).map(|(_, value)| value.to_owned())
            }
            HashInput::Capture(name) => {
                let router = exchange.runtime.router();
                router.capture(routed.found, &routed.head.path, name)
            }
            HashInput::Cookie { name, path } => {
                let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
                let mut pairs = cookies
                    .flat_map(|list| list.split(';'))
                    .filter_map(|pair| pair.trim().split_once('='));
                match pairs.find(|(key, _)| key == name) {
                    Some((_, value)) => Some(value.to_owned()),
                    None => {
                        let value = uuid::Uuid::new_v4().to_string();
                        let cookie = HeaderValue::from_str(&format!("{name}={value}; Path={path}; HttpOnly"));
                        return (Some(hash(&value)), cookie.ok().map(|cookie| (SET_COOKIE, cookie)));
                    }
                }
            }
        };
        if let Some(found) = found {
            return (Some(hash(&found)), None);
        }
    }
    (None, None)
}
