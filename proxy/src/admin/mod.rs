//! The Admin API as Kong's in DB-less mode, and the status listener beside it.
//!
//! - `config`: `POST /config`, `GET /config`; `body` reads what is posted
//! - `node`: `GET /`, `GET /status`
//! - `tables`: the entities of a configuration as Kong lists them, without secrets
//! - `entities`: reading them; writing is refused
//! - `schemas`: whether an entity would be taken
//! - `status`: the status listener
//! - `metrics`: figures for Prometheus
//!
//! Who may call is decided below, in `server`; what a configuration means, in `control` and `data`. Differences to Kong
//! are listed in `docs/reference/admin-api.md`.

mod body;
mod config;
mod entities;
mod metrics;
mod node;
mod schemas;
mod status;
mod tables;

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Incoming,
    header::{HeaderName, HeaderValue, ORIGIN, SERVER},
};
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;

pub(crate) use node::Node;
pub(crate) use status::StatusApi;
pub(crate) use tables::Tables;

use crate::{
    answer,
    control::Control,
    data::DataPlane,
    server::{Answer, Handler, Peer},
};

/// Configurations that are received, checked or wait for it at once; each may take the largest body's memory.
const MAX_UPLOADS: usize = 4;

const LATENCY: HeaderName = HeaderName::from_static("x-kong-admin-latency");
const PRODUCT: &str = concat!("silverback-proxy/", env!("CARGO_PKG_VERSION"));

/// The Admin API.
pub(crate) struct AdminApi {
    control: Arc<Control>,
    data: Arc<DataPlane>,
    node: Arc<Node>,
    body_limit: usize,
    uploads: Semaphore,
}

impl AdminApi {
    /// Takes bodies of up to `body_limit` bytes.
    pub(crate) fn new(control: Arc<Control>, data: Arc<DataPlane>, node: Arc<Node>, body_limit: usize) -> Arc<Self> {
        Arc::new(Self {
            control,
            data,
            node,
            body_limit,
            uploads: Semaphore::new(MAX_UPLOADS),
        })
    }

    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        // A web page must not reach through its visitor's browser into an Admin API that knows nobody.
        if !peer.verified && request.headers().contains_key(ORIGIN) {
            return answer::message(
                StatusCode::FORBIDDEN,
                "requests from web pages are refused where clients are not verified",
            );
        }
        let path = segments(request.uri().path());
        let segments: Vec<&str> = path.iter().map(String::as_str).collect();
        match (segments.as_slice(), request.method()) {
            ([], &Method::GET | &Method::HEAD) => answer::json(StatusCode::OK, &self.node.describe()),
            (["status"], &Method::GET | &Method::HEAD) => {
                answer::json(StatusCode::OK, &self.node.status(&self.control, &self.data))
            }
            (["metrics"], &Method::GET | &Method::HEAD) => metrics::answer(&self.node, &self.control, &self.data),
            (["config"], &Method::GET | &Method::HEAD) => self.read_config(),
            (["config"], &Method::POST) => self.post_config(request, peer).await,
            (["config"], &Method::OPTIONS) => answer::options("GET, HEAD, OPTIONS, POST"),
            ([] | ["status"] | ["metrics"], &Method::OPTIONS) => answer::options("GET, HEAD, OPTIONS"),
            ([] | ["status"] | ["metrics"] | ["config"], _) => answer::method_not_allowed(),
            (["schemas", rest @ ..], _) if !rest.is_empty() => self.schemas(rest, request).await,
            _ => entities::answer(&self.control.current(), &self.node, &segments, &request),
        }
    }
}

impl Handler for AdminApi {
    fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(async move {
            let started = Instant::now();
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let mut answer = self.answer(request, peer).await;
            mark(answer.headers_mut(), started);
            let status = answer.status().as_u16();
            tracing::debug!(peer = %peer.address, %method, path, status, "admin request");
            answer
        })
    }
}

/// Adds the headers that Kong adds to each answer.
fn mark(headers: &mut HeaderMap, started: Instant) {
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    headers.insert(LATENCY, HeaderValue::from(milliseconds));
    headers.insert(SERVER, HeaderValue::from_static(PRODUCT));
}

/// The parts of a path, decoded. A slash at the end means nothing.
fn segments(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect()
}
