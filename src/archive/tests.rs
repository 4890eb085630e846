#![allow(clippy::unwrap_used)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Error, LastGoods, Store,
    directory::Directory,
    seal::{self, Key},
    task::{AHEAD, CALM, INTERVAL, Inputs, KIND_GONE, RETRY, run},
};
use crate::{
    fleet::{Condition, ConditionStatus, FleetEvent, FleetView, HashMode, Phase, ProxyView},
    manifest::{self, Limits},
    model::{Epoch, Kind, Leadership, NamespacedName, Object, Profile, ProxyId, ProxyTarget, Snapshot, Storage},
    render::{LastGood, Rendered},
};

fn profile(minor: u16) -> Profile {
    Profile {
        router_flavor: Default::default(),
        edition: None,
        version: Some((3, minor)),
        plugins: None,
    }
}

fn good(text: &str, sources: Snapshot) -> Arc<LastGood> {
    let bytes = Bytes::from(text.to_owned());
    let rendered = Rendered {
        hash: ConfigHash::of(&bytes),
        bytes,
        confidential: Arc::new(["hunter2".to_owned()].into()),
    };
    Arc::new(LastGood {
        rendered: Arc::new(rendered),
        sources: Arc::new(sources),
        stored: false,
    })
}

fn goods(text: &str) -> LastGoods {
    [(profile(9), good(text, Snapshot::default()))].into()
}

/// All objects of all golden cases.
fn everything() -> Snapshot {
    fn files(directory: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else if path.ends_with("in.yaml") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    files(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/translate/testdata"),
        &mut found,
    );
    let mut snapshot = Snapshot::default();
    for path in found {
        let text = std::fs::read(&path).unwrap();
        for mut object in manifest::parse("in.yaml", &text, &Limits::default()).objects {
            object.metadata_mut().source = None;
            snapshot.insert(object);
        }
    }
    snapshot
}

#[test]
fn all_kinds_of_objects_come_back_as_they_were() {
    let snapshot = everything();
    let key = Key::random();
    let other = good("the other", snapshot.clone());
    let put: LastGoods = [(profile(8), good("one\ntext", snapshot.clone())), (profile(9), other)].into();
    let sealed = seal::seal(&put, &key);
    let got = seal::open(sealed, &key).unwrap();
    assert_eq!(got.len(), 2);
    for (profile, good) in &got {
        assert_eq!(good.rendered, put[profile].rendered);
        assert!(good.stored);
        let mut kinds = 0;
        for kind in Kind::ALL.iter().copied() {
            let keys = snapshot.keys(kind);
            kinds += usize::from(!keys.is_empty());
            for key in keys {
                let expected = snapshot.get(kind, &key).unwrap();
                let found = good.sources.get(kind, &key);
                if matches!(kind, Kind::Secret | Kind::EndpointSlice | Kind::ProxyFleet) {
                    assert_eq!(found, None);
                } else {
                    assert_eq!(found, Some(expected), "{} {key}", kind.name());
                }
            }
        }
        assert!(kinds > 20, "only {kinds} kinds");
    }
    let sources: Vec<_> = got.values().map(|good| &good.sources).collect();
    assert!(Arc::ptr_eq(sources[0], sources[1]), "equal objects are put away once");
}

#[test]
fn what_is_put_away_shows_nothing_and_is_authenticated() {
    let secret = "a-password-that-nobody-may-see";
    let put = goods(&secret.repeat(3));
    let key = Key::random();
    let sealed = seal::seal(&put, &key);
    assert!(!sealed.windows(8).any(|window| secret.as_bytes().starts_with(window)));
    let is_damaged = |sealed: Vec<u8>, key: &Key| matches!(seal::open(sealed, key), Err(Error::Damaged(_)));
    assert!(is_damaged(sealed.clone(), &Key::random()));
    for index in [0, 8, 20, sealed.len() - 1] {
        let mut damaged = sealed.clone();
        damaged[index] ^= 1;
        assert!(is_damaged(damaged, &key), "byte {index}");
    }
    for length in [0, 7, 8, 19, 20, sealed.len() - 1] {
        assert!(is_damaged(sealed[..length].to_owned(), &key), "{length} bytes");
    }
    assert!(!format!("{key:?}").contains(&key.to_text()));
    assert_eq!(Key::from_text(key.to_text().as_bytes()).unwrap(), key);
    assert!(Key::from_text(b"short").is_err());
}

#[test]
fn ten_thousand_routes_fit() {
    let mut snapshot = Snapshot::default();
    let mut text = String::new();
    for number in 0..10_000 {
        let backend = json!({"service": {"name": format!("service-{number}"), "port": {"number": 80}}});
        let paths = json!([{"path": format!("/path-{number}"), "pathType": "Prefix", "backend": backend}]);
        let rules = json!([{"host": format!("host-{number}.example"), "http": {"paths": paths}}]);
        let uid = ConfigHash::of(number.to_string().as_bytes()).to_string();
        let metadata = json!({"name": format!("web-{number}"), "namespace": "shop", "uid": uid});
        let ingress = json!({"metadata": metadata, "spec": {"ingressClassName": "kong", "rules": rules}});
        text.push_str(&ingress.to_string());
        snapshot.insert(Object::from_json(Kind::Ingress, ingress).unwrap());
    }
    let put: LastGoods = [(profile(9), good(&text, snapshot))].into();
    let sealed = seal::seal(&put, &Key::random());
    assert!(sealed.len() < 2 * super::secrets::MOST, "{} bytes", sealed.len());
}

#[tokio::test]
async fn a_directory_keeps_it_for_its_owner_alone() {
    let state = tempfile::tempdir().unwrap();
    let store = Directory {
        directory: state.path().join("kept"),
        key: state.path().join("keys/key"),
    };
    assert!(store.load().await.unwrap().is_none());
    let key = store.key().await.unwrap();
    assert_eq!(store.key().await.unwrap(), key, "the key stays");
    store.save(b"one".to_vec()).await.unwrap();
    store.save(b"two".to_vec()).await.unwrap();
    assert_eq!(store.load().await.unwrap().unwrap(), b"two");
    for path in [&store.key, &store.directory.join("last-good")] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

/// A store in memory that can be made to fail.
#[derive(Clone)]
struct Memory(Arc<Mutex<Kept>>);

struct Kept {
    key: Key,
    sealed: Option<Vec<u8>>,
    writes: usize,
    room: usize,
    /// The API server does not permit it.
    forbidden: bool,
}

impl Store for Memory {
    async fn key(&self) -> Result<Key, Error> {
        Ok(self.0.lock().unwrap().key.clone())
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, Error> {
        let kept = self.0.lock().unwrap();
        match kept.forbidden {
            true => Err(forbidden("get")),
            false => Ok(kept.sealed.clone()),
        }
    }

    async fn save(&self, sealed: Vec<u8>) -> Result<(), Error> {
        let mut kept = self.0.lock().unwrap();
        if kept.forbidden {
            return Err(forbidden("update"));
        }
        if sealed.len() > kept.room {
            return Err(Error::TooLarge {
                needed: sealed.len(),
                room: kept.room,
            });
        }
        kept.writes += 1;
        kept.sealed = Some(sealed);
        Ok(())
    }
}

struct World {
    kept: Memory,
    view: watch::Sender<Arc<FleetView>>,
    leadership: watch::Sender<Leadership>,
    events: mpsc::Receiver<FleetEvent>,
    reports: watch::Receiver<Storage>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn memory() -> Memory {
    Memory(Arc::new(Mutex::new(Kept {
        key: Key::random(),
        sealed: None,
        writes: 0,
        room: usize::MAX,
        forbidden: false,
    })))
}

fn forbidden(verb: &'static str) -> Error {
    Error::Forbidden {
        secret: NamespacedName::new("gateway", "last-good-0"),
        verb,
    }
}

fn leader() -> Leadership {
    Leadership::Leader {
        epoch: Epoch {
            lease_uid: "lease".into(),
            transitions: 1,
        },
    }
}

impl World {
    fn new(kept: &Memory) -> Self {
        let (view, views) = watch::channel(Arc::new(FleetView::default()));
        let (leadership, parts) = watch::channel(leader());
        let (sender, events) = mpsc::channel(4);
        let (reporter, reports) = watch::channel(Storage::Waiting);
        let stop = CancellationToken::new();
        let inputs = Inputs {
            view: views,
            leadership: parts,
            events: sender,
            reports: reporter,
            stop: stop.clone(),
        };
        Self {
            kept: kept.clone(),
            view,
            leadership,
            events,
            reports,
            stop,
            task: tokio::spawn(run(kept.clone(), inputs)),
        }
    }

    fn accept(&self, text: &str) {
        let view = FleetView {
            good: goods(text),
            ..FleetView::default()
        };
        self.view.send_replace(Arc::new(view));
    }

    fn writes(&self) -> usize {
        self.kept.0.lock().unwrap().writes
    }

    /// Time passes; blocking work is awaited by polling, since the clock stands still meanwhile.
    async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn written(&self, count: usize) {
        let limit = std::time::Instant::now() + Duration::from_secs(30);
        while self.writes() < count {
            assert!(
                std::time::Instant::now() < limit,
                "{} writes, not {count}",
                self.writes()
            );
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_written_at_most_once_in_five_minutes_and_on_the_way_out() {
    let kept = memory();
    let mut world = World::new(&kept);
    world.accept("one");
    world.pass(CALM / 2).await;
    assert_eq!(world.writes(), 0);
    world.pass(CALM).await;
    world.written(1).await;
    for number in 0..20 {
        world.accept(&format!("change {number}"));
        world.pass(Duration::from_secs(10)).await;
    }
    assert_eq!(world.writes(), 1);
    world.pass(INTERVAL).await;
    world.written(2).await;
    world.accept("the last");
    world.pass(Duration::from_secs(1)).await;
    world.stop.cancel();
    (&mut world.task).await.unwrap();
    assert_eq!(world.writes(), 3);

    let mut next = World::new(&kept);
    let Some(FleetEvent::Stored(found)) = next.events.recv().await else {
        panic!("it is found");
    };
    assert_eq!(&*found[&profile(9)].rendered.bytes, b"the last");
    // What is found is what there is: nothing to write.
    next.accept("the last");
    next.pass(INTERVAL * 2).await;
    assert_eq!(next.writes(), 3);
}

fn proxy(profile: Option<Profile>) -> Arc<ProxyView> {
    let unknown = || Condition {
        status: ConditionStatus::Unknown,
        reason: "Discovered".into(),
        message: String::new(),
        since: Timestamp::UNIX_EPOCH,
    };
    let target = ProxyTarget {
        id: ProxyId("uid".into()),
        name: "kong".into(),
        namespace: "gateway".into(),
        pod: None,
        node: None,
        urls: Vec::new(),
        server_name: None,
        service: None,
        terminating: false,
    };
    Arc::new(ProxyView {
        target: Arc::new(target),
        phase: Phase::Discovered,
        profile,
        report: None,
        desired: None,
        observed: None,
        pending: None,
        unsettled: None,
        hash_mode: HashMode::Unknown,
        last_good: None,
        applied_at: None,
        apply_duration: None,
        size_bytes: None,
        reachable: unknown(),
        mutual_tls: unknown(),
        synced: unknown(),
        complete: unknown(),
        ready: unknown(),
        errors: Vec::new(),
        error_count: 0,
    })
}

/// Kong was upgraded, and something changed since.
#[tokio::test(start_paused = true)]
async fn what_proxies_accepted_that_are_gone_goes_with_the_next_change() {
    let kept = memory();
    let world = World::new(&kept);
    let show = |of_new: &str, proxies: &[Option<u16>]| {
        let proxies = proxies.iter().map(|minor| proxy(minor.map(profile)));
        let good: LastGoods = [
            (profile(8), good("old", Snapshot::default())),
            (profile(9), good(of_new, Snapshot::default())),
        ]
        .into();
        let view = FleetView {
            proxies: proxies.collect(),
            good,
            ..FleetView::default()
        };
        world.view.send_replace(Arc::new(view));
    };
    let stored = || {
        let kept = kept.0.lock().unwrap();
        let found = seal::open(kept.sealed.clone().unwrap(), &kept.key).unwrap();
        found.into_keys().collect::<Vec<_>>()
    };
    show("new", &[Some(8), Some(9)]);
    world.pass(CALM * 2).await;
    world.written(1).await;
    assert_eq!(stored(), [profile(8), profile(9)]);
    show("new", &[Some(9)]);
    world.pass(INTERVAL * 2).await;
    assert_eq!(world.writes(), 1, "an upgrade may be taken back");
    show("newer", &[Some(9)]);
    world.pass(INTERVAL * 2).await;
    world.written(2).await;
    assert_eq!(stored(), [profile(9)]);
    show("newest", &[Some(9), None]);
    world.pass(INTERVAL * 2).await;
    world.written(3).await;
    assert_eq!(stored(), [profile(8), profile(9)], "one has not said what it is");
}

/// A controller that starts then has nothing else to go by.
#[tokio::test(start_paused = true)]
async fn it_is_written_at_once_when_nothing_may_be_sent_any_more() {
    let mut world = World::new(&memory());
    world.accept("one");
    world.pass(CALM + Duration::from_secs(1)).await;
    world.written(1).await;
    world.accept("two");
    world.pass(CALM).await;
    assert_eq!(world.writes(), 1);
    let hold = |world: &World, text: &str| {
        let view = FleetView {
            good: goods(text),
            held: true,
            ..FleetView::default()
        };
        world.view.send_replace(Arc::new(view));
    };
    hold(&world, "two");
    world.written(2).await;
    let is_stored = |report: &Storage| matches!(report, Storage::Stored { size: Some(_), .. });
    world.reports.wait_for(is_stored).await.unwrap();
    // As long as it lasts it changes by addresses alone.
    hold(&world, "two, other addresses");
    world.pass(CALM * 2).await;
    assert_eq!(world.writes(), 2);
}

/// A kind that comes and goes, or a source that fails now and then, and something new each time.
#[tokio::test(start_paused = true)]
async fn however_often_it_must_not_wait_it_is_written_once_in_five_minutes_and_three_times_more() {
    let world = World::new(&memory());
    let show = |text: &str, held: bool| {
        let view = FleetView {
            good: goods(text),
            held,
            ..FleetView::default()
        };
        world.view.send_replace(Arc::new(view));
    };
    let flaps = async |from: u64, minutes: u64| {
        for number in from..from + minutes * 3 {
            show(&format!("number {number}"), false);
            world.pass(Duration::from_secs(5)).await;
            show(&format!("number {number}"), true);
            world.pass(Duration::from_secs(15)).await;
        }
    };
    flaps(0, 1).await;
    world.written(3).await;
    flaps(100, 59).await;
    let hour = usize::try_from(3600 / INTERVAL.as_secs()).unwrap();
    let ahead = usize::try_from(AHEAD.as_secs() / INTERVAL.as_secs()).unwrap();
    assert!(
        (hour..=hour + ahead + 1).contains(&world.writes()),
        "{} writes in an hour",
        world.writes()
    );
}

#[tokio::test(start_paused = true)]
async fn only_a_leader_writes() {
    let mut world = World::new(&memory());
    world.leadership.send_replace(Leadership::Follower { holder: None });
    world.accept("one");
    world.pass(INTERVAL * 2).await;
    assert_eq!(world.writes(), 0);
    world.leadership.send_replace(leader());
    world.pass(CALM).await;
    world.written(1).await;
    world.accept("two");
    world.leadership.send_replace(Leadership::Follower { holder: None });
    world.pass(Duration::from_secs(1)).await;
    world.stop.cancel();
    (&mut world.task).await.unwrap();
    assert_eq!(world.writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_told_and_tried_again() {
    let kept = memory();
    kept.0.lock().unwrap().room = 10;
    let mut world = World::new(&kept);
    world.accept("one");
    let is_failed = |report: &Storage| matches!(report, Storage::Failed { reason: "TooLarge", .. });
    let told = world.reports.wait_for(is_failed).await.unwrap().clone();
    let Storage::Failed { message, .. } = told else {
        unreachable!()
    };
    assert!(message.contains("--last-good-directory"), "{message}");
    kept.0.lock().unwrap().room = usize::MAX;
    world.pass(RETRY + Duration::from_secs(1)).await;
    world.written(1).await;
    let is_stored = |report: &Storage| matches!(report, Storage::Stored { size: Some(_), .. });
    world.reports.wait_for(is_stored).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_as_if_it_were_not_there() {
    let kept = memory();
    kept.0.lock().unwrap().sealed = Some(b"nonsense".to_vec());
    let mut world = World::new(&kept);
    world.accept("one");
    world.pass(CALM + Duration::from_secs(1)).await;
    world.written(1).await;
    let told = world.events.try_recv();
    assert!(
        matches!(&told, Ok(FleetEvent::Stored(found)) if found.is_empty()),
        "that nothing is known is told, too: {told:?}"
    );
    let (sealed, key) = {
        let kept = kept.0.lock().unwrap();
        (kept.sealed.clone().unwrap(), kept.key.clone())
    };
    let opened = seal::open(sealed, &key);
    assert_eq!(opened.unwrap().keys().collect::<Vec<_>>(), [&profile(9)]);
}

/// Asking again does not change what is permitted.
#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_is_told_and_not_waited_for() {
    let kept = memory();
    kept.0.lock().unwrap().forbidden = true;
    let mut world = World::new(&kept);
    let told = tokio::time::timeout(Duration::from_secs(1), world.events.recv()).await;
    let told = told.expect("at once");
    assert!(
        matches!(&told, Some(FleetEvent::Stored(found)) if found.is_empty()),
        "{told:?}"
    );
    let is_failed = |report: &Storage| {
        matches!(
            report,
            Storage::Failed {
                reason: "Forbidden",
                ..
            }
        )
    };
    let Storage::Failed { message, .. } = world.reports.wait_for(is_failed).await.unwrap().clone() else {
        unreachable!()
    };
    assert!(message.contains("get Secret gateway/last-good-0"), "{message}");
    kept.0.lock().unwrap().forbidden = false;
    world.accept("one");
    world.pass(CALM + RETRY).await;
    world.written(1).await;
    let is_stored = |report: &Storage| matches!(report, Storage::Stored { size: Some(_), .. });
    world.reports.wait_for(is_stored).await.unwrap();
}

/// What it found when it started may be minutes old by then, and hold back what the leader before had long sent.
#[tokio::test(start_paused = true)]
async fn who_comes_to_lead_with_nothing_else_to_go_by_reads_it_again() {
    let kept = memory();
    let put_away = |text: &str| {
        let mut kept = kept.0.lock().unwrap();
        kept.sealed = Some(seal::seal(&goods(text), &kept.key));
    };
    put_away("at its start");
    let mut standby = World::new(&kept);
    standby.leadership.send_replace(Leadership::Follower { holder: None });
    let found = async |standby: &mut World| {
        let told = tokio::time::timeout(RETRY * 2, standby.events.recv()).await;
        let Ok(Some(FleetEvent::Stored(found))) = told else {
            panic!("nothing was found: {told:?}");
        };
        let stored = |good: &Arc<LastGood>| {
            Arc::new(LastGood {
                stored: true,
                ..LastGood::clone(good)
            })
        };
        let view = FleetView {
            good: found
                .iter()
                .map(|(profile, good)| (profile.clone(), stored(good)))
                .collect(),
            held: true,
            ..FleetView::default()
        };
        standby.view.send_replace(Arc::new(view));
        String::from_utf8(found[&profile(9)].rendered.bytes.to_vec()).unwrap()
    };
    assert_eq!(found(&mut standby).await, "at its start");
    put_away("by the leader");
    standby.pass(INTERVAL).await;
    assert!(standby.events.try_recv().is_err(), "a standby waits for its turn");
    standby.leadership.send_replace(leader());
    assert_eq!(found(&mut standby).await, "by the leader");
    // The write of a leader that ends may come after the release of its Lease.
    put_away("with its last breath");
    assert_eq!(found(&mut standby).await, "with its last breath");
    assert_eq!(standby.writes(), 0);
}

/// What was put away before holds everything back, should the kind go next and the leader with it.
#[tokio::test(start_paused = true)]
async fn it_is_written_within_a_minute_once_a_kind_has_gone_out_of_use() {
    let world = World::new(&memory());
    let accept = |text: &str, with_plugin: bool| {
        let mut sources = Snapshot::default();
        if with_plugin {
            let plugin = json!({"metadata": {"name": "guard", "namespace": "shop"}, "plugin": "key-auth"});
            sources.insert(Object::from_json(Kind::KongPlugin, plugin).unwrap());
        }
        let view = FleetView {
            good: [(profile(9), good(text, sources))].into(),
            ..FleetView::default()
        };
        world.view.send_replace(Arc::new(view));
    };
    accept("with a plugin", true);
    world.pass(CALM + Duration::from_secs(1)).await;
    world.written(1).await;
    accept("another", true);
    world.pass(CALM * 2).await;
    assert_eq!(world.writes(), 1);
    accept("without any", false);
    world.pass(KIND_GONE).await;
    world.written(2).await;
    accept("as before", false);
    world.pass(KIND_GONE * 2).await;
    assert_eq!(world.writes(), 2, "the others wait");
}
