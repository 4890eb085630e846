//! What proxies report to run, and what is done when it is something else than they were given.

use proxy_config_schema::ConfigHash;

use super::world::{Mood, PROBE_INTERVAL, World, hash, leader, millis, salted, seconds};
use crate::{
    fleet::{ConditionStatus, HashMode, Phase, Settings},
    model::{Edition, Leadership},
};

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

/// An empty configuration is one, too, as long as the process is the same.
#[test]
fn whoever_keeps_taking_the_configuration_away_is_a_foreign_writer() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    world.run_bad("refused");
    world.pass(seconds(10));
    assert_eq!(world.proxy("a").received.len(), 2);

    world.proxy("a").hash = ConfigHash::NONE;
    world.pass(PROBE_INTERVAL + millis(500));
    assert_eq!(
        world.shown("a").observed,
        Some(hash("one")),
        "the first repair does not wait"
    );
    assert_eq!(
        &*world.shown("a").synced.reason,
        "ConfigRejected",
        "it is the same process, which has refused that"
    );
    let refused = world
        .proxy("a")
        .received
        .iter()
        .filter(|(_, sent)| *sent == hash("refused"));
    assert_eq!(refused.count(), 1);

    world.run("two");
    world.pass(seconds(10));
    for _ in 0..2 {
        world.proxy("a").hash = ConfigHash::NONE;
        world.pass(seconds(10));
    }
    // Without one it serves nothing: it is not left so for a minute, and nobody is outrun.
    let before = world.elapsed();
    let (mut empty_since, mut told) = (before, None);
    for tenth in 0..3000 {
        if tenth % 30 == 0 {
            world.proxy("a").hash = ConfigHash::NONE;
        }
        world.pass(millis(100));
        if !world.proxy("a").hash.is_none() {
            empty_since = world.elapsed();
        }
        let empty_for = world.elapsed() - empty_since;
        assert!(empty_for < PROBE_INTERVAL + seconds(10), "{empty_for:?}");
        let synced = &world.shown("a").synced;
        if synced.reason == "ForeignWriter" {
            told = Some(synced.message.clone());
        }
    }
    let told = told.expect("somebody is named");
    assert!(told.contains("without any configuration"), "{told}");
    let repairs = world.proxy("a").received.iter().filter(|(at, _)| *at > before).count();
    assert!((20..=30).contains(&repairs), "one in ten seconds at most: {repairs}");

    world.restart("a", false);
    world.pass(PROBE_INTERVAL + millis(500));
    assert_eq!(world.shown("a").phase, Phase::Synced, "a restart is no drift");
}

/// `KONG_NODE_ID`.
#[test]
fn a_restart_is_none_of_a_foreign_writers_doing_where_the_id_stays_the_same() {
    let mut world = World::new(&["a"]);
    world.proxy("a").has_fixed_id = true;
    world.run_bad("refused");
    world.pass(seconds(10));
    assert_eq!(world.shown("a").phase, Phase::Rejected);
    let refused = |world: &mut World| {
        let received = world.proxy("a").received.iter();
        received.filter(|(_, sent)| *sent == hash("refused")).count()
    };
    assert_eq!(refused(&mut world), 1);
    world.restart("a", false);
    world.pass(PROBE_INTERVAL + millis(500));
    assert_eq!(refused(&mut world), 2, "it may take what the process before refused");
    world.run("one");
    for _ in 0..4 {
        world.pass(seconds(10));
        world.restart("a", false);
        world.pass(PROBE_INTERVAL + millis(500));
        let shown = world.shown("a");
        assert_eq!((shown.phase, &*shown.synced.reason), (Phase::Synced, "Synced"));
    }
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
fn a_proxy_that_hashes_otherwise_is_believed_once_it_recognises_what_it_took() {
    let mut world = World::new(&["a"]);
    world.proxy("a").is_salted = true;
    world.run("one");
    world.pass(seconds(1));
    for _ in 0..60 {
        assert_eq!(world.shown("a").phase, Phase::Synced);
        world.pass(seconds(1));
    }
    let shown = world.shown("a");
    assert_eq!((shown.phase, shown.hash_mode), (Phase::Synced, HashMode::Learned));
    assert_eq!(shown.observed, Some(hash("one")), "under our name for it");
    assert_eq!(
        shown.report.as_ref().map(|report| report.hash),
        Some(salted(hash("one")))
    );
    assert_eq!(world.pushes, 2, "it is asked once whether it has it");
    world.run("two");
    world.pass(seconds(10));
    assert_eq!(world.shown("a").observed, Some(hash("two")));
    assert_eq!(world.pushes, 4);
    // Another process with the same disk.
    world.restart("a", true);
    world.pass(seconds(30));
    assert_eq!((world.shown("a").phase, world.pushes), (Phase::Synced, 4));
    // What nobody here gave it is no name of anything.
    world.proxy("a").hash = hash("foreign");
    world.pass(seconds(30));
    assert_eq!(world.shown("a").phase, Phase::Synced);
    assert_eq!(world.proxy("a").hash, hash("two"), "it was repaired");
    assert_eq!(world.pushes, 5, "its name is known");
}

/// What it reports between two pushes is of the first of them.
#[test]
fn a_second_push_before_the_name_of_the_first_shows_does_not_take_it_for_its_own() {
    let mut world = World::new(&["a"]);
    world.proxy("a").is_salted = true;
    world.proxy("a").effective_after = Some(seconds(3));
    world.run("one");
    world.pass(millis(1200));
    world.run("two");
    for _ in 0..400 {
        world.pass(millis(100));
        let runs = world.proxy("a").hash;
        let shown = world.shown("a");
        let told = shown.observed.is_none_or(|observed| {
            [hash("one"), hash("two")]
                .iter()
                .all(|ours| observed != *ours || runs == *ours)
        });
        assert!(told, "it runs {runs}, and {:?} is shown", shown.observed);
        assert_ne!(&*shown.synced.reason, "Drifted");
    }
    let shown = world.shown("a");
    assert_eq!((shown.phase, shown.hash_mode), (Phase::Synced, HashMode::Learned));
    assert_eq!(world.proxy("a").hash, hash("two"));
}

/// Two controllers that write in turn: what the other one has written is no name of what this one has.
#[test]
fn what_somebody_else_writes_before_it_is_effective_is_no_name_of_it() {
    for is_salted in [true, false] {
        let mut world = World::new(&["a"]);
        world.proxy("a").is_salted = is_salted;
        world.proxy("a").effective_after = Some(seconds(3));
        world.run("one");
        world.pass(seconds(1));
        world.proxy("a").hash = hash("foreign");
        while world.proxy("a").hash == hash("foreign") {
            assert_ne!(world.shown("a").observed, Some(hash("one")));
            world.pass(millis(50));
            assert!(world.elapsed() < seconds(20), "it is not put right");
        }
        world.pass(seconds(30));
        assert_eq!(world.proxy("a").hash, hash("one"));
        let shown = world.shown("a");
        assert_eq!((shown.phase, shown.observed), (Phase::Synced, Some(hash("one"))));
        let mode = if is_salted {
            HashMode::Learned
        } else {
            HashMode::Predicted
        };
        assert_eq!(shown.hash_mode, mode);
    }
    // It never comes to rest.
    let mut world = World::new(&["a"]);
    world.proxy("a").effective_after = None;
    world.run("one");
    for _ in 0..3000 {
        world.pass(millis(100));
        world.proxy("a").hash = hash("foreign");
        assert_ne!(world.shown("a").observed, Some(hash("one")));
    }
    assert_eq!(world.shown("a").synced.status, ConditionStatus::False);
    assert!(world.pushes < 20, "{} pushes in five minutes", world.pushes);
}

/// Another replica knows none of its names. The proxy recognises what it runs, and tells what it calls it.
#[test]
fn the_names_of_a_proxy_that_hashes_otherwise_are_learned_again_after_a_takeover() {
    let mut world = World::new(&["a"]);
    world.proxy("a").is_salted = true;
    world.run("one");
    world.pass(seconds(20));
    world.succeed(leader(2));
    world.run("one");
    world.pass(seconds(1));
    for _ in 0..60 {
        let shown = world.shown("a");
        assert_eq!((shown.phase, shown.hash_mode), (Phase::Synced, HashMode::Learned));
        assert_eq!(shown.synced.status, ConditionStatus::True);
        assert_eq!(shown.observed, Some(hash("one")));
        world.pass(seconds(10));
    }
    assert_eq!(world.pushes, 3, "it is asked once whether it has it");
    world.proxy("a").hash = hash("foreign");
    world.pass(seconds(10));
    assert_eq!(
        world.proxy("a").hash,
        hash("one"),
        "what is not its name for anything is repaired"
    );
    assert_eq!(world.pushes, 4);
    world.run("two");
    world.pass(seconds(20));
    world.run("one");
    world.pass(seconds(20));
    assert_eq!((world.shown("a").phase, world.pushes), (Phase::Synced, 7));
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
    world.proxy("a").effective_after = Some(seconds(7));
    world.run("two");
    world.pass(seconds(30));
    let shown = world.shown("a");
    assert_eq!((shown.phase, shown.hash_mode), (Phase::Synced, HashMode::Predicted));
    assert_eq!(world.pushes, 2, "it is not sent again meanwhile");
}

#[test]
fn what_was_accepted_counts_once_it_is_reported() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        let mut world = World::new(&[]);
        for name in ["a", "b"] {
            world.add(name, edition);
        }
        world.retarget();
        world.run("one");
        world.pass(seconds(10));
        world.proxy("a").effective_after = Some(seconds(5));
        world.proxy("b").mood = Mood::Busy;
        let probes = world.proxy("a").probes;
        world.run("two");
        world.pass(seconds(5));
        let shown = world.shown("a");
        assert_eq!(
            (shown.phase, shown.observed, shown.synced.status),
            (Phase::Pushing, Some(hash("one")), ConditionStatus::True)
        );
        let good = |world: &World| world.view.last_good.values().copied().collect::<Vec<_>>();
        assert_eq!(good(&world), [hash("one")], "nobody is known to run the other");
        // 100 ms of loading, 5 s more, and the next question.
        world.pass(millis(1200));
        let shown = world.shown("a");
        assert_eq!((shown.phase, shown.observed), (Phase::Synced, Some(hash("two"))));
        assert_eq!(good(&world), [hash("two")]);
        let probes = world.proxy("a").probes - probes;
        assert!((5..15).contains(&probes), "it was asked {probes} times");
    }
}

#[test]
fn a_push_is_confirmed_at_once_by_one_question() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(21));
    let (probes, began) = (world.proxy("a").probes, world.elapsed());
    world.run("two");
    while world.shown("a").observed != Some(hash("two")) {
        world.pass(millis(1));
        assert!(world.elapsed() - began < seconds(1), "not confirmed");
    }
    // It takes 100 ms to load it.
    assert!(world.elapsed() - began <= millis(102), "{:?}", world.elapsed() - began);
    assert_eq!(world.proxy("a").probes, probes + 1);
    assert_eq!(world.shown("a").phase, Phase::Synced);
}

#[test]
fn a_newcomer_is_ready_once_it_runs_what_it_took_and_is_sent_it_once() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        let mut world = World::new(&[]);
        world.add("a", edition);
        world.proxy("a").effective_after = Some(seconds(3));
        world.retarget();
        world.run("one");
        world.pass(seconds(3));
        assert_eq!(world.shown("a").ready.status, ConditionStatus::False);
        world.pass(seconds(1));
        let shown = world.shown("a");
        assert_eq!(
            (shown.ready.status, shown.phase),
            (ConditionStatus::True, Phase::Synced)
        );
        assert_eq!(world.pushes, 1);
    }
}

/// It has answered that it took it, and reports nothing yet: nobody else has written.
#[test]
fn a_newcomer_that_is_slow_to_come_to_run_what_it_took_has_not_drifted_and_is_not_left_alone() {
    for edition in [Edition::OpenSource, Edition::Embedded] {
        let mut world = World::new(&[]);
        world.add("a", edition);
        world.proxy("a").effective_after = None;
        world.retarget();
        world.run("one");
        for second in 0..120 {
            world.pass(seconds(1));
            let synced = &world.shown("a").synced;
            assert!(
                !["Drifted", "ForeignWriter"].contains(&&*synced.reason),
                "after {second} s: {synced:?}"
            );
        }
        let received = &world.proxy("a").received;
        let waits: Vec<_> = received.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(waits.len() > 10, "{waits:?}");
        assert!(
            waits.iter().all(|wait| (seconds(8)..seconds(10)).contains(wait)),
            "{waits:?}"
        );
        world.proxy("a").effective_after = Some(seconds(5));
        world.pass(seconds(20));
        assert_eq!(world.shown("a").phase, Phase::Synced);
    }
}

#[test]
fn changes_that_follow_each_other_wait_for_no_confirmation_for_long() {
    let mut world = World::new(&[]);
    world.add("a", Edition::Embedded);
    world.proxy("a").effective_after = Some(seconds(3));
    world.retarget();
    for second in 0..30 {
        world.run(&format!("of second {second}"));
        world.pass(seconds(1));
    }
    assert!(world.pushes >= 12, "{} pushes in 30 s", world.pushes);
    world.pass(seconds(10));
    assert_eq!(world.shown("a").observed, Some(hash("of second 29")));
    assert_eq!(world.shown("a").phase, Phase::Synced);
}

#[test]
fn what_a_proxy_reports_is_not_sent_to_it_while_what_it_took_is_not_effective_yet() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(20));
    world.proxy("a").effective_after = Some(millis(2_100));
    world.run("two");
    world.run_bad("bad");
    world.pass(seconds(20));
    let received: Vec<_> = world.proxy("a").received.iter().map(|(_, hash)| *hash).collect();
    assert_eq!(received, [hash("one"), hash("two"), hash("bad")]);
    assert_eq!(world.shown("a").observed, Some(hash("two")));
}

#[test]
fn a_proxy_that_says_yes_and_does_not_is_told_of_and_asked_once_a_minute() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(10));
    world.proxy("a").effective_after = None;
    world.run("two");
    world.pass(seconds(8));
    for _ in 0..300 {
        world.pass(seconds(1));
        if world.elapsed() < seconds(20) {
            // Within ten seconds of the change.
            continue;
        }
        let shown = world.shown("a");
        assert_eq!(
            (shown.synced.status, shown.observed),
            (ConditionStatus::False, Some(hash("one"))),
            "after {:?}",
            world.elapsed()
        );
        assert_eq!(world.view.last_good.values().next(), Some(&hash("one")));
    }
    assert_eq!(&*world.shown("a").synced.reason, "NotEffective");
    assert_eq!(
        world.shown("a").ready.status,
        ConditionStatus::True,
        "it serves what it had"
    );
    assert!(
        (4..=7).contains(&world.pushes),
        "{} pushes in five minutes",
        world.pushes
    );
}

/// What it runs was sent by another leader, and it stays at that by itself.
#[test]
fn a_proxy_that_says_yes_to_a_new_leader_and_does_not_has_not_drifted() {
    let mut world = World::new(&["a"]);
    world.run("one");
    world.pass(seconds(20));
    world.succeed(leader(2));
    world.proxy("a").effective_after = None;
    let began = world.elapsed();
    world.run("two");
    for _ in 0..300 {
        world.pass(seconds(1));
        let synced = &world.shown("a").synced;
        assert!(
            !["Drifted", "ForeignWriter"].contains(&&*synced.reason),
            "after {:?}: {synced:?}",
            world.elapsed() - began
        );
    }
    let synced = &world.shown("a").synced;
    assert_eq!(
        (synced.status, &*synced.reason),
        (ConditionStatus::False, "NotEffective")
    );
    world.proxy("a").effective_after = Some(millis(0));
    world.pass(seconds(70));
    assert_eq!(world.shown("a").phase, Phase::Synced);
    // What is foreign is told as such, also of one that was slow to follow.
    world.proxy("a").hash = hash("foreign");
    world.pass(seconds(6));
    assert_eq!(world.proxy("a").hash, hash("two"), "it is repaired");
}

/// What a deposed leader had sent is nothing that its successor has sent, and may land whenever it lands (DESIGN.md §3
/// rule 5): Kong knows no epochs.
#[test]
fn what_a_deposed_leader_left_behind_is_repaired_within_one_probe() {
    for late in [millis(100), seconds(7), seconds(45)] {
        let mut world = World::following(Settings::default());
        world.add("a", Edition::OpenSource);
        world.proxy("a").hash = hash("before");
        world.retarget();
        world.lead(Leadership::Follower { holder: None });
        world.run("newest");
        world.pass(seconds(8));
        world.lead(leader(2));
        world.pass(seconds(1));
        assert_eq!(world.proxy("a").hash, hash("newest"));
        world.pass(late);
        world.proxy("a").hash = hash("older, of the leader before");
        let landed = world.elapsed();
        world.pass(PROBE_INTERVAL + millis(500));
        let (repaired, what) = *world.proxy("a").received.last().unwrap();
        assert_eq!((what, world.pushes), (hash("newest"), 2));
        assert!(repaired - landed <= PROBE_INTERVAL, "{:?}", repaired - landed);
        let shown = world.shown("a");
        assert_eq!((shown.phase, shown.observed), (Phase::Synced, Some(hash("newest"))));
        assert_eq!(shown.synced.status, ConditionStatus::True);
    }
}
