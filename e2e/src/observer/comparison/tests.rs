//! Moments at 5 Hz, and what is found in them.

use super::*;

const TOLERANCES: Tolerances = Tolerances {
    hash: Duration::from_secs(10),
    conditions: Duration::from_secs(11),
    synced: Duration::from_secs(12),
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
            synced: "True".to_owned(),
            hash: hash.to_owned(),
            learned: None,
            desired: Some(hash.to_owned()),
        }),
    }
}

/// It runs this, and its row says so.
fn run(world: &mut World, hash: &str) {
    world.proxy().hash = Some(hash.to_owned());
    world.row().hash = hash.to_owned();
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
    world.row().desired = Some("b".to_owned());
    world.stay(9);
    world.row().hash = "b".to_owned();
    world.stay(30);
    assert!(world.found().is_empty());
    assert_eq!(world.longest(Aspect::Hash), 9);

    world.proxy().hash = Some("foreign".to_owned());
    world.row().synced = "False".to_owned();
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
        world.row().desired = Some(second.to_string());
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
        world.row().desired = Some(hash.to_owned());
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
    world.row().desired = Some("b".to_owned());
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
    run(&mut world, UNCONFIGURED);
    world.row().synced = "Unknown".to_owned();
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
    world.row().synced = "False".to_owned();
    world.stay(60);
    assert!(world.found().is_empty());
}

#[test]
fn times_without_a_lease_are_excluded_and_listed() {
    let mut world = World::new();
    world.stay(1);
    world.proxy().hash = Some("b".to_owned());
    world.row().desired = Some("b".to_owned());
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

#[test]
fn who_is_synced_runs_what_is_wanted_of_it() {
    let mut world = World::new();
    world.stay(1);
    // Row and proxy agree on the wrong thing: no other comparison sees that.
    world.row().desired = Some("b".to_owned());
    world.stay(11);
    assert_eq!(world.found(), []);
    world.stay(9);
    assert_eq!(world.found(), [(Aspect::Synced, 20)]);
    let found = &world.comparison.findings().mismatches[0];
    assert_eq!((found.said.as_str(), found.was.as_str()), ("b", "a"));

    // A row that says so is right.
    let mut world = World::new();
    world.stay(1);
    world.row().desired = Some("b".to_owned());
    world.stay(11);
    world.row().synced = "False".to_owned();
    world.stay(60);
    run(&mut world, "b");
    world.row().synced = "True".to_owned();
    world.stay(60);
    assert_eq!(world.found(), []);
}

#[test]
fn who_is_left_behind_by_changes_every_second_is_not_synced() {
    let mut world = World::new();
    let mut second = 0;
    let mut change = |world: &mut World, is_left_behind: bool| {
        second += 1;
        // The fleet tells it two seconds later than the proxy runs it, and half of it never.
        world.row().desired = Some((second / 2 * 2_u32).saturating_sub(2).to_string());
        if !is_left_behind {
            run(world, &second.to_string());
        }
        world.stay(1);
    };
    for _ in 0..60 {
        change(&mut world, false);
    }
    assert_eq!(world.found(), []);
    for _ in 0..20 {
        change(&mut world, true);
    }
    assert_eq!(world.found().len(), 1);
    assert_eq!(world.found()[0].0, Aspect::Synced);
}

#[test]
fn names_that_were_learned_are_those_of_the_fleet() {
    let mut world = World::new();
    run(&mut world, "its own name");
    world.row().learned = Some("0123456789ab".to_owned());
    world.row().desired = Some("0123456789abcdef".to_owned());
    world.stay(30);
    assert_eq!(world.found(), []);
    // What it is called is known, and is not what is wanted.
    world.row().learned = Some("ba9876543210".to_owned());
    world.stay(20);
    assert_eq!(world.found(), [(Aspect::Synced, 19)]);
    // It runs what it was not given, and nobody looks.
    let mut world = World::new();
    world.row().learned = Some("a".to_owned());
    world.stay(1);
    world.proxy().hash = Some("foreign".to_owned());
    world.stay(20);
    let aspects: Vec<_> = world.found().into_iter().map(|(aspect, _)| aspect).collect();
    assert_eq!(aspects, [Aspect::Hash, Aspect::Synced]);
}

#[test]
fn a_proxy_of_a_kind_of_which_nothing_is_wanted_is_not_synced() {
    let mut world = World::new();
    world.stay(1);
    world.row().desired = None;
    world.stay(20);
    assert_eq!(world.found(), [(Aspect::Synced, 20)]);
    // One that is going away is in no fleet any more.
    let mut world = World::new();
    world.stay(1);
    world.proxy().exists = None;
    world.row().desired = None;
    world.stay(60);
    assert_eq!(world.found(), []);
}

#[test]
fn a_hash_that_stands_for_something_else_is_a_mismatch_whoever_leads() {
    let shown = |proxy: &str, hash: &str, content: &str| Shown {
        proxy: proxy.to_owned(),
        hash: hash.to_owned(),
        content: super::super::content::digest(serde_json::json!({ "services": content })),
    };
    let mut world = World::new();
    world.moment.excluded = Some("nobody renews the Lease");
    world.moment.shown = vec![shown("one", "a", "A"), shown("two", "a", "A"), shown("two", "b", "A")];
    world.comparison.look(&world.moment);
    let findings = world.comparison.findings();
    assert_eq!(findings.tallies[&Aspect::Content].compared, 2);
    let [found] = &findings.mismatches[..] else {
        panic!("{findings:?}")
    };
    assert_eq!(
        (found.aspect, &*found.proxy, &*found.said),
        (Aspect::Content, "two", "b")
    );
    assert_eq!(found.was, "what one called a");
}
