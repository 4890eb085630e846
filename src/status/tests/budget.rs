//! The token bucket.

use std::time::Duration;

use tokio::time::Instant;

use crate::status::budget::Budget;

#[test]
fn a_burst_is_free_and_then_the_rate_holds() {
    let start = Instant::now();
    let mut budget = Budget::new(20, 100, start);
    let mut now = start;
    for written in 0..300_u32 {
        now = budget.available_at(now, false);
        budget.take(1);
        if written == 99 {
            assert_eq!(now, start);
        }
    }
    let took = now - start;
    assert!(
        (Duration::from_millis(9990)..Duration::from_millis(10_010)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn tokens_are_kept_up_to_the_burst_and_no_further() {
    let start = Instant::now();
    let mut budget = Budget::new(10, 5, start);
    let later = start + Duration::from_secs(3600);
    for _ in 0..5 {
        assert_eq!(budget.available_at(later, false), later);
        budget.take(1);
    }
    assert!(budget.available_at(later, false) > later);
}

#[test]
fn what_was_taken_in_advance_is_paid_back() {
    let start = Instant::now();
    let mut budget = Budget::new(10, 1, start);
    budget.take(3);
    let at = budget.available_at(start, false);
    assert!(at - start >= Duration::from_millis(299), "{:?}", at - start);
}

#[test]
fn some_are_kept_for_what_is_urgent() {
    let start = Instant::now();
    let mut budget = Budget::new(20, 100, start);
    for _ in 0..90 {
        assert_eq!(budget.available_at(start, true), start);
        budget.take(1);
    }
    assert!(budget.available_at(start, true) > start);
    for _ in 0..10 {
        assert_eq!(budget.available_at(start, false), start);
        budget.take(1);
    }
    assert!(budget.available_at(start, false) > start);
}

#[test]
fn a_bucket_of_one_is_for_all() {
    let start = Instant::now();
    let mut budget = Budget::new(1, 1, start);
    assert_eq!(budget.available_at(start, true), start);
}
