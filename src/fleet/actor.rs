//! The task that runs the state machines: waits for events and deadlines, passes commands on, publishes views.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Command, FleetEvent, FleetView, Settings, machine::Machine, state::Moment};

/// Events that are taken before a view is published, so that a burst gives one view.
const BATCH: usize = 256;

/// The fleet: which proxies exist, and what each shall do next.
pub struct Fleet;

impl Fleet {
    /// Runs until `events` ends or nobody takes commands any more. Publishes a view whenever something in it changes.
    ///
    /// Whoever takes the commands must not wait for room in `events`, or both would wait for each other.
    pub async fn run(
        settings: Settings,
        mut events: mpsc::Receiver<FleetEvent>,
        commands: mpsc::Sender<Command>,
        view: watch::Sender<Arc<FleetView>>,
    ) {
        let mut machine = Machine::new(settings);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let deadline = machine.deadline();
            let wanted = tokio::select! {
                count = events.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    let mut wanted = Vec::new();
                    for event in batch.drain(..) {
                        wanted.append(&mut machine.handle(event, now()));
                    }
                    wanted
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => machine.tick(now()),
            };
            if let Some(changed) = machine.view() {
                view.send_replace(Arc::new(changed));
            }
            for command in wanted {
                if commands.send(command).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn now() -> Moment {
    Moment {
        instant: Instant::now(),
        timestamp: Timestamp::now(),
    }
}
