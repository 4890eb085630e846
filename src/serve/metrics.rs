//! `/metrics`.

use std::sync::Arc;

use axum::{Router, http::header, middleware, routing::get};

use super::access::{self, MetricsAccess};

/// With `access`, only for those whom the API server allows it.
pub(super) fn router(encode: Arc<dyn Fn() -> String + Send + Sync>, access: Option<Arc<MetricsAccess>>) -> Router {
    let content_type = [(
        header::CONTENT_TYPE,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )];
    let router = Router::new().route("/metrics", get(move || async move { (content_type, encode()) }));
    match access {
        Some(access) => router.layer(middleware::from_fn_with_state(access, access::filter)),
        None => router,
    }
}
