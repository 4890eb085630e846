//! The dashboard: one page, no foreign resources, read only.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Sources, api, liveness, proxy_configuration};

const PAGE: &str = include_str!("assets/index.html");
const STYLE: &str = include_str!("assets/dashboard.css");
const SCRIPT: &str = include_str!("assets/dashboard.js");
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router(sources: Sources, address: SocketAddr) -> Router {
    let page = |content_type: &'static str, content: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, content_type)], content) })
    };
    Router::new()
        .route("/", page("text/html; charset=utf-8", PAGE))
        .route("/dashboard.css", page("text/css; charset=utf-8", STYLE))
        .route("/dashboard.js", page("text/javascript; charset=utf-8", SCRIPT))
        .merge(api::router())
        .merge(liveness::router())
        .merge(proxy_configuration::router())
        .layer(middleware::from_fn_with_state(address, protect))
        .with_state(sources)
}

/// On loopback only local names are answered, so that no web page elsewhere can read this one by a name that it makes
/// resolve to 127.0.0.1. Every answer forbids foreign content.
async fn protect(State(address): State<SocketAddr>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    if address.ip().is_loopback() && !is_local_name(host) {
        return (
            StatusCode::FORBIDDEN,
            "open the dashboard as http://localhost or by its address\n",
        )
            .into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        header::HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_local_name;

    #[test]
    fn only_local_names_are_answered() {
        for host in [
            "localhost",
            "localhost:10256",
            "127.0.0.1:1",
            "[::1]:80",
            "x.localhost:8",
        ] {
            assert!(is_local_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:10256",
            "127.0.0.1.evil.example",
            "localhost.evil.example:1",
        ] {
            assert!(!is_local_name(host), "{host}");
        }
    }
}
