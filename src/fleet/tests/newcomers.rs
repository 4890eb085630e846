//! Proxies that come, restart and go.

use std::{sync::Arc, time::Duration};

use super::world::{Mood, PROBE_INTERVAL, World, hash, id, millis, seconds, target};
use crate::{
    fleet::{ConditionStatus, Phase},
    model::Edition,
};

#[test]
fn a_newcomer_is_configured_at_once_and_ready_then() {
    let mut world = World::new(&["a"]);
    assert_eq!(world.shown("a").phase, Phase::Discovered);
    world.pass(millis(10));
    assert_eq!(world.shown("a").phase, Phase::Unconfigured);
    assert_eq!(world.shown("a").ready.reason, "Unconfigured");
    world.run("one");
    assert_eq!(world.shown("a").phase, Phase::Pushing);
    world.pass(millis(200));
    let shown = world.shown("a");
    assert_eq!(shown.phase, Phase::Synced);
    assert_eq!((shown.observed, shown.desired), (Some(hash("one")), Some(hash("one"))));
    for condition in [
        &shown.reachable,
        &shown.mutual_tls,
        &shown.synced,
        &shown.complete,
        &shown.ready,
    ] {
        assert_eq!(condition.status, ConditionStatus::True, "{condition:?}");
    }
    assert_eq!(shown.size_bytes, Some(3));
    assert_eq!(shown.apply_duration, Some(millis(100)));
}

#[test]
fn without_anybody_on_the_last_good_one_a_newcomer_gets_the_newest() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    world.targets.clear();
    world.retarget();
    world.run("two");
    world.pass(seconds(10));
    world.add("b", Edition::OpenSource);
    world.retarget();
    world.pass(seconds(5));
    assert_eq!(world.proxy("b").received.len(), 1);
    assert_eq!(world.shown("b").observed, Some(hash("two")));
}

#[test]
fn a_proxy_that_returns_while_a_push_is_under_way_is_not_pushed_to_twice() {
    let mut world = World::new(&["a"]);
    world.proxy("a").takes = seconds(10);
    world.run("one");
    world.pass(seconds(1));
    let targets = std::mem::take(&mut world.targets);
    world.retarget();
    assert!(world.view.proxies.is_empty());
    world.targets = targets;
    world.retarget();
    world.pass(seconds(5));
    assert_eq!(world.shown("a").phase, Phase::Pushing);
    world.pass(seconds(10));
    assert_eq!(world.shown("a").phase, Phase::Synced);
    assert_eq!(world.pushes, 1);
}

#[test]
fn terminating_proxies_keep_getting_changes() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    let mut terminating = target("a");
    terminating.terminating = true;
    world.targets.insert(id("a"), Arc::new(terminating));
    world.retarget();
    world.run("two");
    world.pass(seconds(5));
    assert_eq!(world.shown("a").phase, Phase::Terminating);
    assert_eq!(world.shown("a").observed, Some(hash("two")));
}

/// How long it takes from discovery until a proxy that applies in no time is ready: a probe and a push.
const AT_ONCE: Duration = millis(500);
/// How long slow proxies take to apply a configuration.
const SLOW: Duration = seconds(10);

/// Waits until it is ready; how long that took.
fn until_ready(world: &mut World, name: &str, limit: Duration, mut meanwhile: impl FnMut(&mut World)) -> Duration {
    let began = world.elapsed();
    while world.shown(name).ready.status != ConditionStatus::True {
        assert!(
            world.elapsed() - began <= limit,
            "{name} is not ready after {limit:?}: {:?}",
            world.shown(name).ready
        );
        world.pass(millis(100));
        meanwhile(world);
    }
    world.elapsed() - began
}

/// Another configuration every second.
fn every_second() -> impl FnMut(&mut World) {
    let mut written = 0;
    move |world| {
        let second = world.elapsed().as_secs();
        if second > written {
            written = second;
            world.run(&format!("of second {second}"));
        }
    }
}

#[test]
fn scaled_up_while_the_newest_is_refused_all_are_ready_at_once_and_stay_so() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        let mut world = World::new(&[]);
        world.add("a", edition);
        world.retarget();
        world.run("good");
        world.pass(seconds(10));
        world.run_bad("newest");
        world.pass(seconds(10));
        let newcomers = ["b", "c", "d", "e", "f"];
        for name in newcomers {
            world.add(name, edition);
        }
        world.retarget();
        world.pass(AT_ONCE);
        for name in newcomers {
            assert_eq!(world.shown(name).ready.status, ConditionStatus::True, "{name}");
            assert_eq!(world.proxy(name).received[0].1, hash("good"), "{name}");
        }
        for _ in 0..60 {
            world.pass(seconds(1));
            for name in newcomers {
                let shown = world.shown(name);
                assert_eq!(
                    (shown.ready.status, shown.observed),
                    (ConditionStatus::True, Some(hash("good")))
                );
            }
        }
        // Each was asked once whether it takes the newest.
        assert_eq!(world.pushes, 2 + 2 * newcomers.len());
        world.run("mended");
        world.pass(seconds(30));
        for name in newcomers {
            assert_eq!(world.shown(name).phase, Phase::Synced, "{name}");
        }
    }
}

#[test]
fn while_everything_changes_every_second_slow_newcomers_are_ready_after_one_load() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        let mut world = World::new(&[]);
        let mut change = every_second();
        for name in ["a", "b"] {
            world.add(name, edition);
            world.proxy(name).takes = SLOW;
        }
        world.retarget();
        world.run("of second 0");
        // Nothing was accepted yet: the newest of then is what they begin with.
        until_ready(&mut world, "a", SLOW + AT_ONCE, &mut change);
        until_ready(&mut world, "b", AT_ONCE, &mut change);
        for _ in 0..600 {
            world.pass(millis(100));
            change(&mut world);
        }
        world.add("newcomer", edition);
        world.proxy("newcomer").takes = SLOW;
        world.retarget();
        until_ready(&mut world, "newcomer", SLOW + AT_ONCE, &mut change);
        let first = world.proxy("newcomer").received[0].1;
        assert!(
            ["a", "b"]
                .iter()
                .any(|name| world.proxy(name).received.iter().any(|(_, sent)| *sent == first)),
            "it got what others had accepted"
        );
        // It is not left behind either, and the others go on.
        let before: Vec<usize> = ["a", "b", "newcomer"]
            .map(|name| world.proxy(name).received.len())
            .into();
        for _ in 0..900 {
            world.pass(millis(100));
            change(&mut world);
            assert_eq!(world.shown("newcomer").ready.status, ConditionStatus::True);
        }
        for (name, before) in ["a", "b", "newcomer"].into_iter().zip(before) {
            let pushes = world.proxy(name).received.len() - before;
            // One load and three times that long a rest for Kong; no rest for the embedded proxy.
            let expected = if edition == Edition::Embedded { 8..=10 } else { 2..=3 };
            assert!(expected.contains(&pushes), "{name}: {pushes} in 90 s");
        }
        world.run("the last");
        world.pass(5 * SLOW);
        for name in ["a", "b", "newcomer"] {
            assert_eq!(world.shown(name).observed, Some(hash("the last")), "{name}");
        }
    }
}

/// It was a short lag, and it still is: but nothing of what it shall run is there.
#[test]
fn a_proxy_that_is_found_without_its_configuration_is_not_called_synced() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        let mut world = World::new(&[]);
        world.add("a", edition);
        world.retarget();
        world.run("one");
        world.pass(seconds(31));
        world.restart("a", false);
        world.proxy("a").takes = seconds(3);
        let mut was_found = false;
        for _ in 0..200 {
            world.pass(millis(100));
            let shown = world.shown("a");
            let is_found = shown.observed.is_some_and(|hash| hash.is_none());
            was_found |= is_found;
            assert!(
                !is_found || shown.synced.status != ConditionStatus::True,
                "{:?} {:?}",
                shown.synced,
                shown.ready
            );
        }
        assert!(was_found);
        assert_eq!(world.shown("a").synced.status, ConditionStatus::True);
    }
}

/// The pod stays, and so does its name, address and endpoint: only the process tells.
#[test]
fn a_restarted_container_is_noticed_with_the_next_probe_and_configured_at_once() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        let mut world = World::new(&[]);
        for name in ["a", "b"] {
            world.add(name, edition);
        }
        world.retarget();
        world.run("one");
        world.pass(seconds(31));
        world.restart("a", false);
        let restarted = world.elapsed();
        world.pass(PROBE_INTERVAL + AT_ONCE);
        let (sent, what) = *world.proxy("a").received.last().unwrap();
        assert_eq!(what, hash("one"));
        assert!(
            sent > restarted && sent - restarted <= PROBE_INTERVAL,
            "{:?}",
            sent - restarted
        );
        assert_eq!(world.shown("a").phase, Phase::Synced);
        let since = world.shown("a").ready.since;
        assert!(since > world.shown("b").ready.since, "it was not ready in between");
    }
}

/// What it runs is the same as before: again only the process tells.
#[test]
fn a_restarted_container_that_kept_its_configuration_is_rid_of_what_is_known_of_its_predecessor() {
    let refused = |world: &mut World| {
        world.run_bad("two");
        world.pass(seconds(10));
        assert_eq!(world.shown("a").phase, Phase::Rejected);
    };
    let unknown = |world: &mut World| {
        world.proxy("a").mood = Mood::Hangs { loads: false };
        world.run("two");
        world.pass(seconds(31));
        assert_eq!(world.shown("a").phase, Phase::Unknown);
    };
    let backing_off = |world: &mut World| {
        world.proxy("a").mood = Mood::Busy;
        world.proxy("a").retry_after = Some(seconds(50));
        world.run("two");
        world.pass(seconds(1));
        assert_eq!(world.shown("a").phase, Phase::Waiting);
    };
    let burdens: [&dyn Fn(&mut World); 3] = [&refused, &unknown, &backing_off];
    for burden in burdens {
        let mut world = World::new(&["a"]);
        world.run("one");
        world.pass(seconds(31));
        burden(&mut world);
        world.restart("a", true);
        let restarted = world.elapsed();
        world.pass(PROBE_INTERVAL + AT_ONCE);
        let (sent, what) = *world.proxy("a").received.last().unwrap();
        assert_eq!(what, hash("two"));
        assert!(sent > restarted, "it is given the chance that its predecessor had");
    }
}

#[test]
fn a_restarted_container_does_not_wait_for_the_rest_of_its_predecessor() {
    let mut world = World::new(&["a"]);
    let mut change = every_second();
    world.proxy("a").takes = SLOW;
    world.run("of second 0");
    until_ready(&mut world, "a", SLOW + AT_ONCE, &mut change);
    for _ in 0..50 {
        world.pass(millis(100));
        change(&mut world);
    }
    assert_eq!(world.shown("a").phase, Phase::Paced);
    world.restart("a", false);
    let restarted = world.elapsed();
    while world.shown("a").ready.status == ConditionStatus::True {
        world.pass(millis(100));
        change(&mut world);
        assert!(world.elapsed() - restarted <= PROBE_INTERVAL, "it is noticed");
    }
    until_ready(&mut world, "a", SLOW + AT_ONCE, &mut change);
}
