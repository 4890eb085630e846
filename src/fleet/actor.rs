//! The task that runs the state machines.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Command, FleetEvent, FleetView, Settings, machine::Machine, state::Moment};

/// The fleet: which proxies exist, and what each shall do next.
pub struct Fleet;

impl Fleet {
    /// Runs until `events` ends or nobody takes commands any more. Publishes a view whenever something in it changes.
    pub async fn run(
        settings: Settings,
        mut events: mpsc::Receiver<FleetEvent>,
        commands: mpsc::Sender<Command>,
        view: watch::Sender<Arc<FleetView>>,
    ) {
        let mut machine = Machine::new(settings);
        loop {
            let deadline = machine.deadline();
            let event = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => Some(event),
                    None => return,
                },
                () = until(deadline) => None,
            };
            let now = Moment { instant: Instant::now(), timestamp: Timestamp::now() };
            let wanted = match event {
                Some(event) => machine.handle(event, now),
                None => machine.tick(now),
            };
            if let Some(current) = machine.view() {
                view.send_replace(Arc::new(current));
            }
            for command in wanted {
                if commands.send(command).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
