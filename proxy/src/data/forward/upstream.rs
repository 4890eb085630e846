//! Attempts at a service, until one answers, none is left, or another would not be safe.
//!
//! What is safe to try again follows nginx: always what was not sent; what was sent only where the method is idempotent
//! and the whole body is still at hand. A kept connection that turns out dead costs no attempt.

use std::sync::Arc;

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    body::Incoming,
    client::conn::TrySendError,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE},
    http::uri::PathAndQuery,
    upgrade::OnUpgrade,
};
use tokio::time::Instant;

use super::{
    Answered, Exchange, Routed,
    body::Body,
    headers,
    peer::{Peer, request_hash},
    pool::{ConnectError, Lease, PoolKey, Sender},
    request_body::{Attempt, Patience, RequestBody},
    tunnel,
};
use crate::data::{
    answer::{Failure, is_grpc},
    balancer::{Running, Target},
    router::{escape, join},
    runtime::{Backend, ServiceEntry},
};

/// Why an attempt failed, and what may follow.
struct Trouble {
    failure: Failure,
    next: Next,
}

/// What may follow a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing: the upstream may have acted, or the client is at fault.
    Nothing,
    /// The same peer over a new connection; the kept one was dead.
    Reconnect,
    /// Another peer.
    Another,
}

/// A request as every attempt sends it.
struct Outbound<'a> {
    exchange: &'a Exchange<'a>,
    service: &'a ServiceEntry,
    method: Method,
    headers: HeaderMap,
    target: PathAndQuery,
    body: RequestBody,
    websocket: bool,
}

/// Forwards a request to its service.
pub(super) async fn forward(
    exchange: &Exchange<'_>,
    service: &Arc<ServiceEntry>,
    mut routed: Routed<'_>,
    incoming: Incoming,
    upgrade: OnUpgrade,
) -> Answered {
    let Some(target) = target(&routed, service) else {
        return exchange.fail(Failure::BadRequest);
    };
    let (hash, cookie) = match &service.backend {
        Backend::Upstream(balancer) => request_hash(exchange, balancer, &routed),
        Backend::Host(_) => (None, None),
    };
    headers::for_upstream(&mut routed.parts, &routed.head, routed.route, routed.found, exchange);
    let outbound = Outbound {
        exchange,
        service,
        method: routed.parts.method.clone(),
        headers: std::mem::take(&mut routed.parts.headers),
        target,
        body: RequestBody::new(incoming, exchange.plane.options.limits.max_body_bytes),
        websocket: routed.head.websocket,
    };
    let mut tried = Vec::new();
    let mut left = service.retries;
    let mut first: Option<Instant> = None;
    let mut last: Option<Failure> = None;
    let outcome = 'peers: loop {
        let peer = match Peer::next(exchange, service, &routed, hash, &mut tried).await {
            Ok(peer) => peer,
            Err(failure) => break Err(last.unwrap_or(failure)),
        };
        first.get_or_insert_with(Instant::now);
        // From here on: a target that is slow to begin its answer has work, too.
        let running = peer.target.as_ref().map(Target::begin);
        let mut fresh = false;
        loop {
            let begun = Instant::now();
            let trouble = match outbound.attempt(&peer, fresh).await {
                Ok(answer) => {
                    running.iter().for_each(|running| running.answered(begun.elapsed()));
                    break 'peers Ok((answer, running));
                }
                Err(trouble) => trouble,
            };
            last = Some(trouble.failure);
            match trouble.next {
                Next::Nothing => break 'peers Err(trouble.failure),
                Next::Reconnect => fresh = true,
                Next::Another if left == 0 => break 'peers Err(trouble.failure),
                Next::Another => break,
            }
        }
        left -= 1;
        tried.extend(peer.target);
    };
    routed.route.counters.received(outbound.body.received());
    let (response, from_upstream) = match outcome {
        Err(failure) => (exchange.failure(failure), false),
        Ok(((response, lease), running)) => match outbound.finish(response, lease, running, upgrade) {
            Err(failure) => (exchange.failure(failure), false),
            Ok(mut response) => {
                if let Some((name, value)) = cookie {
                    response.headers_mut().append(name, value);
                }
                (response, true)
            }
        },
    };
    Answered {
        response,
        tried: first,
        from_upstream,
    }
}

/// Path and query for the upstream. An empty query stays one: `/a?`.
fn target(routed: &Routed<'_>, service: &ServiceEntry) -> Option<PathAndQuery> {
    let stripped = routed.found.matched.filter(|_| routed.route.strip_path);
    let mut target = escape(&join(service.path.as_bytes(), &routed.head.path, stripped));
    if let Some(query) = routed.parts.uri.query() {
        target.push('?');
        target.push_str(query);
    }
    target.try_into().ok()
}

impl Outbound<'_> {
    async fn attempt(&self, peer: &Peer, fresh: bool) -> Result<(Response<Incoming>, Lease), Trouble> {
        let request = self.request(peer).ok_or(Trouble {
            failure: Failure::BadRequest,
            next: Next::Nothing,
        })?;
        let mut lease = self.connect(peer, fresh).await?;
        let patience = Patience {
            client: self.exchange.plane.options.limits.stall_timeout,
            write: self.service.write_timeout,
            read: self.service.read_timeout,
        };
        let sending = async {
            match &mut lease.sender {
                Sender::Http1(sender) => sender.try_send_request(request).await,
                Sender::Http2(sender) => sender.try_send_request(request).await,
            }
        };
        let outcome = tokio::select! {
            outcome = sending => outcome.map_err(|error| self.lost(error, peer, lease.reused)),
            failure = self.body.watch(patience) => Err(self.timed_out(failure, peer)),
        };
        outcome.map(|response| (response, lease))
    }

    async fn connect(&self, peer: &Peer, fresh: bool) -> Result<Lease, Trouble> {
        let unreachable = |failure| Trouble {
            failure,
            next: Next::Another,
        };
        let identity = self.service.identity.as_deref();
        let tls = match identity {
            None => None,
            Some(identity) => {
                let name = peer.server_name().ok_or(unreachable(Failure::BadGateway))?;
                Some((identity.number, name))
            }
        };
        let key = PoolKey {
            address: peer.address,
            tls,
            http2: self.service.protocol.http2,
        };
        let pools = &self.exchange.plane.pools;
        let taken = pools.take(key, identity, self.service.connect_timeout, fresh).await;
        taken.map_err(|error| {
            self.warn(peer, &error);
            unreachable(match error {
                ConnectError::Timeout => Failure::GatewayTimeout,
                ConnectError::Io(_) | ConnectError::Http(_) => Failure::BadGateway,
            })
        })
    }

    fn request(&self, peer: &Peer) -> Option<Request<Attempt>> {
        let mut request = Request::new(self.body.attempt());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        if self.service.protocol.http2 {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(HOST);
            let scheme = if self.service.protocol.tls { "https" } else { "http" };
            let uri = Uri::builder().scheme(scheme).authority(peer.authority.as_str());
            *request.uri_mut() = uri.path_and_query(self.target.clone()).build().ok()?;
        } else {
            let host = HeaderValue::from_str(&peer.authority).ok()?;
            request.headers_mut().insert(HOST, host);
            *request.uri_mut() = Uri::from(self.target.clone());
        }
        Some(request)
    }

    /// The connection broke before an answer came.
    fn lost(&self, mut error: TrySendError<Request<Attempt>>, peer: &Peer, reused: bool) -> Trouble {
        let unsent = error.take_message().is_some();
        if let Some(failure) = self.body.failure() {
            return Trouble {
                failure,
                next: Next::Nothing,
            };
        }
        let next = match (unsent || self.is_repeatable(), reused) {
            (false, _) => Next::Nothing,
            (true, true) => Next::Reconnect,
            (true, false) => Next::Another,
        };
        if next != Next::Reconnect {
            self.warn(peer, error.error());
        }
        Trouble {
            failure: Failure::BadGateway,
            next,
        }
    }

    fn timed_out(&self, failure: Failure, peer: &Peer) -> Trouble {
        let upstream = failure == Failure::GatewayTimeout;
        if upstream {
            self.warn(peer, &"it took too long");
        }
        let next = if upstream && self.is_repeatable() {
            Next::Another
        } else {
            Next::Nothing
        };
        Trouble { failure, next }
    }

    fn is_repeatable(&self) -> bool {
        let idempotent = matches!(
            self.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
        );
        idempotent && !self.websocket && self.body.is_repeatable()
    }

    fn warn(&self, peer: &Peer, error: &dyn std::fmt::Display) {
        tracing::warn!(request = self.exchange.request_text, upstream = %peer.address, %error, "an attempt failed");
    }

    /// Makes the upstream's answer the client's.
    fn finish(
        &self,
        mut response: Response<Incoming>,
        lease: Lease,
        running: Option<Running>,
        client: OnUpgrade,
    ) -> Result<Response<Body>, Failure> {
        let pools = Arc::clone(&self.exchange.plane.pools);
        let timeout = self.service.read_timeout;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if !self.websocket {
                return Err(Failure::BadGateway);
            }
            let upstream = hyper::upgrade::on(&mut response);
            let (tasks, cut) = (&self.exchange.client.tasks, self.exchange.client.drain.cut.clone());
            tasks.spawn(async move {
                tunnel::run(client, upstream, timeout, cut).await;
                drop(running);
            });
            let (mut parts, _) = response.into_parts();
            headers::remove_hop_by_hop(&mut parts.headers);
            parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            return Ok(Response::from_parts(parts, Body::empty()));
        }
        let (mut parts, incoming) = response.into_parts();
        headers::remove_hop_by_hop(&mut parts.headers);
        parts.version = Version::HTTP_11;
        // What the connection to the upstream has attached to its answer is not for the client's.
        parts.extensions.clear();
        let is_call = parts.headers.get(CONTENT_TYPE).is_some_and(is_grpc) && self.service.protocol.http2;
        let cut = is_call.then(|| self.exchange.client.drain.cut.clone());
        let body = Body::upstream(incoming, timeout, lease, pools, cut);
        Ok(Response::from_parts(parts, body.guarded(running)))
    }
}
