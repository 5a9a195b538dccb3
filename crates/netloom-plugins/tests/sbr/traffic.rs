//! Answers leave by the interface that the question came in by.

use crate::lab::{lab, own, world};
use serde_json::json;

#[test]
fn answers_leave_by_the_interface_they_came_in_by() {
    let Some(lab) = lab() else { return };
    let [north, south] = &lab.routers;
    for (source, address) in world(1).into_iter().zip(own(1)) {
        assert_eq!(north.source_seen_by(&lab.pod, address), Ok(source));
    }
    for address in own(2) {
        let lost = south.source_seen_by(&lab.pod, address);
        assert!(lost.is_err(), "the default route leads elsewhere: {lost:?}");
    }
    lab.add("net1", json!({}));
    for (number, router) in [(1, north), (2, south)] {
        for (source, address) in world(number).into_iter().zip(own(number)) {
            assert_eq!(router.source_seen_by(&lab.pod, address), Ok(source));
        }
    }
}

#[test]
fn both_interfaces_answer_when_both_are_routed_by_source() {
    let Some(lab) = lab() else { return };
    for if_name in ["eth0", "net1"] {
        lab.add(if_name, json!({}));
    }
    let routers = lab.routers.iter().zip([1, 2]);
    for (router, number) in routers.clone() {
        for (source, address) in world(number).into_iter().zip(own(number)) {
            assert_eq!(router.source_seen_by(&lab.pod, address), Ok(source));
        }
    }
    lab.del("eth0", json!({}));
    for (router, number) in routers {
        for (source, address) in world(number).into_iter().zip(own(number)) {
            assert_eq!(router.source_seen_by(&lab.pod, address), Ok(source));
        }
    }
}

#[test]
fn what_the_pod_sends_of_itself_goes_where_it_went_and_with_hints_to_the_subnet_directly() {
    let Some(lab) = lab() else { return };
    let [_, south] = &lab.routers;
    // The router answers from the address that was asked.
    south.sh("ip route replace 10.2.0.0/24 dev pod src 10.2.0.1");
    lab.add("net1", json!({}));
    assert!(lab.pod.pings(world(1)[0]), "the default route is eth0's");
    assert!(
        !lab.pod.pings([10, 2, 0, 1]),
        "the subnet is in no other's tables"
    );
    lab.del("net1", json!({}));
    lab.add("net1", json!({"addSourceHints": true}));
    assert!(lab.pod.pings(world(1)[0]));
    assert!(lab.pod.pings([10, 2, 0, 1]));
    let seen = lab.pod.source_seen_by(south, [10, 2, 0, 1]);
    assert_eq!(seen, Ok(own(2)[0]));
}
