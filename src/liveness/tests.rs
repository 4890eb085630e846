//! Objects that change, and proxies that follow.

#![allow(clippy::needless_pass_by_value, clippy::unwrap_used)]

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use serde_json::{Value, json};

use super::*;
use crate::{
    fleet::{Condition, ConditionStatus, FleetView, HashMode, Phase, ProxyView, bare_proxy, bare_target},
    model::{Digest, Kind, NamespacedName, Object, ObjectRef, Problem, Profile, Reason, Snapshot},
    render::{Fallback, Rendered, Rendition},
    translate::Settings,
};

fn now(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn put(snapshot: &mut Snapshot, kind: Kind, name: &str, mut value: Value) {
    value["metadata"]["name"] = json!(name);
    if kind.is_namespaced() {
        value["metadata"]["namespace"] = json!("shop");
    }
    let mut object = Object::from_json(kind, value.clone()).unwrap();
    let metadata = object.metadata_mut();
    let texts = |map: &crate::model::kubernetes::TextMap| {
        let texts = map.iter().map(|(name, text)| (name.clone(), text.clone()));
        texts.collect::<BTreeMap<_, _>>()
    };
    let (labels, annotations) = (texts(&metadata.labels), texts(&metadata.annotations));
    metadata.digest = Some(Digest::of("1", Some(&labels), Some(&annotations), &value));
    snapshot.insert(object);
}

fn ingress(annotations: Value) -> Value {
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    json!({
        "metadata": { "annotations": annotations },
        "spec": {
            "ingressClassName": "kong",
            "tls": [{ "secretName": "web-tls" }],
            "rules": [{ "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] } }],
        },
    })
}

fn shop() -> Snapshot {
    let mut snapshot = Snapshot::default();
    put(
        &mut snapshot,
        Kind::Ingress,
        "web",
        ingress(json!({ "konghq.com/plugins": "limit" })),
    );
    put(
        &mut snapshot,
        Kind::Service,
        "web",
        json!({ "metadata": { "annotations": { "konghq.com/client-cert": "client" } }, "spec": {} }),
    );
    put(
        &mut snapshot,
        Kind::Secret,
        "web-tls",
        json!({ "data": { "tls.crt": "QQ==" } }),
    );
    put(&mut snapshot, Kind::Secret, "client", json!({ "data": {} }));
    put(&mut snapshot, Kind::Secret, "unrelated", json!({ "data": {} }));
    let from = json!({ "secretKeyRef": { "name": "settings", "key": "config" } });
    put(
        &mut snapshot,
        Kind::KongPlugin,
        "limit",
        json!({ "plugin": "rate-limiting", "configFrom": from }),
    );
    snapshot
}

fn profile() -> Profile {
    Settings::default().profile
}

fn name(name: &str) -> NamespacedName {
    NamespacedName::new("shop", name)
}

#[test]
fn an_object_s_content_is_all_that_it_refers_to() {
    let found = contents(&shop(), Kind::Ingress, &name("web"));
    let names: Vec<String> = found
        .iter()
        .map(|content| format!("{} {}", content.kind.name(), content.name))
        .collect();
    assert_eq!(names[0], "Ingress shop/web");
    for expected in [
        "IngressClass kong",
        "Service shop/web",
        "Secret shop/web-tls",
        "Secret shop/client",
        "KongPlugin shop/limit",
        "Secret shop/settings",
    ] {
        assert!(names.contains(&expected.to_owned()), "{expected} is not in {names:?}");
    }
    let digest = |kind: Kind| found.iter().find(|content| content.kind == kind).unwrap().digest;
    assert!(digest(Kind::Service).is_some());
}

fn condition(status: ConditionStatus, reason: &'static str) -> Condition {
    Condition {
        status,
        reason: Cow::Borrowed(reason),
        message: "a sentence".to_owned(),
        since: now(0),
    }
}

fn hash(text: &str) -> ConfigHash {
    ConfigHash::of(text.as_bytes())
}

fn proxy(name: &str, runs: &str, desired: &str) -> ProxyView {
    let synced = if runs == desired {
        ConditionStatus::True
    } else {
        ConditionStatus::False
    };
    ProxyView {
        phase: Phase::Synced,
        profile: Some(profile()),
        desired: Some(hash(desired)),
        observed: Some(hash(runs)),
        hash_mode: HashMode::Predicted,
        reachable: condition(ConditionStatus::True, "Reachable"),
        mutual_tls: condition(ConditionStatus::True, "Verified"),
        synced: condition(synced, if runs == desired { "Synced" } else { "Pushing" }),
        complete: condition(ConditionStatus::True, "Complete"),
        ready: condition(ConditionStatus::True, "Ready"),
        ..bare_proxy(bare_target("gateway", name))
    }
}

fn view(proxies: Vec<ProxyView>) -> FleetView {
    FleetView {
        proxies: proxies.into_iter().map(Arc::new).collect(),
        ..FleetView::default()
    }
}

fn rendered(says: &str) -> Arc<Rendered> {
    Arc::new(Rendered {
        bytes: says.to_owned().into(),
        hash: hash(says),
        confidential: Arc::default(),
    })
}

fn rendition(snapshot: &Arc<Snapshot>, says: &str) -> Arc<Rendition> {
    Arc::new(Rendition {
        generation: snapshot.generation,
        snapshot: snapshot.clone(),
        profiles: BTreeMap::from([(profile(), rendered(says))]),
        fallbacks: BTreeMap::new(),
        problems: Arc::new([]),
        objects: [snapshot.get(Kind::Ingress, &name("web")).unwrap().object_ref()]
            .into_iter()
            .collect(),
        gateways: Arc::default(),
        hold: None,
        created: now(0),
        took: std::time::Duration::ZERO,
    })
}

/// A tracker for which the shop is live, as configuration `one`.
fn live() -> (Tracker, Snapshot) {
    let snapshot = Arc::new(shop());
    let mut tracker = Tracker::default();
    tracker.read(&snapshot, now(0));
    tracker.considered(snapshot.clone(), rendition(&snapshot, "one"));
    assert!(tracker.view(&view(vec![proxy("a", "one", "one")]), now(1)));
    (tracker, Snapshot::clone(&snapshot))
}

fn problem(object: ObjectRef) -> Problem {
    Problem {
        object,
        field: None,
        condition: None,
        reason: Reason::InvalidPlugin,
        message: "a sentence".to_owned(),
        remedy: "do this".to_owned(),
        source: None,
    }
}

#[test]
fn problems_of_what_an_object_refers_to_are_told_apart_from_its_own() {
    let snapshot = Arc::new(shop());
    let of = |kind, named: &str| problem(snapshot.get(kind, &name(named)).unwrap().object_ref());
    let mut rendition = Rendition::clone(&rendition(&snapshot, "one"));
    rendition.problems = [
        of(Kind::Ingress, "web"),
        of(Kind::KongPlugin, "limit"),
        of(Kind::Secret, "unrelated"),
    ]
    .into();
    let mut tracker = Tracker::default();
    tracker.considered(snapshot.clone(), Arc::new(rendition));
    let answer = asked(&tracker, &view(vec![proxy("a", "one", "one")]));
    let kinds = |problems: &[Problem]| {
        let kinds = problems.iter().map(|problem| problem.object.kind.to_string());
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(kinds(&answer.problems), ["Ingress"]);
    assert_eq!(kinds(&answer.related), ["KongPlugin"]);
}

/// What permits a reference is not named by what refers: neither a ReferenceGrant nor the labels of a Namespace.
#[test]
fn what_is_permitted_since_is_not_live_before_proxies_run_it() {
    let snapshot = Arc::new(shop());
    let mut refused = problem(snapshot.get(Kind::Ingress, &name("web")).unwrap().object_ref());
    refused.reason = Reason::RefNotPermitted;
    let with = |says: &str, problems: &[Problem]| {
        let mut rendition = Rendition::clone(&rendition(&snapshot, says));
        rendition.problems = problems.into();
        Arc::new(rendition)
    };
    let mut tracker = Tracker::default();
    tracker.considered(snapshot.clone(), with("refused", std::slice::from_ref(&refused)));
    let before = view(vec![proxy("a", "refused", "refused")]);
    tracker.view(&before, now(1));
    let granted = Arc::new(Snapshot::clone(&snapshot));
    tracker.considered(granted, with("granted", &[]));
    let answer = asked(&tracker, &before);
    assert_eq!(answer.problems, []);
    assert!(!answer.live, "it still is as it was when it was refused");
    let one_of_two = view(vec![proxy("a", "granted", "granted"), proxy("b", "refused", "granted")]);
    assert!(!asked(&tracker, &one_of_two).live);
    assert!(asked(&tracker, &view(vec![proxy("a", "granted", "granted")])).live);
    // What is wrong with others is nothing to it, and endpoints come and go.
    let mut of_another = problem(snapshot.get(Kind::Secret, &name("unrelated")).unwrap().object_ref());
    of_another.reason = Reason::RefNotPermitted;
    let mut without_endpoints = refused.clone();
    without_endpoints.reason = Reason::NoEndpoints;
    let others = [of_another, without_endpoints];
    tracker.considered(Arc::new(Snapshot::clone(&snapshot)), with("others", &others));
    assert!(asked(&tracker, &view(vec![proxy("a", "granted", "others")])).live);
}

fn asked(tracker: &Tracker, view: &FleetView) -> Answer {
    Answer::of(tracker.liveness(), view, Kind::Ingress, &name("web"))
}

#[test]
fn what_stood_there_from_the_start_is_live_without_a_time() {
    let (tracker, _) = live();
    let answer = asked(&tracker, &view(vec![proxy("a", "one", "one")]));
    assert!(answer.live && answer.used && answer.seen.is_none(), "{answer:?}");
    assert!(!tracker.is_waiting());
}

#[test]
fn a_changed_annotation_is_live_when_the_last_proxy_runs_it() {
    let (mut tracker, mut snapshot) = live();
    let before = asked(&tracker, &FleetView::default()).contents;
    put(
        &mut snapshot,
        Kind::Ingress,
        "web",
        ingress(json!({ "konghq.com/plugins": "limit", "konghq.com/methods": "GET" })),
    );
    // Changes are collected for a moment.
    snapshot.read_at = Some(now(8));
    let snapshot = Arc::new(snapshot);
    tracker.read(&snapshot, now(10));
    tracker.considered(snapshot.clone(), rendition(&snapshot, "two"));
    let half = view(vec![proxy("a", "two", "two"), proxy("b", "one", "two")]);
    assert!(!tracker.view(&half, now(11)));
    let answer = asked(&tracker, &half);
    assert_ne!(answer.contents, before, "the digest tells the difference");
    assert!(!answer.live);
    assert_eq!(answer.holdups.len(), 1);
    assert_eq!(answer.holdups[0].proxy.as_deref(), Some("gateway/b"));
    assert_eq!(answer.holdups[0].reason, "Pushing");

    let all = view(vec![proxy("a", "two", "two"), proxy("b", "two", "two")]);
    assert!(tracker.view(&all, now(13)));
    let answer = asked(&tracker, &all);
    assert!(answer.live);
    assert_eq!((answer.seen, answer.effective), (Some(now(8)), Some(now(13))));
}

#[test]
fn a_proxy_that_still_counts_as_synced_with_what_came_before_holds_it_up() {
    let (mut tracker, mut snapshot) = live();
    put(
        &mut snapshot,
        Kind::Ingress,
        "web",
        ingress(json!({ "konghq.com/methods": "GET" })),
    );
    let snapshot = Arc::new(snapshot);
    tracker.read(&snapshot, now(10));
    tracker.considered(snapshot.clone(), rendition(&snapshot, "two"));
    // What it shall run is new already, and it has a while until that counts as a lag.
    let mut behind = proxy("a", "one", "two");
    behind.synced = condition(ConditionStatus::True, "Synced");
    Arc::make_mut(&mut behind.target).service = Some(name("admin"));
    let mut view = view(vec![behind]);
    assert!(!tracker.view(&view, now(11)));
    let reason = |view: &FleetView| asked(&tracker, view).holdups[0].reason.clone();
    assert_eq!(reason(&view), "Pending");
    view.paused = [name("admin")].into();
    assert_eq!(reason(&view), "Paused");
    assert!(!asked(&tracker, &view).live);
}

#[test]
fn what_is_taken_back_while_it_is_pushed_is_not_live_before_the_push_has_been_put_right() {
    let (mut tracker, original) = live();
    let mut changed = original.clone();
    put(
        &mut changed,
        Kind::Ingress,
        "web",
        ingress(json!({ "konghq.com/methods": "GET" })),
    );
    let changed = Arc::new(changed);
    tracker.read(&changed, now(10));
    tracker.considered(changed.clone(), rendition(&changed, "two"));
    let original = Arc::new(original);
    tracker.read(&original, now(11));
    tracker.considered(original.clone(), rendition(&original, "one"));
    let pushing = |pending: Option<&str>| {
        view(vec![ProxyView {
            pending: pending.map(hash),
            ..proxy("a", "one", "one")
        }])
    };
    tracker.view(&pushing(Some("two")), now(12));
    let answer = asked(&tracker, &pushing(Some("two")));
    assert!(!answer.live, "it is about to run what was taken back: {answer:?}");
    tracker.view(&pushing(None), now(13));
    assert!(asked(&tracker, &pushing(None)).live);
}

#[test]
fn the_same_configuration_of_another_kind_of_proxies_counts_for_those_alone() {
    let snapshot = Arc::new(shop());
    let other = crate::model::Profile {
        version: Some((3, 4)),
        ..profile()
    };
    let made = |ours: &str, others: &str| {
        let mut made = Rendition::clone(&rendition(&snapshot, ours));
        let of_others = rendition(&snapshot, others).profiles[&profile()].clone();
        made.profiles.insert(other.clone(), of_others);
        made
    };
    let mut trail = Trail::default();
    trail.add(&made("a", "b"), 1);
    trail.add(&made("b", "c"), 2);
    let of_others = ProxyView {
        profile: Some(other.clone()),
        ..proxy("a", "b", "c")
    };
    assert_eq!(trail.reached_by(&of_others).and_then(|at| trail.at(at)), Some(&1));
    let ours = proxy("b", "b", "b");
    assert_eq!(trail.reached_by(&ours).and_then(|at| trail.at(at)), Some(&2));
}

#[test]
fn a_changed_secret_counts_for_whoever_refers_to_it() {
    let (mut tracker, mut snapshot) = live();
    put(
        &mut snapshot,
        Kind::Secret,
        "client",
        json!({ "data": { "tls.crt": "Qg==" } }),
    );
    let snapshot = Arc::new(snapshot);
    tracker.read(&snapshot, now(10));
    tracker.considered(snapshot.clone(), rendition(&snapshot, "two"));
    let behind = view(vec![proxy("a", "one", "two")]);
    assert!(!asked(&tracker, &behind).live);
    let all = view(vec![proxy("a", "two", "two")]);
    tracker.view(&all, now(12));
    let answer = asked(&tracker, &all);
    assert!(answer.live);
    assert_eq!(answer.seen, Some(now(10)));
}

#[test]
fn a_change_that_changes_nothing_is_live_at_once_and_others_do_not_hold_it_up() {
    let (mut tracker, mut snapshot) = live();
    put(&mut snapshot, Kind::Secret, "unrelated", json!({ "data": {} }));
    let snapshot = Arc::new(snapshot);
    tracker.read(&snapshot, now(10));
    let same = rendition(&snapshot, "one");
    tracker.considered(snapshot.clone(), same);
    let all = view(vec![proxy("a", "one", "one")]);
    assert!(tracker.view(&all, now(10)) && asked(&tracker, &all).live);

    let mut snapshot = Snapshot::clone(&snapshot);
    put(&mut snapshot, Kind::Secret, "unrelated", json!({ "data": { "x": "" } }));
    let snapshot = Arc::new(snapshot);
    tracker.read(&snapshot, now(20));
    tracker.considered(snapshot.clone(), rendition(&snapshot, "two"));
    let behind = view(vec![proxy("a", "one", "two")]);
    assert!(!tracker.view(&behind, now(21)));
    assert!(
        asked(&tracker, &behind).live,
        "the Ingress has not changed, and was live before"
    );
}

#[test]
fn proxies_that_may_serve_something_older_hold_it_up() {
    let (tracker, snapshot) = live();
    let rendition = rendition(&Arc::new(snapshot), "one");
    let mut silent = proxy("b", "one", "one");
    silent.ready.status = ConditionStatus::Unknown;
    silent.reachable = condition(ConditionStatus::False, "ConnectionRefused");
    silent.synced = condition(ConditionStatus::False, "ConnectionRefused");
    let mut unconfigured = proxy("c", "none", "one");
    unconfigured.ready.status = ConditionStatus::False;
    let mut going = proxy("d", "none", "one");
    Arc::make_mut(&mut going.target).terminating = true;
    let view = view(vec![proxy("a", "one", "one"), silent, unconfigured, going]);
    let found = holdups(&rendition, &view);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].reason, "ConnectionRefused");
    assert!(!asked(&tracker, &view).live, "it was confirmed, and is not any more");
    assert_eq!(holdups(&rendition, &FleetView::default())[0].reason, "NoProxies");
}

#[test]
fn an_object_that_went_away_has_no_content() {
    let (mut tracker, mut snapshot) = live();
    snapshot.remove(Kind::Ingress, &name("web"));
    let snapshot = Arc::new(snapshot);
    tracker.read(&snapshot, now(10));
    let former = tracker.liveness().rendition.clone().unwrap();
    tracker.considered(snapshot, former);
    let all = view(vec![proxy("a", "one", "one")]);
    tracker.view(&all, now(11));
    let answer = asked(&tracker, &all);
    assert_eq!(answer.contents.len(), 1);
    assert!(answer.contents[0].digest.is_none() && !answer.used);
}

/// The shop, with another word in an annotation of an object that has nothing to do with it.
fn changed_elsewhere(snapshot: &Snapshot, turn: u64) -> Arc<Snapshot> {
    let mut snapshot = snapshot.clone();
    snapshot.generation.0 = turn;
    let value = json!({ "metadata": { "annotations": { "turn": turn.to_string() } }, "spec": {} });
    put(&mut snapshot, Kind::Service, "other", value);
    Arc::new(snapshot)
}

#[test]
fn while_changes_come_faster_than_a_proxy_takes_them_what_all_have_got_to_is_live() {
    const BEHIND: u64 = 40;
    let (mut tracker, snapshot) = live();
    let mut effective = None;
    for turn in 1..=300 {
        let mut snapshot = Snapshot::clone(&changed_elsewhere(&snapshot, turn));
        if turn >= 100 {
            let methods = json!({ "konghq.com/plugins": "limit", "konghq.com/methods": "GET" });
            put(&mut snapshot, Kind::Ingress, "web", ingress(methods));
        }
        let snapshot = Arc::new(snapshot);
        let second = i64::try_from(turn).unwrap();
        let says = |turn: u64| format!("turn {turn}");
        tracker.read(&snapshot, now(second));
        tracker.considered(snapshot.clone(), rendition(&snapshot, &says(turn)));
        // It takes one configuration of forty.
        let slow = turn.saturating_sub(BEHIND) / 40 * 40;
        let slow = if slow == 0 { "one".to_owned() } else { says(slow) };
        let view = view(vec![
            proxy("fast", &says(turn), &says(turn)),
            proxy("slow", &slow, &says(turn)),
        ]);
        tracker.view(&view, now(second));
        let answer = asked(&tracker, &view);
        // The slow one gets what came of turn 120 at turn 160.
        let expected = !(100..160).contains(&turn);
        assert_eq!(answer.live, expected, "turn {turn}: {answer:?}");
        effective = answer.effective;
    }
    assert_eq!(effective, Some(now(160)));
}

#[test]
fn what_one_proxy_runs_and_another_refuses_is_live_but_for_what_is_left_out() {
    let (mut tracker, mut snapshot) = live();
    put(&mut snapshot, Kind::Ingress, "bad", ingress(json!({})));
    let snapshot = Arc::new(snapshot);
    let bad = snapshot.get(Kind::Ingress, &name("bad")).unwrap().object_ref();
    let mut rendition = Rendition::clone(&rendition(&snapshot, "reduced"));
    rendition.problems = [Problem {
        reason: Reason::ConfigRejected,
        ..problem(bad)
    }]
    .into();
    let fallback = Fallback {
        whole: Some(rendered("whole")),
        sources: snapshot.clone(),
        kept: None,
        left_out: 1,
        old: 0,
    };
    rendition.fallbacks = BTreeMap::from([(profile(), fallback)]);
    let rendition = Arc::new(rendition);
    tracker.read(&snapshot, now(10));
    tracker.considered(snapshot.clone(), rendition.clone());
    let both = view(vec![proxy("a", "whole", "whole"), proxy("b", "reduced", "reduced")]);
    assert!(tracker.view(&both, now(11)), "all of them are up to date");
    assert!(asked(&tracker, &both).live);
    assert_eq!(holdups(&rendition, &both), []);
    let bad = Answer::of(tracker.liveness(), &both, Kind::Ingress, &name("bad"));
    assert!(!bad.live, "b runs without it");
}

#[test]
fn what_is_taken_back_is_not_live_on_a_proxy_that_runs_what_came_between() {
    let (mut tracker, original) = live();
    let mut other = original.clone();
    put(
        &mut other,
        Kind::Ingress,
        "web",
        ingress(json!({ "konghq.com/methods": "GET" })),
    );
    let steps = [(1, &original, "two"), (2, &other, "three"), (3, &original, "four")];
    for (turn, snapshot, says) in steps {
        let snapshot = changed_elsewhere(snapshot, turn);
        tracker.read(&snapshot, now(10));
        tracker.considered(snapshot.clone(), rendition(&snapshot, says));
    }
    let between = view(vec![proxy("a", "two", "four"), proxy("b", "three", "four")]);
    tracker.view(&between, now(11));
    let answer = asked(&tracker, &between);
    assert!(!answer.live && answer.effective.is_none(), "{answer:?}");
    let after = view(vec![proxy("a", "two", "four"), proxy("b", "four", "four")]);
    tracker.view(&after, now(12));
    assert!(asked(&tracker, &after).live, "both say the same of it");
}

#[test]
fn a_trail_forgets_what_all_have_got_to_and_its_oldest_steps() {
    let snapshot = Arc::new(shop());
    let mut trail = Trail::default();
    for (index, says) in ["one", "two", "one", "three"].iter().enumerate() {
        trail.add(&rendition(&snapshot, says), index);
    }
    let runs = |says: &str| proxy("a", says, says);
    let content = |trail: &Trail<usize>, says: &str| {
        let reached = trail.reached_by(&runs(says))?;
        trail.at(reached).copied()
    };
    assert_eq!(content(&trail, "one"), Some(2), "that is the latest that says so");
    trail.forget_before(trail.reached_by(&runs("one")).unwrap());
    assert_eq!(content(&trail, "two"), None);
    assert_eq!(content(&trail, "one"), Some(2));
    for index in 4..1000 {
        trail.add(&rendition(&snapshot, &format!("turn {index}")), index);
    }
    assert_eq!(content(&trail, "one"), None);
    assert_eq!(content(&trail, "turn 900"), Some(900));
    assert_eq!(trail.latest(), Some(&999));
}
