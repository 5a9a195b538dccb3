//! How grave what doctor finds is, and what `--fix` does about it.

use crate::doctor::{add, assert_named, assert_silent, findings, forget, one_forgotten, run};
use crate::{configure, host, mynet, netloom, path, reserved};
use serde_json::{Value, json};
use std::fs;

#[test]
fn the_exit_status_tells_how_grave_it_is_and_the_gravest_comes_first() {
    let Some((host, living)) = one_forgotten(&mynet("1.1.0")) else {
        return;
    };
    let told = |status: i32, first: &str| {
        let outcome = netloom(&["doctor"]).run();
        assert_eq!(outcome.code(), Some(status), "{outcome}");
        assert!(outcome.stdout.starts_with(first), "{outcome}");
    };
    told(1, "warning: mynet: dead attachment: id-of-dead");
    fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    told(2, "error: mynet: sysctl: net.ipv4.ip_forward is 0");
    run(&host, "sysctl -w net.ipv4.ip_forward=1");
    run(&host, "netloom gc --yes");
    told(0, "");
    let del = [
        "del",
        "mynet",
        path(&living),
        "--container-id",
        "id-of-living",
    ];
    netloom(&del).run().succeeds_silently();
    // An idle bridge is nothing to mend.
    told(0, "note: mynet: bridge: mybr0 has no ports");
}

#[test]
fn fix_does_what_can_do_no_harm_and_leaves_the_rest_to_people() {
    let Some((host, living)) = one_forgotten(&mynet("1.1.0")) else {
        return;
    };
    fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    host.ip("link add veth0badcafe type veth peer name other");
    host.ip("link set veth0badcafe master mybr0");
    let outcome = netloom(&["--json", "doctor", "--fix"]).run();
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let fixed = json!(["sysctl -w net.ipv4.ip_forward=1", "netloom gc mynet --yes"]);
    assert_eq!(report["fixed"], fixed, "{outcome}");
    assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{outcome}");
    assert_eq!(report["findings"][0]["kind"], "veth");
    assert!(
        outcome
            .stderr
            .contains("mynet: deleted id-of-dead eth0 10.16.0.3/16"),
        "{outcome}"
    );
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
    assert!(living.pings([10, 16, 0, 1]));
    let again = netloom(&["--json", "doctor", "--fix"]).run();
    let report: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(report["fixed"], json!([]), "{again}");
}

#[test]
fn fix_never_keeps_nobody() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let dead = host.pod("dead");
    add("mynet", &dead, "id-of-dead");
    dead.ip("link del eth0");
    dead.remove();
    forget();
    let mend = assert_named(&findings(), "reservation", "10.16.0.2 of");
    let all = "when no container of others is on it: netloom gc mynet --all --yes";
    assert_eq!(mend, all);
    drop(netloom(&["doctor", "--fix"]).run());
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
}

#[test]
fn a_container_that_lost_its_link_is_named_and_one_that_renamed_it_is_not() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let (lost, renamed) = (host.pod("lost"), host.pod("renamed"));
    add("mynet", &lost, "id-of-lost");
    add("mynet", &renamed, "id-of-renamed");
    renamed.sh("ip link set eth0 down; ip link set eth0 name net0; ip link set net0 up");
    assert_silent();
    lost.ip("link del eth0");
    let found = findings();
    assert_eq!(found.len(), 1, "{found:#?}");
    let mend = assert_named(
        &found,
        "missing link",
        "id-of-lost has no eth0 in /run/netns/lost",
    );
    run(&host, &mend);
    assert_silent();
    add("mynet", &lost, "id-of-lost");
    assert_silent();
    assert!(lost.pings([10, 16, 0, 1]));
}
