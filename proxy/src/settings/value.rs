//! Single values of settings: numbers, sizes, times, switches, lists.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;

use super::SettingsError;

/// The two names of a setting, for error messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) variable: &'static str,
    flag: &'static str,
}

impl Setting {
    pub(super) fn new(variable: &'static str, flag: &'static str) -> Self {
        Self { variable, flag }
    }

    pub(super) fn error(self, message: impl Into<String>) -> SettingsError {
        SettingsError {
            variable: self.variable,
            flag: self.flag,
            message: message.into(),
        }
    }
}

/// The value without space around it. An empty variable counts as unset, as manifests often have them.
pub(super) fn text(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty())
}

/// Elements of a list that is separated by commas.
pub(super) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|element| !element.is_empty())
}

pub(super) fn path(setting: Setting, value: &str) -> Result<PathBuf, SettingsError> {
    if value.starts_with("-----BEGIN") {
        return Err(setting.error("give the path of a PEM file, not its content"));
    }
    Ok(PathBuf::from(value))
}

pub(super) fn switch(setting: Setting, value: Option<&str>, default: bool) -> Result<bool, SettingsError> {
    match value {
        None => Ok(default),
        Some("on" | "true") => Ok(true),
        Some("off" | "false") => Ok(false),
        Some(other) => Err(setting.error(format!("{other:?} is neither on nor off"))),
    }
}

pub(super) fn number<T: FromStr>(setting: Setting, value: Option<&str>, default: T) -> Result<T, SettingsError> {
    match value {
        None => Ok(default),
        Some(value) => value
            .parse()
            .map_err(|_| setting.error(format!("{value:?} is not a whole number"))),
    }
}

/// A size as nginx writes it: `10m`, `512k`, `1g`, or bytes. nginx takes 0 for "no limit"; here it is refused, since the
/// memory that a request can take must be bounded.
pub(super) fn bytes(setting: Setting, value: &str) -> Result<usize, SettingsError> {
    let (digits, unit) = match value.as_bytes().last() {
        Some(b'k' | b'K') => (&value[..value.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&value[..value.len() - 1], 1 << 20),
        Some(b'g' | b'G') => (&value[..value.len() - 1], 1 << 30),
        _ => (value, 1),
    };
    digits
        .parse::<usize>()
        .ok()
        .and_then(|count| count.checked_mul(unit))
        .filter(|size| *size > 0)
        .ok_or_else(|| setting.error(format!("{value:?} is not a size above zero like 10m, 512k or 1048576")))
}

/// A time like `30s`, `1m30s`, `500ms`.
pub(super) fn duration(setting: Setting, value: &str) -> Result<Duration, SettingsError> {
    value
        .parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| setting.error(format!("{value:?} is not a time like 30s, 1m30s or 500ms")))
}

/// Networks as `address` or `address/bits`.
pub(super) fn networks(setting: Setting, value: Option<&str>) -> Result<Vec<IpNet>, SettingsError> {
    list(value.unwrap_or_default())
        .map(|entry| {
            let network = entry.parse();
            let network = network.or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| setting.error(format!("{entry:?} is neither an address nor a network like 10.0.0.0/8")))
        })
        .collect()
}

/// Ports as `seen:listener`, by the listener's.
pub(super) fn port_maps(setting: Setting, value: Option<&str>) -> Result<BTreeMap<u16, u16>, SettingsError> {
    list(value.unwrap_or_default())
        .map(|entry| {
            let ports = entry.split_once(':').and_then(|(seen, listener)| {
                let port = |text: &str| text.trim().parse().ok().filter(|port| *port > 0);
                Some((port(listener)?, port(seen)?))
            });
            ports.ok_or_else(|| setting.error(format!("{entry:?} is not two ports like 80:8000")))
        })
        .collect()
}

/// Name servers as `address` or `address:port`, port 53 by default.
pub(super) fn name_servers(setting: Setting, value: Option<&str>) -> Result<Vec<SocketAddr>, SettingsError> {
    list(value.unwrap_or_default())
        .map(|entry| {
            let bare = entry.trim_start_matches('[').trim_end_matches(']');
            entry
                .parse::<SocketAddr>()
                .or_else(|_| bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53)))
                .map_err(|_| setting.error(format!("{entry:?} is not an address with or without a port")))
        })
        .collect()
}
