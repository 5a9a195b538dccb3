//! Pods of different hosts: each host makes its own end of a vxlan, as the topology tells.

use crate::lab::{files, interfaces, lab, with};
use netloom_testkit::{Host, Pod};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// An underlay: this host is `hostA`, and another is on the wire.
pub(crate) fn uplink(host: &Host) {
    host.sh(
        "ip link add up0 type veth peer name wire0; ip addr add 192.0.2.1/24 dev up0; \
         ip link set up0 up; ip link set wire0 up",
    );
}

fn topology(pod: &str) -> Value {
    json!({
        "hosts": {"hostA": {"underlay": "192.0.2.1"}, "hostB": {"underlay": "192.0.2.2"}},
        "links": [{
            "pod": format!("default/{pod}"), "if": "in1", "host": "hostA",
            "addresses": ["192.168.2.100/24"],
            "peer": "default/far", "peerIf": "in2", "peerHost": "hostB",
            "peerAddresses": ["192.168.2.101/24"]
        }]
    })
}

pub(crate) fn conf(pod: &str) -> Value {
    let mut keys = topology(pod);
    keys["host"] = json!("hostA");
    with(keys)
}

/// The number of a vxlan.
pub(crate) fn number(pod: &Pod, link: &str) -> String {
    let shown = pod.ip(&format!("-d link show {link}"));
    let (_, after) = shown.split_once("vxlan id ").unwrap();
    after.split(' ').next().unwrap().to_owned()
}

/// The hardware address of a link.
fn address(pod: &Pod, link: &str) -> String {
    let shown = pod.ip(&format!("-o link show {link}"));
    let (_, after) = shown.split_once("link/ether ").unwrap();
    after.split(' ').next().unwrap().to_owned()
}

#[test]
fn each_host_makes_its_end_and_the_ends_find_each_other() {
    let Some(lab) = lab() else { return };
    let before = lab.snapshot(&[]);
    // The other host, with its own file store.
    let (near, far) = (lab.host.pod("near"), lab.host.pod("far"));
    let b = lab.host.pod("hostB");
    uplink(&lab.host);
    lab.host.ip("link set wire0 netns hostB name up0");
    b.sh("ip addr add 192.0.2.2/24 dev up0; ip link set up0 up; ip link set lo up");
    let of_a = conf("near");
    let mut of_b = topology("near");
    of_b["host"] = json!("hostB");
    of_b["store"] = json!("file:/var/lib/cni/hostB");
    let of_b = with(of_b);

    let result = lab.add(&near, &of_a);
    assert_eq!(interfaces(&result), ["in1"], "{result}");
    let on_b = |command| {
        let call = lab.call(command, &far, &of_b);
        b.run(|| call.run())
    };
    let result = on_b("ADD").succeeds();
    assert_eq!(interfaces(&result), ["in2"], "{result}");
    assert_eq!(number(&near, "in1"), number(&far, "in2"));
    assert_ne!(address(&near, "in1"), address(&far, "in2"));
    assert!(near.pings([192, 168, 2, 101]));
    // A full packet that may not be cut to pieces.
    near.sh("ip link show in1 | grep -q 'mtu 1450'");
    near.sh("ping -c 1 -W 2 -M do -s 1422 192.168.2.101");
    // The underlay goes and comes again: the ends have stayed.
    lab.host.ip("link del up0");
    uplink(&lab.host);
    lab.host.ip("link set wire0 netns hostB name up0");
    b.sh("ip addr add 192.0.2.2/24 dev up0; ip link set up0 up");
    assert!(near.pings([192, 168, 2, 101]));
    // A new container of the pod gets the link, while the old one lives.
    let second = lab.host.pod("second");
    lab.call_as("ADD", &second, "near", &of_a).run().succeeds();
    assert!(second.pings([192, 168, 2, 101]));
    assert!(!near.ip("link").contains("in1"));
    // Or when it has just died: at the latest when the kernel is done with that.
    second.remove();
    let third = lab.host.pod("third");
    let call = |command| lab.call_as(command, &third, "near", &of_a).run();
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let outcome = call("ADD");
        if outcome.is_success() {
            break;
        }
        outcome.fails_with(11).names(&["VNI", "try again"]);
        assert!(Instant::now() < end, "{outcome}");
    }
    assert!(third.pings([192, 168, 2, 101]));
    call("CHECK").succeeds_silently();
    let mut made = of_b.clone();
    made["prevResult"] = result;
    let check = lab.call("CHECK", &far, &made);
    b.run(|| check.run()).succeeds_silently();
    call("DEL").succeeds_silently();
    for late in [&near, &second] {
        lab.call_as("DEL", late, "near", &of_a)
            .run()
            .succeeds_silently();
    }
    on_b("DEL").succeeds_silently();
    assert!(!third.ip("link").contains("in1"));
    assert_eq!(files(), [""; 0]);
    lab.host.ip("link del up0");
    drop((near, second, third, far, b));
    lab.assert_same(&before, &[]);
}

#[test]
fn topologies_are_read_from_a_directory_and_a_bad_one_is_named() {
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    fs::create_dir_all("/etc/cni/topologies").unwrap();
    let file = "/etc/cni/topologies/lab.json";
    let text = json!({"links": [{"pod": "default/one", "if": "up1", "peer": "default/two",
        "peerIf": "up2", "addresses": ["10.0.0.1/31"], "peerAddresses": ["10.0.0.0/31"]}]});
    fs::write(file, text.to_string()).unwrap();
    fs::write("/etc/cni/topologies/README", "not one").unwrap();
    let conf = with(json!({"source": ["file:/etc/cni/topologies"]}));
    lab.add(&one, &conf);
    lab.add(&two, &conf);
    assert!(one.pings([10, 0, 0, 0]));
    // Whoever is named nowhere is linked to nobody.
    let other = lab.host.pod("other");
    lab.add(&other, &conf);
    assert_eq!(files().iter().filter(|name| name.contains(':')).count(), 2);
    lab.del(&one, &conf);
    lab.del(&two, &conf);
    for bad in [
        "{",
        "[]",
        "{\"links\": [{\"if\": 7}]}",
        "{\"links\": [{\"if\": \"a\"}]}",
    ] {
        fs::write(file, bad).unwrap();
        let error = lab.call("ADD", &one, &conf).run().fails();
        error.names(&[file]);
    }
}

#[test]
fn a_pod_cannot_say_where_pods_are() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let mut links = topology("one")["links"].clone();
    links[0].as_object_mut().unwrap().remove("pod");
    for keys in [
        json!({"runtimeConfig": {"links": links}}),
        json!({"args": {"cni": {"links": links}}}),
        json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations":
            {"netloom.dev/links": links.to_string()}}}),
    ] {
        let mut conf = with(keys);
        conf["hosts"] = topology("one")["hosts"].clone();
        let error = lab.call("ADD", &pod, &conf).run().fails_with(7);
        error.names(&["host", "hostA"]);
    }
}
