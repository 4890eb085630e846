//! Probes each proxy over a connection of its own. IO.
//!
//! One task per proxy asks what it is (`GET /`) and what it runs (`GET /status`), and tells the fleet. Never pushes,
//! never decides: whether silence means unreachable is for the state machine of `fleet` to say. Started by the wiring,
//! which passes on the fleet's commands.

mod answer;
mod configuration;
pub mod metrics;
mod probe;
mod prober;
#[cfg(test)]
mod tests;

pub use configuration::configuration;
pub use prober::{Prober, Settings};
