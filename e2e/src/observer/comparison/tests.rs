//! Moments at 5 Hz, and what is found in them.

use super::*;

const TOLERANCES: Tolerances = Tolerances {
    hash: Duration::from_secs(10),
    conditions: Duration::from_secs(11),
};

/// A world at 5 Hz.
struct World {
    comparison: Comparison,
    moment: Moment,
}

impl World {
    /// One proxy that runs `a`, and whose row says so.
    fn new() -> Self {
        let mut world = Self {
            comparison: Comparison::new(TOLERANCES),
            moment: Moment {
                during: "calm".to_owned(),
                ..Moment::default()
            },
        };
        world.moment.proxies.insert("1".to_owned(), good("a"));
        world
    }

    fn proxy(&mut self) -> &mut Sighting {
        self.moment.proxies.get_mut("1").expect("it is there")
    }

    fn row(&mut self) -> &mut Row {
        self.proxy().row.as_mut().expect("it has one")
    }

    /// It stays like this for so many seconds.
    fn stay(&mut self, seconds: u32) -> &mut Self {
        for _ in 0..seconds * 5 {
            self.moment.at += Duration::from_millis(200);
            self.comparison.look(&self.moment);
        }
        self
    }

    fn found(&self) -> Vec<(Aspect, u64)> {
        let mismatches = self.comparison.findings().mismatches.iter();
        mismatches.map(|found| (found.aspect, found.length.as_secs())).collect()
    }

    fn longest(&self, aspect: Aspect) -> u64 {
        self.comparison.findings().tallies[&aspect].longest.as_secs()
    }
}

fn good(hash: &str) -> Sighting {
    Sighting {
        name: "proxy".to_owned(),
        exists: Some(true),
        answer: Some(Answer::Answers),
        hash: Some(hash.to_owned()),
        row: Some(Row {
            reachable: "True".to_owned(),
            ready: "True".to_owned(),
            hash: hash.to_owned(),
        }),
    }
}

#[test]
fn rows_that_are_true_are_compared_and_nothing_is_found() {
    let mut world = World::new();
    world.stay(60);
    let findings = world.comparison.findings();
    assert_eq!((findings.moments, findings.most_proxies), (300, 1));
    assert!(findings.tallies.values().all(|tally| tally.compared == 300));
    assert!(world.found().is_empty() && findings.excluded.is_empty());
}

#[test]
fn a_hash_that_is_told_late_is_within_the_tolerance_or_not() {
    let mut world = World::new();
    world.stay(1);
    world.proxy().hash = Some("b".to_owned());
    world.stay(9);
    world.row().hash = "b".to_owned();
    world.stay(30);
    assert!(world.found().is_empty());
    assert_eq!(world.longest(Aspect::Hash), 9);

    world.proxy().hash = Some("foreign".to_owned());
    world.stay(25);
    world.proxy().hash = Some("b".to_owned());
    world.stay(30);
    assert_eq!(world.found(), [(Aspect::Hash, 25)], "it counts once, with its length");
    let found = &world.comparison.findings().mismatches[0];
    assert_eq!((found.said.as_str(), found.was.as_str()), ("b", "foreign"));
    assert_eq!((found.since.as_secs(), found.during.as_str()), (40, "calm"));
}

#[test]
fn a_row_that_knows_before_the_observer_that_a_proxy_is_back_is_no_mismatch() {
    let mut world = World::new();
    world.stay(1);
    world.proxy().answer = Some(Answer::Refuses);
    world.proxy().hash = None;
    world.stay(5);
    let say = |world: &mut World, word: &str| {
        world.row().reachable = word.to_owned();
        world.row().ready = word.to_owned();
    };
    say(&mut world, "False");
    world.stay(10);
    say(&mut world, "True");
    world.stay(1);
    world.proxy().answer = Some(Answer::Answers);
    world.proxy().hash = Some("a".to_owned());
    world.stay(30);
    assert_eq!(world.found(), []);
    assert_eq!(world.longest(Aspect::Reachable), 5);

    world.proxy().answer = Some(Answer::Refuses);
    world.proxy().hash = None;
    world.stay(5);
    say(&mut world, "False");
    world.stay(10);
    say(&mut world, "True");
    world.stay(5);
    let aspects: Vec<_> = world.found().into_iter().map(|(aspect, _)| aspect).collect();
    assert_eq!(aspects, [Aspect::Reachable, Aspect::Ready], "it was not back");
}

#[test]
fn a_hash_that_is_always_told_too_late_is_a_mismatch() {
    let mut world = World::new();
    for second in 0..40_u32 {
        world.proxy().hash = Some(second.to_string());
        world.row().hash = second.saturating_sub(14).to_string();
        world.stay(1);
    }
    let found = world.found();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, Aspect::Hash);
}

#[test]
fn two_that_are_apart_are_two() {
    let mut world = World::new();
    world.stay(1);
    for hash in ["b", "a", "c", "a"] {
        world.proxy().hash = Some(hash.to_owned());
        world.stay(15);
    }
    assert_eq!(world.found(), [(Aspect::Hash, 15), (Aspect::Hash, 15)]);
}

#[test]
fn the_budget_stretches_no_transition() {
    let mut world = World::new();
    world.stay(1);
    world.moment.stretch = Duration::from_secs(60);
    world.proxy().answer = Some(Answer::Refuses);
    world.proxy().hash = None;
    world.stay(20);
    let aspects: Vec<_> = world.found().into_iter().map(|(aspect, _)| aspect).collect();
    assert_eq!(aspects, [Aspect::Reachable, Aspect::Ready]);
}

#[test]
fn the_budget_stretches_the_tolerance_of_hashes() {
    let mut world = World::new();
    world.stay(1);
    world.moment.stretch = Duration::from_secs(6);
    world.stay(1);
    world.moment.stretch = Duration::ZERO;
    world.proxy().hash = Some("b".to_owned());
    world.stay(15);
    world.row().hash = "b".to_owned();
    world.stay(5);
    assert!(world.found().is_empty());
    assert_eq!(world.comparison.findings().longest_stretch.as_secs(), 6);
}

#[test]
fn a_proxy_that_refuses_or_hangs_is_to_be_told_of() {
    for answer in [Answer::Refuses, Answer::Hangs] {
        let mut world = World::new();
        world.stay(1);
        world.proxy().answer = Some(answer);
        world.proxy().hash = None;
        world.stay(40);
        assert_eq!(world.found(), [(Aspect::Reachable, 40), (Aspect::Ready, 40)]);
    }
    let mut world = World::new();
    world.stay(1);
    world.proxy().answer = Some(Answer::Hangs);
    world.stay(10);
    world.row().reachable = "False".to_owned();
    world.row().ready = "False".to_owned();
    world.stay(60);
    assert!(world.found().is_empty());
    // It answers again, and the row goes on saying that it does not.
    world.proxy().answer = Some(Answer::Answers);
    world.stay(20);
    assert_eq!(world.found(), [(Aspect::Reachable, 20), (Aspect::Ready, 20)]);
}

#[test]
fn a_proxy_without_configuration_is_not_ready() {
    let mut world = World::new();
    world.stay(1);
    world.proxy().hash = Some(UNCONFIGURED.to_owned());
    world.row().hash = UNCONFIGURED.to_owned();
    world.stay(20);
    assert_eq!(world.found(), [(Aspect::Ready, 20)]);
}

#[test]
fn a_row_that_says_unreachable_claims_no_hash() {
    let mut world = World::new();
    world.stay(1);
    world.proxy().answer = Some(Answer::Hangs);
    world.proxy().hash = Some("b".to_owned());
    world.row().reachable = "False".to_owned();
    world.row().ready = "False".to_owned();
    world.stay(60);
    assert!(world.found().is_empty());
}

#[test]
fn times_without_a_lease_are_excluded_and_listed() {
    let mut world = World::new();
    world.stay(1);
    world.proxy().hash = Some("b".to_owned());
    world.stay(8);
    world.moment.excluded = Some("nobody renews the Lease");
    world.stay(20);
    world.moment.excluded = Some("the API server does not answer");
    world.stay(5);
    world.moment.excluded = None;
    world.stay(8);
    world.row().hash = "b".to_owned();
    world.stay(5);
    assert!(world.found().is_empty());
    let excluded = &world.comparison.findings().excluded;
    let lengths: Vec<_> = excluded
        .iter()
        .map(|time| (time.why, (time.until - time.from).as_secs()))
        .collect();
    assert_eq!(
        lengths,
        [("nobody renews the Lease", 20), ("the API server does not answer", 5)]
    );
}

#[test]
fn proxies_come_and_go_and_their_rows_with_them() {
    let mut world = World::new();
    world.stay(1);
    let newcomer = Sighting { row: None, ..good("a") };
    world.moment.proxies.insert("2".to_owned(), newcomer);
    world.stay(5);
    world.moment.proxies.insert("2".to_owned(), good("a"));
    world.stay(20);
    let leaver = Sighting {
        exists: Some(false),
        answer: None,
        hash: None,
        ..good("a")
    };
    world.moment.proxies.insert("2".to_owned(), leaver);
    world.stay(5);
    world.moment.proxies.remove("2");
    world.stay(20);
    assert!(world.found().is_empty());
    assert_eq!(world.comparison.findings().most_proxies, 2);
}

#[test]
fn a_proxy_without_a_row_and_a_row_without_a_proxy_are_mismatches() {
    let mut world = World::new();
    world.stay(1);
    world.proxy().row = None;
    world.stay(15);
    world.moment.proxies.insert("1".to_owned(), good("a"));
    world.stay(5);
    world.proxy().exists = Some(false);
    world.stay(12);
    let found = world.found();
    assert_eq!(found, [(Aspect::Row, 14), (Aspect::Row, 12)]);
    let mismatches = &world.comparison.findings().mismatches;
    assert_eq!(
        (mismatches[0].said.as_str(), mismatches[1].said.as_str()),
        ("none", "there")
    );
}
