//! Stub proxies: the least of the Admin API that a controller needs, over mutual TLS, each at an address of its own.
//!
//! They notice when a configuration with a marker came in, and in which term of which leader. Since they share a machine with what is measured, what one of
//! them found in a body the others do not look for again.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use proxy_config_schema::ConfigHash;
use rustls::ServerConfig;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

/// What markers begin with.
pub(super) const MARKER: &str = "mark-";
/// In the paths of every route, once.
const ROUTE: &[u8] = b"~/app/";

/// `GET /` of Kong 3.9.1, as far as a controller looks.
const IDENTITY: &str = r#"{"version":"3.9.1","edition":"community","configuration":{"database":"off",
"router_flavor":"traditional_compatible","role":"traditional"},"plugins":{"available_on_server":{"key-auth":{"version":"3.9.1"}}}}"#;

/// All stubs.
pub(super) struct Stubs {
    stubs: Vec<Arc<Stub>>,
    last: Arc<Mutex<Arc<Looked>>>,
}

/// One proxy.
#[derive(Default)]
struct Stub {
    state: Mutex<State>,
    /// Takes bodies and answers nothing.
    hangs: AtomicBool,
    pushes: AtomicU64,
    probes: AtomicU64,
}

#[derive(Default)]
struct State {
    hash: ConfigHash,
    routes: usize,
    /// When a configuration with a marker had come in, for the first time.
    seen: HashMap<String, Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    at: Instant,
    term: u64,
}

/// What stands in a body.
#[derive(Default)]
struct Looked {
    body: Vec<u8>,
    hash: ConfigHash,
    routes: usize,
    markers: Vec<String>,
}

impl Looked {
    fn at(body: Vec<u8>) -> Self {
        let count = |text: &[u8]| body.windows(text.len()).filter(|window| *window == text).count();
        let routes = count(ROUTE);
        let mut markers = Vec::new();
        let mut rest = body.as_slice();
        while let Some(start) = rest
            .windows(MARKER.len())
            .position(|window| window == MARKER.as_bytes())
        {
            rest = &rest[start..];
            let end = rest
                .iter()
                .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
            let (marker, after) = rest.split_at(end.unwrap_or(rest.len()));
            markers.push(String::from_utf8_lossy(marker).into_owned());
            rest = after;
        }
        Self {
            hash: ConfigHash::of(&body),
            routes,
            markers,
            body,
        }
    }
}

impl Stubs {
    /// Listens at all addresses.
    pub(super) async fn start(addresses: &[SocketAddr], tls: Arc<ServerConfig>) -> anyhow::Result<Self> {
        let last = Arc::new(Mutex::new(Arc::new(Looked::default())));
        let acceptor = TlsAcceptor::from(tls);
        let mut stubs = Vec::new();
        for address in addresses {
            let stub = Arc::new(Stub::default());
            let listener = TcpListener::bind(address).await?;
            tokio::spawn(accept(listener, acceptor.clone(), stub.clone(), last.clone()));
            stubs.push(stub);
        }
        Ok(Self { stubs, last })
    }

    /// Whether all but the hung ones have that many routes.
    pub(super) fn have_routes(&self, count: usize) -> bool {
        self.working().all(|stub| stub.lock().routes >= count)
    }

    /// When the first and the last of all but the hung ones had the marker; `None` as long as one has not.
    pub(super) fn seen(&self, marker: &str) -> Option<(Instant, Instant)> {
        let seen = self.seen_by_each(marker)?;
        let times = || seen.iter().map(|seen| seen.at);
        Some((times().min()?, times().max()?))
    }

    /// In which terms, first and last, all but the hung ones were sent the marker for the first time; `None` as long as one
    /// was not. Whoever leads next has a term of a higher number.
    pub(super) fn terms(&self, marker: &str) -> Option<(u64, u64)> {
        let seen = self.seen_by_each(marker)?;
        let terms = || seen.iter().map(|seen| seen.term);
        Some((terms().min()?, terms().max()?))
    }

    fn seen_by_each(&self, marker: &str) -> Option<Vec<Seen>> {
        let seen = self.working().map(|stub| stub.lock().seen.get(marker).copied());
        seen.collect()
    }

    /// Whether a proxy hangs from now on: it takes a body and does not answer.
    pub(super) fn hang(&self, index: usize, hangs: bool) {
        self.stubs[index].hangs.store(hangs, Ordering::Relaxed);
    }

    /// Configurations that were sent to all together so far.
    pub(super) fn pushes(&self) -> u64 {
        self.stubs.iter().map(|stub| stub.pushes.load(Ordering::Relaxed)).sum()
    }

    /// Questions that were asked all together so far.
    pub(super) fn probes(&self) -> u64 {
        self.stubs.iter().map(|stub| stub.probes.load(Ordering::Relaxed)).sum()
    }

    /// The configuration that came in last.
    pub(super) fn last_body(&self) -> Vec<u8> {
        self.last.lock().expect("no holder of the lock panics").body.clone()
    }

    fn working(&self) -> impl Iterator<Item = &Arc<Stub>> {
        self.stubs.iter().filter(|stub| !stub.hangs.load(Ordering::Relaxed))
    }
}

impl Stub {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, stub: Arc<Stub>, last: Arc<Mutex<Arc<Looked>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, acceptor.clone(), stub.clone(), last.clone()));
    }
}

/// A connection that breaks is its client's affair.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, stub: Arc<Stub>, last: Arc<Mutex<Arc<Looked>>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let stream = acceptor.accept(stream).await.ok()?;
    let service = service_fn(move |request| {
        let (stub, last) = (stub.clone(), last.clone());
        async move { Ok::<_, Infallible>(answer(request, &stub, &last).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    connection.await.ok()
}

async fn answer(request: Request<Incoming>, stub: &Stub, last: &Mutex<Arc<Looked>>) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => json_answer(StatusCode::OK, IDENTITY.into()),
        (&Method::GET, "/status") => {
            stub.probes.fetch_add(1, Ordering::Relaxed);
            let hash = stub.lock().hash.to_string();
            json_answer(StatusCode::OK, json!({"configuration_hash": hash}).to_string())
        }
        (&Method::POST, "/config") => configure(request, stub, last).await,
        _ => json_answer(StatusCode::NOT_FOUND, r#"{"message":"Not found"}"#.into()),
    }
}

async fn configure(request: Request<Incoming>, stub: &Stub, last: &Mutex<Arc<Looked>>) -> Response<Full<Bytes>> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let term = term(request.headers());
    let mut bytes = Vec::with_capacity(length.unwrap_or_default());
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return json_answer(StatusCode::BAD_REQUEST, r#"{"message":"the body broke off"}"#.into());
        };
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    while stub.hangs.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(50)).await;
    }
    let now = Instant::now();
    let looked = {
        let mut last = last.lock().expect("no holder of the lock panics");
        if last.body != bytes {
            *last = Arc::new(Looked::at(bytes));
        }
        last.clone()
    };
    stub.pushes.fetch_add(1, Ordering::Relaxed);
    let mut state = stub.lock();
    let known = state.hash == looked.hash;
    state.hash = looked.hash;
    state.routes = looked.routes;
    for marker in &looked.markers {
        state.seen.entry(marker.clone()).or_insert(Seen { at: now, term });
    }
    drop(state);
    if known {
        return json_answer(StatusCode::NOT_MODIFIED, String::new());
    }
    json_answer(
        StatusCode::CREATED,
        json!({"config_hash": looked.hash.to_string(), "flattened_errors": []}).to_string(),
    )
}

/// The number in `Silverback-Epoch: <lease uid>:<number>`; 0 where there is none, as from a bare client.
fn term(headers: &HeaderMap) -> u64 {
    let epoch = headers.get("silverback-epoch").and_then(|epoch| epoch.to_str().ok());
    let number = epoch.and_then(|epoch| epoch.rsplit_once(':')?.1.parse().ok());
    number.unwrap_or_default()
}

fn json_answer(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(header::SERVER, header::HeaderValue::from_static("kong/3.9.1"));
    answer
}
