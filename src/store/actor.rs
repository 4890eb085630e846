//! The task around the state: when a snapshot is published.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Event, Interest, Retention, state::State};
use crate::model::Snapshot;

/// A snapshot is published once nothing has changed for that long.
const QUIET: Duration = Duration::from_millis(50);

/// A snapshot is published that long after the first change, whatever else changes.
const AT_MOST: Duration = Duration::from_millis(500);

/// How long a snapshot waits for what it newly refers to.
const FETCH_AT_MOST: Duration = Duration::from_secs(2);

/// The channel of snapshots, with one in it in which nothing has been listed yet.
pub fn channel() -> (watch::Sender<Arc<Snapshot>>, watch::Receiver<Arc<Snapshot>>) {
    watch::channel(Arc::new(Snapshot::unlisted()))
}

/// Applies events and publishes snapshots, until the source or all readers are gone.
///
/// With [`Retention::Referenced`] each receiver of `interest` that exists when an interest is published answers it with
/// [`Event::InterestMet`] when it has fetched all; the snapshot waits for these answers, for at most two seconds.
pub async fn run(
    retention: Retention,
    mut events: mpsc::Receiver<Event>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    interest: watch::Sender<Arc<Interest>>,
) {
    let mut state = State::new(retention);
    let mut schedule = Schedule::default();
    loop {
        let next = tokio::select! {
            // Whatever has come in goes into the snapshot that is due.
            biased;
            event = events.recv() => match event {
                Some(event) => Some(event),
                None => break,
            },
            () = sleep_until_some(schedule.due()) => None,
            () = snapshots.closed() => return,
        };
        let now = Instant::now();
        match next {
            Some(Event::InterestMet(generation)) => schedule.met(generation),
            Some(event) => {
                let changed = state.apply(event);
                if changed {
                    schedule.changed(now);
                }
            }
            None => {}
        }
        if schedule.is_settled(now) || schedule.is_due(now) {
            // A snapshot that is due takes along what has come in since it settled.
            schedule.settled();
            if let Some(wanted) = state.settle() {
                schedule.await_fetch(wanted.generation, interest.receiver_count(), now);
                interest.send_replace(wanted);
            }
        }
        if schedule.is_due(now) {
            let waited = schedule.published(now);
            snapshots.send_replace(state.publish(read_at(waited)));
        }
    }
    // The source has ended: what it said last is still published.
    if schedule.has_changes() {
        state.settle();
        let waited = schedule.published(Instant::now());
        snapshots.send_replace(state.publish(read_at(waited)));
    }
}

/// The time of day of what came in that long ago.
fn read_at(waited: Duration) -> Timestamp {
    let now = Timestamp::now();
    now.saturating_sub(waited).unwrap_or(now)
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// When the next snapshot is due.
#[derive(Debug, Default)]
struct Schedule {
    /// Since when there have been changes that did not settle yet, and the latest of them.
    unsettled: Option<(Instant, Instant)>,
    /// When the first change came that is not published yet.
    first: Option<Instant>,
    /// Whether settled changes wait to be published.
    unpublished: bool,
    /// What the snapshot waits for.
    fetch: Option<Fetch>,
}

#[derive(Debug)]
struct Fetch {
    generation: u64,
    missing: usize,
    deadline: Instant,
}

impl Schedule {
    fn changed(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        let (first, _) = self.unsettled.unwrap_or((now, now));
        self.unsettled = Some((first, now));
    }

    fn has_changes(&self) -> bool {
        self.unsettled.is_some() || self.unpublished
    }

    fn settles_at(&self) -> Option<Instant> {
        let (first, latest) = self.unsettled?;
        Some((latest + QUIET).min(first + AT_MOST))
    }

    fn is_settled(&self, now: Instant) -> bool {
        self.settles_at().is_some_and(|at| at <= now)
    }

    fn settled(&mut self) {
        self.unsettled = None;
        self.unpublished = true;
    }

    /// Starts to wait for those who fetch. An earlier wait is part of this one and keeps its deadline.
    fn await_fetch(&mut self, generation: u64, fetchers: usize, now: Instant) {
        let deadline = match &self.fetch {
            Some(former) => former.deadline,
            None => now + FETCH_AT_MOST,
        };
        self.fetch = (fetchers > 0).then_some(Fetch {
            generation,
            missing: fetchers,
            deadline,
        });
    }

    fn met(&mut self, generation: u64) {
        let Some(fetch) = &mut self.fetch else {
            return;
        };
        if fetch.generation == generation {
            fetch.missing -= 1;
            if fetch.missing == 0 {
                self.fetch = None;
            }
        }
    }

    /// When something is to be done.
    fn due(&self) -> Option<Instant> {
        let published_at = match &self.fetch {
            Some(fetch) if self.unpublished => Some(fetch.deadline),
            _ => None,
        };
        [self.settles_at(), published_at].into_iter().flatten().min()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.unpublished && self.fetch.as_ref().is_none_or(|fetch| fetch.deadline <= now)
    }

    /// How long the first of the changes has waited for that.
    fn published(&mut self, now: Instant) -> Duration {
        self.unpublished = false;
        self.fetch = None;
        let first = match self.unsettled {
            // What has come in meanwhile is in it too.
            Some((first, _)) => self.first.replace(first),
            None => self.first.take(),
        };
        first.map_or(Duration::ZERO, |first| now.saturating_duration_since(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_has_waited_since_the_first_change_in_it() {
        let mut schedule = Schedule::default();
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        assert_eq!(schedule.published(begin), Duration::ZERO, "nothing came in");
        schedule.changed(begin);
        schedule.changed(at(30));
        schedule.settled();
        schedule.changed(at(90));
        assert_eq!(schedule.published(at(100)), Duration::from_millis(100));
        schedule.settled();
        assert_eq!(
            schedule.published(at(140)),
            Duration::from_millis(50),
            "what came in last did not settle before"
        );
        assert_eq!(schedule.published(at(150)), Duration::ZERO);
    }
}
