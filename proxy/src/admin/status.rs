//! The status listener: plain HTTP, for probes and for Prometheus. It tells no entity.

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use hyper::{Method, Request, StatusCode, body::Incoming};
use serde_json::Value;

use super::{Node, body, mark, metrics, segments};
use crate::{
    answer,
    control::{Control, Readiness},
    data::DataPlane,
    server::{Answer, Handler, Peer},
};

/// A body here is one small object.
const MAX_BODY_BYTES: usize = 4 << 10;

/// The status listener.
pub(crate) struct StatusApi {
    control: Arc<Control>,
    data: Arc<DataPlane>,
    node: Arc<Node>,
}

impl StatusApi {
    /// Tells of these.
    pub(crate) fn new(control: Arc<Control>, data: Arc<DataPlane>, node: Arc<Node>) -> Arc<Self> {
        Arc::new(Self { control, data, node })
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = segments(request.uri().path());
        let segments: Vec<&str> = path.iter().map(String::as_str).collect();
        match (segments.as_slice(), request.method()) {
            (["status"], &Method::GET | &Method::HEAD) => {
                answer::json(StatusCode::OK, &self.node.status(&self.control, &self.data))
            }
            (["status", "ready"], &Method::GET | &Method::HEAD) => readiness(self.control.readiness()),
            (["status", "ready"], &Method::POST) => self.drain(request).await,
            (["metrics"], &Method::GET | &Method::HEAD) => metrics::answer(&self.node, &self.control, &self.data),
            (["status"] | ["metrics"], &Method::OPTIONS) => answer::options("GET, HEAD, OPTIONS"),
            (["status", "ready"], &Method::OPTIONS) => answer::options("GET, HEAD, OPTIONS, POST"),
            (["status"] | ["status", "ready"] | ["metrics"], _) => answer::method_not_allowed(),
            _ => answer::not_found(),
        }
    }

    /// `{"status": "draining"}`: not ready any more, while traffic goes on. There is no way back but a restart.
    async fn drain(&self, request: Request<Incoming>) -> Answer {
        let Ok(body) = body::read(request, MAX_BODY_BYTES).await else {
            return answer::too_large();
        };
        let asked = serde_json::from_slice::<Value>(&body).ok();
        match asked.as_ref().and_then(|asked| asked.get("status")?.as_str()) {
            Some("draining") => {
                self.control.set_draining();
                answer::empty(StatusCode::NO_CONTENT)
            }
            _ => answer::message(StatusCode::BAD_REQUEST, "expected {\"status\": \"draining\"}"),
        }
    }
}

impl Handler for StatusApi {
    fn handle(self: Arc<Self>, request: Request<Incoming>, _: Peer) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(async move {
            let started = Instant::now();
            let mut answer = self.answer(request).await;
            mark(answer.headers_mut(), started);
            answer
        })
    }
}

fn readiness(readiness: Readiness) -> Answer {
    let (status, message) = match readiness {
        Readiness::Ready => (StatusCode::OK, "ready"),
        Readiness::Unconfigured => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no configuration available (empty configuration present)",
        ),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
    };
    answer::message(status, message)
}
