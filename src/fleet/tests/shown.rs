//! What an operator is shown.

use std::sync::Arc;

use super::world::{World, millis, seconds};
use crate::{fleet::ConditionStatus, model::Reason};

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
    world.run_with_problem("two", Reason::NoEndpoints);
    world.pass(seconds(5));
    assert_eq!(world.shown("a").complete.status, ConditionStatus::True);
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
