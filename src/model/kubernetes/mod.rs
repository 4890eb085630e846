//! Kubernetes objects, cut down to what is used: ten times smaller in memory than the whole (`stack.md`).
//!
//! Field names and meanings are the Kubernetes API's. Unknown fields are skipped here: that they are mistakes only the
//! directory source can say, which has the schemas.

mod config_map;
mod endpoint_slice;
mod ingress;
mod metadata;
mod proxy_fleet;
mod secret;
mod service;
mod text_map;

pub use config_map::*;
pub use endpoint_slice::*;
pub use ingress::*;
pub use metadata::*;
pub use proxy_fleet::*;
pub use secret::*;
pub use service::*;
pub use text_map::*;

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default, as Kubernetes does.
pub(crate) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
