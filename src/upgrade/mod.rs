//! What an installation or upgrade may do to what stands in a cluster, and what it will do. Pure: decisions over what the
//! verbs `crds apply`, `preflight` and `adopt` have read, and over what a leader finds left by a former release.

pub mod definitions;
pub mod keep;
pub mod preflight;
pub mod release;
