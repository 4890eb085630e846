//! Fields of rules that Kong has nothing for: retries and sessions (`gateway-api.md` 1.9).
//!
//! They are ignored, as by Kong Ingress Controller, and told. A time between retries is more than that: the Gateway API
//! wants it refused where it can't be had.

use super::note_error;
use crate::{
    model::{
        Reason,
        gateway::{GrpcRouteRule, HttpRouteRetry, HttpRouteRule},
        kong::JsonObject,
    },
    translate::{problems::Owner, state::State},
};

/// What of a rule there is to be told.
pub(super) struct Asked<'r> {
    retry: Option<&'r HttpRouteRetry>,
    session: Option<&'r JsonObject>,
}

impl<'r> From<&'r HttpRouteRule> for Asked<'r> {
    fn from(rule: &'r HttpRouteRule) -> Self {
        Self {
            retry: rule.retry.as_ref(),
            session: rule.session_persistence.as_ref(),
        }
    }
}

impl<'r> From<&'r GrpcRouteRule> for Asked<'r> {
    fn from(rule: &'r GrpcRouteRule) -> Self {
        Self {
            retry: None,
            session: rule.session_persistence.as_ref(),
        }
    }
}

/// Whether a rule asks for a time between retries.
pub(super) fn has_back_off(rule: &HttpRouteRule) -> bool {
    rule.retry.as_ref().is_some_and(|retry| retry.backoff.is_some())
}

/// Tells what of a rule is ignored.
pub(super) fn check(owner: Owner<'_>, rule: usize, asked: Asked<'_>, state: &mut State<'_>) {
    if state.settings.raw_objects {
        return;
    }
    let field = |rest: &str| format!("spec.rules[{rule}].{rest}");
    if let Some(retry) = asked.retry {
        let remedy = "set konghq.com/retries on the Service: how often Kong tries again when a connection fails";
        let message = "Kong does not retry by the status of answers; the field is ignored";
        state
            .problems
            .report(owner, field("retry"), Reason::Ignored, message, remedy);
        if retry.backoff.is_some() {
            let (field, message) = (field("retry.backoff"), "Kong retries at once; the field is ignored");
            note_error(owner, &format!("{field}: {message}"), state);
            state
                .problems
                .report(owner, field, Reason::Unsupported, message, "remove the field");
        }
    }
    if asked.session.is_some() {
        let message = "sessions are not kept by rules with Kong; the field is ignored";
        let remedy = "name a KongUpstreamPolicy with hashOn or stickySessions on the Service";
        let field = field("sessionPersistence");
        state.problems.report(owner, field, Reason::Ignored, message, remedy);
    }
}
