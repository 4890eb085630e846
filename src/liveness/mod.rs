//! Is this very content of an object live on all proxies, and if not, what holds it back? Pure: values over snapshots,
//! renditions and views; `wiring` feeds it, `serve` answers from it for `silverback wait`.

mod answer;
mod contents;
mod faults;
mod standing;
#[cfg(test)]
mod tests;
mod tracker;
mod trail;

pub use self::{
    answer::Answer,
    contents::{Content, contents},
    faults::Faults,
    standing::{Holdup, holdups},
    tracker::{Change, Liveness, Source, Tracker},
    trail::{Milestone, Trail},
};
