//! When a Pod's readiness gate opens and closes.

use super::world::{newcomer, no, synced, terminating, unknown};
use crate::{
    fleet::{ConditionStatus, ProxyView},
    status::{author::instance::gate, document::Gate},
};

fn open() -> Gate {
    gate(&synced("kong-a", "one"), None).expect("told")
}

#[test]
fn it_opens_with_an_accepted_configuration_and_not_before() {
    let closed = gate(&newcomer("kong-a"), None).expect("told");
    assert_eq!(closed.status, ConditionStatus::False);
    assert_eq!(closed.reason, "Unconfigured");
    assert_eq!(open().status, ConditionStatus::True);
}

#[test]
fn a_restarted_container_closes_it() {
    let restarted = newcomer("kong-a");
    let closed = gate(&restarted, Some(&open())).expect("told");
    assert_eq!(closed.status, ConditionStatus::False);
}

#[test]
fn a_proxy_out_of_the_controllers_reach_stays_in_service() {
    let unreachable = ProxyView {
        reachable: no("Timeout"),
        ready: no("Timeout"),
        ..synced("kong-a", "one")
    };
    assert_eq!(gate(&unreachable, Some(&open())), None);
    let not_known = ProxyView {
        ready: unknown("Timeout"),
        ..synced("kong-a", "one")
    };
    assert_eq!(gate(&not_known, Some(&open())), None);
    assert_eq!(gate(&not_known, None), None);
}

#[test]
fn a_proxy_that_goes_away_is_left_alone() {
    assert_eq!(gate(&terminating(newcomer("kong-a")), Some(&open())), None);
}
