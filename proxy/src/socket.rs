//! Sockets that listen, on machines with one address family or both. Used by the proxy's listeners and by the
//! controller's.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket};

/// How a socket listens.
#[derive(Debug, Clone, Copy)]
pub struct ListenOptions {
    /// Whether an IPv6 socket leaves IPv4 alone, whatever the machine's `net.ipv6.bindv6only` says.
    pub ipv6_only: bool,
    /// Whether several sockets may share the port.
    pub reuse_port: bool,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
}

/// Listens on an address; within a tokio runtime.
///
/// # Errors
/// Those of the system: the port is taken, the machine has no such address, it is not permitted.
pub fn listen(address: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(options.ipv6_only)?;
    }
    let socket = TcpSocket::from_std_stream(socket.into());
    socket.set_reuseaddr(true)?;
    if options.reuse_port {
        socket.set_reuseport(true)?;
    }
    socket.bind(address)?;
    socket.listen(options.backlog)
}

/// Whether an address can't be listened on because the machine has no IPv6: EAFNOSUPPORT of Linux for all addresses; no
/// `::1` where IPv6 is switched off.
pub fn is_ipv6_missing(error: &io::Error, address: IpAddr) -> bool {
    const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 97;
    let family_missing = error.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED);
    address.is_ipv6()
        && (family_missing && (address.is_unspecified() || address.is_loopback())
            || error.kind() == io::ErrorKind::AddrNotAvailable && address.is_loopback())
}
