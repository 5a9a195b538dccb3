//! The dummy plugin on the real kernel, each test on a throw-away host of its own.

mod single_link;

use serde_json::json;
use single_link::{Lab, Subject, eth0, every, faults, sysctl};

const DUMMY: Subject = Subject {
    name: "dummy",
    kind: "dummy",
    keys: || json!({}),
    subnets: ["198.51.100.", "2001:db8:51::"],
    outside: |_| {},
};

#[test]
fn a_pod_has_its_addresses_in_every_version() {
    // Nothing is behind a dummy.
    every::serves_every_version(DUMMY, &[]);
    let Some(lab) = Lab::new(DUMMY) else { return };
    let pod = lab.host.pod("one");
    lab.plugin.add(&lab.conf(json!({})), &pod).succeeds();
    pod.ip("link set lo up");
    assert!(pod.pings(std::net::Ipv4Addr::new(198, 51, 100, 50)));
    assert_eq!(eth0(&pod)["linkinfo"]["info_kind"], "dummy");
    assert_eq!(sysctl(&pod, "net/ipv4/conf/eth0/arp_notify"), "0");
}

#[test]
fn check_names_what_is_no_longer_as_add_made_it() {
    let mac = (
        "ip link set eth0 address 02:00:00:00:00:99",
        &["eth0", "02:00:00:00:00:99"][..],
    );
    every::check_names_each_drift(DUMMY, &[(json!({}), mac)]);
}

#[test]
fn check_is_right_about_its_result_and_later_plugins() {
    every::check_knows_its_result(DUMMY);
}

#[test]
fn del_succeeds_twice_and_frees_the_address_whatever_is_left() {
    every::del_works_in_every_state(DUMMY);
}

#[test]
fn del_takes_a_bad_configuration_and_goes_on_past_a_failing_ipam_plugin() {
    every::del_takes_what_it_gets(DUMMY);
}

#[test]
fn del_leaves_links_of_another_kind_and_of_another_pod_alone() {
    every::del_leaves_what_is_not_its_own(DUMMY);
}

#[test]
fn gc_and_status_speak_for_ipam() {
    every::gc_and_status_are_forwarded(DUMMY, false);
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let required: &[&str] = &["dummy interface requires an IPAM configuration"];
    every::bad_requests_change_nothing(
        DUMMY,
        &[
            (json!({"ipam": null}), 7, required),
            (json!({"ipam": {}}), 7, required),
        ],
    );
    let Some(lab) = Lab::new(DUMMY) else { return };
    let without = lab.layer2(json!({}));
    lab.plugin.status(&without).fails_with(7).names(required);
}

#[test]
fn the_dns_is_the_ipam_plugins_unless_the_configuration_has_its_own() {
    every::dns_is_ipams_or_the_configurations(DUMMY);
}

#[test]
fn routes_are_programmed_with_all_their_attributes() {
    every::routes_are_programmed_whole(DUMMY);
}

#[test]
fn a_link_of_the_host_by_the_pods_name_is_not_in_the_way() {
    every::a_name_taken_on_the_host_does_not_matter(DUMMY);
}

#[test]
fn no_program_is_executed_and_no_time_slept_away() {
    every::executes_and_sleeps_nowhere(DUMMY);
}

#[test]
fn an_add_that_fails_or_dies_anywhere_leaves_nothing() {
    faults::leave_nothing_in_a_guest(DUMMY);
}
