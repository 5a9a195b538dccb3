//! The tap plugin on the real kernel, each test on a throw-away host of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod device;
#[path = "../single_link/mod.rs"]
mod single_link;
mod traffic;

use netloom_testkit::{Scene, Trace, assert_no_residue};
use serde_json::{Value, json};
use single_link::{Lab, Subject, every, faults, plugin_dir};

pub(crate) const TAP: Subject = Subject {
    name: "tap",
    kind: "tun",
    keys: || json!({"mtu": 1400, "owner": 1000}),
    subnets: ["198.51.100.", "2001:db8:51::"],
    outside: |_| {},
};

#[test]
fn a_pod_has_its_addresses_in_every_version() {
    // What is behind a tap is up to the program at its other end.
    every::serves_every_version(TAP, &[]);
}

#[test]
fn check_names_what_is_no_longer_as_add_made_it() {
    let again = "ip link del eth0; ip tuntap add name eth0 mode ";
    let own: [(&str, &[&str]); 5] = [
        (
            "ip link set eth0 address 02:00:00:00:00:99",
            &["eth0", "02:00:00:00:00:99"],
        ),
        ("tap user 7", &["eth0 has owner 7, not 1000"]),
        ("tap", &["eth0 has owner none, not 1000"]),
        (
            "tap user 1000 multi_queue",
            &["eth0 has multiQueue true, not false"],
        ),
        ("tun user 1000", &["eth0 not of type tap"]),
    ];
    let drifts: Vec<_> = own
        .into_iter()
        .map(|(change, names)| {
            let made = change.starts_with('t');
            let change = if made {
                format!("{again}{change}")
            } else {
                change.to_owned()
            };
            let change: &'static str = change.leak();
            (json!({}), (change, names))
        })
        .collect();
    every::check_names_each_drift(TAP, &drifts);
}

#[test]
fn check_is_right_about_its_result_and_later_plugins() {
    every::check_knows_its_result(TAP);
}

#[test]
fn del_succeeds_twice_and_frees_the_address_whatever_is_left() {
    every::del_works_in_every_state(TAP);
}

#[test]
fn del_takes_a_bad_configuration_and_goes_on_past_a_failing_ipam_plugin() {
    every::del_takes_what_it_gets(TAP);
}

#[test]
fn del_leaves_links_of_another_kind_and_of_another_pod_alone() {
    every::del_leaves_what_is_not_its_own(TAP);
}

#[test]
fn gc_and_status_speak_for_ipam() {
    every::gc_and_status_are_forwarded(TAP, false);
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let cases: [(Value, u64, &[&str]); 8] = [
        (
            json!({"mtu": 67}),
            7,
            &["invalid mtu 67", "between 68 and 65521"],
        ),
        (json!({"mtu": 65522}), 7, &["invalid mtu 65522"]),
        (json!({"mac": "02:00"}), 7, &["mac", "02:00"]),
        (
            json!({"mac": "01:00:00:00:00:01"}),
            7,
            &["mac", "01:00:00:00:00:01"],
        ),
        (json!({"owner": -1}), 7, &["owner", "-1"]),
        (
            json!({"owner": 4_294_967_295_u32}),
            7,
            &["owner", "4294967295"],
        ),
        (
            json!({"bridge": "br9"}),
            999,
            &["failed to get bridge \"br9\" in the container"],
        ),
        (
            json!({"bridge": "lo"}),
            7,
            &["bridge", "\"lo\"", "is not a bridge"],
        ),
    ];
    every::bad_requests_change_nothing(TAP, &cases);
}

#[test]
fn a_tap_of_that_name_is_not_taken_over() {
    let Some(lab) = Lab::new(TAP) else { return };
    let pod = lab.host.pod("one");
    pod.ip("tuntap add name eth0 mode tap user 7");
    let before = lab.before(&pod);
    let error = lab.plugin.add(&lab.quick(json!({})), &pod).fails();
    error.names(&["\"eth0\"", "already exists", "/run/netns/one"]);
    lab.assert_as_before(&before, &pod);
}

#[test]
fn the_dns_is_the_ipam_plugins_unless_the_configuration_has_its_own() {
    every::dns_is_ipams_or_the_configurations(TAP);
}

#[test]
fn routes_are_programmed_with_all_their_attributes() {
    every::routes_are_programmed_whole(TAP);
}

#[test]
fn a_link_of_the_host_by_the_pods_name_is_not_in_the_way() {
    every::a_name_taken_on_the_host_does_not_matter(TAP);
}

#[test]
fn nothing_is_executed() {
    let Some(lab) = Lab::new(TAP) else { return };
    let pod = lab.host.pod("one");
    let conf = lab.quick(json!({"multiQueue": true, "mac": "02:00:00:00:00:41"}));
    for command in ["ADD", "DEL"] {
        let call = lab.plugin.call(command, &conf).pod(&pod);
        let Some(trace) = Trace::of(&call) else {
            return;
        };
        let executed = trace.executions();
        assert!(executed.is_empty(), "{executed:?}");
    }
}

#[test]
fn an_add_that_fails_or_dies_anywhere_leaves_nothing() {
    faults::leave_nothing_reserved(TAP, &json!({"mac": "02:00:00:00:00:41", "group": 8}));
}

#[test]
fn an_add_to_a_bridge_that_fails_or_dies_anywhere_leaves_nothing() {
    let plugins = plugin_dir();
    let scene = || {
        let lab = Lab::with_plugins(TAP, plugins.clone())?;
        let pod = lab.host.pod("one");
        pod.ip("link add br0 address 02:00:00:00:00:01 type bridge");
        let conf = lab.layer2(json!({"bridge": "br0"}));
        Some(Scene {
            add: lab.plugin.call("ADD", &conf).pod(&pod),
            del: lab.plugin.call("DEL", &conf).pod(&pod),
            pods: vec![pod, lab.uplink.outside],
            bridges: Vec::new(),
            host: lab.host,
        })
    };
    if let Some(tally) = assert_no_residue("tap in a bridge", None, scene) {
        assert!(tally.has_points(11, 6), "{tally}");
    }
}

#[test]
fn a_del_that_fails_or_dies_anywhere_is_completed_by_the_next() {
    faults::del_is_completed(TAP);
}
