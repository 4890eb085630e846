//! The task that runs the state machines.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{mpsc, watch};

use super::{Command, FleetEvent, FleetView, Settings};
use crate::model::{ProxyId, ProxyTarget};

/// The fleet: which proxies exist, and what each shall do next.
pub struct Fleet {
    targets: HashMap<ProxyId, Arc<ProxyTarget>>,
    commands: mpsc::Sender<Command>,
}

impl Fleet {
    /// Runs until `events` ends or nobody takes commands any more. Publishes a view whenever something in it changes.
    pub async fn run(
        _settings: Settings,
        mut events: mpsc::Receiver<FleetEvent>,
        commands: mpsc::Sender<Command>,
        view: watch::Sender<Arc<FleetView>>,
    ) {
        let mut fleet = Self {
            targets: HashMap::new(),
            commands,
        };
        while let Some(event) = events.recv().await {
            if let FleetEvent::Targets(targets) = event
                && fleet.retarget(targets).await.is_err()
            {
                return;
            }
            view.send_if_modified(|_| false);
        }
    }

    async fn retarget(&mut self, targets: Vec<Arc<ProxyTarget>>) -> Result<(), mpsc::error::SendError<Command>> {
        let targets: HashMap<_, _> = targets.into_iter().map(|target| (target.id.clone(), target)).collect();
        for (id, target) in &targets {
            if self.targets.get(id) != Some(target) {
                self.commands.send(Command::Attach(target.clone())).await?;
            }
        }
        for id in self.targets.keys().filter(|id| !targets.contains_key(*id)) {
            self.commands.send(Command::Detach(id.clone())).await?;
        }
        self.targets = targets;
        Ok(())
    }
}
