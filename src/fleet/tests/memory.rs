//! What is kept of configurations: what may still be given to somebody, however many proxies have been given others.

use std::collections::BTreeSet;

use super::world::{Mood, World, hash, id, millis, seconds};
use crate::model::Edition;

/// Besides those that are being sent: what is wanted, and what is good.
const OF_THE_FLEET: usize = 4;

/// A change a second for so many seconds. The bytes of pushes under way are needed, whatever else is kept.
fn change_every_second(world: &mut World, count: usize) {
    for _ in 0..count {
        world.run(&format!("at {:?}", world.elapsed()));
        world.pass(seconds(1));
        let (kept, pushes) = (world.in_memory(), world.view.pushes_under_way);
        assert!(
            kept <= pushes + OF_THE_FLEET,
            "{kept} configurations, {pushes} pushes under way, at {:?}",
            world.elapsed()
        );
    }
}

/// Proxies that take 12 s to load something and rest for 36 s, each at another moment.
fn fleet_that_came_one_by_one() -> World {
    let mut world = World::new(&[]);
    for index in 0..48 {
        let name = format!("{index:02}");
        world.add(&name, Edition::OpenSource);
        world.proxy(&name).takes = seconds(12);
        world.retarget();
        change_every_second(&mut world, 1);
    }
    world
}

#[test]
fn proxies_that_accepted_each_another_configuration_keep_none_of_them() {
    let mut world = fleet_that_came_one_by_one();
    change_every_second(&mut world, 100);
    let accepted = world.view.proxies.iter().filter_map(|proxy| proxy.last_good);
    let accepted: BTreeSet<_> = accepted.collect();
    assert!(accepted.len() > 40, "{} different ones", accepted.len());
    assert!(world.view.proxies.iter().all(|proxy| proxy.size_bytes.is_some()));

    // One after the other is gone, in the middle of a push or not.
    while let Some((gone, _)) = world.targets.pop_first() {
        world.retarget();
        world.pass(millis(100));
        assert!(!world.view.proxies.iter().any(|proxy| proxy.target.id == gone));
    }
    world.pass(seconds(13));
    assert!(world.in_memory() <= OF_THE_FLEET, "{}", world.in_memory());
}

#[test]
fn pushes_without_an_answer_keep_no_configuration_that_others_have_left_behind() {
    let mut world = fleet_that_came_one_by_one();
    world.proxy("00").takes = millis(100);
    world.pass(seconds(60));
    for index in 1..48 {
        world.proxy(&format!("{index:02}")).mood = Mood::Hangs { loads: false };
        change_every_second(&mut world, 1);
    }
    change_every_second(&mut world, 100);
}

#[test]
fn who_refuses_what_others_take_is_given_back_what_it_took_itself() {
    for restarts in [false, true] {
        let mut world = World::new(&["a", "b"]);
        world.run("one");
        world.pass(seconds(10));
        world.proxy("a").refuses.insert(hash("two"));
        world.run("two");
        world.pass(seconds(30));
        assert_eq!(world.shown("b").observed, Some(hash("two")));
        if restarts {
            world.restart("a", false);
        } else {
            world.proxy("a").hash = proxy_config_schema::ConfigHash::NONE;
        }
        world.pass(seconds(30));
        assert_eq!(world.proxies[&id("a")].hash, hash("one"), "it is not left empty");
    }
}
