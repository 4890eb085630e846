//! Connections to upstreams: opened, kept while idle, shared where HTTP/2 allows it.
//!
//! A pool belongs to an address *and* a TLS identity *and* a server name: a connection that was verified for one
//! service is never used for another that trusts other authorities or expects another name.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use super::request_body::Attempt;
use crate::data::{KeepAliveOptions, tls::UpstreamIdentity};

/// Headers of an upstream's answer, at most.
const MAX_HEADERS: usize = 256;
/// Addresses and identities with idle connections, at most: names in Host headers may come from clients.
const MAX_POOLS: usize = 4096;
/// How long a connection may take to become idle after the end of an answer.
const SETTLE: Duration = Duration::from_secs(1);
/// How often an HTTP/2 upstream is asked for a sign of life while calls run.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// What connections have in common that may stand for each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PoolKey {
    /// Where to.
    pub address: SocketAddr,
    /// Number of the TLS identity, and the name that the upstream has to prove.
    pub tls: Option<(u64, ServerName<'static>)>,
    /// Whether HTTP/2.
    pub http2: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// It took too long.
    #[error("connecting took too long")]
    Timeout,
    /// The address can't be reached, or the TLS handshake failed.
    #[error("connecting failed: {0}")]
    Io(#[from] io::Error),
    /// The connection broke at once.
    #[error("the connection broke at once: {0}")]
    Http(#[from] hyper::Error),
}

/// A connection in use.
pub(super) struct Lease {
    /// How to send a request.
    pub sender: Sender,
    /// Whether it has served a request before.
    pub reused: bool,
    key: PoolKey,
    served: u64,
}

/// How to send a request.
pub(super) enum Sender {
    /// One request at a time.
    Http1(http1::SendRequest<Attempt>),
    /// Many at once.
    Http2(http2::SendRequest<Attempt>),
}

struct Idle {
    sender: http1::SendRequest<Attempt>,
    served: u64,
    since: Instant,
}

/// An HTTP/2 connection that many requests share, and when one last took it; locked while it is opened.
type Shared = Arc<tokio::sync::Mutex<Option<(http2::SendRequest<Attempt>, Instant)>>>;

/// All connections to upstreams.
pub(in crate::data) struct Pools {
    options: KeepAliveOptions,
    idle: Mutex<HashMap<PoolKey, VecDeque<Idle>>>,
    shared: Mutex<HashMap<PoolKey, Shared>>,
}

impl Pools {
    pub(in crate::data) fn new(options: KeepAliveOptions) -> Self {
        Self {
            options,
            idle: Mutex::default(),
            shared: Mutex::default(),
        }
    }

    /// A connection, a kept one if there is any. `fresh` asks for a new one: a kept one has just turned out dead.
    ///
    /// # Errors
    /// [`ConnectError`]; `bound` is for the TLS handshake too.
    pub(super) async fn take(
        &self,
        key: PoolKey,
        identity: Option<&UpstreamIdentity>,
        bound: Duration,
        fresh: bool,
    ) -> Result<Lease, ConnectError> {
        if key.http2 {
            return self.take_shared(key, identity, bound, fresh).await;
        }
        if let Some(idle) = self.take_idle(&key).filter(|_| !fresh) {
            return Ok(Lease {
                sender: Sender::Http1(idle.sender),
                reused: true,
                key,
                served: idle.served,
            });
        }
        let sender = match connect(&key, identity, bound).await? {
            Transport::Plain(stream) => open_http1(stream).await?,
            Transport::Tls(stream) => open_http1(*stream).await?,
        };
        Ok(Lease {
            sender: Sender::Http1(sender),
            reused: false,
            key,
            served: 0,
        })
    }

    /// Gives a connection back after the end of an answer.
    pub(super) fn put(self: Arc<Self>, lease: Lease) {
        let Sender::Http1(mut sender) = lease.sender else {
            return;
        };
        let served = lease.served + 1;
        if sender.is_closed() || served >= self.options.max_requests || self.options.pool_size == 0 {
            return;
        }
        if sender.is_ready() {
            return self.keep(lease.key, sender, served);
        }
        tokio::spawn(async move {
            if let Ok(Ok(())) = timeout(SETTLE, sender.ready()).await {
                self.keep(lease.key, sender, served);
            }
        });
    }

    /// Closes idle connections of TLS identities that are no longer in use.
    pub(in crate::data) fn retain_identities(&self, live: &HashSet<u64>) {
        let lives = |key: &PoolKey| key.tls.as_ref().is_none_or(|(identity, _)| live.contains(identity));
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|key, _| lives(key));
        drop(idle);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|key, _| lives(key));
    }

    /// Closes connections that have been idle for too long.
    pub(in crate::data) fn sweep(&self) {
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, connections| {
            connections.retain(|idle| self.is_usable(idle, now));
            !connections.is_empty()
        });
        drop(idle);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|_, shared| {
            // Calls that still run keep the connection open after its last handle here is gone.
            let Ok(connection) = shared.try_lock() else { return true };
            let used = connection.as_ref().filter(|(sender, _)| !sender.is_closed());
            used.is_some_and(|(_, used)| now < *used + self.options.idle_timeout)
        });
    }

    fn is_usable(&self, idle: &Idle, now: Instant) -> bool {
        idle.sender.is_ready() && !idle.sender.is_closed() && now < idle.since + self.options.idle_timeout
    }

    fn take_idle(&self, key: &PoolKey) -> Option<Idle> {
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(key)?;
        while let Some(idle) = connections.pop_back() {
            if self.is_usable(&idle, now) {
                return Some(idle);
            }
        }
        None
    }

    fn keep(&self, key: PoolKey, sender: http1::SendRequest<Attempt>, served: u64) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= MAX_POOLS && !idle.contains_key(&key) {
            return;
        }
        let connections = idle.entry(key).or_default();
        if connections.len() >= self.options.pool_size {
            connections.pop_front();
        }
        connections.push_back(Idle {
            sender,
            served,
            since: Instant::now(),
        });
    }

    async fn take_shared(
        &self,
        key: PoolKey,
        identity: Option<&UpstreamIdentity>,
        bound: Duration,
        fresh: bool,
    ) -> Result<Lease, ConnectError> {
        let shared = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(shared.entry(key.clone()).or_default())
        };
        let mut connection = shared.lock().await;
        let known = connection.take().filter(|(sender, _)| !fresh && !sender.is_closed());
        let (sender, reused) = match known {
            Some((sender, _)) => (sender, true),
            None => match connect(&key, identity, bound).await? {
                Transport::Plain(stream) => (open_http2(stream).await?, false),
                Transport::Tls(stream) => (open_http2(*stream).await?, false),
            },
        };
        *connection = Some((sender.clone(), Instant::now()));
        Ok(Lease {
            sender: Sender::Http2(sender),
            reused,
            key,
            served: 0,
        })
    }
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn connect(
    key: &PoolKey,
    identity: Option<&UpstreamIdentity>,
    bound: Duration,
) -> Result<Transport, ConnectError> {
    let opening = async {
        let stream = TcpStream::connect(key.address).await?;
        stream.set_nodelay(true)?;
        let (Some(identity), Some((_, name))) = (identity, &key.tls) else {
            return Ok(Transport::Plain(stream));
        };
        let config = if key.http2 { &identity.http2 } else { &identity.http1 };
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(name.clone(), stream)
            .await?;
        Ok(Transport::Tls(Box::new(stream)))
    };
    timeout(bound, opening).await.unwrap_or(Err(ConnectError::Timeout))
}

async fn open_http1<S>(stream: S) -> Result<http1::SendRequest<Attempt>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to an upstream ended");
        }
    });
    Ok(sender)
}

async fn open_http2<S>(stream: S) -> Result<http2::SendRequest<Attempt>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .adaptive_window(true)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to an upstream ended");
        }
    });
    Ok(sender)
}
