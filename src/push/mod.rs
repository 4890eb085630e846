//! The Admin API client: sends configurations over mTLS, one task per proxy. IO.
//!
//! Does one push at a time to each proxy and tells the fleet what came of it; when, what and whether again is for the
//! state machine of `fleet` to say. Never logs or keeps a body: both ways they hold keys and credentials. Started by
//! the wiring, which passes on the fleet's commands.

mod attempt;
mod inquiry;
mod pusher;
mod rejection;
#[cfg(test)]
mod tests;

pub use inquiry::Inquirer;
pub use pusher::{Pusher, Settings, StillLeads};

/// What comes of an answer that refuses a configuration; for tests of what is shown of it.
#[cfg(test)]
pub(crate) fn refusal(answer: &[u8], rendered: &crate::render::Rendered) -> Option<crate::fleet::PushResult> {
    rejection::parse(answer, rendered).map(rejection::Rejection::into_result)
}
