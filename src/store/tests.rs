//! When snapshots come, and what is in them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use proptest::prelude::*;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, advance, sleep, timeout},
};

use super::{Event, Interest, Retention, channel, run, state::State};
use crate::model::{
    Kind, NamespacedName, Object, ObjectRef, Problem, Reason, Snapshot, Unavailable,
    kubernetes::{EndpointSlice, Ingress, Metadata, SERVICE_NAME_LABEL, Secret, Service},
};

fn metadata(name: &str) -> Metadata {
    Metadata {
        name: name.into(),
        namespace: "shop".into(),
        ..Metadata::default()
    }
}

fn key(name: &str) -> NamespacedName {
    NamespacedName::new("shop", name)
}

/// An Ingress to Services, with TLS Secrets.
fn ingress(name: &str, services: &[&str], secrets: &[&str]) -> Object {
    let paths: Vec<_> = services
        .iter()
        .map(|service| serde_json::json!({"path": "/", "backend": {"service": {"name": service}}}))
        .collect();
    let tls: Vec<_> = secrets
        .iter()
        .map(|secret| serde_json::json!({"secretName": secret}))
        .collect();
    let value = serde_json::json!({"spec": {"rules": [{"http": {"paths": paths}}], "tls": tls}});
    let mut ingress: Ingress = serde_json::from_value(value).expect("it is an Ingress");
    ingress.metadata = metadata(name);
    Object::Ingress(Arc::new(ingress))
}

fn service(name: &str, port: u16) -> Object {
    let value = serde_json::json!({"spec": {"ports": [{"port": port}]}});
    let mut service: Service = serde_json::from_value(value).expect("it is a Service");
    service.metadata = metadata(name);
    Object::Service(Arc::new(service))
}

fn slice(name: &str, service: &str) -> Object {
    let mut slice = EndpointSlice {
        metadata: metadata(name),
        ..EndpointSlice::default()
    };
    slice
        .metadata
        .labels
        .insert(SERVICE_NAME_LABEL.to_owned(), service.to_owned());
    Object::EndpointSlice(Arc::new(slice))
}

fn secret(name: &str) -> Object {
    Object::Secret(Arc::new(Secret {
        metadata: metadata(name),
        ..Secret::default()
    }))
}

fn problem(name: &str) -> Problem {
    let object = service(name, 1).object_ref();
    Problem {
        object: ObjectRef { ..object },
        field: None,
        condition: None,
        reason: Reason::InvalidField,
        message: "wrong".to_owned(),
        remedy: "right it".to_owned(),
        source: None,
    }
}

struct Running {
    events: mpsc::Sender<Event>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    interest: watch::Receiver<Arc<Interest>>,
}

impl Running {
    fn start(retention: Retention) -> Self {
        let (events, receiver) = mpsc::channel(100);
        let (sender, snapshots) = channel();
        let (interest_sender, interest) = watch::channel(Arc::default());
        tokio::spawn(run(retention, receiver, sender, interest_sender));
        Self {
            events,
            snapshots,
            interest,
        }
    }

    async fn send(&self, event: Event) {
        self.events.send(event).await.expect("the store runs");
    }

    /// The next snapshot and how long it took.
    async fn next(&mut self) -> (Arc<Snapshot>, Duration) {
        let start = Instant::now();
        self.snapshots.changed().await.expect("the store runs");
        (self.snapshots.borrow_and_update().clone(), start.elapsed())
    }

    async fn expect_silence(&mut self) {
        let next = timeout(Duration::from_secs(60), self.snapshots.changed()).await;
        assert!(next.is_err(), "a snapshot came though nothing had changed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_one_snapshot_after_a_quiet_moment() {
    let mut store = Running::start(Retention::All);
    for index in 0..50 {
        store.send(Event::Applied(service(&format!("s{index}"), 80))).await;
    }
    let (snapshot, after) = store.next().await;
    assert_eq!(snapshot.services.len(), 50);
    assert_eq!(after.as_millis(), 50);
    assert!(snapshot.read_at.is_some(), "something was read");
    store.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn changes_without_end_are_published_all_the_same() {
    let mut store = Running::start(Retention::All);
    let events = store.events.clone();
    tokio::spawn(async move {
        for port in 1..1000 {
            let _ = events.send(Event::Applied(service("web", port))).await;
            sleep(Duration::from_millis(20)).await;
        }
    });
    let (_, after) = store.next().await;
    assert!(after <= Duration::from_millis(501), "{after:?}");
    let (_, after) = store.next().await;
    assert!(after <= Duration::from_millis(521), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_wakes_nobody() {
    let mut store = Running::start(Retention::All);
    store
        .send(Event::Listed(
            Kind::Service,
            vec![service("web", 80)],
            vec![problem("bad")],
        ))
        .await;
    let (first, _) = store.next().await;
    assert!(!first.pending.contains(&Kind::Service) && first.pending.contains(&Kind::Ingress));
    store.send(Event::Applied(service("web", 80))).await;
    store
        .send(Event::Listed(
            Kind::Service,
            vec![service("web", 80)],
            vec![problem("bad")],
        ))
        .await;
    store
        .send(Event::ListedIn(
            Kind::Service,
            "shop".into(),
            vec![service("web", 80)],
            vec![problem("bad")],
        ))
        .await;
    store.send(Event::Deleted(Kind::Service, key("gone"))).await;
    store.send(Event::Available(Kind::Service)).await;
    store.expect_silence().await;
    store.send(Event::Applied(service("web", 81))).await;
    let (second, _) = store.next().await;
    assert!(second.generation > first.generation);
    assert!(Arc::ptr_eq(&first.ingresses, &second.ingresses));
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_waits_for_what_it_newly_refers_to() {
    let mut store = Running::start(Retention::Referenced {
        services: [key("admin")].into(),
    });
    for kind in Kind::ALL {
        store.send(Event::Listed(*kind, Vec::new(), Vec::new())).await;
    }
    store.interest.changed().await.expect("the store runs");
    let interest = store.interest.borrow_and_update().clone();
    assert_eq!(interest.services.keys().collect::<Vec<_>>(), [&key("admin")]);
    store.send(Event::InterestMet(interest.generation)).await;
    let (snapshot, _) = store.next().await;
    assert!(snapshot.is_complete());

    store.send(Event::Applied(ingress("web", &["web"], &["cert"]))).await;
    store.interest.changed().await.expect("the store runs");
    let interest = store.interest.borrow_and_update().clone();
    assert!(interest.services.contains_key(&key("web")) && interest.secrets.contains_key(&key("cert")));
    advance(Duration::from_millis(700)).await;
    assert!(
        !store.snapshots.has_changed().expect("the store runs"),
        "the Secret is still to come"
    );
    store.send(Event::Applied(secret("cert"))).await;
    store.send(Event::Applied(slice("web-1", "web"))).await;
    store.send(Event::InterestMet(interest.generation)).await;
    let (snapshot, after) = store.next().await;
    assert!(after.is_zero());
    assert_eq!(
        (
            snapshot.ingresses.len(),
            snapshot.secrets.len(),
            snapshot.endpoint_slices.len()
        ),
        (1, 1, 1)
    );
    store.expect_silence().await;

    // A source that does not answer holds nothing up for long.
    store
        .send(Event::Applied(ingress("web", &["web"], &["cert", "other"])))
        .await;
    let (snapshot, after) = store.next().await;
    assert_eq!(after.as_millis(), 2050);
    assert_eq!(snapshot.secrets.len(), 1);

    store.send(Event::Deleted(Kind::Ingress, key("web"))).await;
    store.interest.changed().await.expect("the store runs");
    let generation = store.interest.borrow_and_update().generation;
    store.send(Event::InterestMet(generation)).await;
    let (snapshot, _) = store.next().await;
    assert!(
        snapshot.secrets.is_empty() && snapshot.endpoint_slices.is_empty(),
        "nobody refers to them any more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_malformed_object_is_a_problem_until_it_is_mended_or_gone() {
    let mut store = Running::start(Retention::All);
    store.send(Event::Applied(service("web", 80))).await;
    store.send(Event::Applied(service("api", 80))).await;
    store.next().await;
    store
        .send(Event::Malformed(Kind::Service, key("web"), problem("web")))
        .await;
    store
        .send(Event::Malformed(Kind::Service, key("api"), problem("api")))
        .await;
    let (snapshot, _) = store.next().await;
    assert_eq!((snapshot.services.len(), snapshot.malformed.len()), (0, 2));
    store.send(Event::Applied(service("web", 80))).await;
    store.send(Event::Deleted(Kind::Service, key("api"))).await;
    let (snapshot, _) = store.next().await;
    assert_eq!((snapshot.services.len(), snapshot.malformed.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_kind_keeps_its_objects() {
    let forbidden = Unavailable::resource(Kind::Service, "forbidden", "permit it");
    let mut store = Running::start(Retention::All);
    store
        .send(Event::Loaded(vec![service("web", 80)], vec![problem("bad")]))
        .await;
    let (snapshot, _) = store.next().await;
    assert!(snapshot.is_complete());
    store.send(Event::Unavailable(Kind::Service, forbidden.clone())).await;
    let (snapshot, _) = store.next().await;
    assert_eq!(snapshot.unavailable[&Kind::Service], forbidden);
    assert_eq!((snapshot.services.len(), snapshot.malformed.len()), (1, 1));
    store.send(Event::Unavailable(Kind::Service, forbidden.clone())).await;
    store.expect_silence().await;
    store
        .send(Event::Listed(Kind::Service, vec![service("web", 80)], Vec::new()))
        .await;
    let (snapshot, _) = store.next().await;
    assert!(snapshot.unavailable.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_absent_until_it_is_listed_wherever_it_was_missed() {
    let mut store = Running::start(Retention::All);
    let empty = |kind| Event::Listed(kind, Vec::new(), Vec::new());
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::HTTPRoute) {
        store.send(empty(*kind)).await;
    }
    store.send(Event::Absent(Kind::HTTPRoute, None)).await;
    let (snapshot, _) = store.next().await;
    assert!(snapshot.is_complete(), "it does not hold anything up");
    assert_eq!(*snapshot.absent, [Kind::HTTPRoute].into());
    store.send(empty(Kind::HTTPRoute)).await;
    let (snapshot, _) = store.next().await;
    assert!(snapshot.absent.is_empty());
    for namespace in ["one", "two"] {
        store
            .send(Event::Absent(Kind::KongPlugin, Some(namespace.into())))
            .await;
    }
    let (snapshot, _) = store.next().await;
    assert_eq!(*snapshot.absent, [Kind::KongPlugin].into());
    let listed = |namespace: &str| Event::ListedIn(Kind::KongPlugin, namespace.into(), Vec::new(), Vec::new());
    store.send(listed("one")).await;
    store.expect_silence().await;
    store.send(listed("two")).await;
    let (snapshot, _) = store.next().await;
    assert!(snapshot.absent.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_list_of_one_namespace_leaves_the_others() {
    let mut store = Running::start(Retention::All);
    store.send(Event::Applied(service("web", 80))).await;
    store
        .send(Event::ListedIn(Kind::Service, "other".into(), Vec::new(), Vec::new()))
        .await;
    store
        .send(Event::ListedIn(
            Kind::Service,
            "shop".into(),
            vec![service("api", 80)],
            Vec::new(),
        ))
        .await;
    store.send(Event::Synced(Kind::Service)).await;
    let (snapshot, _) = store.next().await;
    assert_eq!(snapshot.keys(Kind::Service), [key("api")]);
    assert!(!snapshot.pending.contains(&Kind::Service));
}

/// What happens to one of a few objects.
fn change() -> impl Strategy<Value = (usize, u8)> {
    (0..6usize, 0..5u8)
}

fn as_event(object: usize, state: u8) -> Event {
    let name = format!("s{object}");
    match state {
        0 => Event::Deleted(Kind::Service, key(&name)),
        1 => Event::Malformed(Kind::Service, key(&name), problem(&name)),
        port => Event::Applied(service(&name, u16::from(port))),
    }
}

fn final_snapshot(events: Vec<Event>) -> Arc<Snapshot> {
    let mut state = State::new(Retention::All);
    for event in events {
        state.apply(event);
    }
    state.publish(Timestamp::UNIX_EPOCH)
}

proptest! {
    /// Events of different objects may come in any order, and in a list or one by one.
    #[test]
    fn the_order_of_events_does_not_matter(changes in prop::collection::vec(change(), 0..40), keys in any::<[u8; 6]>()) {
        let expected = final_snapshot(changes.iter().map(|(object, state)| as_event(*object, *state)).collect());
        let mut shuffled = changes.clone();
        shuffled.sort_by_key(|(object, _)| keys[*object]);
        let actual = final_snapshot(shuffled.iter().map(|(object, state)| as_event(*object, *state)).collect());
        prop_assert_eq!(&actual.services, &expected.services);
        prop_assert_eq!(&actual.malformed, &expected.malformed);

        let last: BTreeMap<usize, u8> = changes.into_iter().collect();
        let mut objects = Vec::new();
        let mut problems = Vec::new();
        for (object, state) in last {
            match as_event(object, state) {
                Event::Applied(object) => objects.push(object),
                Event::Malformed(_, _, problem) => problems.push(problem),
                _ => {}
            }
        }
        let stale = Event::Applied(service("stale", 1));
        let listed = final_snapshot(vec![stale, Event::Listed(Kind::Service, objects, problems)]);
        prop_assert_eq!(&listed.services, &expected.services);
        prop_assert_eq!(&listed.malformed, &expected.malformed);
    }

    /// A source that fetches what is newly wanted, however late, leaves the store with all that is referred to and
    /// nothing else.
    #[test]
    fn what_is_referred_to_is_there_in_the_end(
        steps in prop::collection::vec((0..3u8, 0..4usize, any::<bool>()), 0..60),
    ) {
        let mut state = State::new(Retention::Referenced { services: [].into() });
        for kind in Kind::ALL {
            state.apply(Event::Listed(*kind, Vec::new(), Vec::new()));
        }
        let slices: Vec<Object> = (0..4).map(|index| slice(&format!("e{index}"), &format!("s{index}"))).collect();
        state.apply(Event::Listed(Kind::EndpointSlice, slices.clone(), Vec::new()));
        let mut wanted = Arc::new(Interest::default());
        let mut handled = 0;
        let mut referred = [false; 4];
        let mut fetch = |state: &mut State, wanted: &Interest| {
            for (index, slice) in slices.iter().enumerate() {
                if wanted.services.get(&key(&format!("s{index}"))).is_some_and(|since| *since > handled) {
                    state.apply(Event::Applied(slice.clone()));
                }
            }
            handled = wanted.generation;
        };
        for (step, index, flag) in steps {
            match step {
                0 => {
                    referred[index] = flag;
                    let name = format!("i{index}");
                    let service = format!("s{index}");
                    state.apply(if flag {
                        Event::Applied(ingress(&name, &[&service], &[]))
                    } else {
                        Event::Deleted(Kind::Ingress, key(&name))
                    });
                }
                1 => wanted = state.settle().unwrap_or(wanted),
                _ => fetch(&mut state, &wanted),
            }
        }
        wanted = state.settle().unwrap_or(wanted);
        fetch(&mut state, &wanted);
        let expected: Vec<_> = (0..4).filter(|index| referred[*index]).map(|index| key(&format!("e{index}"))).collect();
        prop_assert_eq!(state.publish(Timestamp::UNIX_EPOCH).keys(Kind::EndpointSlice), expected);
    }
}
