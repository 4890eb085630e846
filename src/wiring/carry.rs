//! Carries what one module publishes to the others that wait for it, and counts it on its way.
//!
//! Decides nothing. Each function is a task of the wiring's, which ends with the channel that it reads.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::{ConditionStatus, FleetEvent, FleetView, PushResult},
    lease::{Reach, Unsettled},
    model::{Epoch, Leadership, Storage},
    observe::metrics::Metrics,
    render::Rendition,
};

pub(super) async fn renditions(
    mut renditions: watch::Receiver<Option<Arc<Rendition>>>,
    events: mpsc::Sender<FleetEvent>,
    metrics: Arc<Metrics>,
) {
    loop {
        let latest = renditions.borrow_and_update().clone();
        if let Some(rendition) = latest {
            tracing::info!(
                generation = rendition.generation.0,
                problems = rendition.problems.len(),
                hold = rendition.hold.as_deref(),
                milliseconds = u64::try_from(rendition.took.as_millis()).unwrap_or(u64::MAX),
                "configuration rendered"
            );
            metrics.rendered(&rendition);
            if events.send(FleetEvent::Rendition(rendition)).await.is_err() {
                return;
            }
        }
        if renditions.changed().await.is_err() {
            return;
        }
    }
}

/// Tells the fleet what this replica's part is; once it resigns, that it has none, whatever the Lease says. Before it leads,
/// what the leader before was still sending.
pub(super) async fn leadership(
    mut leadership: watch::Receiver<Leadership>,
    handed_over: Option<watch::Receiver<Unsettled>>,
    resigned: CancellationToken,
    events: mpsc::Sender<FleetEvent>,
    metrics: Arc<Metrics>,
) {
    let mut led: Option<Epoch> = None;
    loop {
        let latest = leadership.borrow_and_update().clone();
        if let (Leadership::Leader { epoch }, Some(handed_over)) = (&latest, &handed_over)
            && led.as_ref() != Some(epoch)
        {
            led = Some(epoch.clone());
            let pushes = handed_over.borrow().clone();
            if !pushes.is_empty() {
                let count = pushes.len();
                tracing::info!(
                    pushes = count,
                    "the leader before still sends: its proxies are left alone until it has ended"
                );
                if events.send(FleetEvent::HandedOver(pushes)).await.is_err() {
                    return;
                }
            }
        }
        tracing::info!("this replica's part: {latest}");
        metrics.leading(&latest);
        if events.send(FleetEvent::Leadership(latest)).await.is_err() {
            return;
        }
        tokio::select! {
            changed = leadership.changed() => if changed.is_err() { return },
            () = resigned.cancelled() => break,
        }
    }
    let none = Leadership::Follower { holder: None };
    metrics.leading(&none);
    if events.send(FleetEvent::Leadership(none)).await.is_ok() {
        // To end would mean that something went wrong.
        std::future::pending::<()>().await;
    }
}

/// What pushes report, counted on its way to the fleet.
pub(super) async fn outcomes(
    mut reports: mpsc::Receiver<FleetEvent>,
    events: mpsc::Sender<FleetEvent>,
    view: watch::Receiver<Arc<FleetView>>,
    metrics: Arc<Metrics>,
) {
    while let Some(report) = reports.recv().await {
        if let FleetEvent::Pushed(id, outcome) = &report
            && let Some(proxy) = view.borrow().proxies.iter().find(|proxy| proxy.target.id == *id)
        {
            let result = match &outcome.result {
                // The entities stand in the statuses; there may be thousands.
                PushResult::Rejected { message, .. } => format!("Rejected: {message}"),
                other => format!("{other:?}"),
            };
            tracing::info!(proxy = %proxy.target.name, hash = %outcome.hash.short(), result, took = ?outcome.took, "push");
            metrics.pushed(&proxy.target, outcome);
        }
        if events.send(report).await.is_err() {
            return;
        }
    }
}

pub(super) async fn reach(mut views: watch::Receiver<Arc<FleetView>>, reach: watch::Sender<Reach>) {
    loop {
        let reached = reach_of(&views.borrow_and_update());
        reach.send_if_modified(|known| std::mem::replace(known, reached) != reached);
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// How many of the proxies that stay answer this replica; one that has not been asked yet is not known.
fn reach_of(view: &FleetView) -> Reach {
    let staying = view.proxies.iter().filter(|proxy| !proxy.target.terminating);
    let known = staying.filter(|proxy| proxy.reachable.status != ConditionStatus::Unknown);
    known.fold(Reach::default(), |reach, proxy| Reach {
        reachable: reach.reachable + usize::from(proxy.reachable.status == ConditionStatus::True),
        total: reach.total + 1,
    })
}

pub(super) async fn storage(mut storage: watch::Receiver<Storage>, metrics: Arc<Metrics>) {
    loop {
        metrics.stored(&storage.borrow_and_update());
        if storage.changed().await.is_err() {
            // It ends when the controller does.
            return std::future::pending().await;
        }
    }
}
