//! One request, from its head to the end of its answer.
//!
//! `head` reads it, the runtime picks its route, plugins may answer, `upstream` makes attempts at the service's
//! addresses over connections of `pool`, and what comes back is finished here with the headers that Kong adds.

mod body;
mod head;
mod headers;
mod origin;
mod peer;
mod pool;
mod request_body;
mod tunnel;
mod upstream;
mod websocket;

use std::{sync::Arc, time::Duration};

use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{HeaderName, HeaderValue, SERVER},
    http::request::Parts,
};
use tokio::time::Instant;

use super::{
    DataPlane,
    answer::{self, Asked, Failure},
    listener::Client,
    router::RouteMatch,
    runtime::{RouteEntry, Runtime},
};

pub(super) use body::Body;
pub(super) use pool::Pools;

use head::Head;
use origin::Origin;

const DEBUG: HeaderName = HeaderName::from_static("kong-debug");
const UPSTREAM_LATENCY: HeaderName = HeaderName::from_static("x-kong-upstream-latency");
const PROXY_LATENCY: HeaderName = HeaderName::from_static("x-kong-proxy-latency");
const RESPONSE_LATENCY: HeaderName = HeaderName::from_static("x-kong-response-latency");

/// What is known of a request from its beginning to its end.
struct Exchange<'a> {
    plane: &'a Arc<DataPlane>,
    client: &'a Arc<Client>,
    origin: Origin,
    runtime: &'a Arc<Runtime>,
    request_id: HeaderValue,
    /// Its number as text, for answers.
    request_text: String,
    started: Instant,
    asked: Asked,
}

/// An answer before it is finished.
struct Answered {
    response: Response<Body>,
    /// When an upstream was first tried, if one was.
    tried: Option<Instant>,
    /// Whether an upstream said this.
    from_upstream: bool,
}

/// The parts of a request that a route was found for.
struct Routed<'a> {
    head: Head,
    found: RouteMatch,
    route: &'a Arc<RouteEntry>,
    parts: Parts,
}

/// Answers a request, by an upstream or by the proxy itself.
pub(super) async fn answer(plane: &Arc<DataPlane>, client: &Arc<Client>, request: Request<Incoming>) -> Response<Body> {
    let runtime = plane.runtime.load_full();
    let request_text = uuid::Uuid::new_v4().simple().to_string();
    let exchange = Exchange {
        plane,
        client,
        origin: Origin::of(request.headers(), client, &plane.options.trust),
        runtime: &runtime,
        request_id: HeaderValue::from_str(&request_text).expect("hexadecimal digits"),
        request_text,
        started: Instant::now(),
        asked: Asked::of(request.version(), request.headers()),
    };
    let version = request.version();
    let debug = plane.options.allow_debug_header && request.headers().contains_key(DEBUG);
    let (route, answered) = exchange.run(request).await;
    let mut response = answered.response;
    let waited = answered.tried.map(|tried| tried.elapsed());
    let own = exchange.started.elapsed().saturating_sub(waited.unwrap_or_default());
    if let Some(route) = &route {
        let status = response.status().as_u16();
        route.counters.answered(status, answered.from_upstream, own, waited);
        if debug {
            add_debug_headers(response.headers_mut(), route);
        }
        let counters = Arc::clone(&route.counters);
        response = response.map(|body| body.counted(counters));
    }
    let wanted = plane.options.response_headers;
    let headers = response.headers_mut();
    if wanted.latency_tokens {
        match waited {
            Some(waited) => {
                headers.insert(UPSTREAM_LATENCY, milliseconds(waited));
                headers.insert(PROXY_LATENCY, milliseconds(own));
            }
            None => drop(headers.insert(RESPONSE_LATENCY, milliseconds(own))),
        }
    }
    if wanted.server_tokens {
        if waited.is_some() {
            headers::append_via(headers, version, &plane.options.product);
        }
        if !answered.from_upstream {
            headers::set(headers, SERVER, &plane.options.product);
        }
    }
    if wanted.request_id {
        headers.insert(headers::REQUEST_ID, exchange.request_id.clone());
    }
    tracing::debug!(
        request = exchange.request_text,
        peer = %client.peer,
        client = %exchange.origin.address,
        route = route.as_ref().map(|route| route.labels.1.as_str()),
        status = response.status().as_u16(),
        milliseconds = exchange.started.elapsed().as_millis(),
        "answered"
    );
    response
}

impl<'a> Exchange<'a> {
    /// The route that was found, and the answer.
    async fn run(&self, mut request: Request<Incoming>) -> (Option<Arc<RouteEntry>>, Answered) {
        let upgrade = hyper::upgrade::on(&mut request);
        let (parts, incoming) = request.into_parts();
        let head = match Head::of(&parts, self.client) {
            Ok(head) => head,
            Err(failure) => return (None, self.fail(failure)),
        };
        let Some((found, route)) = self.runtime.find(&head.facts(&parts, self.client)) else {
            return (None, self.fail(Failure::NoRoute));
        };
        let entry = Some(Arc::clone(route));
        if let Some(response) = self.turned_away(&head, route, &parts) {
            return (entry, own(response));
        }
        let mut policies = route.policies.iter();
        if let Some(response) = policies.find_map(|policy| policy.on_request(&parts)) {
            return (entry, own(response));
        }
        let Some(service) = &route.service else {
            return (entry, self.fail(Failure::NoService));
        };
        let limit = self.plane.options.limits.max_body_bytes;
        if limit.is_some_and(|limit| incoming.size_hint().lower() > limit) {
            return (entry, self.fail(Failure::PayloadTooLarge));
        }
        let routed = Routed {
            head,
            found,
            route,
            parts,
        };
        let answered = Box::pin(upstream::forward(self, service, routed, incoming, upgrade)).await;
        (entry, answered)
    }

    /// What a request is told that came by a protocol which its route is not for (Kong: `runloop/handler`).
    fn turned_away(&self, head: &Head, route: &RouteEntry, parts: &Parts) -> Option<Response<Body>> {
        let protocols = route.protocols;
        let secure = self.origin.secure;
        if protocols.https && !protocols.http && !secure {
            let status = route.https_redirect_status;
            if status == StatusCode::UPGRADE_REQUIRED {
                return Some(self.failure(Failure::HttpsRequired));
            }
            let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
            let told = self.origin.host.as_ref().and_then(|host| host.to_str().ok());
            let host = told.unwrap_or(&head.host);
            let location = HeaderValue::from_str(&format!("https://{host}{target}"));
            return Some(location.map_or_else(
                |_| self.failure(Failure::BadRequest),
                |location| answer::redirect(status, location),
            ));
        }
        if protocols.grpc || protocols.grpcs {
            if !head.grpc {
                let plain = protocols.http || protocols.https;
                return (!plain).then(|| self.failure(Failure::NotGrpc));
            }
            if parts.version != hyper::Version::HTTP_2 {
                return Some(self.failure(Failure::Http2Required));
            }
            if !protocols.grpc && !secure {
                return Some(answer::grpc_needs_tls());
            }
        }
        None
    }

    fn failure(&self, failure: Failure) -> Response<Body> {
        answer::failure(failure, &self.asked, &self.request_text)
    }

    fn fail(&self, failure: Failure) -> Answered {
        own(self.failure(failure))
    }
}

/// An answer of the proxy's own, without any upstream.
fn own(response: Response<Body>) -> Answered {
    Answered {
        response,
        tried: None,
        from_upstream: false,
    }
}

fn add_debug_headers(headers: &mut HeaderMap, route: &RouteEntry) {
    let service = route.service.as_ref();
    let told = [
        ("kong-route-id", route.id.as_ref()),
        ("kong-route-name", route.name.as_ref()),
        ("kong-service-id", service.and_then(|service| service.id.as_ref())),
        ("kong-service-name", service.and_then(|service| service.name.as_ref())),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
}

fn milliseconds(duration: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
