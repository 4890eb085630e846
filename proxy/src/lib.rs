//! The embedded DB-less data plane: proxies HTTP by a declarative configuration, and speaks Kong's Admin API.
//!
//! `settings` says what it shall be (Kong's variables and flags), `admin` is the Admin API and the status listener,
//! `data` carries the traffic. A configuration is compiled beside the one in use and swapped in whole. It never links a
//! Kubernetes client.

mod admin;
mod data;
pub mod settings;
