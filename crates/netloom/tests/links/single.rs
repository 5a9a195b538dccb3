//! One link at a time.

use crate::{fails, host, netloom, snapshot, succeeds};

#[test]
fn two_namespaces_are_joined_seen_changed_and_parted() {
    let Some((host, pods)) = host(["blue", "red"]) else {
        return;
    };
    let before = snapshot(&host, &pods);
    let add = "link add ns:blue/in1,192.168.2.100/24 ns:red/in2,192.168.2.101/24,fd00::1/64";
    assert!(succeeds(add).starts_with("made "));
    assert!(pods[0].pings([192, 168, 2, 101]));
    assert!(succeeds(add).contains("as asked already"));
    succeeds("link check ns:blue/in1,192.168.2.100/24 ns:red/in2,192.168.2.101/24,fd00::1/64");
    fails(
        "link check ns:blue/in1,192.168.2.9/24 ns:red/in2,192.168.2.101/24,fd00::1/64",
        "192.168.2.9/24 is missing",
    );
    let listed = succeeds("link ls");
    for part in ["ns:blue/in1", "ns:red/in2", "192.168.2.101/24 fd00::1/64"] {
        assert!(listed.contains(part), "{listed}");
    }
    let shown = netloom("link show ns:red/in2 --json").run().json();
    assert_eq!(shown["kind"], "veth");
    assert_eq!(shown["mtu"], 1500);
    succeeds("link set ns:blue/in1 --rate 10mbit --mtu 1400");
    let shown = netloom("link show ns:blue/in1 --json").run().json();
    assert_eq!(
        (&shown["mtu"], &shown["impairment"]),
        (&1400.into(), &"rate 10mbit".into())
    );
    succeeds("link set ns:blue/in1 --reset");
    assert_eq!(
        netloom("link show ns:blue/in1 --json").run().json()["impairment"],
        ""
    );
    assert!(succeeds("link del ns:red/in2").contains("removed"));
    succeeds("link del ns:red/in2 ns:gone/x");
    snapshot(&host, &pods).assert_same_as(&before);
}

#[test]
fn every_way_out_of_a_namespace_is_a_link_of_the_host() {
    let Some((host, pods)) = host(["blue", "red"]) else {
        return;
    };
    host.sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up");
    host.sh("ip addr add 203.0.113.1/24 dev up0; ip link add br0 address 02:00:00:00:00:b0 type bridge; ip link set br0 up");
    let before = snapshot(&host, &pods);
    succeeds("link add ns:blue/h0,10.1.0.2/24 host/lab0,10.1.0.1/24");
    assert!(pods[0].pings([10, 1, 0, 1]));
    succeeds("link add ns:blue/b0,10.2.0.1/24 bridge:br0/p1");
    succeeds("link add bridge:br0/p2 ns:red/b0,10.2.0.2/24");
    assert!(pods[0].pings([10, 2, 0, 2]));
    succeeds("link add ns:blue/m0 macvlan:up0");
    succeeds("link add ns:blue/v0 vxlan:203.0.113.9,vni=7");
    assert!(succeeds("link ls").contains("vxlan 7 to 203.0.113.9 port 4789"));
    let ends = "ns:blue/h0 host/p1 host/p2 ns:blue/m0 ns:blue/v0";
    succeeds(&format!("link del {ends}"));
    snapshot(&host, &pods).assert_same_as(&before);
}

#[test]
fn a_namespace_is_named_in_many_ways_and_is_one() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    let path = pods[0].path().display().to_string();
    succeeds(&format!("link add path:{path}/in1 ns:red/in1"));
    let mut sleeper = pods[1].run(|| {
        std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    });
    let pid = sleeper.id();
    succeeds(&format!("link add pid:{pid}/in2 ns:blue/in2,10.0.0.1/24"));
    assert!(pods[1].ip("link show in2").contains("state UP"));
    succeeds(&format!("link del pid:{pid}/in2"));
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    // D11: the number of a process that ended is nobody's.
    fails(
        &format!("link add pid:{pid}/in3 ns:blue/in3"),
        "does not exist",
    );
    fails("link add ns:blue/in1 ns:red/other", "not of this link");
}

#[test]
fn what_is_not_ours_is_neither_changed_nor_removed() {
    let Some((host, pods)) = host(["blue", "red"]) else {
        return;
    };
    pods[0].ip("link add mine type veth peer name other");
    let before = snapshot(&host, &pods);
    for line in [
        "link add ns:blue/mine ns:red/in1",
        "link add ns:red/in1 ns:blue/mine",
        "link del ns:blue/mine",
    ] {
        fails(line, "has an interface \"mine\" that is not of");
    }
    fails("link set ns:blue/mine --mtu 1400", "is no link of netloom");
    fails("link del ns:blue/lo", "that is not of");
    snapshot(&host, &pods).assert_same_as(&before);
}

#[test]
fn a_container_of_an_attachment_is_found_by_its_id() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    std::fs::create_dir_all("/etc/cni/net.d").unwrap();
    std::fs::write(
        "/etc/cni/net.d/net.conf",
        r#"{ "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "br0",
             "ipam": { "type": "host-local", "subnet": "10.88.0.0/24" } }"#,
    )
    .unwrap();
    netloom_testkit::link_plugins(crate::NETLOOM, "/run/plugins");
    let path = pods[0].path().display();
    let add =
        netloom(&format!("add net {path} --container-id abc123")).env("CNI_PATH", "/run/plugins");
    assert!(add.run().is_success());
    succeeds("link add cni:abc123/in1,10.0.0.1/24 ns:red/in2,10.0.0.2/24");
    assert!(pods[0].pings([10, 0, 0, 2]));
    fails(
        "link add cni:abc124/in3 ns:red/in3",
        "no attachment has this container id",
    );
}
