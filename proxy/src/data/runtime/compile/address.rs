//! Where a service is: from its parts, or from `url`, which wins over them.

use hyper::Uri;
use proxy_config_schema::Service;

use super::super::entry::Protocol;

/// Where a service is, from `url` or from its parts.
pub(super) struct Address {
    pub(super) protocol: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
}

impl Address {
    pub(super) fn of(service: &Service) -> Result<Self, String> {
        let mut address = Self {
            protocol: service.protocol.clone().unwrap_or_else(|| "http".to_owned()),
            host: service.host.clone().unwrap_or_default(),
            port: service.port.unwrap_or(80),
            path: service.path.clone().unwrap_or_else(|| "/".to_owned()),
        };
        if let Some(url) = service.url.as_deref() {
            let uri: Uri = url.parse().map_err(|_| "invalid url".to_owned())?;
            let protocol = uri.scheme_str().ok_or("missing scheme in url")?;
            let default_port = Protocol::named(protocol).map_or(80, Protocol::default_port);
            address.protocol = protocol.to_owned();
            address.host = uri.host().ok_or("missing host in url")?.to_owned();
            address.port = uri.port_u16().unwrap_or(default_port);
            address.path = uri.path().to_owned();
        }
        address.host = address.host.trim_matches(['[', ']']).to_ascii_lowercase();
        if address.path.is_empty() {
            address.path.push('/');
        }
        Ok(address)
    }
}
