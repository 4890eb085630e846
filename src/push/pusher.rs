//! One task per proxy: takes a push, makes it, tells its outcome.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Clients, not_sent, unknown};
use crate::{
    fleet::{Command, FleetEvent, PushOutcome, PushResult, TransportFault, TransportFaultKind},
    model::{Epoch, ProxyId, ProxyTarget},
    pki::client::AdminTls,
    render::Rendered,
};

/// Whether this replica leads under an epoch at a moment after it was asked; nothing if nobody says.
pub type StillLeads = Arc<dyn Fn(Epoch) -> BoxFuture<'static, Option<bool>> + Send + Sync>;

/// How pushes are made.
#[derive(Clone)]
pub struct Settings {
    /// For a whole push (`--proxy-timeout-seconds`).
    pub timeout: Duration,
    /// For connecting, the TLS handshake included.
    pub connect_timeout: Duration,
    /// How long a connection is kept for a push that follows. Not for long: a connection that is made anew shows whether
    /// it can be, and the certificates of both sides are looked at.
    pub keep: Duration,
    /// Ends pushes that are under way when cancelled, and those that would begin afterwards.
    pub stop: CancellationToken,
    /// Asked when a proxy refuses a push since it has seen another leader.
    pub still_leads: StillLeads,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(3),
            keep: Duration::from_secs(5),
            stop: CancellationToken::new(),
            // Where nobody else could.
            still_leads: Arc::new(|_| std::future::ready(Some(true)).boxed()),
        }
    }
}

/// Pushes to every attached proxy, and tells the fleet what came of it: exactly one outcome for each push.
pub struct Pusher {
    settings: Arc<Settings>,
    tls: watch::Receiver<Arc<AdminTls>>,
    events: mpsc::Sender<FleetEvent>,
    lanes: HashMap<ProxyId, Lane>,
}

/// The way to one proxy. Its task ends when this is dropped, after the push under way.
struct Lane {
    target: watch::Sender<Arc<ProxyTarget>>,
    jobs: mpsc::Sender<Job>,
}

struct Job {
    rendered: Arc<Rendered>,
    epoch: Epoch,
}

impl Pusher {
    /// Every push is made with what `tls` holds at the time.
    pub fn new(settings: Settings, tls: watch::Receiver<Arc<AdminTls>>, events: mpsc::Sender<FleetEvent>) -> Self {
        Self {
            settings: Arc::new(settings),
            tls,
            events,
            lanes: HashMap::new(),
        }
    }

    /// Does what the fleet wants, as far as it concerns pushing; never waits. To be called within a runtime.
    pub fn handle(&mut self, command: &Command) {
        match command {
            Command::Attach(target) => self.attach(target),
            Command::Detach(id) => drop(self.lanes.remove(id)),
            Command::Push { proxy, rendered, epoch } => self.push(proxy, rendered, epoch),
            Command::Probe(_) => {}
        }
    }

    fn attach(&mut self, target: &Arc<ProxyTarget>) {
        if let Some(lane) = self.lanes.get(&target.id) {
            lane.target.send_replace(target.clone());
            return;
        }
        let (jobs, receiver) = mpsc::channel(1);
        let (sender, current) = watch::channel(target.clone());
        tokio::spawn(run(
            current,
            self.settings.clone(),
            self.tls.clone(),
            receiver,
            self.events.clone(),
        ));
        self.lanes.insert(target.id.clone(), Lane { target: sender, jobs });
    }

    fn push(&self, proxy: &ProxyId, rendered: &Arc<Rendered>, epoch: &Epoch) {
        let job = Job {
            rendered: rendered.clone(),
            epoch: epoch.clone(),
        };
        let refused = match self.lanes.get(proxy) {
            Some(lane) => lane.jobs.try_send(job).is_err(),
            None => true,
        };
        if refused {
            // The fleet waits for an outcome of every push.
            let outcome = outcome_now(
                rendered,
                not_sent(
                    TransportFaultKind::ConnectionFailed,
                    format!("{proxy} can't be pushed to now"),
                ),
            );
            let (events, proxy) = (self.events.clone(), proxy.clone());
            tokio::spawn(async move {
                // The fleet is gone: so is the controller.
                let _ = events.send(FleetEvent::Pushed(proxy, outcome)).await;
            });
        }
    }
}

async fn run(
    target: watch::Receiver<Arc<ProxyTarget>>,
    settings: Arc<Settings>,
    tls: watch::Receiver<Arc<AdminTls>>,
    mut jobs: mpsc::Receiver<Job>,
    events: mpsc::Sender<FleetEvent>,
) {
    let mut kept: Option<Arc<Clients>> = None;
    loop {
        let next = tokio::select! {
            next = jobs.recv() => next,
            () = tokio::time::sleep(settings.keep), if kept.is_some() => {
                if let Some(clients) = &kept {
                    clients.let_go();
                }
                jobs.recv().await
            }
        };
        let Some(Job { rendered, epoch }) = next else { return };
        let (target, tls) = (target.borrow().clone(), tls.borrow().clone());
        let clients = kept
            .take_if(|clients| clients.fit(&target, &tls))
            .unwrap_or_else(|| Arc::new(Clients::new(target.clone(), tls, &settings)));
        kept = Some(clients.clone());
        let id = target.id.clone();
        let started = Timestamp::now();
        let begun = Instant::now();
        let attempt = Attempt {
            target,
            rendered: rendered.clone(),
            epoch,
            clients,
            deadline: begun + settings.timeout,
            still_leads: settings.still_leads.clone(),
        };
        // A task of its own: should it panic, this proxy still gets an outcome.
        let mut attempt = tokio::spawn(attempt.run());
        let ended = tokio::select! {
            ended = &mut attempt => Some(ended),
            () = settings.stop.cancelled() => None,
        };
        let failed = |message: &str| {
            unknown(TransportFault {
                kind: TransportFaultKind::ConnectionFailed,
                message: message.to_owned(),
            })
        };
        let result = match ended {
            Some(Ok(result)) => result,
            Some(Err(error)) => {
                tracing::error!(proxy = %id, %error, "a push ended in a panic: this is a defect of silverback");
                failed("the push ended by a defect of the controller; see its log")
            }
            None => {
                attempt.abort();
                failed("the push was broken off: this replica of the controller stops")
            }
        };
        let outcome = PushOutcome {
            hash: rendered.hash,
            started,
            took: begun.elapsed(),
            result,
        };
        if events.send(FleetEvent::Pushed(id, outcome)).await.is_err() {
            return;
        }
    }
}

fn outcome_now(rendered: &Rendered, result: PushResult) -> PushOutcome {
    PushOutcome {
        hash: rendered.hash,
        started: Timestamp::now(),
        took: Duration::ZERO,
        result,
    }
}
