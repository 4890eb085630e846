//! One client connection: handshake, choice of protocol, requests, end.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::{
    super::DataPlane,
    stream::{Arrivals, ClientStream},
};
use crate::data::{
    Drain,
    drain::{Parting, farewell},
    forward,
};

/// How often an HTTP/2 client is asked for a sign of life, and how long it may take.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What a request came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    pub(in crate::data) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URL of this scheme means without naming one.
    pub(in crate::data) fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The client's side of a connection: what all of its requests have in common.
#[derive(Debug)]
pub(in crate::data) struct Client {
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Where it arrived.
    pub local: SocketAddr,
    /// How it came.
    pub scheme: Scheme,
    /// The TLS server name that it asked for, in lower case.
    pub server_name: Option<String>,
    /// Tasks that outlive the request that began them, such as WebSockets; a drain waits for them.
    pub tasks: TaskTracker,
    /// The end of the traffic.
    pub drain: Drain,
}

/// Serves one connection to its end.
pub(super) async fn serve(
    plane: Arc<DataPlane>,
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    drain: Drain,
    tasks: TaskTracker,
) {
    let _open = plane.connections.connection();
    let limits = plane.options.limits;
    let mut client = Client {
        peer,
        local,
        scheme: Scheme::Http,
        server_name: None,
        tasks,
        drain,
    };
    let handshake = plane.connections.handshake();
    let Some(acceptor) = acceptor else {
        let mut stream = ClientStream::new(stream, limits.stall_timeout);
        let protocol = tokio::select! {
            protocol = timeout(limits.header_timeout, stream.speaks_http2()) => protocol,
            () = client.drain.lingered(limits.linger) => match stream.has_arrivals() {
                // It began to speak just now.
                true => timeout(limits.linger, stream.speaks_http2()).await,
                false => return,
            },
        };
        drop(handshake);
        if let Ok(Ok(http2)) = protocol {
            Box::pin(converse(&plane, stream, client, http2)).await;
        }
        return;
    };
    let accepted = tokio::select! {
        accepted = timeout(limits.handshake_timeout, acceptor.accept(stream)) => accepted,
        () = client.drain.cut.cancelled() => return,
    };
    drop(handshake);
    match accepted {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let http2 = session.alpn_protocol() == Some(b"h2");
            client.scheme = Scheme::Https;
            client.server_name = session.server_name().map(str::to_ascii_lowercase);
            let stream = ClientStream::new(stream, limits.stall_timeout);
            Box::pin(converse(&plane, stream, client, http2)).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, %peer, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
}

async fn converse<S>(plane: &Arc<DataPlane>, stream: ClientStream<S>, client: Client, http2: bool)
where
    S: AsyncRead + AsyncWrite + Arrivals + Unpin + Send + 'static,
{
    let limits = plane.options.limits;
    let peer = client.peer;
    let drain = client.drain.clone();
    let client = Arc::new(client);
    let activity = Arc::new(Activity::default());
    let service = service_fn(|request: Request<Incoming>| {
        let plane = Arc::clone(plane);
        let client = Arc::clone(&client);
        let guard = (activity.begin(), plane.connections.request());
        async move {
            let mut response = forward::answer(&plane, &client, request).await;
            if !http2 && client.drain.has_begun() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| body.guarded(guard)))
        }
    });
    let outcome = if http2 {
        let io = TokioIo::new(stream);
        let mut connection = pin!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits.max_streams)
                .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
                .keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_TIMEOUT)
                .serve_connection(io, service)
        );
        tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = activity.idle_for(limits.header_timeout, &drain) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    outcome = connection => outcome,
                    () = farewell(&drain.cut) => Ok(()),
                }
            }
        }
    } else {
        let parting = Arc::new(Parting::default());
        let io = TokioIo::new(stream.parting(Arc::clone(&parting)));
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_timeout)
                .max_headers(limits.max_headers)
                .max_header_size(limits.max_header_bytes)
                .title_case_headers(true)
                .serve_connection(io, service)
                .with_upgrades()
        );
        tokio::select! {
            outcome = connection.as_mut() => outcome,
            is_idle = activity.part(&drain, limits.linger, &parting) => match is_idle {
                true => tokio::select! {
                    outcome = connection => outcome,
                    () = farewell(&drain.cut) => Ok(()),
                },
                false => Ok(()),
            },
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, %peer, "connection ended early");
    }
}

/// How many requests a connection is carrying, and how many it has begun.
#[derive(Debug, Default)]
struct Activity {
    running: AtomicUsize,
    begun: AtomicUsize,
}

impl Activity {
    fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        Running(Arc::clone(self))
    }

    /// Returns when nothing has been going on for a whole period, or when the listener is to drain.
    async fn idle_for(&self, period: Duration, drain: &Drain) {
        loop {
            let begun = self.begun.load(Relaxed);
            let idle = self.running.load(Relaxed) == 0;
            if timeout(period, drain.begun.cancelled()).await.is_ok() {
                return;
            }
            if idle && self.begun.load(Relaxed) == begun {
                return;
            }
        }
    }

    /// Once the listener drains and no request has come for a while, asks the connection to end, as often as it takes: one
    /// that is on its way is still taken. Returns at the cut; true if nothing is under way then.
    async fn part(&self, drain: &Drain, linger: Duration, parting: &Parting) -> bool {
        drain.begun.cancelled().await;
        loop {
            let begun = self.begun.load(Relaxed);
            let is_cut = timeout(linger, drain.cut.cancelled()).await.is_ok();
            let is_idle = self.running.load(Relaxed) == 0;
            if is_idle && (is_cut || self.begun.load(Relaxed) == begun) {
                parting.ask();
            }
            if is_cut {
                return is_idle;
            }
        }
    }
}

struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}
