//! When what proxies accept is put away, and by whom.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::world::{World, good, goods, leader, memory, profile};
use crate::{
    archive::{
        LastGoods, seal,
        task::{CALM, INTERVAL, RETRY},
    },
    fleet::{FleetEvent, FleetView, ProxyView, bare_proxy, bare_target},
    model::{Leadership, Profile, Snapshot, Storage},
    render::{LastGood, Origin},
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
            term: 1,
            ..FleetView::default()
        };
        world.view.send_replace(Arc::new(view));
    };
    let stored = || {
        let kept = kept.0.lock().unwrap();
        let (found, _) = seal::open(kept.sealed.clone().unwrap(), &kept.key).unwrap();
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

/// Who led before may have written just now, and whoever leads next may do so, too. One that is killed again and again must
/// come to write nonetheless.
#[tokio::test(start_paused = true)]
async fn a_new_leader_goes_on_with_the_five_minutes_of_the_one_before() {
    let ago = |age: Duration| Timestamp::now() - SignedDuration::try_from(age).unwrap();
    for (age, wait) in [
        (Duration::ZERO, INTERVAL),
        (INTERVAL - CALM * 3, CALM * 3),
        (INTERVAL * 2, CALM),
    ] {
        let kept = memory();
        {
            let mut kept = kept.0.lock().unwrap();
            kept.sealed = Some(seal::seal(&goods("by the leader before"), ago(age), &kept.key));
        }
        let world = World::new(&kept);
        world.accept("one");
        world.pass(wait - Duration::from_secs(1)).await;
        assert_eq!(world.writes(), 0, "{age:?}");
        world.pass(Duration::from_secs(2)).await;
        world.written(1).await;
    }
}

/// It led before, was deposed, and knows what proxies accepted then.
#[tokio::test(start_paused = true)]
async fn what_was_confirmed_in_a_former_term_is_not_put_over_what_others_put_away_since() {
    let kept = memory();
    let mut world = World::new(&kept);
    world.accept("of its first term");
    world.pass(CALM / 2).await;
    world.leadership.send_replace(Leadership::Follower { holder: None });
    world.pass(INTERVAL).await;
    {
        let mut kept = kept.0.lock().unwrap();
        kept.sealed = Some(seal::seal(&goods("of the leader since"), Timestamp::now(), &kept.key));
    }
    world.leadership.send_replace(leader());
    world.pass(INTERVAL * 2).await;
    assert_eq!(world.writes(), 0);
    world.stop.cancel();
    (&mut world.task).await.unwrap();
    assert_eq!(world.writes(), 0);
}

/// Two replicas end at the same time. One leads for a moment after the other, and has missed what proxies accepted meanwhile.
#[tokio::test(start_paused = true)]
async fn what_a_standby_saw_is_not_put_over_what_the_leader_put_away_at_last() {
    let kept = memory();
    let mut standby = World::new(&kept);
    standby.leadership.send_replace(Leadership::Follower { holder: None });
    let show = |good: [(Profile, Arc<LastGood>); 2]| {
        let view = FleetView {
            good: good.into(),
            term: 1,
            ..FleetView::default()
        };
        standby.view.send_replace(Arc::new(view));
    };
    let of = |text: &str, origin| {
        let good = good(text, Snapshot::default());
        Arc::new(LastGood {
            origin,
            ..LastGood::clone(&good)
        })
    };
    show([
        (profile(8), of("8, seen", Origin::Seen)),
        (profile(9), of("9, seen", Origin::Seen)),
    ]);
    standby.pass(INTERVAL).await;
    let mut leader_before = World::new(&kept);
    let good = [("8, newer", 8), ("9, newer", 9)];
    let good = good.map(|(text, minor)| (profile(minor), of(text, Origin::Confirmed)));
    let view = FleetView {
        good: good.into(),
        term: 1,
        ..FleetView::default()
    };
    leader_before.view.send_replace(Arc::new(view));
    leader_before.pass(Duration::from_secs(1)).await;
    leader_before.stop.cancel();
    (&mut leader_before.task).await.unwrap();
    assert_eq!(standby.writes(), 1);

    standby.leadership.send_replace(leader());
    standby.pass(INTERVAL * 2).await;
    assert_eq!(standby.writes(), 1, "no proxy has told what it runs");
    // Of one profile it is known by now.
    show([
        (profile(8), of("8, seen", Origin::Seen)),
        (profile(9), of("9, confirmed", Origin::Confirmed)),
    ]);
    standby.pass(Duration::from_secs(1)).await;
    standby.stop.cancel();
    (&mut standby.task).await.unwrap();
    assert_eq!(standby.writes(), 2);
    let sealed = kept.0.lock().unwrap().sealed.clone().unwrap();
    let (found, _) = seal::open(sealed, &kept.0.lock().unwrap().key).unwrap();
    let bytes = |minor| &*found[&profile(minor)].rendered.bytes;
    assert_eq!(bytes(8), b"8, newer");
    assert_eq!(bytes(9), b"9, confirmed");
}
