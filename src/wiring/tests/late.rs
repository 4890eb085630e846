//! A whole controller before a Kong that takes a configuration and is late with it. Each of its answers is one of a real Kong
//! 3.9.3. That they come late, or overtake each other, was measured there by traffic and by the clock; a real one does not do so
//! at will, so that the order of the answers is made here.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use proxy_config_schema::ConfigHash;
use serde_json::Value;
use tokio::sync::watch;

use super::replica::{eventually, put_path, settings, start};
use crate::{
    fleet::{FleetView, Phase, ProxyView},
    lease::fake_api::FakeApi,
    pki::client::fake_proxy::{FakeProxy, Reply, Request},
};

const ROOT: &str = include_str!("../../observe/testdata/kong-3.9.3-root.json");
const STATUS: &str = include_str!("../../observe/testdata/kong-3.9.3-status.json");
/// What that reports.
const REPORTED: &str = "8ed3c281818a434b0846860bb8ad87c4";
const TAKEN: &str = include_str!("../../push/testdata/invalid-sni-toplevel-object-ref-with-basicauth.json");

#[derive(Default)]
struct Kong {
    /// What it reports that it runs.
    hash: ConfigHash,
    /// Whether it goes on reporting that when it has taken something else.
    is_late: bool,
    /// Whether it is still loading when it is no longer waited for.
    hangs: bool,
    /// What it was sent, in order.
    received: Vec<Vec<u8>>,
    /// How often it has been asked since what it runs.
    asked: usize,
}

impl Kong {
    fn answer(&mut self, request: &Request) -> Reply {
        match request.line.split('?').next() {
            Some("GET /") => Reply::json(200, ROOT),
            Some("GET /status") => {
                self.asked += 1;
                Reply::json(200, &STATUS.replace(REPORTED, &self.hash.to_string()))
            }
            Some("POST /config") => {
                self.received.push(request.body.clone());
                self.asked = 0;
                if self.hangs {
                    return Reply::Hang;
                }
                if !self.is_late {
                    self.hash = ConfigHash::of(&request.body);
                }
                let taken: Value = serde_json::from_str(TAKEN).expect("JSON");
                Reply::json(201, taken["answer"].as_str().expect("a text"))
            }
            _ => Reply::json(404, r#"{"message":"Not found"}"#),
        }
    }

    /// The hash of what it was sent with that path, if it was.
    fn sent(&self, path: &str) -> Option<ConfigHash> {
        let is_it = |body: &&Vec<u8>| String::from_utf8_lossy(body).contains(path);
        self.received.iter().find(is_it).map(|body| ConfigHash::of(body))
    }
}

/// A controller with one such Kong, which runs what there is at first.
struct World {
    api: FakeApi,
    kong: Arc<Mutex<Kong>>,
    view: watch::Receiver<Arc<FleetView>>,
    /// They end with the test.
    _running: (FakeProxy, crate::wiring::Controller),
}

impl World {
    async fn start() -> Self {
        let api = FakeApi::new();
        put_path(&api, "/zero");
        let kong = Arc::<Mutex<Kong>>::default();
        let inner = kong.clone();
        let proxy = FakeProxy::start(None, move |request| inner.lock().expect("no panic").answer(request)).await;
        let mut settings = settings(&[&proxy]);
        settings.probe_interval = Duration::from_millis(200);
        settings.push_timeout = Duration::from_secs(1);
        let (controller, _) = start(&api, settings).await;
        let world = Self {
            api,
            kong,
            view: controller.view.clone(),
            _running: (proxy, controller),
        };
        let zero = world.is_sent("/zero").await;
        world.is_in_sync(zero).await;
        world
    }

    fn kong<T>(&self, act: impl FnOnce(&mut Kong) -> T) -> T {
        act(&mut self.kong.lock().expect("no panic"))
    }

    fn shown(&self) -> Option<Arc<ProxyView>> {
        self.view.borrow().proxies.first().cloned()
    }

    /// Whether it is shown to run that, as it shall.
    fn shows(&self, hash: ConfigHash) -> bool {
        let shown = self.shown();
        shown.is_some_and(|shown| shown.phase == Phase::Synced && shown.observed == Some(hash))
    }

    async fn is_sent(&self, path: &str) -> ConfigHash {
        eventually(path, || self.kong(|kong| kong.sent(path))).await
    }

    async fn is_in_sync(&self, hash: ConfigHash) {
        eventually("it is in sync", || self.shows(hash).then_some(())).await;
    }
}

/// The router is rebuilt after the 201, for seconds if it is large.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kong_has_taken_is_not_shown_before_kong_reports_it() {
    let world = World::start().await;
    let zero = world.kong(|kong| {
        kong.is_late = true;
        kong.hash
    });
    put_path(&world.api, "/one");
    let one = world.is_sent("/one").await;
    eventually("it is asked again and again", || {
        let shown = world.shown().expect("it is shown");
        assert_eq!(shown.observed, Some(zero), "{:?}", shown.phase);
        world.kong(|kong| kong.asked >= 4).then_some(())
    })
    .await;
    assert_eq!(world.shown().map(|shown| shown.phase), Some(Phase::Pushing));
    world.kong(|kong| kong.hash = one);
    world.is_in_sync(one).await;
    assert_eq!(world.kong(|kong| kong.received.len()), 2, "each once");
}

/// Loads are not ordered: of eight that began together the four large ones were done last, after up to 55 seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_was_given_up_is_not_overtaken_and_does_not_last_if_it_overtakes() {
    let world = World::start().await;
    world.kong(|kong| kong.hangs = true);
    put_path(&world.api, "/one");
    let one = world.is_sent("/one").await;
    let is_unknown = || world.shown().is_some_and(|shown| shown.phase == Phase::Unknown);
    eventually("nobody knows what comes of it", || is_unknown().then_some(())).await;
    put_path(&world.api, "/two");
    world.kong(|kong| kong.asked = 0);
    eventually("it is asked what it runs, and sent nothing", || {
        assert!(is_unknown());
        world.kong(|kong| {
            assert_eq!(kong.received.len(), 2, "it is still loading");
            (kong.asked >= 5).then_some(())
        })
    })
    .await;
    world.kong(|kong| {
        kong.hash = one;
        kong.hangs = false;
    });
    let two = world.is_sent("/two").await;
    world.is_in_sync(two).await;
    // Another worker has been loading that as well, and is done now.
    world.kong(|kong| kong.hash = one);
    eventually("it is put right", || {
        world.kong(|kong| kong.received.len() == 4).then_some(())
    })
    .await;
    world.is_in_sync(two).await;
    let last = world.kong(|kong| kong.received.last().map(|body| ConfigHash::of(body)));
    assert_eq!(last, Some(two));
}
