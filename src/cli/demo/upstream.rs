//! The demo's example upstream: says what it was asked.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, header},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Starts it on a free loopback port.
pub(super) async fn start(shutdown: CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let application = Router::new().fallback(echo);
    tokio::spawn(async move {
        let served = axum::serve(listener, application).with_graceful_shutdown(shutdown.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the example upstream ended");
        }
    });
    Ok(address)
}

async fn echo(request: Request) -> String {
    let header = |headers: &HeaderMap, name: header::HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("-")
            .to_owned()
    };
    format!(
        "Hello from the example upstream.\nmethod: {}\npath: {}\nhost: {}\nvia: {}\n",
        request.method(),
        request.uri().path_and_query().map_or("/", |path| path.as_str()),
        header(request.headers(), header::HOST),
        header(request.headers(), header::HeaderName::from_static("x-forwarded-host")),
    )
}
