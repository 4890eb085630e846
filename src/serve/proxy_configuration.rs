//! `/api/v1/proxies/NAME/configuration`: what one proxy runs, and what it shall run, without secrets.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::get,
};
use futures_util::future::BoxFuture;
use proxy_config_schema::ConfigHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Sources;
use crate::{
    fleet::ProxyView,
    model::ProxyTarget,
    render::{self, Rendered},
};

/// Asks a proxy for what it runs; what comes holds secrets.
pub type ReadConfiguration = Arc<dyn Fn(Arc<ProxyTarget>) -> BoxFuture<'static, Result<Vec<u8>, String>> + Send + Sync>;

pub(super) fn router() -> Router<Sources> {
    Router::new().route("/api/v1/proxies/{name}/configuration", get(configuration))
}

#[derive(Deserialize)]
struct ProxyQuery {
    namespace: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProxyConfiguration {
    name: String,
    namespace: String,
    observed_hash: Option<ConfigHash>,
    desired_hash: Option<ConfigHash>,
    /// Of the condition `Synced`.
    reason: String,
    /// Whether it was asked; else its hash told that it runs what it shall.
    asked: bool,
    /// What it runs.
    configuration: Value,
    /// What it shall run, if that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    desired: Option<Value>,
}

type Refusal = (StatusCode, String);

async fn configuration(
    State(sources): State<Sources>,
    Path(name): Path<String>,
    Query(query): Query<ProxyQuery>,
) -> Result<Json<ProxyConfiguration>, Refusal> {
    let proxy = proxy(&sources, &name, query.namespace.as_deref())?;
    let desired = desired(&sources, &proxy);
    let runs_it = proxy.observed.is_some() && proxy.observed == proxy.desired;
    let (asked, configuration) = match &desired {
        Some(desired) if runs_it => (false, render::redacted(desired)),
        _ => (true, ask(&sources, &proxy, desired.clone()).await?),
    };
    Ok(Json(ProxyConfiguration {
        name: proxy.target.name.to_string(),
        namespace: proxy.target.namespace.to_string(),
        observed_hash: proxy.observed,
        desired_hash: proxy.desired,
        reason: proxy.synced.reason.to_string(),
        asked,
        configuration,
        desired: desired.filter(|_| !runs_it).map(|desired| render::redacted(&desired)),
    }))
}

fn proxy(sources: &Sources, name: &str, namespace: Option<&str>) -> Result<Arc<ProxyView>, Refusal> {
    let view = sources.view.borrow().clone();
    let is_meant = |proxy: &&Arc<ProxyView>| {
        *proxy.target.name == *name && namespace.is_none_or(|namespace| *proxy.target.namespace == *namespace)
    };
    let mut found = view.proxies.iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(proxy), None) => Ok(proxy.clone()),
        (Some(_), Some(_)) => Err((
            StatusCode::CONFLICT,
            "there are several of that name: give the namespace\n".to_owned(),
        )),
        (None, _) => Err((StatusCode::NOT_FOUND, "there is no proxy of that name\n".to_owned())),
    }
}

/// What it shall run, as far as it is at hand.
fn desired(sources: &Sources, proxy: &ProxyView) -> Option<Arc<Rendered>> {
    let rendition = sources.rendition.borrow().clone()?;
    let hash = proxy.desired?;
    rendition
        .profiles
        .values()
        .find(|rendered| rendered.hash == hash)
        .cloned()
}

async fn ask(sources: &Sources, proxy: &ProxyView, desired: Option<Arc<Rendered>>) -> Result<Value, Refusal> {
    let failed = |why: String| (StatusCode::BAD_GATEWAY, format!("proxy {}: {why}\n", proxy.target.name));
    let answer = (sources.read_configuration)(proxy.target.clone())
        .await
        .map_err(failed)?;
    // Takes the longer the larger it is, and so happens on no thread that others wait for.
    let told = tokio::task::spawn_blocking(move || render::told(&answer, desired.as_deref())).await;
    told.expect("reading a configuration does not panic")
        .map_err(|error| failed(error.to_string()))
}
