//! What an operator would see, case by case.

use std::{sync::Arc, time::Duration};

use super::world::{Mood, World, hash, id, leader, rendered, salted, target};
use crate::{
    fleet::{ConditionStatus, FleetEvent, HashMode, Phase, Settings},
    model::{Edition, Leadership, Profile, Reason, RouterFlavor},
    render::LastGood,
};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

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
fn kong_rests_between_pushes_and_gets_the_newest_then() {
    let mut world = World::new(&["a"]);
    world.proxy("a").takes = seconds(4);
    world.run("one");
    world.pass(seconds(5));
    for text in ["two", "three", "four"] {
        world.run(text);
        world.pass(seconds(1));
    }
    // 4 s of work, 12 s of rest.
    assert_eq!(world.shown("a").phase, Phase::Paced);
    world.pass(millis(7500));
    let shown = world.shown("a");
    assert_eq!(
        (shown.synced.status, &*shown.synced.reason),
        (ConditionStatus::False, "Paced")
    );
    world.pass(seconds(9));
    let received: Vec<_> = world.proxy("a").received.iter().map(|(_, hash)| *hash).collect();
    assert_eq!(received, [hash("one"), hash("four")]);
    assert_eq!(world.shown("a").phase, Phase::Synced);
}

#[test]
fn the_embedded_proxy_and_full_duty_do_not_rest() {
    for (edition, push_duty) in [(Edition::Embedded, 25), (Edition::OpenSource, 100)] {
        let mut world = World::following(Settings {
            push_duty,
            ..Settings::default()
        });
        world.lead(leader(1));
        world.add("a", edition);
        world.retarget();
        world.proxy("a").takes = seconds(1);
        for (index, text) in ["one", "two", "three"].into_iter().enumerate() {
            world.run(text);
            world.pass(millis(1100));
            assert_eq!(world.proxy("a").received.len(), index + 1);
        }
    }
}

#[test]
fn a_change_during_a_push_waits_one_deep() {
    let mut world = World::new(&[]);
    world.add("a", Edition::Embedded);
    world.retarget();
    world.proxy("a").takes = seconds(2);
    world.run("one");
    world.pass(seconds(1));
    world.run("two");
    world.run("three");
    assert_eq!(world.shown("a").phase, Phase::Pushing);
    world.pass(seconds(4));
    let received: Vec<_> = world.proxy("a").received.iter().map(|(_, hash)| *hash).collect();
    assert_eq!(received, [hash("one"), hash("three")]);
}

#[test]
fn nothing_is_sent_to_a_proxy_that_has_it() {
    let mut world = World::new(&["a"]);
    world.proxy("a").hash = hash("one");
    world.run("one");
    world.pass(seconds(30));
    assert_eq!(world.pushes, 0);
    assert_eq!(world.shown("a").phase, Phase::Synced);
    assert_eq!(
        world.view.last_good.values().next(),
        Some(&hash("one")),
        "it is known to be good"
    );
}

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
fn after_a_lost_answer_nothing_is_sent_until_the_hash_shows_or_a_minute_has_passed() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    world.proxy("a").mood = Mood::Hangs { loads: false };
    world.run("two");
    world.pass(seconds(31));
    world.proxy("a").mood = Mood::Healthy;
    assert_eq!(world.shown("a").phase, Phase::Unknown);
    world.run("three");
    world.pass(seconds(58));
    assert_eq!(world.proxy("a").received.len(), 2);
    assert_eq!(&*world.shown("a").synced.reason, "OutcomeUnknown");
    world.pass(seconds(3));
    assert_eq!(world.shown("a").observed, Some(hash("three")));

    world.pass(seconds(60));
    world.proxy("a").mood = Mood::Hangs { loads: true };
    world.run("four");
    world.pass(seconds(40));
    assert_eq!(world.shown("a").phase, Phase::Unknown);
    world.pass(seconds(7));
    assert_eq!(world.shown("a").phase, Phase::Synced, "it was loaded after all");
    assert_eq!(world.proxy("a").received.len(), 4);
}

#[test]
fn a_restart_ends_the_uncertainty() {
    let mut world = World::new(&["a"]);
    world.proxy("a").mood = Mood::Hangs { loads: true };
    world.run("one");
    world.pass(seconds(31));
    world.restart("a", false);
    world.pass(seconds(3));
    assert_eq!(world.shown("a").phase, Phase::Synced);
}

#[test]
fn a_hung_proxy_delays_no_other() {
    let mut world = World::following(Settings {
        max_concurrent_pushes: 2,
        ..Settings::default()
    });
    world.lead(leader(1));
    for name in ["a", "b", "c", "d", "e"] {
        world.add(name, Edition::Embedded);
    }
    world.proxy("a").mood = Mood::Hangs { loads: false };
    world.proxy("b").mood = Mood::Hangs { loads: false };
    world.retarget();
    world.run("one");
    world.pass(seconds(6));
    for name in ["c", "d", "e"] {
        assert_eq!(world.shown(name).phase, Phase::Synced, "{name}");
    }
    world.run("two");
    world.pass(seconds(2));
    for name in ["c", "d", "e"] {
        assert_eq!(world.shown(name).phase, Phase::Synced, "{name}");
    }
}

#[test]
fn pushes_at_once_and_bytes_are_bounded() {
    let names: Vec<String> = (0..20).map(|index| format!("p{index}")).collect();
    let mut world = World::following(Settings {
        max_concurrent_pushes: 3,
        max_push_bandwidth: Some(1000),
        ..Settings::default()
    });
    world.lead(leader(1));
    for name in &names {
        world.add(name, Edition::Embedded);
    }
    world.retarget();
    world.run(&"x".repeat(500));
    world.pass(seconds(8));
    assert!(world.pushes < 20, "{}", world.pushes);
    world.pass(seconds(3));
    assert_eq!(world.pushes, 20);
    assert!(world.most_at_once <= 3);
}

#[test]
fn a_killed_proxy_shows_and_gets_its_configuration_when_it_is_back() {
    let mut world = World::new(&["a", "b"]);
    world.run("one");
    world.pass(seconds(10));
    world.proxy("a").mood = Mood::Down;
    world.pass(seconds(6));
    let shown = world.shown("a");
    assert_eq!(shown.phase, Phase::Unreachable);
    for condition in [&shown.reachable, &shown.synced, &shown.ready] {
        assert_eq!(
            (condition.status, &*condition.reason),
            (ConditionStatus::False, "ConnectionRefused")
        );
    }
    world.run("two");
    world.pass(seconds(20));
    assert_eq!(world.shown("b").phase, Phase::Synced);
    assert_eq!(world.proxy("a").received.len(), 1, "nothing is sent to nobody");
    world.restart("a", false);
    world.pass(millis(1500));
    assert_eq!(world.shown("a").phase, Phase::Synced);
    assert_eq!(world.shown("a").observed, Some(hash("two")));
}

#[test]
fn slow_probes_during_a_push_are_no_sign_of_unreachability() {
    let mut world = World::new(&["a"]);
    world.proxy("a").takes = seconds(25);
    world.run("one");
    world.pass(seconds(1));
    world.proxy("a").mood = Mood::Silent;
    world.pass(seconds(20));
    assert_eq!(world.shown("a").phase, Phase::Pushing);
    assert_eq!(world.shown("a").reachable.status, ConditionStatus::True);
    world.proxy("a").mood = Mood::Healthy;
    world.pass(seconds(6));
    assert_eq!(world.shown("a").phase, Phase::Synced);
}

#[test]
fn drift_is_repaired_at_once_then_slower_and_a_foreign_writer_is_named() {
    let mut world = World::new(&["a"]);
    world.proxy("a").takes = seconds(1);
    world.run("one");
    world.pass(seconds(60));
    world.proxy("a").hash = hash("foreign");
    world.pass(seconds(5));
    assert_eq!(world.proxy("a").received.len(), 2, "the first repair does not wait");
    world.pass(seconds(2));
    assert_eq!(world.shown("a").phase, Phase::Synced);

    world.proxy("a").hash = hash("foreign");
    world.pass(seconds(5));
    assert_eq!(world.shown("a").phase, Phase::Drifted);
    assert_eq!(&*world.shown("a").synced.reason, "Drifted");
    world.pass(seconds(5));
    assert_eq!(world.proxy("a").received.len(), 3);

    world.proxy("a").hash = hash("foreign");
    world.pass(seconds(6));
    assert_eq!(&*world.shown("a").synced.reason, "ForeignWriter");
    let before = world.elapsed();
    for _ in 0..30 {
        world.proxy("a").hash = hash("foreign");
        world.pass(seconds(10));
    }
    let repairs = world.proxy("a").received.iter().filter(|(at, _)| *at > before).count();
    assert!((4..=6).contains(&repairs), "about one a minute: {repairs}");
    assert_eq!(world.shown("a").ready.status, ConditionStatus::True);
}

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
    world.proxy("a").takes = seconds(2);
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
fn a_proxy_that_hashes_otherwise_is_believed() {
    let mut world = World::new(&["a"]);
    world.proxy("a").is_salted = true;
    world.run("one");
    world.pass(seconds(60));
    let shown = world.shown("a");
    assert_eq!((shown.phase, shown.hash_mode), (Phase::Synced, HashMode::Learned));
    assert_eq!(shown.observed, Some(hash("one")), "under our name for it");
    assert_eq!(
        shown.report.as_ref().map(|report| report.hash),
        Some(salted(hash("one")))
    );
    assert_eq!(world.pushes, 1, "it is not sent again");
    world.run("two");
    world.pass(seconds(10));
    assert_eq!(world.shown("a").observed, Some(hash("two")));
    assert_eq!(world.pushes, 2);
    // Another process with the same disk.
    world.restart("a", true);
    world.pass(seconds(30));
    assert_eq!((world.shown("a").phase, world.pushes), (Phase::Synced, 2));
    // What nobody here gave it is no name of anything.
    world.proxy("a").hash = hash("foreign");
    world.pass(seconds(30));
    assert_eq!(world.shown("a").phase, Phase::Synced);
    assert_eq!(world.proxy("a").hash, hash("two"), "it was repaired");
    assert_eq!(world.pushes, 3);
}

#[test]
fn a_proxy_that_hashes_as_predicted_is_known_to() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    assert_eq!(world.shown("a").hash_mode, HashMode::Predicted);
}

#[test]
fn what_was_accepted_may_take_a_while_to_show() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    world.proxy("a").effective_after = Some(seconds(8));
    world.run("two");
    world.pass(seconds(30));
    let shown = world.shown("a");
    assert_eq!((shown.phase, shown.hash_mode), (Phase::Synced, HashMode::Predicted));
    assert_eq!(world.pushes, 2, "it is not sent again meanwhile");
}

#[test]
fn a_proxy_that_says_yes_and_does_not_is_asked_once_a_minute() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    world.proxy("a").effective_after = None;
    world.run("two");
    world.pass(seconds(300));
    let shown = world.shown("a");
    assert_eq!(
        (shown.synced.status, shown.observed),
        (ConditionStatus::False, Some(hash("one")))
    );
    assert!(
        (3..=7).contains(&world.pushes),
        "{} pushes in five minutes",
        world.pushes
    );
}

/// Loads are not ordered: a large one that was given up may be done after a later one.
#[test]
fn a_load_that_overtakes_another_is_put_right() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    world.proxy("a").mood = Mood::Hangs { loads: false };
    world.run("two");
    world.pass(seconds(100));
    world.proxy("a").mood = Mood::Healthy;
    world.run("three");
    world.pass(seconds(120));
    assert_eq!(world.shown("a").observed, Some(hash("three")));
    let pushes = world.pushes;
    world.proxy("a").hash = hash("two");
    world.pass(seconds(30));
    assert_eq!(world.shown("a").observed, Some(hash("three")));
    assert_eq!(world.pushes, pushes + 1);
    assert_ne!(&*world.shown("a").synced.reason, "ForeignWriter");
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
        stored: true,
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
