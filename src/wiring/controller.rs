//! A controller that runs: what others may look at, and the steps by which it stops without harm.
//!
//! Starts nothing. Made by the wiring; the verbs `run` and `demo` wait for its end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{archive::Archive, fleet::FleetView, render::Rendition};

/// How long a stopping leader waits for the pushes under way; what takes longer is broken off. Kubernetes gives a pod
/// 30 s, `--term-delay` included.
const LAST_PUSHES: Duration = Duration::from_secs(5);

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
    /// Lets the pushes under way end: whoever leads next may push within milliseconds of getting the Lease, and a push
    /// of ours that is loaded after that would undo theirs.
    async fn last_pushes(&self, view: &mut watch::Receiver<Arc<FleetView>>) {
        self.no_more_pushes.cancel();
        let mut limit = LAST_PUSHES;
        for _ in 0..2 {
            let ended = view.wait_for(|view| !view.may_push && view.pushes_under_way == 0);
            // An error means that there is no fleet any more, and so no push.
            if tokio::time::timeout(limit, ended).await.is_ok() {
                return;
            }
            let pushes = view.borrow().pushes_under_way;
            tracing::warn!(pushes, "pushes that take too long are broken off");
            self.break_off.cancel();
            limit = Duration::from_secs(1);
        }
    }
}

impl Controller {
    /// Gives the Lease up after the last push, so that another replica leads at once.
    pub async fn release(&mut self) {
        if let Some(task) = self.lease_task.take() {
            self.resignation.last_pushes(&mut self.view).await;
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
    async fn a_leader_that_stops_waits_for_its_pushes_and_breaks_off_what_hangs() {
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
