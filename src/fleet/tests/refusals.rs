//! What proxies refuse, and what they get instead.

use std::sync::Arc;

use super::world::{World, hash, rendered, seconds};
use crate::{
    fleet::{ConditionStatus, FleetEvent, Phase},
    model::{Edition, Profile, RouterFlavor},
    render::{LastGood, Origin},
};

#[test]
fn a_refused_configuration_is_told_and_not_sent_again() {
    let mut world = World::new(&["a"]);
    world.run("good");
    world.pass(seconds(10));
    world.run_bad("bad");
    world.pass(seconds(300));
    assert_eq!(world.proxy("a").received.len(), 2);
    let shown = world.shown("a");
    assert_eq!(shown.phase, Phase::Rejected);
    assert_eq!(&*shown.synced.reason, "ConfigRejected");
    assert_eq!(shown.ready.status, ConditionStatus::True, "it serves the earlier one");
    assert_eq!(shown.errors[0].object.as_ref().unwrap().to_string(), "Ingress shop/web");
    assert_eq!((shown.errors.len(), shown.error_count), (1, 1));

    // A newcomer gets the last good one, and is ready with it.
    world.add("b", Edition::OpenSource);
    world.retarget();
    world.pass(seconds(60));
    let received: Vec<_> = world.proxy("b").received.iter().map(|(_, hash)| *hash).collect();
    assert_eq!(received, [hash("good"), hash("bad")]);
    assert_eq!(world.shown("b").observed, Some(hash("good")));
    assert_eq!(world.shown("b").ready.status, ConditionStatus::True);

    // A restart is a new chance for the same bytes; what it has lost it gets first.
    world.restart("a", false);
    world.pass(seconds(60));
    let received: Vec<_> = world
        .proxy("a")
        .received
        .iter()
        .map(|(_, hash)| *hash)
        .skip(2)
        .collect();
    assert_eq!(received, [hash("good"), hash("bad")]);

    world.run("mended");
    world.pass(seconds(30));
    assert_eq!(world.shown("a").phase, Phase::Synced);
    assert!(world.shown("a").errors.is_empty());
}

#[test]
fn what_others_refused_and_nobody_runs_is_not_sent_to_a_newcomer() {
    let mut world = World::new(&["a"]);
    world.run_bad("whole");
    world.pass(seconds(10));
    assert_eq!(world.shown("a").phase, Phase::Rejected);
    world.run_reduced("whole", "reduced");
    world.pass(seconds(10));
    let shown = world.shown("a");
    assert_eq!(
        (shown.phase, shown.error_count),
        (Phase::Synced, 1),
        "what it refused is still told"
    );
    world.add("b", Edition::OpenSource);
    world.retarget();
    world.pass(seconds(10));
    assert_eq!(world.shown("b").phase, Phase::Synced);
    let received: Vec<_> = world.proxy("b").received.iter().map(|(_, hash)| *hash).collect();
    assert_eq!(received, [hash("reduced")]);
}

#[test]
fn without_blame_the_last_good_one_is_sent_with_the_addresses_of_now() {
    let mut world = World::new(&["a"]);
    world.run("good");
    world.pass(seconds(10));
    world.run_bad("newest");
    world.pass(seconds(10));
    world.run_kept("newest", "good, other addresses");
    world.pass(seconds(10));
    let shown = world.shown("a");
    assert_eq!(
        (shown.phase, shown.observed),
        (Phase::Rejected, Some(hash("good, other addresses")))
    );
    assert_eq!(&*shown.complete.reason, "ObjectsLeftOut");
    world.add("b", Edition::OpenSource);
    world.retarget();
    world.pass(seconds(10));
    let received: Vec<_> = world.proxy("b").received.iter().map(|(_, hash)| *hash).collect();
    assert_eq!(received[0], hash("good, other addresses"));
}

fn stored(text: &str) -> FleetEvent {
    let good = LastGood {
        rendered: rendered(text),
        sources: Arc::default(),
        accepted_at: jiff::Timestamp::UNIX_EPOCH,
        origin: Origin::Stored,
    };
    let profile = Profile {
        router_flavor: RouterFlavor::Traditional,
        edition: Some(Edition::OpenSource),
        version: Some((3, 9)),
        plugins: None,
    };
    FleetEvent::Stored([(profile, Arc::new(good))].into())
}

#[test]
fn bytes_of_an_earlier_run_go_to_empty_proxies_until_the_cluster_is_known() {
    let mut world = World::new(&["a"]);
    world.event(stored("of then"));
    world.pass(seconds(10));
    let shown = world.shown("a");
    assert_eq!(
        (shown.observed, shown.ready.status),
        (Some(hash("of then")), ConditionStatus::True)
    );
    world.run_bad("newest");
    world.pass(seconds(30));
    assert_eq!(world.shown("a").observed, Some(hash("of then")), "it keeps what it has");
    // From now on old bytes are nothing to begin with.
    world.add("b", Edition::OpenSource);
    world.retarget();
    world.pass(seconds(30));
    assert!(
        !world
            .proxy("b")
            .received
            .iter()
            .any(|(_, sent)| *sent == hash("of then"))
    );
    world.run_kept("newest", "of then, other addresses");
    world.pass(seconds(60));
    for name in ["a", "b"] {
        assert_eq!(
            world.shown(name).observed,
            Some(hash("of then, other addresses")),
            "{name}"
        );
    }
    world.run("mended");
    world.pass(seconds(60));
    assert_eq!(world.shown("a").phase, Phase::Synced);
    assert_eq!(world.view.last_good.values().next(), Some(&hash("mended")));
}

/// The controller began while a kind could not be read that was in use before.
#[test]
fn held_from_the_start_proxies_keep_what_they_run_and_newcomers_get_the_same() {
    let mut world = World::new(&["a", "b"]);
    world.proxy("a").hash = hash("of then");
    assert!(!world.view.recalled);
    world.event(stored("of then"));
    assert!(world.view.recalled);
    world.hold("half");
    world.pass(seconds(60));
    for name in ["a", "b"] {
        let shown = world.shown(name);
        assert_eq!(shown.observed, Some(hash("of then")), "{name}");
        assert_eq!(shown.ready.status, ConditionStatus::True, "{name}");
        assert_eq!(
            (shown.synced.status, &*shown.synced.reason, &*shown.synced.message),
            (ConditionStatus::Unknown, "SourceUnavailable", "Ingresses can't be read"),
            "{name}"
        );
    }
    assert_eq!(world.pushes, 1);
    world.run("newest");
    world.pass(seconds(30));
    for name in ["a", "b"] {
        assert_eq!(world.shown(name).observed, Some(hash("newest")), "{name}");
    }
}

#[test]
fn a_proxy_with_a_database_is_refused() {
    let mut world = World::new(&["a"]);
    world.proxy("a").database = "postgres";
    world.run("one");
    world.pass(seconds(30));
    let shown = world.shown("a");
    assert_eq!(
        (&*shown.synced.reason, &*shown.ready.reason),
        ("DatabaseMode", "DatabaseMode")
    );
    assert!(shown.synced.message.contains("KONG_DATABASE=off"));
}
