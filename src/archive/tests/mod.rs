//! What is put away, when, and what comes back of it.

#![allow(clippy::unwrap_used)]

mod loading;
mod saving;
mod sealed;
mod world;
