//! Who may send what: leaders, followers, leaders cut off, fleets on hold or paused.

use super::world::{Mood, PROBE_INTERVAL, World, hash, id, leader, millis, seconds, target};
use crate::{
    fleet::{ConditionStatus, FleetEvent, Phase, Settings},
    model::{Edition, Leadership},
    render::Origin,
};

#[test]
fn followers_watch_and_a_new_leader_sends_only_where_hashes_differ() {
    let mut world = World::following(Settings::default());
    for name in ["a", "b"] {
        world.add(name, Edition::OpenSource);
        world.proxy(name).hash = hash("old");
    }
    world.proxy("a").hash = hash("new");
    world.retarget();
    world.lead(Leadership::Follower { holder: None });
    world.run("new");
    world.pass(seconds(30));
    assert_eq!(world.pushes, 0);
    assert_eq!(world.shown("a").phase, Phase::Synced);
    assert_eq!(&*world.shown("b").synced.reason, "NotLeading");
    world.lead(leader(2));
    world.pass(seconds(1));
    assert_eq!(world.pushes, 1);
    assert_eq!(world.shown("b").phase, Phase::Synced);
}

/// What a standby saw last is up to a probe interval old.
#[test]
fn a_new_leader_looks_before_it_sends() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        let mut world = World::following(Settings::default());
        for name in ["a", "b"] {
            world.add(name, edition);
            world.proxy(name).hash = hash("old");
        }
        world.retarget();
        world.lead(Leadership::Follower { holder: None });
        world.run("old");
        world.pass(seconds(8));
        // The leader before sent it to one of them, and was killed.
        world.run("new");
        world.proxy("a").hash = hash("new");
        world.lead(leader(2));
        world.pass(millis(500));
        assert_eq!(world.pushes, 1);
        assert!(world.proxy("a").received.is_empty(), "it ran that already");
        for name in ["a", "b"] {
            let shown = world.shown(name);
            assert_eq!((shown.phase, shown.observed), (Phase::Synced, Some(hash("new"))));
        }
    }
}

/// A leader that ends finishes its pushes, and gives the Lease back before: Kong does not order what it is sent.
#[test]
fn what_the_leader_before_was_still_sending_is_waited_for_and_delays_no_other() {
    for loads in [true, false] {
        let mut world = World::new(&["a", "b"]);
        world.run("one");
        world.pass(seconds(60));
        world.proxy("a").takes = seconds(12);
        if !loads {
            world.proxy("a").mood = Mood::Hangs { loads };
        }
        world.run("two");
        world.pass(seconds(2));
        let told = world.view.unsettled();
        assert_eq!(told, [(id("a"), hash("two"))].into());

        world.take_over(leader(2));
        world.proxy("a").takes = millis(100);
        world.proxy("a").mood = Mood::Healthy;
        let since = world.elapsed();
        world.run("three");
        world.pass(millis(300));
        assert_eq!(world.shown("b").observed, Some(hash("three")));
        assert_eq!(
            world.shown("a").unsettled,
            Some(hash("two")),
            "its successor has to wait, too"
        );
        world.pass(seconds(90));
        assert_eq!(world.shown("a").observed, Some(hash("three")));
        assert_eq!(world.shown("a").phase, Phase::Synced);
        let (sent, _) = *world.proxy("a").received.last().expect("it was sent something");
        let waited = sent - since;
        let expected = if loads {
            seconds(10)..seconds(12)
        } else {
            seconds(75)..seconds(76)
        };
        assert!(expected.contains(&waited), "{waited:?}");
        assert_eq!(world.proxy("a").received.len(), 3, "nothing was to be repaired");
    }
}

/// Regular probes come every five seconds.
#[test]
fn what_the_leader_before_was_still_sending_is_asked_for_at_once() {
    let mut world = World::following(Settings::default());
    world.add("a", Edition::OpenSource);
    world.proxy("a").hash = hash("one");
    world.retarget();
    world.lead(Leadership::Follower { holder: None });
    world.run("three");
    world.pass(PROBE_INTERVAL + millis(100));
    world.event(FleetEvent::HandedOver([(id("a"), hash("two"))].into()));
    world.lead(leader(2));
    world.pass(millis(300));
    world.proxy("a").hash = hash("two");
    let landed = world.elapsed();
    world.pass(PROBE_INTERVAL);
    let (sent, what) = *world.proxy("a").received.last().expect("it was sent something");
    assert_eq!(what, hash("three"));
    assert!(sent - landed <= seconds(1), "{:?}", sent - landed);
}

/// Its endpoint may come and go as it likes.
#[test]
fn what_the_leader_before_was_still_sending_is_waited_for_once() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(60));
    world.proxy("a").takes = seconds(3);
    world.run("two");
    world.pass(seconds(2));
    world.take_over(leader(2));
    world.run("three");
    world.pass(seconds(10));
    assert_eq!(world.shown("a").observed, Some(hash("three")));
    let a = world.targets.remove(&id("a")).expect("it is there");
    world.retarget();
    world.pass(seconds(5));
    world.targets.insert(id("a"), a);
    world.retarget();
    world.run("four");
    world.pass(seconds(15));
    assert_eq!(world.shown("a").observed, Some(hash("four")));
}

#[test]
fn nobody_waits_for_what_an_embedded_proxy_was_still_sent_since_it_keeps_the_order() {
    let mut world = World::new(&[]);
    world.add("a", Edition::Embedded);
    world.retarget();
    world.proxy("a").takes = seconds(12);
    world.run("one");
    world.pass(seconds(2));
    assert_eq!(world.shown("a").unsettled, Some(hash("one")));
    assert_eq!(world.view.unsettled(), [].into());
}

/// What it sent itself before is for its successor to judge.
#[test]
fn a_deposed_leader_says_that_it_does_not_lead() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    world.proxy("a").effective_after = None;
    world.run("two");
    world.pass(seconds(5));
    world.lead(Leadership::Follower { holder: None });
    for _ in 0..120 {
        world.pass(seconds(1));
        let synced = &world.shown("a").synced;
        if synced.status != ConditionStatus::True {
            assert_eq!(&*synced.reason, "NotLeading", "after {:?}", world.elapsed());
        }
    }
    assert_eq!(world.shown("a").synced.status, ConditionStatus::False);
}

#[test]
fn cut_off_from_the_api_server_only_empty_proxies_are_given_the_last_good_one() {
    let mut world = World::new(&["a", "b"]);
    world.run("one");
    world.pass(seconds(10));
    let Leadership::Leader { epoch } = leader(1) else {
        unreachable!()
    };
    world.lead(Leadership::Cut { epoch });
    world.run("two");
    world.restart("b", false);
    world.pass(seconds(20));
    assert_eq!(world.shown("a").observed, Some(hash("one")));
    assert_eq!(&*world.shown("a").synced.reason, "LeaseUnreachable");
    assert_eq!(world.shown("b").observed, Some(hash("one")));
    world.lead(leader(1));
    world.pass(seconds(5));
    assert_eq!(world.shown("a").observed, Some(hash("two")));
}

#[test]
fn on_hold_nothing_changes_and_newcomers_get_the_last_good_one() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    world.hold("half of it");
    world.add("b", Edition::OpenSource);
    world.retarget();
    world.pass(seconds(30));
    for name in ["a", "b"] {
        assert_eq!(world.shown(name).observed, Some(hash("one")), "{name}");
        assert_eq!(world.shown(name).phase, Phase::Synced, "{name}");
    }
    world.run("two");
    world.pass(seconds(10));
    assert_eq!(world.shown("a").observed, Some(hash("two")));
}

#[test]
fn a_paused_fleet_stays_as_it_is_but_for_proxies_without_configuration() {
    let mut world = World::new(&["a", "b"]);
    world.run("one");
    world.pass(seconds(10));
    let service = target("a").service.expect("it was found through one");
    world.event(FleetEvent::Paused([service.clone()].into()));
    assert!(world.view.paused.contains(&service));
    world.run("two");
    world.restart("b", false);
    world.add("c", Edition::OpenSource);
    world.retarget();
    world.pass(seconds(30));
    for name in ["a", "b", "c"] {
        assert_eq!(world.shown(name).observed, Some(hash("one")), "{name}");
        assert_eq!(&*world.shown(name).synced.reason, "Paused", "{name}");
    }
    world.event(FleetEvent::Paused([].into()));
    world.pass(seconds(20));
    for name in ["a", "b", "c"] {
        assert_eq!(world.shown(name).observed, Some(hash("two")), "{name}");
    }
}

#[test]
fn a_leader_that_begins_paused_gives_the_newest_to_proxies_without_any() {
    let mut world = World::following(Settings::default());
    let service = target("a").service.expect("it was found through one");
    world.event(FleetEvent::Paused([service].into()));
    world.lead(leader(1));
    world.add("a", Edition::OpenSource);
    world.add("b", Edition::OpenSource);
    world.proxy("a").hash = hash("older");
    world.retarget();
    world.run("new");
    world.pass(seconds(20));
    assert_eq!(world.shown("a").observed, Some(hash("older")));
    assert_eq!(world.shown("b").observed, Some(hash("new")));
}

/// Only what is known since it is the one that puts away is put over what another replica put away.
#[test]
fn what_proxies_run_is_confirmed_anew_in_each_term() {
    let mut world = World::following(Settings::default());
    world.add("a", Edition::Embedded);
    world.retarget();
    world.lead(leader(1));
    let shown = |world: &World| {
        let good = world.view.good.values();
        let origins: Vec<_> = good.map(|good| good.origin).collect();
        (world.view.term, origins)
    };
    world.begin_term(1);
    world.run("one");
    world.pass(seconds(10));
    assert_eq!(shown(&world), (1, vec![Origin::Confirmed]));
    // It has given the Lease up: what it puts away then is what it knows.
    world.lead(Leadership::Follower { holder: None });
    world.pass(seconds(10));
    assert_eq!(shown(&world), (1, vec![Origin::Confirmed]));
    world.lead(leader(2));
    world.begin_term(2);
    assert_eq!(shown(&world), (2, vec![Origin::Seen]), "as far as was seen before");
    world.pass(seconds(10));
    assert_eq!(shown(&world), (2, vec![Origin::Confirmed]));
    assert_eq!(world.pushes, 1);
}
