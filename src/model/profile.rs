//! What a proxy can take: all proxies of one profile get the same bytes.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// How a proxy matches routes, as it reports it in `configuration.router_flavor` of `GET /`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterFlavor {
    /// `traditional`: paths, hosts, methods, headers; regular expressions are PCRE's.
    #[default]
    Traditional,
    /// `traditional_compatible`: the same, with the regular expressions of `expressions`.
    TraditionalCompatible,
    /// `expressions`: one expression and a priority a route.
    Expressions,
}

impl RouterFlavor {
    /// The word that proxies report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traditional => "traditional",
            Self::TraditionalCompatible => "traditional_compatible",
            Self::Expressions => "expressions",
        }
    }

    /// Whether routes are written as expressions.
    pub fn is_expressions(self) -> bool {
        self == Self::Expressions
    }
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Profile {
    /// How routes are written.
    pub router_flavor: RouterFlavor,
    /// Edition; `None` leaves nothing out (offline rendering).
    pub edition: Option<Edition>,
    /// Major and minor version; `None` uses nothing that depends on a version.
    pub version: Option<(u16, u16)>,
    /// Types of the plugins that they can run; `None` takes all for known (offline rendering).
    pub plugins: Option<PluginTypes>,
}

/// Types of plugins, shared.
pub type PluginTypes = Arc<BTreeSet<Arc<str>>>;

impl Profile {
    /// How many profiles one controller serves at the most.
    pub const MAX: usize = 8;

    /// Whether the proxies' router compiles regular expressions with PCRE; the embedded proxy never does.
    pub fn has_pcre(&self) -> bool {
        self.router_flavor == RouterFlavor::Traditional && self.edition != Some(Edition::Embedded)
    }

    /// Whether the proxies can run plugins of that type.
    pub fn has_plugin(&self, type_: &str) -> bool {
        self.plugins.as_ref().is_none_or(|known| known.contains(type_))
    }
}

/// `traditional_compatible/embedded/3.9`
impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.router_flavor.as_str())?;
        match self.edition {
            Some(Edition::OpenSource) => formatter.write_str("/open-source")?,
            Some(Edition::Enterprise) => formatter.write_str("/enterprise")?,
            Some(Edition::Embedded) => formatter.write_str("/embedded")?,
            None => {}
        }
        if let Some((major, minor)) = self.version {
            write!(formatter, "/{major}.{minor}")?;
        }
        // Of two profiles that differ in plugins alone, people must see that they are two.
        match &self.plugins {
            Some(types) => write!(formatter, "/{}-plugins-{:04x}", types.len(), digest(types)),
            None => Ok(()),
        }
    }
}

/// Sixteen bits that are the same for the same plugins, on every replica and after every start (FNV-1a).
fn digest(types: &BTreeSet<Arc<str>>) -> u32 {
    let bytes = types.iter().flat_map(|type_| type_.bytes().chain([0]));
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash >> 16) ^ (hash & 0xffff)
}
