//! Reads what a proxy runs, as it tells it (`GET /config`): on request of a person only, for it costs the proxy.

use std::time::Duration;

use crate::{
    model::ProxyTarget,
    pki::client::{AdminTls, ConnectionLimits},
};

/// How long it may take: Kong writes all of its configuration anew.
const LIMIT: Duration = Duration::from_secs(25);
/// For connecting, the TLS handshake included.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// The body of its answer. Holds secrets.
///
/// # Errors
/// In words: it can't be reached, refuses, or tells more than a configuration may be.
pub async fn configuration(tls: &AdminTls, target: &ProxyTarget) -> Result<Vec<u8>, String> {
    let limits = ConnectionLimits {
        connect: CONNECT_LIMIT,
        request: LIMIT,
        keep: Duration::ZERO,
        is_abrupt: false,
    };
    let mut fault = "it has no address".to_owned();
    for url in &target.urls {
        match read(tls, url, target, &limits).await {
            Ok(body) => return Ok(body),
            Err(error) => fault = error,
        }
    }
    Err(fault)
}

async fn read(tls: &AdminTls, url: &str, target: &ProxyTarget, limits: &ConnectionLimits) -> Result<Vec<u8>, String> {
    let client = tls.client(url, target, limits).map_err(|fault| fault.message)?;
    let limit = proxy_config_schema::Limits::default().bytes;
    let answer = client
        .get("/config", |_| proxy_config_schema::Limits::default().bytes)
        .await;
    let answer = answer.map_err(|error| client.fault(&error).message)?;
    if !answer.status.is_success() {
        return Err(format!("it answers {} to GET /config", answer.status));
    }
    if !answer.is_whole {
        return Err(format!("it tells more than {limit} bytes"));
    }
    Ok(answer.body.into())
}
