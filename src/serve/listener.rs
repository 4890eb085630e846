//! Opens what is served on. An address of both families works on every machine: on one that takes IPv4 on IPv6 sockets
//! only when asked, and on one without IPv6.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use silverback_proxy::socket::{self, ListenOptions};
use tokio::net::TcpListener;

use super::Place;

/// Probes and scrapers do not come by thousands: what the standard library takes for others, too.
const OPTIONS: ListenOptions = ListenOptions {
    ipv6_only: false,
    reuse_port: false,
    backlog: 1024,
};

/// An address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address} for {what}; choose another with --{flag}")]
pub struct ListenError {
    what: &'static str,
    flag: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Opens a listener, if a place is given.
pub(super) fn listen(
    what: &'static str,
    flag: &'static str,
    place: Option<Place>,
) -> Result<Option<TcpListener>, ListenError> {
    let (address, listener) = match place {
        None => return Ok(None),
        Some(Place::At(address)) => (address, bind(address, |address| socket::listen(address, OPTIONS))),
        Some(Place::Open(open)) => {
            let address = open.local_addr().unwrap_or_else(|_| (Ipv4Addr::UNSPECIFIED, 0).into());
            (address, take_over(&open))
        }
    };
    match listener {
        Ok(listener) => {
            tracing::info!(address = %listener.local_addr().unwrap_or(address), "serving {what}");
            Ok(Some(listener))
        }
        Err(source) => Err(ListenError {
            what,
            flag,
            address,
            source,
        }),
    }
}

/// Serves on what listens already.
fn take_over(open: &std::net::TcpListener) -> io::Result<TcpListener> {
    let listener = open.try_clone()?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Takes all IPv4 addresses for all addresses where there are no others.
fn bind<T>(address: SocketAddr, open: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    match open(address) {
        Err(error) if address.ip().is_unspecified() && socket::is_ipv6_missing(&error, address.ip()) => {
            open((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Of a machine that was started with `ipv6.disable=1`.
    fn without_ipv6(address: SocketAddr) -> io::Result<SocketAddr> {
        const EAFNOSUPPORT: i32 = 97;
        match address {
            SocketAddr::V4(_) => Ok(address),
            SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(EAFNOSUPPORT)),
        }
    }

    #[test]
    fn all_addresses_are_those_of_ipv4_on_a_machine_without_ipv6() {
        let all = "[::]:10254".parse().unwrap();
        assert_eq!(bind(all, without_ipv6).unwrap(), "0.0.0.0:10254".parse().unwrap());
        let one = "[fd00::1]:10254".parse().unwrap();
        assert!(
            bind(one, without_ipv6).is_err(),
            "one address is meant as it is written"
        );
        let taken = |_| io::Result::<SocketAddr>::Err(io::ErrorKind::AddrInUse.into());
        assert_eq!(bind(all, taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
