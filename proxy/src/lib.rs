//! The embedded DB-less data plane: proxies HTTP by a declarative configuration, and speaks Kong's Admin API.
//!
//! ```text
//! environment, flags ─> settings ─> lifecycle ─ opens ─> server ─ requests ─> admin ─ documents ─> control
//!                                       │                                                           │ compiles, installs
//!                                       └─ opens ─> data <──────────────────────────────────────────┘
//! ```
//!
//! `settings` says what it shall be (Kong's variables and flags), `lifecycle` starts and stops it, `server` holds the
//! listeners of the Admin API and the status endpoint, `identity`
//! gets their certificate from the controller where that is wanted, `admin` answers there, `control` knows what runs, and `data`
//! carries the traffic. `socket` opens what is listened on. A configuration is compiled beside the one in use and swapped in whole. It never links a
//! Kubernetes client.

mod admin;
mod answer;
mod called_as;
mod control;
mod data;
mod identity;
mod lifecycle;
mod log;
mod process;
mod server;
pub mod settings;
pub mod socket;

pub use called_as::{act_as, end};
pub use identity::TRUSTED_AUTHORITIES;
pub use lifecycle::run;
pub use log::start_logging;
pub use process::execute;
pub use settings::ProxyArguments;
