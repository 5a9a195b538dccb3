//! Topologies: applied, applied again, changed, destroyed.

use netloom_testkit::{Host, Snapshot};

use crate::{File, fails, host, netloom, snapshot, succeeds};

const LAB: &str = r#"
name: lab
nodes: { r1: {}, r2: {}, r3: { attach: "ns:blue" } }
links:
  - endpoints: ["r1:eth1:10.0.0.1/31", "r2:eth1:10.0.0.0/31"]
    mtu: 9000
    impair: { rate: 100mbit }
  - endpoints: ["r2:eth2:10.0.1.1/24,fd00::1/64", "r3:eth1:10.0.1.2/24,fd00::2/64"]
  - endpoints:
      - { node: r1, interface: up0, ipv4: 192.0.2.2/24, routes: ["default@192.0.2.1"] }
      - "host:lab0:192.0.2.1/24"
"#;

/// All that a topology has made, with the indices that tell what was made anew; and the files.
fn objects(host: &Host, pods: &[netloom_testkit::Pod]) -> String {
    let mut said = host.sh("find /run/netloom -ls");
    for namespace in ["-n lab-r1", "-n lab-r2", "-n blue", ""] {
        // Whether a link has a carrier is told a moment later, and so is its link-local address.
        said += &host.sh(&format!(
            "ip {namespace} -o link | sed 's/ state [A-Z]*//'; ip {namespace} -o addr show scope global; \
             ip {namespace} route show proto 110; tc {namespace} qdisc"
        ));
    }
    assert_eq!(pods.len(), 1);
    said
}

#[test]
fn a_topology_is_applied_once_and_then_nothing_changes() {
    let Some((host, pods)) = host(["blue"]) else {
        return;
    };
    let before = snapshot(&host, &pods);
    let file = File::new(LAB);
    let plan = file.topo("plan");
    assert!(
        plan.contains("+ node r1: the namespace lab-r1") && plan.contains("0 of 3 links"),
        "{plan}"
    );
    snapshot(&host, &pods).assert_same_as(&before);
    file.refuses("check", "is not as");
    file.topo("apply");
    for line in [
        "ip netns exec lab-r1 ping -c1 -W2 10.0.0.0",
        "ip netns exec lab-r2 ping -c1 -W2 fd00::2",
        "ping -c1 -W2 192.0.2.2",
    ] {
        host.sh(line);
    }
    assert!(
        host.sh("ip netns exec lab-r1 tc qdisc show dev eth1")
            .contains("rate 100Mbit")
    );
    let made = objects(&host, &pods);
    assert!(file.topo("apply").contains("3 of 3 links as wanted"));
    assert_eq!(objects(&host, &pods), made);
    file.topo("check");
    assert!(file.topo("show").contains("ns:blue/eth1"));
    file.topo("destroy");
    snapshot(&host, &pods).assert_same_as(&before);
    file.topo("destroy");
}

#[test]
fn an_unchanged_file_changes_no_object_of_the_kernel() {
    let Some((_host, _pods)) = host(["blue"]) else {
        return;
    };
    let file = File::new(LAB);
    file.topo("apply");
    let line = format!("topo apply {}", file.path().display());
    let Some(trace) = netloom_testkit::Trace::of(&netloom(&line)) else {
        return;
    };
    for call in ["mount", "umount2", "unshare", "rename", "renameat2"] {
        assert_eq!(trace.count(call), 0, "{call}");
    }
    assert!(trace.sleeps().is_empty());
}

#[test]
fn a_changed_file_changes_what_differs_and_no_more() {
    let Some((host, pods)) = host(["blue"]) else {
        return;
    };
    let file = File::new(LAB);
    file.topo("apply");
    let index = |name: &str| host.sh(&format!("cat /sys/class/net/{name}/ifindex"));
    let lab0 = index("lab0");
    file.write(
        &LAB.replace("mtu: 9000", "mtu: 8000")
            .replace("r2:eth2", "r2:eth7")
            .replace("10.0.1.2", "10.0.1.3"),
    );
    let plan = file.topo("plan");
    for part in [
        "- eth2 in ns:lab-r2",
        "~ r1:eth1--r2:eth1",
        "mtu is 9000, not 8000",
        "1 of 3 links",
    ] {
        assert!(plan.contains(part), "{plan}");
    }
    assert!(file.topo("apply").contains("+ r2:eth7--r3:eth1"));
    file.topo("check");
    assert_eq!(index("lab0"), lab0);
    assert!(pods[0].ip("addr show eth1").contains("10.0.1.3/24"));
    // A node, and its namespace, that the file has no more.
    let without = LAB.split("  - endpoints: [\"r2:eth2").next().unwrap();
    file.write(&without.replace("r3: { attach: \"ns:blue\" }", "r4: {}"));
    file.topo("apply");
    assert!(!pods[0].ip("-o link").contains("eth1"));
    assert!(host.sh("ls /run/netns").contains("lab-r4"));
    file.topo("destroy");
    assert_eq!(host.sh("ls /run/netns").trim(), "blue");
}

#[test]
fn what_died_is_made_again_on_the_next_apply() {
    let Some((host, pods)) = host(["blue"]) else {
        return;
    };
    let before = snapshot(&host, &pods);
    let file = File::new(LAB);
    file.topo("apply");
    host.sh("ip netns del lab-r2");
    host.sh("ip link del lab0");
    file.topo("apply");
    file.topo("check");
    host.sh("ping -c1 -W2 192.0.2.2; ip netns exec lab-r1 ping -c1 -W2 10.0.0.0");
    let name = "topo destroy --name lab";
    succeeds(name);
    snapshot(&host, &pods).assert_same_as(&before);
}

#[test]
fn what_is_somebody_elses_is_refused_and_survives() {
    let Some((host, pods)) = host(["blue"]) else {
        return;
    };
    host.sh("ip link add lab0 type veth peer name other; ip netns add lab-r1");
    pods[0].ip("link add eth1 type veth peer name eth2");
    let before = snapshot(&host, &pods);
    let file = File::new(LAB);
    file.refuses("plan", "that is not of this link");
    file.refuses("apply", "that is not of this link");
    file.topo("destroy");
    snapshot(&host, &pods).assert_same_as(&before);
    // A namespace that was there is used, and stays.
    host.sh("ip link del lab0");
    pods[0].ip("link del eth1");
    let before = snapshot(&host, &pods);
    file.topo("apply");
    file.topo("destroy");
    assert!(host.sh("ls /run/netns").contains("lab-r1"));
    snapshot(&host, &pods).assert_same_as(&before);
}

#[test]
fn a_failure_half_way_leaves_nothing() {
    let Some((host, pods)) = host(["blue"]) else {
        return;
    };
    let before = snapshot(&host, &pods);
    // The broadcast address is no gateway, which the kernel says.
    let file = File::new(&LAB.replace("default@192.0.2.1", "default@192.0.2.255"));
    file.refuses("apply", "add route 0.0.0.0/0");
    snapshot(&host, &pods).assert_same_as(&before);
}

#[test]
fn five_hundred_links_are_made_once_and_then_seen() {
    let Some(host) = Host::new() else { return };
    let before = Snapshot::take(&host, &[]);
    let mut text = "name: big\nnodes:\n".to_owned();
    for n in 0..100 {
        text += &format!("  n{n}: {{}}\n");
    }
    text += "links:\n";
    for n in 0..100 {
        for k in 1..=5 {
            text += &format!(
                "  - endpoints: [\"n{n}:e{k}\", \"n{}:f{k}\"]\n",
                (n + k) % 100
            );
        }
    }
    let file = File::new(&text);
    assert!(file.topo("apply").contains("500 links"));
    assert!(file.topo("apply").contains("500 of 500 links as wanted"));
    file.topo("destroy");
    Snapshot::take(&host, &[]).assert_same_as(&before);
}

#[test]
fn a_topology_is_drawn_and_described() {
    let Some((_host, _pods)) = host(["blue"]) else {
        return;
    };
    let file = File::new(LAB);
    let path = file.path();
    let path = path.display();
    assert!(succeeds(&format!("topo graph {path}")).contains("---|\"eth1 · eth1\"|"));
    assert!(succeeds(&format!("topo graph --format dot {path}")).contains("\"r1\" -- \"r2\""));
    assert!(succeeds(&format!("topo graph --format svg {path}")).starts_with("<svg "));
    let schema: serde_json::Value = serde_json::from_str(&succeeds("topo schema")).unwrap();
    assert_eq!(schema["type"], "object");
    fails(
        &format!("topo export {path}"),
        "is no pod, and ratchet links only pods",
    );
    file.write(
        "name: lab\nnodes: { a: { attach: \"cri:default/a\" }, b: { attach: \"cri:default/b\" } }\n\
         links: [{ endpoints: [\"a:in1:10.0.0.1/24\", \"b:in2\"], mtu: 1400 }]\n",
    );
    let document: serde_json::Value =
        serde_json::from_str(&succeeds(&format!("topo export {path}"))).unwrap();
    let expected = serde_json::json!({
        "pod": "default/a", "if": "in1", "peer": "default/b", "peerIf": "in2",
        "addresses": ["10.0.0.1/24"], "mtu": 1400,
    });
    assert_eq!(document["links"][0], expected);
}
