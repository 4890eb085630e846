//! What users see in the cluster, and what it costs the API server.
#![allow(clippy::unwrap_used)]

mod budget;
mod cluster;
mod events;
mod gates;
mod gateway;
mod objects;
mod planner;
mod thousand;
mod world;
mod written;
