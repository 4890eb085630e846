//! `/healthz` and `/readyz`.

use std::fmt::Write;

use axum::{Router, extract::State, http::StatusCode, routing::get};

use super::Sources;
use crate::model::Leadership;

pub(super) fn router(sources: Sources) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(sources)
}

/// Ready is a replica that has read everything once and knows its part: leader or follower. A bad object or an
/// unreachable proxy makes no replica unready: the others could do no better.
async fn ready(State(sources): State<Sources>) -> (StatusCode, String) {
    let snapshot = sources.snapshot.borrow().clone();
    let leadership = sources.leadership.borrow().clone();
    let mut text = String::new();
    let mut ready = true;
    let mut check = |name: &str, good: bool, detail: &str| {
        ready &= good;
        let mark = if good { '+' } else { '-' };
        writeln!(text, "[{mark}]{name} {detail}").expect("writing to a string can't fail");
    };
    if snapshot.is_complete() {
        check("synced", true, "every kind has been read");
    } else {
        let pending = snapshot
            .pending
            .iter()
            .map(|kind| match snapshot.unavailable.get(kind) {
                Some(reason) => format!("{} ({reason})", kind.name()),
                None => kind.name().to_owned(),
            });
        check(
            "synced",
            false,
            &format!("waiting for {}", pending.collect::<Vec<_>>().join(", ")),
        );
    }
    check(
        "rendered",
        sources.rendition.borrow().is_some(),
        "a configuration has been rendered",
    );
    match leadership {
        Leadership::Leader { .. } => check("leadership", true, "leader"),
        Leadership::Follower { holder } => {
            check(
                "leadership",
                true,
                &format!("follower of {}", holder.as_deref().unwrap_or("nobody yet")),
            );
        }
        Leadership::Cut { .. } => check("leadership", true, "leader, the API server is out of reach"),
        Leadership::Unknown => check("leadership", false, "not known yet"),
    }
    (
        if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        text,
    )
}
