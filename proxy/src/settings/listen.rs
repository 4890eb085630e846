//! Kong's syntax for listeners: `0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl`, or `off`.

use std::net::SocketAddr;

use super::{
    SettingsError,
    value::{Setting, list},
};

/// Connections that wait to be accepted, where `backlog` is not given (Linux' usual limit).
const DEFAULT_BACKLOG: u32 = 4096;

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Address and port; port 0 takes any.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether it speaks HTTP/2, too.
    pub http2: bool,
    /// Whether several sockets may share the port.
    pub reuse_port: bool,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Whether an IPv6 socket leaves IPv4 alone, as nginx does by default, so that `0.0.0.0:80, [::]:80` works.
    pub ipv6_only: bool,
    /// As it was written.
    pub text: String,
}

impl Listener {
    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }
}

/// Parses a list of listeners.
pub(super) fn parse(setting: Setting, value: &str) -> Result<Vec<Listener>, SettingsError> {
    if value == "off" {
        return Ok(Vec::new());
    }
    let listeners: Vec<Listener> = list(value)
        .map(|entry| parse_one(entry).map_err(|message| setting.error(format!("{entry:?}: {message}"))))
        .collect::<Result<_, _>>()?;
    for (index, listener) in listeners.iter().enumerate() {
        let taken = listener.address.port() != 0
            && listeners[..index]
                .iter()
                .any(|earlier| earlier.address == listener.address);
        if taken {
            return Err(setting.error(format!("{} is listed twice", listener.address)));
        }
    }
    Ok(listeners)
}

fn parse_one(entry: &str) -> Result<Listener, String> {
    let mut words = entry.split_whitespace();
    let address = words.next().unwrap_or_default();
    let mut listener = Listener {
        address: parse_address(address)?,
        tls: false,
        http2: false,
        reuse_port: false,
        backlog: DEFAULT_BACKLOG,
        ipv6_only: true,
        text: entry.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    for word in words {
        match word.split_once('=') {
            None => match word {
                "ssl" => listener.tls = true,
                "http2" => listener.http2 = true,
                "reuseport" => listener.reuse_port = true,
                "deferred" | "bind" => {}
                "proxy_protocol" => return Err("proxy_protocol is not supported".to_owned()),
                _ => return Err(format!("{word:?} is no option of a listener")),
            },
            Some(("backlog", number)) => {
                listener.backlog = number
                    .parse()
                    .map_err(|_| format!("backlog {number:?} is not a whole number"))?;
            }
            Some(("ipv6only", "on")) => listener.ipv6_only = true,
            Some(("ipv6only", "off")) => listener.ipv6_only = false,
            Some(("so_keepalive", _)) => {}
            Some(_) => return Err(format!("{word:?} is no option of a listener")),
        }
    }
    Ok(listener)
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let text = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    text.parse()
        .map_err(|_| "expected ADDRESS:PORT like 0.0.0.0:8000 or [::]:8000, then options, or off".to_owned())
}
