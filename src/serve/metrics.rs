//! `/metrics`.

use std::sync::Arc;

use axum::{Router, http::header, routing::get};

pub(super) fn router(encode: Arc<dyn Fn() -> String + Send + Sync>) -> Router {
    let content_type = [(
        header::CONTENT_TYPE,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )];
    Router::new().route("/metrics", get(move || async move { (content_type, encode()) }))
}
