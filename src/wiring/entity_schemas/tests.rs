//! What is asked when, and what users see of it: entities as proxies get them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, atomic::AtomicBool, atomic::Ordering::Relaxed},
};

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::{
    admission::Answer,
    fleet::{ConditionStatus, Phase, ProxyView, bare_condition, bare_proxy, bare_target},
    model::{Kind, Object, Problem, ProxyId, ProxyTarget, Reason, RouterFlavor},
    render::Rendition,
    translate::Settings,
    wiring::pipeline,
};

pub(in crate::wiring) fn profile(minor: u16) -> Profile {
    Profile {
        router_flavor: RouterFlavor::Traditional,
        edition: Some(Edition::Enterprise),
        version: Some((3, minor)),
        plugins: None,
    }
}

pub(in crate::wiring) fn proxy(profile: &Profile, is_reachable: bool) -> Arc<ProxyView> {
    let condition = |holds: bool| {
        let status = if holds {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        };
        bare_condition(status, "Tested")
    };
    let target = ProxyTarget {
        id: ProxyId(profile.to_string().into()),
        ..bare_target("kong", "one")
    };
    Arc::new(ProxyView {
        phase: Phase::Unconfigured,
        profile: Some(profile.clone()),
        reachable: condition(is_reachable),
        mutual_tls: condition(true),
        synced: condition(false),
        complete: condition(true),
        ready: condition(false),
        ..bare_proxy(target)
    })
}

/// A fleet with a proxy of each of these profiles.
fn fleet(profiles: &[&Profile], are_reachable: bool) -> Arc<FleetView> {
    Arc::new(FleetView {
        proxies: profiles.iter().map(|profile| proxy(profile, are_reachable)).collect(),
        profiles: profiles.iter().map(|&profile| profile.clone()).collect(),
        ..FleetView::default()
    })
}

/// Entities of these types, of our class, bound to a plugin of a route.
fn objects(types: &[&str]) -> Arc<Snapshot> {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let mut objects = vec![
        (
            Kind::Ingress,
            json!({
                "metadata": {"name": "web", "namespace": "shop", "annotations": {
                    "kubernetes.io/ingress.class": "kong",
                    "konghq.com/plugins": "guard",
                }},
                "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
            }),
        ),
        (
            Kind::Service,
            json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}),
        ),
        (
            Kind::KongPlugin,
            json!({"metadata": {"name": "guard", "namespace": "shop"}, "plugin": "guard"}),
        ),
    ];
    for (number, type_) in types.iter().enumerate() {
        objects.push((
            Kind::KongCustomEntity,
            json!({
                "metadata": {"name": format!("entity-{number:03}"), "namespace": "shop"},
                "spec": {
                    "type": type_,
                    "controllerName": "kong",
                    "fields": {"uri": "/"},
                    "parentRef": {"kind": "KongPlugin", "name": "guard"},
                },
            }),
        ));
    }
    let mut snapshot = Snapshot::default();
    for (kind, object) in objects {
        snapshot.insert(Object::from_json(kind, object).expect("it fits"));
    }
    Arc::new(snapshot)
}

/// What proxies answer to `GET /schemas/<type>`, by type: a status and after which time. Others are not known to them.
type Answering = Arc<dyn Fn(&str, &str) -> (u16, Duration) + Send + Sync>;

/// A controller's share in all this, with what it asked: profile and path.
struct World {
    snapshots: watch::Sender<Arc<Snapshot>>,
    views: watch::Sender<Arc<FleetView>>,
    renditions: watch::Receiver<Option<Arc<Rendition>>>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    _events: mpsc::Receiver<crate::store::Event>,
    _store: mpsc::Sender<crate::store::Event>,
}

impl World {
    fn new(snapshot: Arc<Snapshot>, view: Arc<FleetView>, answering: Answering) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        let ask: AskProxies = Arc::new(move |question: Question| {
            let profile = question.profile.expect("each profile is asked for itself");
            noted
                .lock()
                .expect("no panic")
                .push((profile.clone(), question.path.clone()));
            let type_ = question.path.strip_prefix("/schemas/").expect("that is the question");
            let (status, after) = answering(&profile, type_);
            let fields = json!({"fields": [{"service": {"type": "foreign", "reference": "services"}}]});
            let body = fields.to_string().into_bytes();
            async move {
                tokio::time::sleep(after).await;
                match status {
                    0 => Vec::new(),
                    status => vec![(profile, Answer { status, body })],
                }
            }
            .boxed()
        });
        let (snapshots, snapshot) = watch::channel(snapshot);
        let (views, view) = watch::channel(view);
        let (sender, answers) = watch::channel(Arc::default());
        let settings = Settings::default();
        let inquiry = Inquiry {
            ask,
            snapshots: snapshot.clone(),
            views: view.clone(),
            assumed: ProfileOverride::default(),
            settings: settings.clone(),
        };
        tokio::spawn(follow(inquiry, sender));
        let rules = pipeline::Rules {
            schemas: Schemas::new(Arc::default(), ProfileOverride::default(), Some(answers.clone())),
            settings,
            assumed: ProfileOverride::default(),
            keep: false,
        };
        let (store, events) = mpsc::channel(1);
        let (considered, _) = watch::channel(None);
        let (sender, renditions) = watch::channel(None);
        tokio::spawn(pipeline::run(
            rules,
            store.downgrade(),
            snapshot,
            view,
            sender,
            considered,
        ));
        Self {
            snapshots,
            views,
            renditions,
            asked,
            _events: events,
            _store: store,
        }
    }

    /// The next thing that is rendered for proxies of that profile, if something is within that time.
    async fn rendered(&mut self, profile: &Profile, within: Duration) -> Option<(Value, Vec<Problem>)> {
        let next = async {
            loop {
                self.renditions.changed().await.expect("it runs");
                let rendition = self
                    .renditions
                    .borrow_and_update()
                    .clone()
                    .expect("something was rendered");
                if let Some(rendered) = rendition.profiles.get(profile) {
                    let configuration = serde_json::from_slice(&rendered.bytes).expect("JSON");
                    return (configuration, rendition.problems.to_vec());
                }
            }
        };
        tokio::time::timeout(within, next).await.ok()
    }

    fn questions(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }

    fn questions_to(&self, profile: &Profile) -> Vec<String> {
        let asked = self.asked.lock().expect("no panic");
        let to_it = asked.iter().filter(|(asked, _)| *asked == profile.to_string());
        to_it.map(|(_, path)| path.clone()).collect()
    }
}

/// What a custom entity refers to in that configuration.
fn reference<'a>(configuration: &'a Value, type_: &str) -> &'a Value {
    &configuration[type_][0]["service"]["id"]
}

fn all(status: u16, after: Duration) -> Answering {
    Arc::new(move |_: &str, _: &str| (status, after))
}

const SOON: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn after_a_start_proxies_get_no_configuration_without_what_their_entities_refer_to() {
    let kong = profile(9);
    let view = fleet(&[&kong], true);
    let mut world = World::new(objects(&["things"]), view, all(200, Duration::from_secs(2)));
    let early = world.rendered(&kong, Duration::from_millis(1_900)).await;
    assert!(early.is_none(), "it is not known yet what they refer to: {early:?}");
    let (configuration, problems) = world.rendered(&kong, SOON).await.expect("once it is known");
    let service = &configuration["services"][0]["id"];
    assert!(
        service.is_string() && reference(&configuration, "things") == service,
        "{configuration}"
    );
    assert!(
        problems.iter().all(|problem| problem.reason != Reason::SchemaUnknown),
        "{problems:?}"
    );
    assert_eq!(world.questions(), 1);
}

/// The profiles are known of what was accepted before the start; nobody is there to ask.
#[tokio::test(start_paused = true)]
async fn proxies_that_come_late_are_asked_when_they_come() {
    let kong = profile(9);
    let mut world = World::new(objects(&["things"]), fleet(&[&kong], false), all(200, Duration::ZERO));
    assert!(world.rendered(&kong, Duration::from_secs(600)).await.is_none());
    assert!(
        world.renditions.borrow().is_some(),
        "what is wrong with the objects is told all the same"
    );
    assert_eq!(world.questions(), 0);
    world.views.send_replace(fleet(&[&kong], true));
    let (configuration, _) = world.rendered(&kong, SOON).await.expect("at once");
    assert!(reference(&configuration, "things").is_string(), "{configuration}");
}

#[tokio::test(start_paused = true)]
async fn proxies_that_do_not_tell_get_the_rest_after_a_while_and_the_entity_once_they_tell() {
    let kong = profile(9);
    let is_well = Arc::new(AtomicBool::new(false));
    let told = is_well.clone();
    let answering: Answering =
        Arc::new(move |_: &str, _: &str| (if told.load(Relaxed) { 200 } else { 503 }, Duration::ZERO));
    let mut world = World::new(objects(&["things"]), fleet(&[&kong], true), answering);
    assert!(world.rendered(&kong, Duration::from_millis(4_900)).await.is_none());
    let (configuration, problems) = world.rendered(&kong, SOON).await.expect("the rest");
    assert!(configuration["services"][0]["id"].is_string(), "{configuration}");
    assert_eq!(configuration.get("things"), None, "half an entity is none");
    let problem = problems.iter().find(|problem| problem.reason == Reason::SchemaUnknown);
    let problem = problem.expect("it is told").to_string();
    assert!(
        problem.contains("no proxy has told yet what the fields of things refer to; it is left out")
            && problem.contains("let the controller read GET /schemas/things"),
        "{problem}"
    );
    is_well.store(true, Relaxed);
    let (configuration, problems) = world.rendered(&kong, Duration::from_secs(31)).await.expect("all");
    assert!(reference(&configuration, "things").is_string(), "{configuration}");
    assert!(
        problems.iter().all(|problem| problem.reason != Reason::SchemaUnknown),
        "{problems:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_type_takes_nothing_away_while_it_is_asked_about() {
    let kong = profile(9);
    let mut world = World::new(objects(&[]), fleet(&[&kong], true), all(200, Duration::from_secs(3)));
    world.rendered(&kong, SOON).await.expect("nothing is to be asked");
    world.snapshots.send_replace(objects(&["things"]));
    let (configuration, problems) = world.rendered(&kong, SOON).await.expect("what is there goes on");
    assert_eq!(configuration.get("things"), None);
    assert!(
        problems.iter().any(|problem| problem.reason == Reason::SchemaUnknown),
        "{problems:?}"
    );
    let (configuration, _) = world
        .rendered(&kong, Duration::from_secs(4))
        .await
        .expect("once it is known");
    assert!(reference(&configuration, "things").is_string(), "{configuration}");
}

#[tokio::test(start_paused = true)]
async fn a_mistyped_type_is_told_and_costs_little_and_new_proxies_are_asked_at_once() {
    let (old, new) = (profile(9), profile(11));
    let name = new.to_string();
    let answering: Answering =
        Arc::new(move |profile: &str, _: &str| (if profile == name { 200 } else { 404 }, Duration::ZERO));
    let mut world = World::new(objects(&["thinks"]), fleet(&[&old], true), answering);
    let (configuration, problems) = world.rendered(&old, SOON).await.expect("it was asked");
    assert_eq!(configuration.get("thinks"), None, "Kong would refuse all of it");
    let problem = problems
        .iter()
        .find(|problem| problem.field.as_deref() == Some("spec.type"));
    let problem = problem.expect("it is told").to_string();
    assert!(
        problem.contains("don't know entities of type thinks") && problem.contains("correct the type"),
        "{problem}"
    );
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let questions = world.questions();
    assert!((12..=25).contains(&questions), "{questions} questions in an hour");
    world.views.send_replace(fleet(&[&old, &new], true));
    let (configuration, problems) = world.rendered(&new, SOON).await.expect("at once");
    assert!(reference(&configuration, "thinks").is_string(), "{configuration}");
    let told: Vec<_> = problems
        .iter()
        .filter(|problem| problem.field.as_deref() == Some("spec.type"))
        .collect();
    assert!(
        told.len() == 1 && told[0].message.contains("/3.9"),
        "the others still lack it: {told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_hangs_delays_neither_other_profiles_nor_other_types() {
    let (hung, well) = (profile(9), profile(11));
    let name = hung.to_string();
    let answering: Answering = Arc::new(move |profile: &str, type_: &str| match (profile == name, type_) {
        (true, _) => (0, LIMIT),
        (false, "nobodys") => (404, Duration::ZERO),
        (false, _) => (200, Duration::ZERO),
    });
    // More types than are asked about in a row.
    let names: Vec<String> = (0..100).map(|number| format!("a{number:03}")).collect();
    let types: Vec<&str> = names.iter().map(String::as_str).chain(["nobodys", "things"]).collect();
    let mut world = World::new(objects(&types), fleet(&[&hung, &well], true), answering);
    let configuration = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            let (configuration, _) = world.rendered(&well, SOON * 60).await.expect("it is rendered");
            if reference(&configuration, "things").is_string() {
                return configuration;
            }
        }
    });
    let configuration = configuration.await.expect("in time");
    assert_eq!(configuration.get("nobodys"), None);
    let of_others = world
        .rendered(&hung, SOON * 10)
        .await
        .expect("after its time to answer")
        .0;
    assert!(
        reference(&of_others, "things").is_string(),
        "what others told holds for it as well"
    );
}

#[tokio::test(start_paused = true)]
async fn only_what_can_be_a_type_of_our_entities_is_asked_about() {
    let kong = profile(9);
    let types = [
        "Things-2",
        "a.b",
        "degraphql_routes",
        "services",
        "_info",
        "a b",
        "../x",
        "a/b",
        "",
    ];
    let mut snapshot = Arc::unwrap_or_clone(objects(&types));
    let others = json!({
        "metadata": {"name": "others", "namespace": "shop"},
        "spec": {"type": "others", "controllerName": "nginx", "fields": {}},
    });
    snapshot.insert(Object::from_json(Kind::KongCustomEntity, others).expect("it fits"));
    let mut world = World::new(Arc::new(snapshot), fleet(&[&kong], true), all(200, Duration::ZERO));
    let (configuration, problems) = world.rendered(&kong, SOON).await.expect("it was asked");
    assert_eq!(world.questions_to(&kong), ["/schemas/Things-2", "/schemas/a.b"]);
    assert!(reference(&configuration, "Things-2").is_string(), "{configuration}");
    let told: BTreeMap<_, _> = problems
        .iter()
        .filter(|problem| problem.field.as_deref() == Some("spec.type"))
        .map(|problem| (problem.message.as_str(), problem.reason))
        .collect();
    for name in ["\"_info\"", "\"a b\"", "\"../x\"", "\"a/b\"", "\"\""] {
        let message = format!("{name} is no type of entities; it is left out");
        assert_eq!(told.get(message.as_str()), Some(&Reason::InvalidField), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn embedded_proxies_have_no_such_entities_and_wait_for_nothing() {
    let embedded = Profile {
        edition: Some(Edition::Embedded),
        ..profile(9)
    };
    let mut world = World::new(objects(&["things"]), fleet(&[&embedded], true), all(0, LIMIT));
    let (configuration, problems) = world
        .rendered(&embedded, Duration::from_millis(100))
        .await
        .expect("at once");
    assert_eq!((configuration.get("things"), world.questions()), (None, 0));
    assert!(
        problems.iter().any(|problem| problem.reason == Reason::Unsupported),
        "{problems:?}"
    );
}
