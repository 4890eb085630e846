//! Our nouns: what the rest of silverback talks about.
//!
//! Pure values: no IO, no clock, no Kubernetes client. Everything may use them; they use nothing of ours.

pub mod annotations;
mod byte_size;
mod digest;
pub mod gateway;
mod kind;
pub mod kong;
pub mod kubernetes;
mod leadership;
mod object_ref;
mod objects;
mod problem;
mod profile;
mod proxy;
mod references;
pub mod schema;
mod snapshot;
mod storage;
mod unavailable;

pub use byte_size::ByteSize;
pub use digest::Digest;
pub use kind::{Kind, Object};
pub use leadership::{Epoch, LAST_PUSHES, Leadership};
pub use object_ref::{NameKey, NamespacedName, ObjectRef};
pub use objects::{ObjectMap, ObjectMapIter};
pub use problem::{Problem, Reason, SourceLocation};
pub use profile::{Edition, PluginTypes, Profile, RouterFlavor};
pub use proxy::{PeerCertificate, PodRef, ProxyId, ProxyTarget, fleet_names};
pub use references::References;
pub use snapshot::{Generation, Objects, Snapshot};
pub use storage::Storage;
pub use unavailable::{Unavailable, resource_name};
