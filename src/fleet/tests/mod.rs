//! The fleet as a whole: case by case, and under arbitrary sequences of events.

#![allow(clippy::unwrap_used)]

mod actor;
mod arbitrary;
mod hashes;
mod memory;
mod newcomers;
mod permission;
mod profiles;
mod pushing;
mod refusals;
mod shown;
mod states;
mod trials;
mod world;
