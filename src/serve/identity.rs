//! Where embedded proxies get their certificates (`--proxy-identity-listen`): `GET /v1/challenge`, then
//! `POST /v1/certificate` with a token, a signing request, and whom the proxy trusts.
//!
//! Who gets one is decided by `pki`. The endpoint shows a certificate of the controllers' authority, which proxies trust.
//! Started by `wiring`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue},
};
use silverback_proxy::TRUSTED_AUTHORITIES;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{ListenError, Place, https, listen};
use crate::pki::{IdentityIssuer, KeyPairPem, MAX_REQUEST, Refusal};

/// How long a body may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(5);

/// Opens the listener, then serves until `shutdown`; within a tokio runtime. Gives the address that is served in fact.
///
/// # Errors
/// Names the address that is taken, and the flag that changes it.
pub fn start(
    address: SocketAddr,
    issuer: Arc<IdentityIssuer>,
    certificate: watch::Receiver<Option<Arc<KeyPairPem>>>,
    shutdown: &CancellationToken,
) -> Result<SocketAddr, ListenError> {
    let what = "the proxies' certificates";
    let listener = listen(what, "proxy-identity-listen", Some(Place::At(address)))?.expect("an address was given");
    let address = listener.local_addr().unwrap_or(address);
    let handler: https::Handler = Arc::new(move |request| answer(issuer.clone(), request).boxed());
    tokio::spawn(https::serve(what, listener, certificate, handler, shutdown.clone()));
    Ok(address)
}

async fn answer(issuer: Arc<IdentityIssuer>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let outcome = match (request.method(), request.uri().path()) {
        (&Method::GET, "/v1/challenge") => issuer.challenge(),
        (&Method::POST, "/v1/certificate") => issue(&issuer, request).await,
        _ => {
            return text(
                StatusCode::NOT_FOUND,
                "GET /v1/challenge, or POST /v1/certificate\n".to_owned(),
            );
        }
    };
    match outcome {
        Ok(answer) => text(StatusCode::OK, answer),
        Err(refusal) => text(status(&refusal), format!("{refusal}\n")),
    }
}

async fn issue(issuer: &IdentityIssuer, request: Request<Incoming>) -> Result<String, Refusal> {
    let (head, body) = request.into_parts();
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let token = header(AUTHORIZATION).and_then(|value| value.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map(|(_, token)| token.trim()).ok_or(Refusal::Token)?;
    let trusted = header(TRUSTED_AUTHORITIES).unwrap_or_default();
    let body = timeout(BODY_LIMIT, Limited::new(body, MAX_REQUEST).collect()).await;
    let Ok(Ok(body)) = body else {
        return Err(Refusal::Malformed("it is too long, or did not come in time"));
    };
    let body = String::from_utf8(body.to_bytes().to_vec()).map_err(|_| Refusal::Malformed("it is no text"))?;
    issuer.issue(token, trusted, &body).await
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotLeading | Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::Challenge => StatusCode::CONFLICT,
        Refusal::Token | Refusal::Unbound => StatusCode::UNAUTHORIZED,
        Refusal::Account(_) | Refusal::Pod(_) | Refusal::NotInFleet => StatusCode::FORBIDDEN,
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
