//! More kinds of proxies than are served at once.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::world::rendered;
use crate::{
    fleet::configuration::{Configuration, Configurations},
    model::{Edition, Profile, RouterFlavor},
    render::{LastGood, Origin},
};

fn profile(minor: u16) -> Profile {
    Profile {
        router_flavor: RouterFlavor::Traditional,
        edition: Some(Edition::OpenSource),
        version: Some((3, minor)),
        plugins: None,
    }
}

/// So many seconds after a beginning.
fn at(seconds: u16) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(seconds.into())
}

fn good(minor: u16) -> LastGood {
    LastGood {
        rendered: rendered(&format!("good of {minor}")),
        sources: Arc::default(),
        accepted_at: at(minor),
        origin: Origin::Stored,
    }
}

/// After a start nobody has answered yet: the profiles of an earlier run may be those of proxies that are away.
#[test]
fn a_profile_that_makes_room_does_not_lose_what_its_proxies_accepted_last() {
    let last = u16::try_from(Profile::MAX).unwrap();
    let mut configurations = Configurations::default();
    for minor in 1..=last {
        configurations.stored(profile(minor), &good(minor), |_| false);
    }
    assert!(configurations.admit(&profile(100), |_| false));
    let kept = |configurations: &Configurations, minor| {
        configurations
            .last_good(&profile(minor))
            .is_some_and(|known| known.hash() == good(minor).rendered.hash)
    };
    let gone: Vec<u16> = (1..=last).filter(|minor| !kept(&configurations, *minor)).collect();
    let [away] = gone[..] else {
        panic!("one made room: {gone:?}")
    };
    // It is put away again with the others.
    let put_away = configurations.good();
    assert_eq!(put_away.len(), Profile::MAX);
    assert_eq!(
        put_away[&profile(away)].rendered.hash,
        good(away).rendered.hash,
        "what nobody has now is not lost with the next write"
    );
    assert_eq!(put_away[&profile(away)].origin, Origin::Stored);
    // Its proxies answer after all, and what nobody has is in their way.
    assert!(configurations.admit(&profile(away), |used| *used == profile(100)));
    assert!(kept(&configurations, away));
}

/// A replica that comes to lead reads it again.
#[test]
fn what_was_put_away_later_counts_until_proxies_accept_something_in_this_run() {
    let mut configurations = Configurations::default();
    configurations.stored(profile(1), &good(1), |_| false);
    configurations.stored(profile(1), &good(2), |_| false);
    let known = |configurations: &Configurations| configurations.last_good(&profile(1)).expect("known").hash();
    assert_eq!(known(&configurations), good(2).rendered.hash);
    let accepted = Configuration {
        rendered: rendered("accepted"),
        sequence: 1,
        sources: Arc::default(),
        incomplete: None,
    };
    configurations.accepted(&profile(1), &accepted, at(2));
    configurations.stored(profile(1), &good(3), |_| false);
    assert_eq!(known(&configurations), accepted.hash());
}

/// Two controllers end at the same time: the one that leads for a moment in between has seen less than the one before put away.
#[test]
fn what_a_standby_saw_gives_way_to_what_was_accepted_later_and_put_away_by_the_leader_before() {
    let mut configurations = Configurations::default();
    let seen = Configuration {
        rendered: rendered("seen by a standby"),
        sequence: 1,
        sources: Arc::default(),
        incomplete: None,
    };
    let is = |configurations: &Configurations, hash| configurations.last_good(&profile(1)).unwrap().hash() == hash;
    let origin = |configurations: &Configurations| configurations.good()[&profile(1)].origin;
    assert!(configurations.admit(&profile(1), |_| true));
    assert!(configurations.accepted(&profile(1), &seen, at(5)));
    assert_eq!(origin(&configurations), Origin::Confirmed);
    configurations.begin_term();
    assert_eq!(origin(&configurations), Origin::Seen);
    // It was put away some time before the leader was killed.
    let stored = |seconds| LastGood {
        accepted_at: at(seconds),
        ..good(1)
    };
    configurations.stored(profile(1), &stored(4), |_| false);
    assert!(is(&configurations, seen.hash()));
    // A proxy runs it still.
    configurations.stored(profile(1), &stored(6), |hash| hash == seen.hash());
    assert!(is(&configurations, seen.hash()));
    configurations.stored(profile(1), &stored(6), |_| false);
    assert!(is(&configurations, good(1).rendered.hash));
    assert_eq!(origin(&configurations), Origin::Stored);
    // Found to be run after all.
    assert!(configurations.accepted(&profile(1), &seen, at(7)));
    assert_eq!(origin(&configurations), Origin::Confirmed);
    assert!(!configurations.accepted(&profile(1), &seen, at(8)), "no news");
    configurations.stored(profile(1), &stored(9), |_| false);
    assert!(is(&configurations, seen.hash()));
    configurations.begin_term();
    assert!(configurations.accepted(&profile(1), &seen, at(10)), "confirmed anew");
    assert_eq!(configurations.good()[&profile(1)].accepted_at, at(7));
}

#[test]
fn what_was_put_away_of_more_profiles_than_are_served_is_kept_for_those_that_get_room() {
    let more = u16::try_from(Profile::MAX).unwrap() + 1;
    let mut configurations = Configurations::default();
    for minor in 1..=more {
        configurations.stored(profile(minor), &good(minor), |_| false);
    }
    assert_eq!(configurations.good().len(), Profile::MAX + 1);
    assert!(configurations.admit(&profile(more), |_| false));
    let known = configurations.last_good(&profile(more)).expect("it was set aside");
    assert_eq!(known.hash(), good(more).rendered.hash);
}

#[test]
fn what_nobody_accepted_anything_of_makes_room_first_then_the_oldest_and_never_what_is_in_use() {
    let last = u16::try_from(Profile::MAX).unwrap();
    let mut configurations = Configurations::default();
    for minor in 1..=last {
        assert!(configurations.admit(&profile(minor), |_| true));
    }
    // 3 has none, 5 has the oldest.
    for minor in (1..=last).filter(|minor| *minor != 3) {
        let configuration = Configuration {
            rendered: rendered(&format!("good of {minor}")),
            sequence: if minor == 5 { 1 } else { 10 },
            sources: Arc::default(),
            incomplete: None,
        };
        assert!(configurations.accepted(&profile(minor), &configuration, at(1)));
    }
    assert!(!configurations.admit(&profile(100), |_| true), "all are in use");
    for (newcomer, makes_room) in [(100, 3), (101, 5)] {
        let is_in_use = |used: &Profile| *used == profile(100) || *used == profile(1);
        assert!(configurations.admit(&profile(newcomer), is_in_use));
        assert!(!configurations.is_served(&profile(makes_room)), "{makes_room}");
        assert!(configurations.is_served(&profile(1)) && configurations.is_served(&profile(newcomer)));
    }
}
