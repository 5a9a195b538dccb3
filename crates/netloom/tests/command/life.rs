//! Whom `netloom gc` takes for living where a link has neither a mark nor a wire to the host.

use crate::{configure, host, netloom, path, reserved};
use netloom_testkit::{Host, Pod, probe, skip};
use serde_json::{Value, json};

fn network(mut plugin: Value) {
    plugin["ipam"] = json!({"type": "host-local", "subnet": "10.16.0.0/16"});
    configure(
        "10-net.conflist",
        &json!({"cniVersion": "1.1.0", "name": "net", "plugins": [plugin]}),
    );
}

fn add(pod: &Pod, id: &str) {
    let add = ["add", "net", path(pod), "--container-id", id];
    netloom(&add).run().succeeds();
}

fn gc() {
    netloom(&["gc", "--yes"]).run().succeeds_silently();
}

fn make_device(host: &Host) {
    host.ip("link add dev0 address 02:00:00:00:00:01 type veth peer name outside");
}

/// A pod that got a device of the host.
fn borrower() -> Option<(Host, Pod)> {
    let host = host()?;
    make_device(&host);
    network(json!({"type": "host-device", "device": "dev0"}));
    let pod = host.pod("borrower");
    add(&pod, "id-of-borrower");
    Some((host, pod))
}

#[test]
fn a_pod_that_changed_the_mac_of_a_lent_device_lives() {
    let Some((_host, pod)) = borrower() else {
        return;
    };
    pod.ip("link set eth0 address 02:00:00:00:00:99");
    gc();
    assert_eq!(reserved("net"), ["10.16.0.2"]);
}

#[test]
fn a_pod_whose_device_was_lent_again_at_its_path_is_dead() {
    let Some((host, old)) = borrower() else {
        return;
    };
    // The kernel removes it late, and it is no device that comes back.
    old.ip("link del eth0");
    old.remove();
    make_device(&host);
    let new = host.pod("borrower");
    add(&new, "id-of-next");
    gc();
    assert_eq!(reserved("net"), ["10.16.0.3"]);
    assert!(new.ip("-o addr show eth0").contains("10.16.0.3"));
}

/// A pod with a macvlan as the reference makes it, without an alias, and then this done in it.
fn macvlan_then(change: &[&str]) -> Option<Vec<String>> {
    if !probe::has_link_kind("macvlan") {
        skip("the kernel has no macvlan links");
        return None;
    }
    let host = host()?;
    host.ip("link add lan0 type veth peer name lan1");
    host.ip("link set lan0 up");
    network(json!({"type": "macvlan", "master": "lan0"}));
    let pod = host.pod("pod");
    add(&pod, "id-of-pod");
    host.sh("rm -r /run/cni/attachments");
    for line in [&["link set eth0 alias ''"], change].concat() {
        pod.sh(&format!("ip {line}"));
    }
    gc();
    Some(reserved("net"))
}

#[test]
fn an_unmarked_pod_that_changed_its_mac_or_its_address_lives() {
    let mac = "link set eth0 address 02:00:00:00:00:99";
    let address = ["addr flush dev eth0", "addr add 10.16.0.200/16 dev eth0"];
    for change in [&[mac][..], &address] {
        let Some(reserved) = macvlan_then(change) else {
            return;
        };
        assert_eq!(reserved, ["10.16.0.2"], "{change:?}");
    }
    let both = [&[mac][..], &address].concat();
    assert_eq!(macvlan_then(&both).unwrap(), Vec::<String>::new());
}

#[test]
fn a_pod_lives_whatever_alias_or_address_it_gave_its_link() {
    if !probe::has_link_kind("macvlan") {
        return skip("the kernel has no macvlan links");
    }
    let Some(host) = host() else { return };
    host.ip("link add up0 type veth peer name up1");
    host.sh("ip link set up0 up; ip link set up1 up");
    network(json!({"type": "macvlan", "master": "up0"}));
    let pod = host.pod("one");
    add(&pod, "id-of-one");
    for done in [
        "link set eth0 alias cni:id-of-other",
        "link set eth0 alias ''",
        "link set eth0 address 02:00:00:00:00:99",
        "addr flush dev eth0",
    ] {
        pod.ip(done);
        gc();
        assert_eq!(reserved("net"), ["10.16.0.2"], "{done}");
    }
    pod.ip("link set eth0 alias cni:id-of-other");
    let del = ["del", "net", path(&pod), "--container-id", "id-of-one"];
    netloom(&del).run().succeeds_silently();
    assert_eq!(reserved("net"), Vec::<String>::new());
    assert!(!pod.ip("link").contains("eth0"));
}
