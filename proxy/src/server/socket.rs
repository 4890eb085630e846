//! Binds addresses as Kong's settings say.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket};

use crate::settings::Listener;

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
    match open(wanted) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if wanted.address.is_ipv6() && is_ipv6_missing(&error, wanted) => {
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

/// EAFNOSUPPORT of Linux for all addresses; no `::1` where IPv6 is switched off.
fn is_ipv6_missing(error: &io::Error, wanted: &Listener) -> bool {
    const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 97;
    let family_missing = error.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED);
    let address = wanted.address.ip();
    family_missing && (address.is_unspecified() || address.is_loopback())
        || error.kind() == io::ErrorKind::AddrNotAvailable && address.is_loopback()
}

fn open(wanted: &Listener) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(wanted.address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if wanted.address.is_ipv6() {
        socket.set_only_v6(wanted.ipv6_only)?;
    }
    let socket = TcpSocket::from_std_stream(socket.into());
    socket.set_reuseaddr(true)?;
    if wanted.reuse_port {
        socket.set_reuseport(true)?;
    }
    socket.bind(wanted.address)?;
    socket.listen(wanted.backlog)
}
