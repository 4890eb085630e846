//! What a fleet of a size may take, beside what the peer takes. Pure.

/// Limits, and what Kong Ingress Controller 3.5.13 needs for the same on a machine of two cores.
pub(super) struct Expected {
    pub(super) cold_start: Option<f64>,
    /// Milliseconds; `None`: 1.3 times the bare client in Go.
    pub(super) change: Option<f64>,
    /// The same of CPU time: 1.5 times.
    pub(super) change_cpu: Option<f64>,
    pub(super) resident: Option<f64>,
    pub(super) idle: Option<f64>,
    pub(super) peer: Peer,
}

#[derive(Default)]
pub(super) struct Peer {
    pub(super) cold_start: Option<&'static str>,
    pub(super) change: Option<&'static str>,
    pub(super) change_cpu: Option<&'static str>,
    pub(super) resident: Option<&'static str>,
    pub(super) idle: Option<&'static str>,
}

const LARGE: Expected = Expected {
    cold_start: Some(5.0),
    change: None,
    change_cpu: None,
    resident: Some(120.0),
    idle: Some(0.1),
    peer: Peer {
        cold_start: Some("35-41 s"),
        change: Some("12,000-17,000 ms"),
        change_cpu: Some("20,000-33,000 ms"),
        resident: Some("570-630 MiB"),
        idle: Some("12-15 s"),
    },
};

const SMALL: Expected = Expected {
    cold_start: None,
    change: Some(80.0),
    change_cpu: Some(15.0),
    resident: Some(50.0),
    idle: Some(0.1),
    peer: Peer {
        cold_start: None,
        change: Some("2,980 ms"),
        change_cpu: Some("210 ms"),
        resident: Some("137 MiB"),
        idle: None,
    },
};

/// Of other sizes: the limits that hold for all.
const OTHER: Expected = Expected {
    cold_start: None,
    change: None,
    change_cpu: None,
    resident: None,
    idle: None,
    peer: Peer {
        cold_start: None,
        change: None,
        change_cpu: None,
        resident: None,
        idle: None,
    },
};

impl Expected {
    /// Of a fleet of that many routes and proxies.
    pub(super) fn of(routes: usize, proxies: usize) -> &'static Self {
        match (routes, proxies) {
            (10_000, 100) => &LARGE,
            (1_000, 10) => &SMALL,
            _ => &OTHER,
        }
    }
}
