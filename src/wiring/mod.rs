//! Joins the modules: starts the tasks and carries values and commands between them.

mod pipeline;
mod settings;

pub use settings::{AdminCertificates, ControllerSettings, Source, StatusSettings};
