//! `/api/v1/objects/KIND/NAME`: whether an object is live, for `silverback wait`.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::get,
};
use serde::Deserialize;

use super::Sources;
use crate::{
    liveness::Answer,
    model::{Kind, NamespacedName},
};

pub(super) fn router() -> Router<Sources> {
    Router::new().route("/api/v1/objects/{kind}/{name}", get(object))
}

#[derive(Deserialize)]
struct ObjectQuery {
    #[serde(default)]
    namespace: String,
}

async fn object(
    State(sources): State<Sources>,
    Path((kind, name)): Path<(String, String)>,
    Query(query): Query<ObjectQuery>,
) -> Result<Json<Answer>, (StatusCode, &'static str)> {
    let kind = Kind::ALL.iter().find(|known| known.name() == kind);
    let kind = kind.ok_or((StatusCode::NOT_FOUND, "this kind is not read\n"))?;
    let liveness = sources.liveness.borrow().clone();
    let view = sources.view.borrow().clone();
    let name = NamespacedName::new(query.namespace, name);
    Ok(Json(Answer::of(&liveness, &view, *kind, &name)))
}
