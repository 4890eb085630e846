//! Binds addresses as Kong's settings say.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

use crate::{
    settings::Listener,
    socket::{ListenOptions, is_ipv6_missing, listen},
};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: can't listen on {address}: {}", reason(source))]
pub(crate) struct BindError {
    /// The environment variable that asks for it.
    pub(crate) setting: &'static str,
    /// The address.
    pub(crate) address: SocketAddr,
    /// Why not.
    pub(crate) source: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process has taken this port; stop it, or choose another port".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE".to_owned(),
        _ => error.to_string(),
    }
}

/// Binds a listener. `Ok(None)`: it asks for IPv6 on a machine that has none, which manifests for both families do.
pub(crate) fn bind(setting: &'static str, wanted: &Listener) -> Result<Option<TcpListener>, BindError> {
    let options = ListenOptions {
        ipv6_only: wanted.ipv6_only,
        reuse_port: wanted.reuse_port,
        backlog: wanted.backlog,
    };
    match listen(wanted.address, options) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if is_ipv6_missing(&error, wanted.address.ip()) => {
            tracing::warn!(setting, address = %wanted.address, "this machine has no IPv6, so the listener is left out");
            Ok(None)
        }
        Err(source) => Err(BindError {
            setting,
            address: wanted.address,
            source,
        }),
    }
}
