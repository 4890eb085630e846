//! When something is sent, and when it is not.

use std::time::Duration;

use super::world::{Mood, World, hash, leader, millis, seconds};
use crate::{
    fleet::{ConditionStatus, Phase, Settings},
    model::Edition,
};

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

/// What the embedded proxy got in part it never loads, and what it got whole it takes before what comes after.
#[test]
fn the_embedded_proxy_is_not_left_alone_for_long_after_a_lost_connection() {
    for (edition, loads, within) in [
        (Edition::Embedded, false, seconds(3)),
        (Edition::Embedded, true, seconds(2)),
        (Edition::OpenSource, false, seconds(61)),
        (Edition::OpenSource, true, seconds(51)),
    ] {
        let mut world = World::new(&[]);
        world.add("a", edition);
        world.retarget();
        world.run("one");
        world.pass(seconds(21));
        world.proxy("a").mood = Mood::Resets { loads };
        let began = world.elapsed();
        world.run("two");
        world.pass(millis(500));
        world.proxy("a").mood = Mood::Healthy;
        if !loads {
            assert_eq!(world.shown("a").phase, Phase::Unknown);
        }
        while world.shown("a").observed != Some(hash("two")) {
            world.pass(millis(100));
            assert!(world.elapsed() - began < seconds(100), "it never arrives");
        }
        let took = world.elapsed() - began;
        assert!(took <= within, "{edition:?}, loads: {loads}: after {took:?}");
        assert!(
            took + seconds(3) >= within,
            "{edition:?}, loads: {loads}: after {took:?}"
        );
    }
}

/// A push that is given up is over, and what it got whole it takes before what comes after.
#[test]
fn the_embedded_proxy_is_not_left_alone_for_long_after_a_push_that_was_given_up() {
    for (edition, within) in [(Edition::Embedded, seconds(3)), (Edition::OpenSource, seconds(61))] {
        let mut world = World::new(&[]);
        world.add("a", edition);
        world.retarget();
        world.run("one");
        world.pass(seconds(21));
        world.proxy("a").mood = Mood::Hangs { loads: false };
        world.run("two");
        world.pass(seconds(30) - millis(1));
        world.proxy("a").mood = Mood::Healthy;
        let began = world.elapsed();
        while world.shown("a").observed != Some(hash("two")) {
            world.pass(millis(100));
            assert!(world.elapsed() - began < seconds(100), "it never arrives");
        }
        let took = world.elapsed() - began;
        assert!(took <= within && took + seconds(2) >= within, "{edition:?}: {took:?}");
    }
    // It hangs at something, and goes on after a while.
    let mut world = World::new(&[]);
    world.add("a", Edition::Embedded);
    world.retarget();
    world.run("one");
    world.pass(seconds(21));
    world.proxy("a").mood = Mood::Hangs { loads: true };
    world.run("two");
    world.pass(seconds(31));
    world.proxy("a").mood = Mood::Healthy;
    world.run("three");
    world.pass(seconds(30));
    let shown = world.shown("a");
    assert_eq!((shown.phase, shown.observed), (Phase::Synced, Some(hash("three"))));
    let received: Vec<_> = world.proxy("a").received.iter().map(|(_, hash)| *hash).collect();
    assert_eq!(received, [hash("one"), hash("two"), hash("three")]);
}

/// As long as it does not answer, nobody knows whether it has got to what it received.
#[test]
fn a_lost_connection_is_settled_only_once_the_embedded_proxy_answers() {
    let mut world = World::new(&[]);
    world.add("a", Edition::Embedded);
    world.retarget();
    world.run("one");
    world.pass(seconds(21));
    world.proxy("a").mood = Mood::Resets { loads: false };
    world.run("two");
    world.proxy("a").mood = Mood::Silent;
    world.pass(seconds(20));
    assert_eq!(world.proxy("a").received.len(), 2);
    world.proxy("a").mood = Mood::Healthy;
    let back = world.elapsed();
    world.pass(seconds(5));
    let (sent, _) = *world.proxy("a").received.last().expect("it was sent something");
    assert!(sent >= back + seconds(2), "{:?} after it was back", sent - back);
    assert_eq!(world.shown("a").phase, Phase::Synced);
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
fn a_busy_proxy_is_left_alone_for_as_long_as_it_asks_and_the_others_are_not() {
    let mut world = World::new(&["a", "b"]);
    world.proxy("a").mood = Mood::Busy;
    world.proxy("a").retry_after = Some(seconds(10));
    world.run("one");
    world.pass(seconds(35));
    let received: Vec<Duration> = world.proxy("a").received.iter().map(|(at, _)| *at).collect();
    assert!(received.len() >= 3, "{received:?}");
    let waits: Vec<Duration> = received.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        waits.iter().all(|wait| (seconds(10)..seconds(12)).contains(wait)),
        "{waits:?}"
    );
    assert_eq!(&*world.shown("a").synced.reason, "ProxyBusy");
    assert_eq!(world.shown("b").phase, Phase::Synced);
    let (sent, _) = world.proxy("b").received[0];
    assert!(sent < millis(100), "{sent:?}");
    world.proxy("a").mood = Mood::Healthy;
    world.pass(seconds(11));
    assert_eq!(world.shown("a").phase, Phase::Synced);
}

/// Proxies that take a second, ten seconds or for ever, and how many may have a push at once with three places.
#[test]
fn pushes_at_once_are_bounded_and_slow_ones_give_their_place_up() {
    let names: Vec<String> = (0..40).map(|index| format!("p{index}")).collect();
    for (takes, most, all_after) in [
        (Some(seconds(1)), 3..=3, seconds(15)),
        // Three begin every five seconds.
        (Some(seconds(12)), 9..=9, seconds(70)),
        (None, 18..=21, seconds(70)),
    ] {
        let mut world = World::following(Settings {
            max_concurrent_pushes: 3,
            ..Settings::default()
        });
        world.lead(leader(1));
        for name in &names {
            world.add(name, Edition::Embedded);
            match takes {
                Some(takes) => world.proxy(name).takes = takes,
                None => world.proxy(name).mood = Mood::Hangs { loads: false },
            }
        }
        world.retarget();
        world.run("one");
        world.pass(millis(100));
        assert_eq!(world.pushes, 3);
        world.pass(all_after);
        assert!(most.contains(&world.most_at_once), "{takes:?}: {}", world.most_at_once);
        assert!(
            names.iter().all(|name| !world.proxy(name).received.is_empty()),
            "{takes:?}"
        );
    }
}

#[test]
fn bytes_sent_are_bounded() {
    let names: Vec<String> = (0..20).map(|index| format!("p{index}")).collect();
    let mut world = World::following(Settings {
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
fn an_embedded_proxy_that_hangs_with_a_push_is_told_of_before_the_push_ends() {
    let mut world = World::following(Settings::default());
    world.lead(leader(1));
    world.add("a", Edition::Embedded);
    world.retarget();
    world.run("one");
    world.pass(seconds(2));
    world.proxy("a").takes = seconds(30);
    world.run("two");
    world.pass(seconds(1));
    world.proxy("a").mood = Mood::Silent;
    world.pass(seconds(11));
    assert_eq!(world.shown("a").phase, Phase::Pushing, "nothing else is sent meanwhile");
    for condition in [&world.shown("a").reachable, &world.shown("a").ready] {
        assert_eq!(
            (condition.status, &*condition.reason),
            (ConditionStatus::False, "Timeout")
        );
    }
    world.proxy("a").mood = Mood::Healthy;
    world.pass(seconds(20));
    assert_eq!(world.shown("a").phase, Phase::Synced);
    assert_eq!(world.shown("a").reachable.status, ConditionStatus::True);
}

/// As when the API server does not answer just then: nobody is known to have deposed this one.
#[test]
fn a_leader_of_whom_nothing_is_said_tries_again_soon() {
    let mut world = World::new(&[]);
    world.add("a", Edition::Embedded);
    world.proxy("a").mood = Mood::Unconfirmed;
    world.retarget();
    world.run("one");
    world.pass(seconds(12));
    let synced = &world.shown("a").synced;
    assert_eq!(
        (synced.status, &*synced.reason),
        (ConditionStatus::False, "LeaseUnreachable")
    );
    assert!(synced.message.contains("did not say"), "{}", synced.message);
    assert!((3..=5).contains(&world.pushes), "{} pushes", world.pushes);
    world.proxy("a").mood = Mood::Healthy;
    world.pass(seconds(10));
    assert_eq!(world.shown("a").phase, Phase::Synced);
}

#[test]
fn after_failures_each_proxy_waits_ever_longer_in_its_own_time_and_never_longer_than_a_minute() {
    let names = ["a", "b", "c", "d"];
    let mut world = World::new(&names);
    for name in names {
        world.proxy(name).mood = Mood::Busy;
    }
    world.run("one");
    world.pass(seconds(900));
    let mut firsts = Vec::new();
    for name in names {
        let received: Vec<Duration> = world.proxy(name).received.iter().map(|(at, _)| *at).collect();
        let waits: Vec<Duration> = received.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // A push that is refused takes a millisecond itself.
        let longest = seconds(60) + millis(1);
        assert!(waits.iter().all(|wait| *wait <= longest), "{name}: {waits:?}");
        assert!(waits.last().unwrap() > &seconds(30), "{name}: {waits:?}");
        assert!(waits[0] < seconds(2) && waits[3] > seconds(4), "{name}: {waits:?}");
        // A quarter of an hour of trouble costs it little.
        assert!((15..=30).contains(&received.len()), "{name}: {}", received.len());
        firsts.push(waits[..6].to_vec());
    }
    firsts.dedup();
    assert_eq!(firsts.len(), names.len(), "they do not come back together");
    for name in names {
        world.proxy(name).mood = Mood::Healthy;
    }
    world.pass(seconds(61));
    for name in names {
        assert_eq!(world.shown(name).phase, Phase::Synced, "{name}");
    }
}
