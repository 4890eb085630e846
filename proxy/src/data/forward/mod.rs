//! One request, from its head to the end of its answer.

mod body;

use std::sync::Arc;

use hyper::{Request, Response, body::Incoming};

use super::{
    DataPlane,
    answer::{self, Asked, Failure},
    listener::Client,
};

pub(super) use body::Body;

/// Answers a request, by an upstream or by the proxy itself.
pub(super) async fn answer(plane: &Arc<DataPlane>, client: &Arc<Client>, request: Request<Incoming>) -> Response<Body> {
    let asked = Asked::of(request.version(), request.headers());
    answer::failure(Failure::NoRoute, &asked, uuid::Uuid::new_v4().simple())
}
