//! silverback: one controller for any number of DB-less proxies.
//!
//! ```text
//! kube-apiserver ─ watch ─> [watch] ─ events ─> [store] ─ Arc<Snapshot> ─> (translate) ─> (render)
//!       or a directory                    settle 50 ms, at most 500 ms          │             │ Arc<Rendition>
//!                                                                    problems per object      v
//! EndpointSlices of the Admin Service ─────────────────────────────────────────────────────> [fleet]
//!                                                                               commands │   ^ outcomes
//!                                                                              per proxy v   │ observations
//!                                  [push]    one task per proxy ── POST /config, mTLS ──> proxy 1..N
//!                                  [observe] one task per proxy <── GET /status ───────── proxy 1..N
//! [status] writes conditions, ProxyInstances, events (leader)      [serve] reads the same values
//!
//! ( ) pure function   [ ] task   seams carry the latest value (tokio watch), never a queue per change
//! ```
//!
//! `model`, `translate`, `render`, `diff`, `admission` and `upgrade` are pure and build alone (`--no-default-features`), with the offline verbs
//! of `cli`. `store` and `fleet` have time but no IO. The modules of the rim (`watch`, `push`, `observe`, `status`,
//! `serve`) never import one another: `wiring` joins them.

pub mod admission;
pub mod cli;
pub mod diff;
pub mod manifest;
pub mod model;
pub mod render;
pub mod translate;
pub mod upgrade;

#[cfg(feature = "controller")]
pub mod archive;
#[cfg(feature = "controller")]
mod back_off;
#[cfg(feature = "controller")]
pub mod fleet;
#[cfg(feature = "controller")]
pub mod lease;
#[cfg(feature = "controller")]
pub mod liveness;
#[cfg(feature = "controller")]
mod news;
#[cfg(feature = "controller")]
pub mod observe;
#[cfg(feature = "controller")]
pub mod pki;
#[cfg(feature = "controller")]
pub mod push;
#[cfg(feature = "controller")]
pub mod serve;
#[cfg(feature = "controller")]
pub mod status;
#[cfg(feature = "controller")]
pub mod store;
#[cfg(feature = "controller")]
pub mod watch;
#[cfg(feature = "controller")]
pub mod wiring;

#[cfg(all(test, feature = "controller"))]
mod kept_log;
#[cfg(all(test, feature = "controller"))]
mod reference;
