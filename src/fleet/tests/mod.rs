//! The fleet as a whole: scenarios, and arbitrary sequences of events.

#![allow(clippy::unwrap_used)]

mod actor;
mod arbitrary;
mod scenarios;
mod states;
mod world;
