//! When what proxies accept is put away, and by whom.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::world::{World, good, goods, leader, memory, profile};
use crate::{
    archive::{
        LastGoods, seal,
        task::{AHEAD, CALM, INTERVAL, KIND_GONE, RETRY},
    },
    fleet::{FleetEvent, FleetView, ProxyView, bare_proxy, bare_target},
    model::{Kind, Leadership, Object, Profile, Snapshot, Storage},
};

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
    Arc::new(ProxyView {
        profile,
        ..bare_proxy(bare_target("gateway", "kong"))
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
