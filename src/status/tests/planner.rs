//! Which write comes when.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::world::{at, newcomer, no, synced, yes};
use crate::{
    fleet::{ConditionStatus, ProxyView},
    model::{Kind, NamespacedName},
    status::{
        author::instance,
        document::{Class, Document, EventDocument, Gate, Key, Lane},
        planner::{Action, Next, Outcome, Planner, Write},
        resource::ObserverStatus,
    },
};

/// A planner with a clock; what it writes is carried out at once.
struct Bench {
    planner: Planner,
    start: Instant,
    now: Instant,
}

impl Bench {
    fn new(qps: u32, burst: u32) -> Self {
        let now = Instant::now();
        Self {
            planner: Planner::new(qps, burst, now),
            start: now,
            now,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn want(&mut self, key: &Key, document: Document) {
        self.planner.want(key, document, self.now);
    }

    fn next(&mut self) -> Option<Write> {
        match self.planner.next(self.now) {
            Next::Write(write) => Some(write),
            Next::At(_) | Next::Nothing => None,
        }
    }

    /// Carries out everything until nothing is left, with time passing as it must; says what was written when.
    fn run(&mut self, mut answer: impl FnMut(&Write) -> Outcome, limit: usize) -> Vec<(Duration, Write)> {
        let mut written = Vec::new();
        while written.len() < limit {
            match self.planner.next(self.now) {
                Next::Write(write) => {
                    let outcome = answer(&write);
                    self.planner.done(&write.key, outcome, 1, self.now);
                    written.push((self.now - self.start, write));
                }
                Next::At(at) => {
                    assert!(at > self.now, "it does not spin");
                    self.now = at;
                }
                Next::Nothing => break,
            }
        }
        written
    }

    fn settle(&mut self) -> Vec<(Duration, Write)> {
        self.run(|_| Outcome::Written, 10_000)
    }
}

fn name(name: &str) -> NamespacedName {
    NamespacedName::new("kong", name)
}

fn instance_documents(proxy: &ProxyView) -> [(Key, Document); 2] {
    let named = name(&proxy.target.name);
    let observer = ObserverStatus {
        lease: "silverback/election".to_owned(),
        epoch: "uid:1".to_owned(),
    };
    let spec = instance::spec(&proxy.target, proxy.profile.as_ref()).expect("it has a Pod");
    let status = instance::status(proxy, None, observer);
    [
        (Key::Instance(named.clone()), Document::Instance(spec)),
        (Key::InstanceStatus(named), Document::InstanceStatus(Box::new(status))),
    ]
}

fn want_instance(bench: &mut Bench, proxy: &ProxyView) {
    for (key, document) in instance_documents(proxy) {
        bench.want(&key, document);
    }
}

fn gate(status: ConditionStatus) -> Document {
    Document::Gate(Gate {
        status,
        reason: "Test".to_owned(),
        message: String::new(),
        since: at(0),
    })
}

fn gate_key(pod: &str) -> Key {
    Key::Gate(name(pod), format!("uid-of-{pod}").into())
}

fn event(note: &str) -> Document {
    Document::Event(Box::new(EventDocument {
        regarding: super::world::ingress_ref("web"),
        normal: false,
        reason: "Test",
        action: "Test",
        note: note.to_owned(),
        count: 1,
        patience: Duration::ZERO,
        spacing: Duration::ZERO,
        lane: Lane::Refresh,
    }))
}

fn good_news(note: &str) -> Document {
    let Document::Event(event) = event(note) else {
        unreachable!("it is an event");
    };
    Document::Event(Box::new(EventDocument {
        lane: Lane::News,
        ..*event
    }))
}

fn classes(written: &[(Duration, Write)]) -> Vec<Class> {
    written.iter().map(|(_, write)| write.key.class()).collect()
}

#[test]
fn gates_go_before_transitions_and_those_before_refreshes() {
    let mut bench = Bench::new(20, 100);
    bench.want(&Key::Event(name("event")), event("text"));
    want_instance(&mut bench, &newcomer("kong-a"));
    bench.want(&gate_key("kong-a"), gate(ConditionStatus::True));
    let written = bench.settle();
    assert_eq!(
        classes(&written),
        [Class::Gate, Class::Instance, Class::InstanceStatus, Class::Event]
    );
}

#[test]
fn good_news_are_a_few_a_second_and_go_after_everything_else() {
    let mut bench = Bench::new(20, 100);
    for index in 0..50 {
        bench.want(&Key::Event(name(&format!("news-{index}"))), good_news("text"));
    }
    bench.want(&Key::Event(name("event")), event("text"));
    let load = bench.planner.load();
    assert_eq!((load.refreshes, load.news), (1, 50));
    let written = bench.settle();
    assert_eq!(bench.planner.load().news, 0);
    assert_eq!(written[0].1.key, Key::Event(name("event")));
    let (last, _) = &written[50];
    assert!((9..=10).contains(&last.as_secs()), "{last:?}");
}

#[test]
fn what_says_the_same_is_not_written_again() {
    let mut bench = Bench::new(20, 100);
    want_instance(&mut bench, &synced("kong-a", "one"));
    assert_eq!(bench.settle().len(), 2);
    for _ in 0..100 {
        want_instance(&mut bench, &synced("kong-a", "one"));
        bench.pass(Duration::from_secs(10));
    }
    assert_eq!(bench.settle(), []);
    assert_eq!(bench.planner.next(bench.now), Next::Nothing, "no timer either");
}

#[test]
fn another_leader_alone_is_no_reason_to_write() {
    let mut bench = Bench::new(20, 100);
    let [(key, spec), (status_key, status)] = instance_documents(&synced("kong-a", "one"));
    bench.planner.seed(&key, spec.clone(), bench.now);
    bench.planner.seed(&status_key, status.clone(), bench.now);
    let Document::InstanceStatus(mut status) = status else {
        panic!("a status")
    };
    status.observer.as_mut().unwrap().epoch = "uid:2".to_owned();
    bench.want(&key, spec);
    bench.want(&status_key, Document::InstanceStatus(status));
    assert_eq!(bench.settle(), []);
}

#[test]
fn what_another_wrote_over_it_is_written_again_also_while_a_write_is_under_way() {
    let mut bench = Bench::new(20, 100);
    want_instance(&mut bench, &synced("kong-a", "one"));
    bench.settle();
    let [_, (key, late)] = instance_documents(&newcomer("kong-a"));
    assert!(bench.planner.overwritten(&key, late.clone(), bench.now));
    assert!(!bench.planner.overwritten(&key, late.clone(), bench.now), "told again");
    assert_eq!(classes(&bench.settle()), [Class::InstanceStatus]);

    bench.pass(Duration::from_secs(60));
    want_instance(&mut bench, &synced("kong-a", "two"));
    bench.pass(Duration::from_secs(2));
    assert!(bench.next().is_some());
    bench.planner.overwritten(&key, late, bench.now);
    bench.planner.done(&key, Outcome::Written, 1, bench.now);
    assert_eq!(classes(&bench.settle()), [Class::InstanceStatus]);
    assert_eq!(bench.settle(), []);
}

#[test]
fn a_transition_is_told_at_once_a_new_hash_a_second_later_and_in_one_write() {
    let mut bench = Bench::new(20, 100);
    want_instance(&mut bench, &synced("kong-a", "one"));
    bench.settle();
    bench.pass(Duration::from_secs(60));
    let refused = ProxyView {
        synced: no("ConfigRejected"),
        ..synced("kong-a", "one")
    };
    want_instance(&mut bench, &refused);
    assert!(bench.next().is_some(), "at once");
    bench
        .planner
        .done(&Key::InstanceStatus(name("kong-a")), Outcome::Written, 1, bench.now);

    want_instance(&mut bench, &synced("kong-a", "one"));
    bench.settle();
    bench.pass(Duration::from_secs(60));
    let changed = bench.now - bench.start;
    for text in ["two", "three", "four"] {
        want_instance(&mut bench, &synced("kong-a", text));
        assert_eq!(bench.next(), None);
        bench.pass(Duration::from_millis(100));
    }
    let written = bench.settle();
    assert_eq!(written.len(), 1, "{written:#?}");
    assert_eq!(written[0].0 - changed, Duration::from_secs(1));
}

#[test]
fn a_thousand_proxies_with_a_new_hash_never_delay_a_gate() {
    let mut bench = Bench::new(20, 100);
    for index in 0..1000 {
        want_instance(&mut bench, &synced(&format!("kong-{index}"), "one"));
    }
    bench.settle();
    for index in 0..1000 {
        want_instance(&mut bench, &synced(&format!("kong-{index}"), "two"));
    }
    bench.pass(Duration::from_secs(2));
    bench.run(|_| Outcome::Written, 200);
    bench.want(&gate_key("kong-new"), gate(ConditionStatus::True));
    let asked = bench.now - bench.start;
    let written = bench.run(|_| Outcome::Written, 1);
    assert_eq!(classes(&written), [Class::Gate]);
    assert!(
        written[0].0 - asked <= Duration::from_millis(51),
        "{:?}",
        written[0].0 - asked
    );
}

#[test]
fn under_load_one_object_is_refreshed_ever_more_rarely() {
    let mut bench = Bench::new(10, 1);
    let all = |bench: &mut Bench, text: &str| {
        for index in 0..300 {
            want_instance(bench, &synced(&format!("kong-{index}"), text));
        }
    };
    all(&mut bench, "start");
    bench.settle();
    let began = bench.now;
    let mut of_one = Vec::new();
    for round in 0..120 {
        all(&mut bench, &format!("round {round}"));
        let end = bench.now + Duration::from_secs(1);
        while bench.now < end {
            match bench.planner.next(bench.now) {
                Next::Write(write) => {
                    bench.planner.done(&write.key, Outcome::Written, 1, bench.now);
                    if write.key.name().name.as_ref() == "kong-7" {
                        of_one.push(bench.now - began);
                    }
                }
                Next::At(at) => bench.now = at.min(end),
                Next::Nothing => bench.now = end,
            }
        }
    }
    assert!((3..=6).contains(&of_one.len()), "once in about 30 s each: {of_one:?}");
}

#[test]
fn the_status_waits_for_its_object_and_follows_it_when_it_is_made_again() {
    let mut bench = Bench::new(20, 100);
    want_instance(&mut bench, &synced("kong-a", "one"));
    let first = bench.next().expect("the object");
    assert_eq!(first.key, Key::Instance(name("kong-a")));
    assert_eq!(bench.next(), None, "not before the object stands");
    bench.planner.done(&first.key, Outcome::Written, 1, bench.now);
    assert_eq!(classes(&bench.settle()), [Class::InstanceStatus]);

    bench.pass(Duration::from_secs(60));
    bench.planner.lost(&Key::Instance(name("kong-a")), bench.now);
    assert_eq!(classes(&bench.settle()), [Class::Instance, Class::InstanceStatus]);

    // Deleted, and nobody noticed: the next status finds out.
    let mut gone = true;
    bench.pass(Duration::from_secs(60));
    want_instance(&mut bench, &synced("kong-a", "two"));
    let written = bench.run(
        |write| match write.key.class() {
            Class::InstanceStatus if std::mem::take(&mut gone) => Outcome::Gone,
            _ => Outcome::Written,
        },
        10,
    );
    assert_eq!(
        classes(&written),
        [Class::InstanceStatus, Class::Instance, Class::InstanceStatus]
    );
}

#[test]
fn an_object_of_another_pod_of_that_name_is_replaced_and_gets_its_status_again() {
    let mut bench = Bench::new(20, 100);
    want_instance(&mut bench, &synced("kong-0", "one"));
    bench.settle();
    bench.pass(Duration::from_secs(60));
    let mut next = synced("kong-0", "one");
    let target = std::sync::Arc::make_mut(&mut next.target);
    target.pod.as_mut().unwrap().uid = "uid-of-its-successor".into();
    want_instance(&mut bench, &next);
    let written = bench.settle();
    assert_eq!(classes(&written), [Class::Instance, Class::InstanceStatus]);
    assert!(matches!(written[0].1.action, Action::Replace(_)));
    assert!(matches!(written[1].1.action, Action::Put(_)));
}

#[test]
fn what_leaves_is_deleted_once_and_what_was_never_written_not_at_all() {
    let mut bench = Bench::new(20, 100);
    want_instance(&mut bench, &synced("kong-a", "one"));
    bench.settle();
    want_instance(&mut bench, &synced("kong-b", "one"));
    for pod in ["kong-a", "kong-b"] {
        bench.planner.forget(&Key::InstanceStatus(name(pod)));
        bench.planner.remove(&Key::Instance(name(pod)), bench.now);
    }
    let written = bench.settle();
    assert_eq!(written.len(), 1, "{written:#?}");
    assert_eq!(written[0].1.key, Key::Instance(name("kong-a")));
    assert_eq!(written[0].1.action, Action::Delete);
    assert_eq!(bench.planner.load().transitions, 0);
}

#[test]
fn a_missing_permission_stops_its_kind_only_and_is_asked_for_ever_more_rarely() {
    let mut bench = Bench::new(20, 100);
    bench.want(&gate_key("kong-a"), gate(ConditionStatus::True));
    bench.want(&gate_key("kong-b"), gate(ConditionStatus::True));
    want_instance(&mut bench, &synced("kong-a", "one"));
    let written = bench.run(
        |write| match write.key.class() {
            Class::Gate => Outcome::Refused,
            _ => Outcome::Written,
        },
        22,
    );
    let gates: Vec<_> = written
        .iter()
        .filter(|(_, write)| write.key.class() == Class::Gate)
        .collect();
    assert_eq!(written.len() - gates.len(), 2, "the others go on: {written:#?}");
    let mut pauses: Vec<_> = gates.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    pauses.retain(|pause| !pause.is_zero());
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(pauses[0] <= Duration::from_secs(2), "{pauses:?}");
    assert!(*pauses.last().unwrap() >= Duration::from_secs(59), "{pauses:?}");
}

#[test]
fn an_api_server_that_refuses_as_it_starts_costs_seconds() {
    let mut bench = Bench::new(20, 100);
    bench.want(&gate_key("kong-a"), gate(ConditionStatus::True));
    bench.want(&gate_key("kong-b"), gate(ConditionStatus::True));
    let began = bench.now;
    let mut refusals = 2;
    let written = bench.run(
        |_| {
            if refusals == 0 {
                return Outcome::Written;
            }
            refusals -= 1;
            Outcome::Refused
        },
        4,
    );
    assert_eq!(written.len(), 4, "{written:#?}");
    let took = bench.now - began;
    assert!(took <= Duration::from_secs(3), "it took {took:?}");
}

#[test]
fn without_the_api_server_everything_rests_ever_longer() {
    let mut bench = Bench::new(20, 100);
    for index in 0..50 {
        bench.want(&gate_key(&format!("kong-{index}")), gate(ConditionStatus::True));
    }
    let written = bench.run(|_| Outcome::Unreachable, 12);
    let last = written.last().unwrap().0;
    assert!(last > Duration::from_secs(240), "12 attempts took {last:?}");
    let resumed = bench.settle();
    assert_eq!(resumed.len(), 50, "nothing is lost");
}

#[test]
fn what_the_api_server_never_takes_is_left_until_it_changes() {
    let mut bench = Bench::new(20, 100);
    let key = Key::Object(Kind::Ingress, name("web"), "uid".into());
    bench.want(&key, Document::Addresses([].into()));
    assert_eq!(bench.run(|_| Outcome::Invalid, 10).len(), 1);
    bench.pass(Duration::from_secs(3600));
    assert_eq!(bench.settle().len(), 0);
}

#[test]
fn a_conflict_is_tried_again_ever_more_slowly() {
    let mut bench = Bench::new(20, 100);
    bench.want(&gate_key("kong-a"), gate(ConditionStatus::True));
    let written = bench.run(|_| Outcome::Again, 8);
    assert!(written.last().unwrap().0 >= Duration::from_secs(60), "{written:#?}");
}

#[test]
fn a_problem_that_does_not_last_is_no_event() {
    let mut bench = Bench::new(20, 100);
    let key = Key::Event(name("event"));
    let Document::Event(mut document) = event("text") else {
        panic!("an event")
    };
    document.patience = Duration::from_secs(10);
    bench.want(&key, Document::Event(document));
    bench.pass(Duration::from_secs(9));
    assert_eq!(bench.next(), None);
    bench.planner.forget(&key);
    assert_eq!(bench.settle(), []);
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Status(usize, usize),
    Gate(usize, bool),
    Remove(usize),
    Lost(usize),
    Forget(usize),
    Start,
    Done(usize, Outcome),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Written),
        1 => Just(Outcome::Gone),
        1 => Just(Outcome::Invalid),
        1 => Just(Outcome::Refused),
        1 => Just(Outcome::Again),
        1 => Just(Outcome::Unreachable),
    ];
    prop_oneof![
        3 => (1..3000_u64).prop_map(Step::Pass),
        3 => (0..4_usize, 0..4_usize).prop_map(|(proxy, text)| Step::Status(proxy, text)),
        2 => (0..4_usize, any::<bool>()).prop_map(|(proxy, open)| Step::Gate(proxy, open)),
        1 => (0..4_usize).prop_map(Step::Remove),
        1 => (0..4_usize).prop_map(Step::Lost),
        1 => (0..4_usize).prop_map(Step::Forget),
        4 => Just(Step::Start),
        4 => (0..16_usize, outcome).prop_map(|(index, outcome)| Step::Done(index, outcome)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_two_writes_at_once_to_one_object_and_in_the_end_all_is_as_wanted(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut bench = Bench::new(20, 10);
        let mut under_way: Vec<Write> = Vec::new();
        let mut requests = 0_u32;
        for step in steps {
            match step {
                Step::Pass(milliseconds) => bench.pass(Duration::from_millis(milliseconds)),
                Step::Status(proxy, text) => {
                    let mut proxy = synced(&format!("kong-{proxy}"), &format!("text {text}"));
                    proxy.synced = if text == 3 { no("Drifted") } else { yes("Synced") };
                    want_instance(&mut bench, &proxy);
                }
                Step::Gate(proxy, open) => {
                    let status = if open { ConditionStatus::True } else { ConditionStatus::False };
                    bench.want(&gate_key(&format!("kong-{proxy}")), gate(status));
                }
                Step::Remove(proxy) => {
                    let proxy = name(&format!("kong-{proxy}"));
                    bench.planner.forget(&Key::InstanceStatus(proxy.clone()));
                    bench.planner.remove(&Key::Instance(proxy), bench.now);
                }
                Step::Lost(proxy) => bench.planner.lost(&Key::Instance(name(&format!("kong-{proxy}"))), bench.now),
                Step::Forget(proxy) => bench.planner.forget(&gate_key(&format!("kong-{proxy}"))),
                Step::Start => {
                    if let Some(write) = bench.next() {
                        prop_assert!(under_way.iter().all(|other| other.key != write.key), "{write:?}");
                        requests += 1;
                        under_way.push(write);
                    }
                }
                Step::Done(index, outcome) => {
                    if index < under_way.len() {
                        let write = under_way.swap_remove(index);
                        bench.planner.done(&write.key, outcome, 1, bench.now);
                    }
                }
            }
            let spent = f64::from(requests);
            let earned = 10.0 + (bench.now - bench.start).as_secs_f64() * 20.0;
            prop_assert!(spent <= earned + 0.01, "{spent} requests, {earned} allowed");
        }
        for write in under_way.drain(..) {
            bench.planner.done(&write.key, Outcome::Written, 1, bench.now);
        }
        for index in 0..4 {
            want_instance(&mut bench, &synced(&format!("kong-{index}"), "the end"));
        }
        bench.settle();
        for index in 0..4 {
            for (key, document) in instance_documents(&synced(&format!("kong-{index}"), "the end")) {
                let written = bench.planner.written(&key);
                prop_assert!(written.is_some_and(|written| document.says_the_same(written)), "{key:?}: {written:?}");
            }
        }
        prop_assert_eq!(bench.planner.next(bench.now), Next::Nothing);
    }
}
