//! What changed, for people who read the log.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    fleet::FleetView,
    news::{News, Told},
    render::Rendition,
};

/// Follows both values until one of their senders is gone.
pub(super) async fn follow(
    mut renditions: watch::Receiver<Option<Arc<Rendition>>>,
    mut views: watch::Receiver<Arc<FleetView>>,
) {
    let mut told = Told::default();
    let mut is_new = true;
    loop {
        // Views change often, and there may be many problems.
        if is_new && let Some(rendition) = renditions.borrow_and_update().clone() {
            told.rendition(&rendition).iter().for_each(log);
        }
        let view = views.borrow_and_update().clone();
        told.fleet(&view).iter().for_each(log);
        let changed;
        (is_new, changed) = tokio::select! {
            changed = renditions.changed() => (true, changed),
            changed = views.changed() => (false, changed),
        };
        if changed.is_err() {
            return;
        }
    }
}

fn log(news: &News) {
    match news {
        News::Problem(problem) => tracing::warn!(
            object = %problem.object,
            field = problem.field.as_deref(),
            reason = %problem.reason,
            place = problem.source.as_ref().map(tracing::field::display),
            "{}; {}",
            problem.message,
            problem.remedy
        ),
        News::Solved(problem) => {
            tracing::info!(object = %problem.object, field = problem.field.as_deref(), reason = %problem.reason, "solved");
        }
        News::Held(why) => tracing::warn!("nothing is sent to the proxies: {why}"),
        News::Released => tracing::info!("the proxies are sent configurations again"),
        News::Fault { proxy, reason, message } => tracing::warn!(%proxy, %reason, "{message}"),
        News::InOrder { proxy, reason } => tracing::info!(%proxy, %reason, "in order again"),
        News::Gone { proxy, reason } => tracing::info!(%proxy, %reason, "the proxy is gone"),
    }
}
