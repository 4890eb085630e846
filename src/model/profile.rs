//! What a proxy can take: all proxies of one profile get the same bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a proxy matches routes, as it reports it in `configuration.router_flavor` of `GET /`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterFlavor {
    /// `traditional` and `traditional_compatible`: paths, hosts, methods, headers.
    #[default]
    Traditional,
    /// `expressions`: one expression and a priority a route.
    Expressions,
}

/// Which Kong it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edition {
    /// Kong Gateway open source, or a proxy like it.
    OpenSource,
    /// Kong Gateway Enterprise.
    Enterprise,
    /// The embedded proxy of silverback.
    Embedded,
}

/// Proxies that can be given the same bytes (DESIGN.md §3 rule 2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Profile {
    /// How routes are written.
    pub router_flavor: RouterFlavor,
    /// Edition; `None` leaves nothing out (offline rendering).
    pub edition: Option<Edition>,
    /// Major and minor version; `None` uses nothing that depends on a version.
    pub version: Option<(u16, u16)>,
}

impl Profile {
    /// How many profiles one controller serves at the most.
    pub const MAX: usize = 8;
}

/// `traditional/embedded/3.9`
impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.router_flavor {
            RouterFlavor::Traditional => "traditional",
            RouterFlavor::Expressions => "expressions",
        })?;
        match self.edition {
            Some(Edition::OpenSource) => formatter.write_str("/open-source")?,
            Some(Edition::Enterprise) => formatter.write_str("/enterprise")?,
            Some(Edition::Embedded) => formatter.write_str("/embedded")?,
            None => {}
        }
        match self.version {
            Some((major, minor)) => write!(formatter, "/{major}.{minor}"),
            None => Ok(()),
        }
    }
}
