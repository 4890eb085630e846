//! A controller that runs: what others may look at, and the steps by which it stops without harm.
//!
//! Starts nothing. Made by the wiring; the verbs `run` and `demo` wait for its end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{archive::Archive, fleet::FleetView, model::LAST_PUSHES, render::Rendition};

/// How long a stopping leader keeps the Lease for pushes that end by themselves: mostly a moment is all that is missing.
const MOMENT: Duration = Duration::from_millis(100);

/// A controller that runs.
pub struct Controller {
    /// The proxies, always the latest.
    pub view: watch::Receiver<Arc<FleetView>>,
    /// What they shall run, and what is wrong with the objects.
    pub rendition: watch::Receiver<Option<Arc<Rendition>>>,
    /// Where the dashboard is.
    pub dashboard: Option<SocketAddr>,
    pub(super) tasks: JoinSet<&'static str>,
    pub(super) resignation: Resignation,
    pub(super) lease_task: Option<tokio::task::JoinHandle<()>>,
    pub(super) archive: Option<Archive>,
}

/// The steps by which a leader stops.
#[derive(Clone, Default)]
pub(super) struct Resignation {
    /// No push begins any more.
    pub(super) no_more_pushes: CancellationToken,
    /// Pushes under way are broken off.
    pub(super) break_off: CancellationToken,
    /// The Lease is given back.
    pub(super) lease: CancellationToken,
}

impl Resignation {
    /// Begins no more pushes, and says whether all that are under way end within that time.
    async fn pushes_end(&self, view: &mut watch::Receiver<Arc<FleetView>>, within: Duration) -> bool {
        self.no_more_pushes.cancel();
        let ended = view.wait_for(|view| !view.may_push && view.pushes_under_way == 0);
        // An error means that there is no fleet any more, and so no push.
        tokio::time::timeout(within, ended).await.is_ok()
    }

    /// Lets the pushes under way end, since whoever leads next has been told of them and waits; breaks off what hangs.
    async fn last_pushes(&self, view: &mut watch::Receiver<Arc<FleetView>>) {
        if self.pushes_end(view, LAST_PUSHES).await {
            return;
        }
        let pushes = view.borrow().pushes_under_way;
        tracing::warn!(pushes, "pushes that take too long are broken off");
        self.break_off.cancel();
        self.pushes_end(view, Duration::from_secs(1)).await;
    }
}

impl Controller {
    /// Gives the Lease up, so that another replica leads at once; pushes under way go on, and the Lease names them.
    pub async fn release(&mut self) {
        if let Some(task) = self.lease_task.take() {
            self.resignation.no_more_pushes.cancel();
            // What the next leader is told is complete only then.
            let stopped = self.view.wait_for(|view| !view.may_push);
            let _ = tokio::time::timeout(Duration::from_secs(1), stopped).await;
            self.resignation.pushes_end(&mut self.view, MOMENT).await;
            // While it still leads: the next leader has nothing to write so soon.
            if let Some(archive) = &self.archive {
                archive.finish();
            }
            self.resignation.lease.cancel();
            // It ends by itself; when it can't reach the API server, the Lease runs out.
            let _ = tokio::time::timeout(Duration::from_secs(6), task).await;
        }
        if let Some(archive) = self.archive.take() {
            archive.finish();
            archive.finished().await;
        }
    }

    /// Waits for the pushes that were under way when the Lease was given up, for a bounded time.
    pub async fn last_pushes(&self) {
        if self.resignation.no_more_pushes.is_cancelled() {
            self.resignation.last_pushes(&mut self.view.clone()).await;
        }
    }

    /// Ends when a task ended that must not, and the Lease was given up for it.
    pub async fn ended(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(name)) => tracing::error!(task = name, "a task ended"),
            Some(Err(error)) => tracing::error!(%error, "a task failed"),
            None => {}
        }
        self.release().await;
    }

    /// Waits until everything has stopped after the shutdown, for a bounded time.
    pub async fn stopped(mut self) {
        self.release().await;
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_stops_goes_on_with_its_pushes_and_breaks_off_what_hangs() {
        let publish = |may_push, pushes_under_way| {
            Arc::new(FleetView {
                may_push,
                pushes_under_way,
                ..FleetView::default()
            })
        };
        let (sender, mut view) = watch::channel(publish(true, 2));
        let resignation = Resignation::default();
        let begun = tokio::time::Instant::now();
        assert!(
            !resignation.pushes_end(&mut view, MOMENT).await,
            "the Lease is not kept for them"
        );
        assert_eq!(begun.elapsed(), MOMENT);
        let begun = tokio::time::Instant::now();
        let fleet = async {
            resignation.no_more_pushes.cancelled().await;
            sender.send_replace(publish(false, 2));
            tokio::time::sleep(Duration::from_secs(2)).await;
            sender.send_replace(publish(false, 0));
        };
        tokio::join!(fleet, resignation.last_pushes(&mut view));
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        assert!(!resignation.break_off.is_cancelled());

        let resignation = Resignation::default();
        sender.send_replace(publish(false, 1));
        let begun = tokio::time::Instant::now();
        let fleet = async {
            resignation.break_off.cancelled().await;
            sender.send_replace(publish(false, 0));
        };
        tokio::join!(fleet, resignation.last_pushes(&mut view));
        assert_eq!(begun.elapsed(), LAST_PUSHES);
    }
}
