//! Whatever happens: the world asserts the rules at every push, and when all is well again the newest is everywhere.
#![allow(clippy::needless_pass_by_value)]

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use proptest::prelude::*;
use proxy_config_schema::ConfigHash;

use super::world::{Mood, World, epoch, id, leader, salted, target};
use crate::{
    fleet::{ConditionStatus, Phase},
    model::{Edition, Leadership},
    render::Origin,
};

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone, Copy)]
enum Action {
    Run(u8),
    RunBad(u8),
    RunReduced(u8, u8),
    RunKept(u8, u8),
    Hold,
    Pause(bool),
    Recall(u8, bool),
    /// It begins to be the one that puts away.
    Term,
    Lead,
    Follow,
    Cut,
    Mood(usize, Mood),
    /// From now on what it takes comes into effect so much later, or never.
    Effective(usize, Option<u64>),
    Restart(usize, bool),
    Drift(usize, u8),
    Remove(usize),
    Add(usize),
    Terminate(usize),
    Pass(u64),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let proxy = 0..NAMES.len();
    let mood = prop_oneof![
        Just(Mood::Healthy),
        Just(Mood::Down),
        Just(Mood::Hangs { loads: true }),
        Just(Mood::Hangs { loads: false }),
        Just(Mood::Resets { loads: true }),
        Just(Mood::Resets { loads: false }),
        Just(Mood::Busy),
        Just(Mood::Silent),
    ];
    let action = prop_oneof![
        4 => (0u8..4).prop_map(Action::Run),
        2 => (0u8..2).prop_map(Action::RunBad),
        2 => (0u8..2, 0u8..4).prop_map(|(whole, reduced)| Action::RunReduced(whole, reduced)),
        1 => (0u8..2, 0u8..4).prop_map(|(newest, kept)| Action::RunKept(newest, kept)),
        1 => Just(Action::Hold),
        1 => any::<bool>().prop_map(Action::Pause),
        1 => (0u8..3, any::<bool>()).prop_map(|(which, is_late)| Action::Recall(which, is_late)),
        1 => Just(Action::Term),
        2 => Just(Action::Lead),
        1 => Just(Action::Follow),
        1 => Just(Action::Cut),
        4 => (proxy.clone(), mood).prop_map(|(proxy, mood)| Action::Mood(proxy, mood)),
        2 => (proxy.clone(), effective_after()).prop_map(|(proxy, after)| Action::Effective(proxy, after)),
        2 => (proxy.clone(), any::<bool>()).prop_map(|(proxy, keeps)| Action::Restart(proxy, keeps)),
        2 => (proxy.clone(), 0u8..3).prop_map(|(proxy, which)| Action::Drift(proxy, which)),
        1 => proxy.clone().prop_map(Action::Remove),
        2 => proxy.clone().prop_map(Action::Add),
        1 => proxy.prop_map(Action::Terminate),
        8 => (1u64..40_000).prop_map(Action::Pass),
    ];
    prop::collection::vec(action, 1..60)
}

/// In milliseconds: at once, as Kong does it, and beyond what is waited for.
fn effective_after() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![2 => Just(Some(0)), 3 => (1u64..3_000).prop_map(Some), 1 => (3_000u64..20_000).prop_map(Some), 1 => Just(None)]
}

/// Which proxies hash otherwise than is predicted: a matter of their software.
fn hashing_otherwise() -> impl Strategy<Value = [bool; NAMES.len()]> {
    prop_oneof![3 => Just([false; NAMES.len()]), 2 => any::<[bool; NAMES.len()]>()]
}

fn perform(world: &mut World, action: Action) {
    let edition = |index: usize| {
        if index == 0 {
            Edition::OpenSource
        } else {
            Edition::Embedded
        }
    };
    match action {
        Action::Run(which) => world.run(&format!("good {which}")),
        Action::RunBad(which) => world.run_bad(&format!("bad {which}")),
        Action::RunReduced(whole, reduced) => world.run_reduced(&format!("bad {whole}"), &format!("good {reduced}")),
        Action::RunKept(newest, kept) => world.run_kept(&format!("bad {newest}"), &format!("good {kept}")),
        Action::Hold => world.hold("half"),
        Action::Pause(is_paused) => world.pause(is_paused),
        Action::Recall(which, is_late) => {
            let accepted_at = if is_late { Timestamp::MAX } else { Timestamp::UNIX_EPOCH };
            world.recall(&format!("of then {which}"), accepted_at);
        }
        Action::Term => world.begin_term(1),
        Action::Lead => world.lead(leader(1)),
        Action::Follow => world.lead(Leadership::Follower { holder: None }),
        Action::Cut => world.lead(Leadership::Cut { epoch: epoch(1) }),
        Action::Mood(index, mood) => {
            if let Some(proxy) = world.proxies.get_mut(&id(NAMES[index])) {
                proxy.mood = mood;
            }
        }
        Action::Effective(index, after) => {
            if let Some(proxy) = world.proxies.get_mut(&id(NAMES[index])) {
                proxy.effective_after = after.map(Duration::from_millis);
            }
        }
        Action::Restart(index, keeps) => {
            if world.proxies.contains_key(&id(NAMES[index])) {
                world.restart(NAMES[index], keeps);
            }
        }
        Action::Drift(index, which) => {
            if let Some(proxy) = world.proxies.get_mut(&id(NAMES[index])) {
                proxy.hash = match which {
                    0 => ConfigHash::NONE,
                    which => ConfigHash::of(&[which]),
                };
            }
        }
        Action::Remove(index) => {
            world.targets.remove(&id(NAMES[index]));
            world.retarget();
        }
        Action::Add(index) => {
            world.add(NAMES[index], edition(index));
            world.retarget();
        }
        Action::Terminate(index) => {
            if let Some(known) = world.targets.get_mut(&id(NAMES[index])) {
                let mut terminating = target(NAMES[index]);
                terminating.terminating = true;
                *known = Arc::new(terminating);
                world.retarget();
            }
        }
        Action::Pass(millis) => world.pass(Duration::from_millis(millis)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_and_the_newest_arrives(actions in actions(), otherwise in hashing_otherwise()) {
        let mut world = World::new(&[]);
        let otherwise = NAMES.into_iter().zip(otherwise).filter(|(_, is)| *is);
        world.salted = otherwise.map(|(name, _)| id(name)).collect();
        world.add(NAMES[0], Edition::OpenSource);
        world.retarget();
        let mut good = world.last_good();
        for action in actions {
            let recalls = matches!(action, Action::Recall(..));
            let origins = world.view.good.clone();
            perform(&mut world, action);
            let now = world.last_good();
            for (profile, (sequence, hash)) in &good {
                let Some((later, other)) = now.get(profile) else {
                    return Err(TestCaseError::fail(format!("the last good one of {profile} is forgotten")));
                };
                // What was put away, or seen before this one led, makes room for what another leader has put away since.
                let is_confirmed = origins.get(profile).is_some_and(|good| good.origin == Origin::Confirmed);
                prop_assert!(
                    later > sequence || (later, other) == (sequence, hash) || (*later == 0 && recalls && !is_confirmed),
                    "{}: number {}, {}, became number {}, {}", profile, sequence, hash, later, other
                );
            }
            for (profile, (sequence, hash)) in &now {
                prop_assert_eq!(world.view.last_good.get(profile), Some(hash), "it is shown, and put away");
                prop_assert!(
                    *sequence == 0 || world.proxies.values().any(|proxy| proxy.has_run.contains(hash)),
                    "nobody has ever run {}", hash
                );
            }
            good = now;
            for view in &world.view.proxies {
                let is_synced = view.phase == Phase::Synced;
                let holds = view.synced.status == ConditionStatus::True && view.observed == view.desired;
                prop_assert!(!is_synced || (holds && view.pending.is_none()), "{:?}", view);
                // A name is learned of nothing else.
                let has_run = &world.proxies[&view.target.id].has_run;
                let is_true = |runs: ConfigHash| {
                    runs.is_none() || has_run.iter().any(|ran| [*ran, salted(*ran)].contains(&runs))
                };
                prop_assert!(view.observed.is_none_or(is_true), "it has never run that: {:?}", view);
            }
        }
        for name in NAMES {
            if let Some(proxy) = world.proxies.get_mut(&id(name)) {
                proxy.mood = Mood::Healthy;
                proxy.effective_after = Some(Duration::ZERO);
            }
            if world.targets.contains_key(&id(name)) {
                world.targets.insert(id(name), Arc::new(target(name)));
            }
        }
        world.retarget();
        world.pause(false);
        world.lead(leader(2));
        world.run("the last");
        // The longest wait: an open outcome, then a back-off, a rest or a foreign writer.
        world.pass(Duration::from_secs(360));
        for view in &world.view.proxies {
            prop_assert_eq!(view.observed, world.desired, "{} {:?} {:?}", view.target.name, view.phase, view.synced);
            prop_assert_eq!(view.phase, Phase::Synced);
            prop_assert_eq!(Some(world.proxies[&view.target.id].hash), world.desired, "what it runs in fact");
        }
    }
}
