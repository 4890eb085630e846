//! Writes what is known to Kubernetes: `ProxyInstance`, `ProxyFleet`, addresses of Ingresses, conditions of Kong's
//! objects, statuses of the Gateway API's, events, and the condition of Pods that serves as readiness gate. Only the leader writes; the others keep
//! still.
//!
//! ```text
//! view, rendition, snapshot ──> (author) ── what shall stand there ──> (planner) ── one write ──> [writer]
//! what stands there [seed] ────────^──────────────────────────────────────^── what came of it ───────'
//! ```
//!
//! Where each replica drives the proxy in its own Pod, each has a second writer for the row of that one alone.
//!
//! `author` and `planner` are pure; `task` joins them with the IO of `seed` and `writer`. Called by `wiring`.
//!
//! Needs, in the namespaces of the Admin Services: `list`, `watch`, `create`, `patch`, `delete` on
//! `proxyinstances`, `patch` on `proxyinstances/status` and `pods/status`; in its own namespace: `list`, `watch`,
//! `create`, `patch` on `proxyfleets`, `patch` on `proxyfleets/status`, `get` on `pods`; everywhere: `list` on
//! `ingresses`, `patch` on `ingresses/status` (`networking.k8s.io`), the same of Kong's kinds, `get` on
//! `kongupstreampolicies`, `get`, `list` and `patch` of the status on the Gateway API's kinds, `list` and `watch` on
//! `customresourcedefinitions`, and `create`, `patch` on `events` (`events.k8s.io`).

mod author;
mod budget;
mod document;
mod entry;
mod gateway_status;
mod object_condition;
mod planner;
pub mod resource;
mod seed;
mod served;
mod settings;
mod task;
#[cfg(test)]
mod tests;
mod writer;

pub use planner::Load;
pub use settings::{OwnPod, Rows, Settings};
pub use task::{Inputs, Reports, writer};
