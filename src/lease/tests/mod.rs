//! What replicas and users notice of the election.
#![allow(clippy::unwrap_used)]

mod replicas;
mod simulation;
