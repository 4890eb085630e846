//! The task around the state machine: what arrives on its channels, on a paused clock.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, advance, timeout},
};

use super::world::{epoch, hash, id, rendered, target};
use crate::{
    fleet::{
        Command, ConnectionSecurity, Fleet, FleetEvent, FleetView, Observation, Phase, ProxyReport, PushOutcome,
        PushResult, Settings, TransportFault, TransportFaultKind,
    },
    model::{Edition, Generation, Leadership, Profile, RouterFlavor},
    render::Rendition,
};

struct Running {
    events: mpsc::Sender<FleetEvent>,
    commands: mpsc::Receiver<Command>,
    view: watch::Receiver<Arc<FleetView>>,
}

impl Running {
    fn start() -> Self {
        let (events, receiver) = mpsc::channel(16);
        let (sender, commands) = mpsc::channel(16);
        let (view_sender, view) = watch::channel(Arc::default());
        tokio::spawn(Fleet::run(Settings::default(), receiver, sender, view_sender));
        Self { events, commands, view }
    }

    async fn tell(&self, event: FleetEvent) {
        self.events.send(event).await.expect("the fleet runs");
    }

    /// The next command that is no request for a probe.
    async fn command(&mut self) -> Command {
        loop {
            let next = timeout(Duration::from_secs(3600), self.commands.recv()).await;
            match next.expect("a command in time").expect("the fleet runs") {
                Command::Probe(_) => {}
                command => return command,
            }
        }
    }

    async fn phase(&mut self, expected: Phase) {
        let reached = |view: &Arc<FleetView>| view.proxies.first().is_some_and(|proxy| proxy.phase == expected);
        let view = timeout(Duration::from_secs(3600), self.view.wait_for(reached)).await;
        drop(view.expect("the phase is reached in time").expect("the fleet runs"));
    }
}

fn profile() -> Profile {
    Profile {
        router_flavor: RouterFlavor::Traditional,
        edition: Some(Edition::OpenSource),
        version: Some((3, 9)),
        plugins: None,
    }
}

fn rendition(text: &str, generation: u64) -> FleetEvent {
    FleetEvent::Rendition(Arc::new(Rendition {
        generation: Generation(generation),
        snapshot: Arc::default(),
        profiles: [(profile(), rendered(text))].into(),
        fallbacks: Default::default(),
        problems: Arc::default(),
        objects: crate::translate::Participants::default(),
        gateways: Default::default(),
        hold: None,
        created: Timestamp::UNIX_EPOCH,
        took: Duration::ZERO,
    }))
}

fn observed(hash: ConfigHash) -> FleetEvent {
    let report = ProxyReport {
        version: "3.9.1".to_owned(),
        plugins: None,
        edition: Edition::OpenSource,
        router_flavor: RouterFlavor::Traditional,
        database: "off".to_owned(),
        node_id: Some("one".to_owned()),
        restarted: false,
        started_at: None,
        body_limit: None,
        hash,
        security: ConnectionSecurity::Mutual,
        certificate: None,
    };
    let observation = Observation {
        started: Instant::now(),
        at: Timestamp::UNIX_EPOCH,
        result: Ok(report),
    };
    FleetEvent::Observed(id("a"), observation)
}

fn pushed(text: &str, result: PushResult) -> FleetEvent {
    let outcome = PushOutcome {
        hash: hash(text),
        started: Timestamp::UNIX_EPOCH,
        took: Duration::from_secs(2),
        result,
    };
    FleetEvent::Pushed(id("a"), outcome)
}

async fn configured() -> Running {
    let mut running = Running::start();
    running
        .tell(FleetEvent::Leadership(Leadership::Leader { epoch: epoch(1) }))
        .await;
    running.tell(FleetEvent::Targets(vec![Arc::new(target("a"))])).await;
    assert!(matches!(running.command().await, Command::Attach(_)));
    running.tell(rendition("one", 1)).await;
    running.tell(observed(ConfigHash::NONE)).await;
    let Command::Push {
        rendered, epoch: under, ..
    } = running.command().await
    else {
        panic!("a push")
    };
    assert_eq!((rendered.hash, under), (hash("one"), epoch(1)));
    running.phase(Phase::Pushing).await;
    running.tell(pushed("one", PushResult::Accepted)).await;
    running.tell(observed(hash("one"))).await;
    running.phase(Phase::Synced).await;
    let view = running.view.borrow().clone();
    assert!(view.profiles.contains(&profile()));
    assert_eq!(view.last_good[&profile()], hash("one"));
    running
}

#[tokio::test(start_paused = true)]
async fn a_rest_ends_by_the_clock() {
    let mut running = configured().await;
    let accepted = Instant::now();
    running.tell(rendition("two", 2)).await;
    running.phase(Phase::Paced).await;
    let Command::Push { rendered, .. } = running.command().await else {
        panic!("a push")
    };
    assert_eq!(rendered.hash, hash("two"));
    assert!(
        accepted.elapsed() >= Duration::from_secs(6),
        "three times the 2 s that it took: {:?}",
        accepted.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_outcome_ends_by_the_clock() {
    let mut running = configured().await;
    advance(Duration::from_secs(60)).await;
    running.tell(rendition("two", 2)).await;
    assert!(matches!(running.command().await, Command::Push { .. }));
    let lost = TransportFault {
        kind: TransportFaultKind::Timeout,
        message: "no answer".to_owned(),
    };
    running.tell(pushed("two", PushResult::Unknown(lost))).await;
    running.phase(Phase::Unknown).await;
    let lost_at = Instant::now();
    assert!(matches!(running.command().await, Command::Push { .. }));
    assert!(lost_at.elapsed() >= Duration::from_secs(60), "{:?}", lost_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_goes_is_forgotten() {
    let mut running = configured().await;
    running.tell(FleetEvent::Targets(Vec::new())).await;
    assert!(matches!(running.command().await, Command::Detach(gone) if gone == id("a")));
    let emptied = running
        .view
        .wait_for(|view| view.proxies.is_empty())
        .await
        .expect("the fleet runs")
        .clone();
    assert_eq!(
        emptied.last_good[&profile()],
        hash("one"),
        "what was good is kept for the next one"
    );
    assert!(
        emptied.profiles.contains(&profile()),
        "and its kind goes on being rendered"
    );
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_its_events() {
    let mut running = configured().await;
    drop(running.events);
    while running.commands.recv().await.is_some() {}
}
