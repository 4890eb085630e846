//! `/healthz` and `/readyz`.

use std::fmt::Write;

use axum::{Router, extract::State, http::StatusCode, routing::get};

use super::Sources;
use crate::model::{Leadership, Snapshot};

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
        check("synced", false, &waiting_for(&snapshot));
    }
    match *sources.rendition.borrow() {
        Some(_) => check("rendered", true, "a configuration has been rendered"),
        None => check("rendered", false, "no configuration has been rendered yet"),
    }
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

/// What has not been read, and why. Of several reasons one: when the API server is away each kind has its own.
fn waiting_for(snapshot: &Snapshot) -> String {
    let names: Vec<&str> = snapshot.pending.iter().map(|kind| kind.name()).collect();
    let names = names.join(", ");
    let mut reasons = snapshot
        .pending
        .iter()
        .filter_map(|kind| snapshot.unavailable.get(kind));
    match (reasons.next(), reasons.count()) {
        (None, _) => format!("waiting for {names}"),
        (Some(reason), 0) => format!("waiting for {names}: {reason}"),
        (Some(reason), more) => format!("waiting for {names}: {reason} (and {more} more like it)"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Kind, Unavailable};

    #[test]
    fn what_is_waited_for_is_named_with_one_reason() {
        let mut snapshot = Snapshot {
            pending: Arc::new([Kind::Ingress, Kind::Service, Kind::Secret].into()),
            ..Snapshot::default()
        };
        assert_eq!(waiting_for(&snapshot), "waiting for Ingress, Service, Secret");
        let unavailable = [Kind::Ingress, Kind::Secret].map(|kind| {
            let message = format!("{} is away", kind.name());
            (kind, Unavailable::resource(kind, message, "wait"))
        });
        snapshot.unavailable = Arc::new(unavailable.into());
        assert_eq!(
            waiting_for(&snapshot),
            "waiting for Ingress, Service, Secret: Ingress is away; wait (and 1 more like it)"
        );
    }
}
