//! What an operator is shown.

use std::sync::Arc;

use super::world::{Mood, World, hash, millis, seconds};
use crate::{
    fleet::{ConditionStatus, Phase},
    model::{Edition, Reason},
};

#[test]
fn left_out_objects_show_and_harmless_problems_do_not() {
    let mut world = World::new(&["a"]);
    world.run_with_problem("one", Reason::ServiceNotFound);
    world.pass(seconds(5));
    let complete = &world.shown("a").complete;
    assert_eq!(
        (complete.status, &*complete.reason),
        (ConditionStatus::False, "ObjectsLeftOut")
    );
    assert!(complete.message.contains("Ingress shop/web"), "{}", complete.message);
    for (text, reason) in [("two", Reason::NoEndpoints), ("three", Reason::Ignored)] {
        world.run_with_problem(text, reason);
        world.pass(seconds(5));
        assert_eq!(world.shown("a").complete.status, ConditionStatus::True, "{reason}");
    }
}

#[test]
fn a_short_lag_does_not_turn_synced_false() {
    let mut world = World::new(&["a"]);
    world.proxy("a").takes = millis(1900);
    world.run("one");
    world.pass(seconds(20));
    let since = world.shown("a").synced.since;
    for text in ["two", "three", "four", "five", "six"] {
        world.run(text);
        world.pass(seconds(4));
        assert_eq!(world.shown("a").synced.status, ConditionStatus::True, "{text}");
    }
    assert_eq!(world.shown("a").synced.since, since);
}

/// With one proxy, that runs `one`.
fn one_of(edition: Edition) -> World {
    let mut world = World::new(&[]);
    world.add("a", edition);
    world.retarget();
    world.run("one");
    world.pass(seconds(20));
    world
}

/// It will run that before it is brought back.
#[test]
fn a_proxy_to_which_something_older_is_on_its_way_is_not_synced_for_long() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        let mut world = one_of(edition);
        world.proxy("a").takes = millis(14_950);
        world.run("two");
        world.pass(seconds(1));
        world.run("one");
        world.pass(seconds(8));
        assert_eq!(world.shown("a").synced.status, ConditionStatus::True, "a short lag");
        world.pass(seconds(3));
        while world.shown("a").observed == Some(hash("one")) {
            let synced = &world.shown("a").synced;
            assert_eq!((synced.status, &*synced.reason), (ConditionStatus::False, "Pushing"));
            world.pass(millis(100));
        }
        world.proxy("a").takes = millis(10);
        world.pass(seconds(60));
        let shown = world.shown("a");
        assert_eq!(
            (shown.observed, shown.synced.status),
            (Some(hash("one")), ConditionStatus::True)
        );
    }
}

/// As above, from its yes until it shows what it has taken.
#[test]
fn a_proxy_that_has_taken_something_older_is_not_in_the_state_synced() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        let mut world = one_of(edition);
        world.proxy("a").effective_after = Some(seconds(6));
        world.run("two");
        world.pass(millis(500));
        world.run("one");
        let shown = world.shown("a");
        assert_eq!((shown.phase, shown.observed), (Phase::Pushing, Some(hash("one"))));
        while world.shown("a").observed == Some(hash("one")) {
            assert_eq!(world.shown("a").phase, Phase::Pushing);
            world.pass(millis(100));
        }
        world.pass(seconds(60));
        let shown = world.shown("a");
        assert_eq!((shown.phase, shown.observed), (Phase::Synced, Some(hash("one"))));
    }
}

#[test]
fn a_proxy_that_may_still_load_something_older_is_not_synced_for_long() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(21));
    world.proxy("a").mood = Mood::Resets { loads: false };
    world.run("two");
    world.pass(seconds(1));
    world.proxy("a").mood = Mood::Healthy;
    world.run("one");
    world.pass(seconds(30));
    let synced = &world.shown("a").synced;
    assert_eq!(
        (synced.status, &*synced.reason),
        (ConditionStatus::False, "OutcomeUnknown")
    );
    world.pass(seconds(31));
    assert_eq!(world.shown("a").synced.status, ConditionStatus::True);
    assert_eq!(world.pushes, 2);
}

#[test]
fn views_are_published_only_when_something_changed() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(20));
    let before = world.view.clone();
    world.pass(seconds(60));
    assert!(
        Arc::ptr_eq(&before.proxies[0], &world.view.proxies[0]),
        "probes that tell nothing new change nothing"
    );
}

#[test]
fn a_configuration_close_to_the_limit_is_warned_of() {
    let mut world = World::new(&["a"]);
    world.proxy("a").body_limit = Some(100);
    world.run(&"x".repeat(80));
    world.pass(seconds(10));
    assert_eq!(world.shown("a").nearly_too_large(), None);
    world.run(&"x".repeat(81));
    world.pass(seconds(10));
    let shown = world.shown("a");
    assert!(shown.nearly_too_large().is_some());
    assert!(
        shown.synced.message.contains("nginx_admin_client_max_body_size"),
        "{:?}",
        shown.synced
    );
}
