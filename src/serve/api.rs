//! `/api/v1`: what the dashboard shows, as JSON. Holds no secrets.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State},
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
    routing::get,
};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use serde::{Deserialize, Serialize};

use super::Sources;
use crate::{
    fleet::{Condition, ProxyView},
    model::{Leadership, PeerCertificate, Problem, Unavailable},
    render::{self, Rendition},
};

/// An event stream sends at most this often: what changes in between comes with the next one.
const EVENT_INTERVAL: Duration = Duration::from_millis(100);

pub(super) fn router() -> Router<Sources> {
    Router::new()
        .route("/api/v1/proxies", get(proxies))
        .route("/api/v1/configuration", get(configuration))
        .route("/api/v1/problems", get(problems))
        .route("/api/v1/events", get(events))
        .route("/api/v1/leadership", get(leadership))
}

/// Who leads: what the others know of proxies is what their own probes tell, which come seldom.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownLeadership {
    leads: bool,
    /// The identity of the leader, if another one is known.
    holder: Option<String>,
}

async fn leadership(State(sources): State<Sources>) -> Json<ShownLeadership> {
    let leadership = sources.leadership.borrow();
    Json(ShownLeadership {
        leads: leadership.is_leader(),
        holder: match &*leadership {
            Leadership::Follower { holder } => holder.as_deref().map(str::to_owned),
            _ => None,
        },
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Overview {
    leadership: String,
    generation: Option<u64>,
    rendered_at: Option<Timestamp>,
    hold: Option<String>,
    /// The Admin Services to whose proxies no changes go.
    paused: Vec<String>,
    unavailable: BTreeMap<&'static str, String>,
    proxies: Vec<Proxy>,
    problems: Vec<ShownProblem>,
    configuration: Vec<ShownProfile>,
    /// Profiles whose proxies do not get all that the objects ask for, since they refused some of it.
    fallbacks: Vec<ShownFallback>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownFallback {
    profile: String,
    /// Objects that are left out.
    left_out: usize,
    /// Objects that stay as they were accepted last.
    old: usize,
    /// Whether a proxy that does not take the rest either stays with what was accepted last.
    kept: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Proxy {
    name: String,
    namespace: String,
    pod: Option<String>,
    node: Option<String>,
    service: Option<String>,
    addresses: Vec<String>,
    terminating: bool,
    phase: &'static str,
    profile: Option<String>,
    version: Option<String>,
    edition: Option<crate::model::Edition>,
    started_at: Option<Timestamp>,
    desired_hash: Option<ConfigHash>,
    observed_hash: Option<ConfigHash>,
    short_hash: Option<String>,
    hash_mode: &'static str,
    last_good_hash: Option<ConfigHash>,
    applied_at: Option<Timestamp>,
    apply_milliseconds: Option<u128>,
    size_bytes: Option<u64>,
    certificate: Option<PeerCertificate>,
    conditions: BTreeMap<&'static str, Condition>,
    errors: Vec<ShownError>,
    error_count: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownError {
    object: Option<String>,
    entity_type: String,
    field: Option<String>,
    message: String,
    since: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownProblem {
    object: String,
    field: Option<String>,
    reason: &'static str,
    message: String,
    remedy: String,
    source: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownProfile {
    profile: String,
    hash: ConfigHash,
    size_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<serde_json::Value>,
}

impl From<&Arc<ProxyView>> for Proxy {
    fn from(view: &Arc<ProxyView>) -> Self {
        let target = &view.target;
        let conditions = [
            ("Reachable", &view.reachable),
            ("MutualTLS", &view.mutual_tls),
            ("Synced", &view.synced),
            ("Complete", &view.complete),
            ("Ready", &view.ready),
        ];
        let errors = view.errors.iter().map(|error| ShownError {
            object: error.object.as_ref().map(ToString::to_string),
            entity_type: error.entity_type.clone(),
            field: error.field.clone(),
            message: error.message.clone(),
            since: error.since,
        });
        Self {
            name: target.name.to_string(),
            namespace: target.namespace.to_string(),
            pod: target.pod.as_ref().map(|pod| pod.name.to_string()),
            node: target.node.as_ref().map(ToString::to_string),
            service: target.service.as_ref().map(ToString::to_string),
            addresses: target.urls.iter().map(ToString::to_string).collect(),
            terminating: target.terminating,
            phase: view.phase.as_str(),
            profile: view.profile.as_ref().map(ToString::to_string),
            version: view.report.as_ref().map(|report| report.version.clone()),
            edition: view.report.as_ref().map(|report| report.edition),
            started_at: view.report.as_ref().and_then(|report| report.started_at),
            desired_hash: view.desired,
            observed_hash: view.observed,
            short_hash: view.observed.filter(|hash| !hash.is_none()).map(|hash| hash.short()),
            hash_mode: view.hash_mode.as_str(),
            last_good_hash: view.last_good,
            applied_at: view.applied_at,
            apply_milliseconds: view.apply_duration.map(|duration| duration.as_millis()),
            size_bytes: view.size_bytes,
            certificate: view.report.as_ref().and_then(|report| report.certificate.clone()),
            conditions: conditions
                .into_iter()
                .map(|(name, condition)| (name, condition.clone()))
                .collect(),
            errors: errors.collect(),
            error_count: view.error_count,
        }
    }
}

impl From<&Problem> for ShownProblem {
    fn from(problem: &Problem) -> Self {
        Self {
            object: problem.object.to_string(),
            field: problem.field.clone(),
            reason: problem.reason.as_str(),
            message: problem.message.clone(),
            remedy: problem.remedy.clone(),
            source: problem.source.as_ref().map(ToString::to_string),
        }
    }
}

fn shown_proxies(sources: &Sources) -> Vec<Proxy> {
    sources.view.borrow().proxies.iter().map(Proxy::from).collect()
}

/// What is wrong with Admin Services, then with kinds as a whole, then with objects.
fn shown_problems(sources: &Sources) -> Vec<ShownProblem> {
    let snapshot = sources.snapshot.borrow().clone();
    let unavailable = snapshot.unavailable.values().map(Unavailable::problem);
    let deserted = sources.deserted.borrow().clone();
    let mut problems: Vec<_> = deserted.iter().map(ShownProblem::from).collect();
    problems.extend(unavailable.map(|problem| ShownProblem::from(&problem)));
    match sources.rendition.borrow().as_ref() {
        Some(rendition) => problems.extend(rendition.problems.iter().map(ShownProblem::from)),
        None => problems.extend(snapshot.malformed.iter().map(ShownProblem::from)),
    }
    problems
}

fn shown_profiles(sources: &Sources, full: bool) -> Vec<ShownProfile> {
    let Some(rendition) = sources.rendition.borrow().clone() else {
        return Vec::new();
    };
    let profiles = rendition.profiles.iter().map(|(profile, rendered)| ShownProfile {
        profile: profile.to_string(),
        hash: rendered.hash,
        size_bytes: rendered.bytes.len(),
        configuration: full.then(|| render::redacted(rendered)),
    });
    profiles.collect()
}

fn overview(sources: &Sources) -> Overview {
    let snapshot = sources.snapshot.borrow().clone();
    let rendition = sources.rendition.borrow().clone();
    Overview {
        leadership: sources.leadership.borrow().to_string(),
        generation: rendition.as_ref().map(|rendition| rendition.generation.0),
        rendered_at: rendition.as_ref().map(|rendition| rendition.created),
        paused: sources.view.borrow().paused.iter().map(ToString::to_string).collect(),
        hold: rendition.as_ref().and_then(|rendition| rendition.hold.clone()),
        unavailable: snapshot
            .unavailable
            .iter()
            .map(|(kind, reason)| (kind.name(), reason.to_string()))
            .collect(),
        proxies: shown_proxies(sources),
        problems: shown_problems(sources),
        configuration: shown_profiles(sources, false),
        fallbacks: shown_fallbacks(rendition.as_deref()),
    }
}

fn shown_fallbacks(rendition: Option<&Rendition>) -> Vec<ShownFallback> {
    let fallbacks = rendition.into_iter().flat_map(|rendition| &rendition.fallbacks);
    let fallbacks = fallbacks.map(|(profile, fallback)| ShownFallback {
        profile: profile.to_string(),
        left_out: fallback.left_out,
        old: fallback.old,
        kept: fallback.kept.is_some(),
    });
    fallbacks.collect()
}

async fn proxies(State(sources): State<Sources>) -> Json<Vec<Proxy>> {
    Json(shown_proxies(&sources))
}

async fn problems(State(sources): State<Sources>) -> Json<Vec<ShownProblem>> {
    Json(shown_problems(&sources))
}

/// `?full=true` adds the configuration itself, redacted.
#[derive(Deserialize)]
struct ConfigurationQuery {
    #[serde(default)]
    full: bool,
}

async fn configuration(
    State(sources): State<Sources>,
    Query(query): Query<ConfigurationQuery>,
) -> Json<Vec<ShownProfile>> {
    Json(shown_profiles(&sources, query.full))
}

/// The overview as server-sent events: at once, and after each change.
async fn events(State(sources): State<Sources>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stream = stream::unfold((sources, true), |(mut sources, first)| async move {
        if !first {
            tokio::select! {
                changed = sources.view.changed() => changed.ok()?,
                changed = sources.rendition.changed() => changed.ok()?,
                changed = sources.snapshot.changed() => changed.ok()?,
                changed = sources.leadership.changed() => changed.ok()?,
                changed = sources.deserted.changed() => changed.ok()?,
            }
            tokio::time::sleep(EVENT_INTERVAL).await;
        }
        sources.view.mark_unchanged();
        sources.rendition.mark_unchanged();
        sources.snapshot.mark_unchanged();
        sources.leadership.mark_unchanged();
        sources.deserted.mark_unchanged();
        let event = Event::default()
            .json_data(overview(&sources))
            .expect("an overview is valid JSON");
        Some((Ok(event), (sources, false)))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::watch;

    use super::*;
    use crate::model::{Kind, Reason, kubernetes::Metadata};

    #[test]
    fn an_admin_service_without_proxies_is_the_first_of_the_problems() {
        let metadata = Metadata {
            namespace: "gateway".into(),
            name: "admin".into(),
            ..Metadata::default()
        };
        let problem = Problem {
            object: Kind::Service.object_ref(&metadata),
            field: None,
            condition: None,
            reason: Reason::NoProxies,
            message: "no endpoints".to_owned(),
            remedy: "check its selector".to_owned(),
            source: None,
        };
        let (deserted, shown) = watch::channel(Arc::default());
        let mut snapshot = crate::model::Snapshot::default();
        let unreadable = Unavailable::resource(Kind::Ingress, "unreadable", "grant it");
        Arc::make_mut(&mut snapshot.unavailable).insert(Kind::Ingress, unreadable);
        let sources = Sources {
            view: watch::channel(Arc::default()).1,
            rendition: watch::channel(None).1,
            snapshot: watch::channel(Arc::new(snapshot)).1,
            leadership: watch::channel(Leadership::Unknown).1,
            liveness: watch::channel(crate::liveness::Liveness::default()).1,
            deserted: shown,
            read_configuration: Arc::new(|_| async { Ok(Vec::new()) }.boxed()),
            metrics: Arc::new(String::new),
            metrics_access: None,
        };
        assert_eq!(shown_problems(&sources).len(), 1);
        deserted.send_replace([problem].into());
        let problems = serde_json::to_value(overview(&sources).problems).expect("JSON");
        assert_eq!(
            problems[0],
            serde_json::json!({
                "object": "Service gateway/admin", "field": null, "reason": "NoProxies", "message": "no endpoints",
                "remedy": "check its selector", "source": null,
            })
        );
        assert_eq!(problems[1]["reason"], "SourceUnavailable");
    }
}
