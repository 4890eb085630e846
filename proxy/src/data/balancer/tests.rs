#![allow(clippy::unwrap_used)]
//! Shares, order and memory of the algorithms.

use std::collections::HashMap;

use proptest::prelude::*;
use proxy_config_schema::Target as TargetEntity;

use super::*;

fn upstream(algorithm: &str, targets: &[(&str, u32)]) -> Upstream {
    Upstream {
        name: "up".to_owned(),
        algorithm: Some(algorithm.to_owned()),
        targets: targets
            .iter()
            .map(|(target, weight)| TargetEntity {
                target: (*target).to_owned(),
                weight: Some(*weight),
                ..TargetEntity::default()
            })
            .collect(),
        ..Upstream::default()
    }
}

fn balancer(algorithm: &str, targets: &[(&str, u32)]) -> Arc<Balancer> {
    Balancer::new(upstream(algorithm, targets), None)
}

fn next(balancer: &Balancer) -> u16 {
    balancer.pick(None, &[]).unwrap().destination.port
}

#[test]
fn round_robin_is_smooth_and_leaves_out_weight_zero() {
    let balancer = balancer(
        "round-robin",
        &[
            ("10.0.0.1:1", 5),
            ("10.0.0.1:2", 1),
            ("10.0.0.1:3", 1),
            ("10.0.0.1:4", 0),
        ],
    );
    let order: Vec<_> = (0..7).map(|_| next(&balancer)).collect();
    assert_eq!(order, [1, 1, 2, 1, 3, 1, 1]);
}

#[test]
fn without_usable_targets_there_is_none() {
    assert!(balancer("round-robin", &[]).pick(None, &[]).is_none());
    assert!(
        balancer("consistent-hashing", &[("10.0.0.1:1", 0)])
            .pick(None, &[])
            .is_none()
    );
}

#[test]
fn a_retry_goes_to_another_target_and_to_the_same_only_when_there_is_no_other() {
    for algorithm in ["round-robin", "least-connections", "latency", "consistent-hashing"] {
        let balancer = balancer(algorithm, &[("10.0.0.1:1", 100), ("10.0.0.1:2", 1)]);
        let first = balancer.pick(Some(7), &[]).unwrap();
        let second = balancer.pick(Some(7), &[Arc::clone(&first)]).unwrap();
        assert_ne!(first.destination, second.destination, "{algorithm}");
        assert!(balancer.pick(Some(7), &[first, second]).is_some(), "{algorithm}");
    }
}

#[test]
fn an_unchanged_upstream_keeps_its_balancer_and_a_changed_one_its_position() {
    let before = balancer("round-robin", &[("10.0.0.1:1", 1), ("10.0.0.1:2", 1)]);
    assert_eq!(next(&before), 1);
    let same = Balancer::new(
        upstream("round-robin", &[("10.0.0.1:1", 1), ("10.0.0.1:2", 1)]),
        Some(&before),
    );
    assert!(Arc::ptr_eq(&before, &same));
    let grown = upstream(
        "round-robin",
        &[("10.0.0.1:1", 1), ("10.0.0.1:2", 1), ("10.0.0.1:3", 1)],
    );
    let grown = Balancer::new(grown, Some(&before));
    let order: Vec<_> = (0..3).map(|_| next(&grown)).collect();
    assert_eq!(order[0], 2, "target 1 has just had its turn");
    assert_eq!(order[2], 1);
}

#[test]
fn least_connections_prefers_who_has_least_to_do_for_its_weight() {
    let balancer = balancer("least-connections", &[("10.0.0.1:1", 2), ("10.0.0.1:2", 1)]);
    let running: Vec<_> = (0..6).map(|_| balancer.pick(None, &[]).unwrap().begin()).collect();
    let at_first = running.iter().filter(|running| running.0.destination.port == 1).count();
    assert_eq!(at_first, 4);
    drop(running);
    assert!(balancer.targets.iter().all(|target| target.running.load(Relaxed) == 0));
}

#[test]
fn latency_prefers_who_answers_soonest_and_gives_newcomers_their_chance() {
    let balancer = balancer("latency", &[("10.0.0.1:1", 1), ("10.0.0.1:2", 1), ("10.0.0.1:3", 1)]);
    let begin: Vec<_> = balancer.targets.iter().map(Target::begin).collect();
    begin[0].answered(Duration::from_millis(40));
    begin[1].answered(Duration::from_millis(10));
    drop(begin);
    assert_eq!(next(&balancer), 2);
    // As its requests pile up the others get some too: the newcomer counts as average, 25 ms.
    let running: Vec<_> = (0..6).map(|_| balancer.pick(None, &[]).unwrap().begin()).collect();
    let at = |port| {
        running
            .iter()
            .filter(|running| running.0.destination.port == port)
            .count()
    };
    assert_eq!((at(1), at(2), at(3)), (1, 4, 1));
}

#[test]
fn hashing_sticks_and_a_new_target_moves_only_its_share() {
    let targets = [
        ("10.0.0.1:1", 100),
        ("10.0.0.1:2", 100),
        ("10.0.0.1:3", 100),
        ("10.0.0.1:4", 100),
    ];
    let before = balancer("consistent-hashing", &targets[..3]);
    let after = balancer("consistent-hashing", &targets);
    let hashes = (0..3000_u64).map(|number| hash_ring::hash(&number));
    let port = |balancer: &Balancer, hash| balancer.pick(Some(hash), &[]).unwrap().destination.port;
    let mut moved = 0;
    for hash in hashes {
        let (old, new) = (port(&before, hash), port(&after, hash));
        assert_eq!(old, port(&before, hash));
        if old != new {
            assert_eq!(new, 4, "only the new target takes over");
            moved += 1;
        }
    }
    assert!(
        (500..1000).contains(&moved),
        "a quarter of 3000 is expected, {moved} moved"
    );
}

#[test]
fn destinations_are_read_in_every_notation() {
    let read = |text| {
        let destination = Destination::parse(text, 8000);
        (destination.host, destination.port)
    };
    assert_eq!(read("10.0.0.1:80"), ("10.0.0.1".to_owned(), 80));
    assert_eq!(read("Echo.Example.test"), ("echo.example.test".to_owned(), 8000));
    assert_eq!(read("[2001:db8::1]:443"), ("2001:db8::1".to_owned(), 443));
    assert_eq!(read("2001:db8::1"), ("2001:db8::1".to_owned(), 8000));
    assert_eq!(authority("2001:db8::1", 443, 443), "[2001:db8::1]");
    assert_eq!(authority("a.test", 8080, 80), "a.test:8080");
}

proptest! {
    #[test]
    fn over_a_whole_round_every_target_gets_exactly_its_weight(weights in prop::collection::vec(1_u32..20, 1..8)) {
        let names: Vec<_> = (1..=weights.len()).map(|port| format!("10.0.0.1:{port}")).collect();
        let targets: Vec<_> = names.iter().map(String::as_str).zip(weights.iter().copied()).collect();
        let balancer = balancer("round-robin", &targets);
        let mut counts: HashMap<u16, u32> = HashMap::new();
        for _ in 0..weights.iter().sum::<u32>() {
            *counts.entry(next(&balancer)).or_default() += 1;
        }
        for (index, weight) in weights.iter().enumerate() {
            prop_assert_eq!(counts[&u16::try_from(index + 1).unwrap()], *weight);
        }
    }
}
