//! What nobody is known to take is tried on one proxy first, where nobody knows what the others run.

use std::time::Duration;

use super::world::{Mood, World, hash, leader, millis, seconds};
use crate::{
    fleet::{Phase, Settings},
    model::{Edition, Leadership},
};

/// A new leader asks what a proxy runs before it sends anything: an answer takes a millisecond.
const LOOK: Duration = Duration::from_millis(1);
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A replica that follows while proxies run this.
fn following(edition: Edition, runs: &str) -> World {
    let mut world = World::following(Settings::default());
    for name in NAMES {
        world.add(name, edition);
        world.proxy(name).hash = hash(runs);
    }
    world.retarget();
    world.lead(Leadership::Follower { holder: None });
    world
}

/// When each was sent something for the first time.
fn first_sent(world: &mut World) -> Vec<Duration> {
    let firsts = NAMES.map(|name| world.proxy(name).received.first().map(|(at, _)| *at));
    let mut firsts: Vec<_> = firsts.into_iter().flatten().collect();
    firsts.sort();
    firsts
}

#[test]
fn after_a_takeover_what_all_would_refuse_is_sent_to_one() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        // It knew what they ran before the bad object came.
        let mut world = following(edition, "good");
        world.run("good");
        world.pass(seconds(30));
        for name in NAMES {
            world.proxy(name).hash = hash("reduced");
        }
        world.run_bad("whole");
        world.pass(seconds(30));
        world.lead(leader(2));
        // 100 ms until it is refused; rendering without the bad object takes a moment.
        world.pass(millis(600));
        assert_eq!(world.pushes, 1);
        world.run_reduced("whole", "reduced");
        world.pass(seconds(30));
        assert_eq!(world.pushes, 1, "the others run what they shall");
        for name in NAMES {
            assert_eq!(world.shown(name).phase, Phase::Synced, "{name}");
        }
    }
}

#[test]
fn after_a_takeover_the_others_follow_when_the_first_has_taken_it() {
    let mut world = following(Edition::Embedded, "of another controller");
    world.run("newest");
    world.pass(seconds(30));
    world.lead(leader(2));
    let began = world.elapsed() + LOOK;
    world.pass(seconds(1));
    let sent = first_sent(&mut world);
    assert_eq!(sent.len(), NAMES.len());
    assert_eq!(sent[0], began);
    // It takes 100 ms.
    assert!(sent[1..].iter().all(|at| *at == began + millis(100)), "{sent:?}");
}

#[test]
fn nobody_waits_long_for_a_first_one_that_does_not_answer() {
    let mut world = following(Edition::Embedded, "of another controller");
    for name in NAMES {
        world.proxy(name).mood = Mood::Hangs { loads: false };
    }
    world.run("newest");
    world.pass(seconds(30));
    world.lead(leader(2));
    let began = world.elapsed() + LOOK;
    world.pass(seconds(1));
    assert_eq!(first_sent(&mut world).len(), 1);
    world.pass(seconds(2));
    let sent = first_sent(&mut world);
    assert_eq!(sent.len(), NAMES.len());
    assert!(sent[1..].iter().all(|at| *at == began + seconds(2)), "{sent:?}");
}

#[test]
fn changes_and_cold_starts_and_takeovers_without_refusals_wait_for_nobody() {
    let at_once = |world: &mut World, began: Duration, what: &str| {
        let sent = first_sent(world);
        assert_eq!(sent.len(), NAMES.len(), "{what}");
        assert!(sent.iter().all(|at| *at == began), "{what}: {sent:?}");
        for name in NAMES {
            world.proxy(name).received.clear();
        }
    };
    let mut world = World::new(&NAMES);
    world.pass(seconds(10));
    let began = world.elapsed();
    world.run("one");
    world.pass(seconds(10));
    at_once(&mut world, began, "a cold start");
    let began = world.elapsed();
    world.run("two");
    world.pass(seconds(10));
    at_once(&mut world, began, "a change");
    for name in NAMES {
        world.proxy(name).hash = hash("foreign");
    }
    world.pass(seconds(10));
    assert_eq!(first_sent(&mut world).len(), NAMES.len(), "drift");

    // The leader before was faster than this replica's probes: what it sent was rendered here, too.
    let mut world = following(Edition::Embedded, "one");
    world.pass(seconds(1));
    for text in ["one", "two", "three"] {
        world.run(text);
    }
    world.pass(seconds(10));
    let began = world.elapsed() + LOOK;
    world.lead(leader(2));
    world.pass(seconds(10));
    at_once(&mut world, began, "a takeover");
}
