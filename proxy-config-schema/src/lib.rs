//! Kong's declarative configuration (`_format_version` 3.0, DB-less) as types.
//!
//! Two programs must agree on it to the byte: the controller that renders it and the embedded proxy that loads it.
//! What is here: the entities ([`Configuration`] and its parts), their canonical order and bytes (`canonical`), the
//! hash that a proxy reports for those bytes ([`ConfigHash`]), the identifiers that Kong Ingress Controller gives to
//! entities (`id`), parsing with errors that name entity and field (`parse`), the checks that Kong makes on a
//! configuration (`validate`), and loading by what changed ([`LoadedText`]).
//!
//! What must not be here: IO, clocks, Kubernetes. Called by `translate` and `render` of the controller, and by the
//! Admin API of the embedded proxy.

mod canonical;
mod crosscheck;
mod defaults;
mod entity;
mod error;
mod finding;
mod hash;
pub mod id;
mod identify;
mod incremental;
mod invalid;
mod json_schema;
mod normalize;
mod parse;
mod redact;
mod schema;
mod url;
mod validate;
mod violation;
mod written;

pub use defaults::defaults;
pub use entity::*;
pub use error::*;
pub use hash::*;
pub use incremental::*;
pub use invalid::*;
pub use json_schema::*;
pub use parse::*;
pub use redact::*;
pub use schema::is_entity_list;
pub use validate::*;
pub use violation::*;
pub use written::*;
