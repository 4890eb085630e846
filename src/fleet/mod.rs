//! Which proxies exist, and what each shall do next: a state machine per proxy as a pure step function, and the actor
//! that runs it.
//!
//! No IO; has time. Fed with targets (discovery), renditions, observations (`observe`) and outcomes (`push`); gives
//! commands, which the wiring carries out with `push` and `observe`, and a [`FleetView`] that `status` and `serve` read.

mod actor;
mod attribution;
#[cfg(test)]
mod bare;
mod condition;
mod configuration;
mod decision;
pub mod discovery;
mod event;
mod machine;
mod names;
mod proxy;
mod settings;
mod state;
mod step;
mod throttle;
mod transitions;
mod trial;
mod verdict;
mod view;

#[cfg(test)]
mod tests;

pub use actor::Fleet;
#[cfg(test)]
pub(crate) use bare::{bare_condition, bare_proxy, bare_target};
pub use condition::{Condition, ConditionStatus};
pub use event::{
    Command, ConnectionSecurity, EntityError, FleetEvent, Observation, ProbeFault, ProxyReport, PushOutcome,
    PushResult, TransportFault, TransportFaultKind,
};
pub use names::HashMode;
pub use settings::Settings;
pub use transitions::{Stimulus, TRANSITIONS, Transition};
pub use view::{FleetView, Phase, ProxyError, ProxyView};
