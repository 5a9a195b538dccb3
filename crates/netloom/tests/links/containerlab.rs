//! Files in the shapes of containerlab's examples: they apply as they are.

use netloom_testkit::Host;

use crate::File;

/// Each with what is to be there, as `NAMESPACE INTERFACE` (`-` is the host).
const FILES: [(&str, &[&str]); 10] = [
    (
        // Two plain nodes, one cable.
        r#"
name: pair
topology:
  nodes:
    a: { kind: linux, image: "alpine:3" }
    b: { kind: linux, image: "alpine:3" }
  links:
    - endpoints: ["a:eth1", "b:eth1"]
"#,
        &["pair-a eth1", "pair-b eth1"],
    ),
    (
        // Kinds with images, nodes that only name their kind; commands.
        r#"
name: kinds
prefix: ""
topology:
  kinds:
    linux:
      image: frrouting/frr:v8
  nodes:
    r1:
      kind: linux
      binds: [ "daemons:/etc/frr/daemons" ]
      exec: [ "ip addr add 10.0.0.1/24 dev eth1" ]
    r2: { kind: linux }
    r3: { kind: linux }
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
    - endpoints: ["r2:eth2", "r3:eth1"]
    - endpoints: ["r3:eth2", "r1:eth2"]
"#,
        &["kinds-r1 eth2", "kinds-r2 eth2", "kinds-r3 eth1"],
    ),
    (
        // Defaults, management network, labels.
        r#"
name: defaults
mgmt: { network: custom, ipv4-subnet: 172.100.100.0/24 }
topology:
  defaults: { kind: linux }
  nodes:
    client1: { mgmt-ipv4: 172.100.100.11, labels: { role: client } }
    client2: {}
  links:
    - endpoints: [ "client1:eth1", "client2:eth1" ]
      labels: { speed: slow }
      mtu: 1400
"#,
        &["defaults-client1 eth1 mtu 1400"],
    ),
    (
        // Groups.
        r#"
name: groups
topology:
  groups:
    leaves: { kind: linux }
  nodes:
    leaf1: { group: leaves }
    leaf2: { group: leaves }
    spine: { kind: linux, group: none }
  links:
    - endpoints: ["leaf1:eth1", "spine:eth1"]
    - endpoints: ["leaf2:eth1", "spine:eth2"]
"#,
        &["groups-spine eth2 mtu 9500", "groups-leaf2 eth1"],
    ),
    (
        // A link to the host.
        r#"
name: tohost
topology:
  nodes:
    r1: { kind: linux }
  links:
    - endpoints: ["r1:eth1", "host:r1_eth1"]
"#,
        &["tohost-r1 eth1", "- r1_eth1"],
    ),
    (
        // A bridge of the host as a node.
        r#"
name: bridged
topology:
  nodes:
    br-lab: { kind: bridge }
    a: { kind: linux }
    b: { kind: linux }
  links:
    - endpoints: ["a:eth1", "br-lab:eth1"]
    - endpoints: ["b:eth1", "br-lab:eth2"]
"#,
        &["- eth1 master br-lab", "- eth2 master br-lab"],
    ),
    (
        // A macvlan, in brief.
        r#"
name: mac
topology:
  nodes:
    l1: { kind: linux }
  links:
    - endpoints: ["l1:eth1", "macvlan:under"]
"#,
        &["mac-l1 eth1 macvlan mode bridge"],
    ),
    (
        // The extended form, with addresses.
        r#"
name: extended
topology:
  nodes:
    a: { kind: linux }
    b: { kind: linux }
  links:
    - type: veth
      endpoints:
        - { node: a, interface: eth1, mac: "02:17:2b:00:00:01", ipv4: 192.168.0.1/24, ipv6: "2001:db8::1/64" }
        - node: b
          interface: eth1
          ipv4: 192.168.0.2/24
      mtu: 1500
    - type: host
      endpoint: { node: a, interface: eth2 }
      host-interface: a_eth2
    - type: macvlan
      endpoint: { node: b, interface: eth2 }
      host-interface: under
      mode: private
"#,
        &[
            "extended-a eth1 02:17:2b:00:00:01",
            "- a_eth2",
            "extended-b eth2 mode private",
        ],
    ),
    (
        // A tunnel, stitched and not.
        r#"
name: tunnels
topology:
  nodes:
    l1: { kind: linux }
  links:
    - type: vxlan
      endpoint: { node: l1, interface: eth1 }
      remote: 192.0.2.18
      vni: 123
      dst-port: 5555
    - type: vxlan-stitch
      endpoint: { node: l1, interface: eth2 }
      remote: 192.0.2.18
      vni: 124
"#,
        &[
            "tunnels-l1 eth1 vxlan id 123",
            "tunnels-l1 eth2 dstport 14789",
        ],
    ),
    (
        // Anchors, and the host as a node.
        r#"
name: anchors
topology:
  nodes:
    a: &node
      kind: linux
      cmd: sleep infinity
    b: *node
    h: { kind: host }
  links:
    - endpoints: ["a:eth1", "b:eth1"]
      vars: { x: 1 }
    - endpoints: ["b:eth2", "h:b_eth2"]
"#,
        &["anchors-a eth1", "- b_eth2"],
    ),
];

#[test]
fn ten_files_in_the_shapes_of_its_examples_apply_as_they_are() {
    let Some(host) = Host::new() else { return };
    host.sh(
        "ip link add under type veth peer name other; ip link set under up; ip link set other up",
    );
    host.sh(
        "ip addr add 192.0.2.1/24 dev under; ip link add br-lab address 02:00:00:00:00:b0 type bridge; ip link set br-lab up",
    );
    let before = netloom_testkit::Snapshot::take(&host, &[]);
    for (text, expected) in FILES {
        let file = File::new(text);
        file.topo("apply");
        for line in expected {
            let (place, rest) = line.split_once(' ').unwrap();
            let (name, words) = rest.split_once(' ').unwrap_or((rest, ""));
            let namespace = if place == "-" {
                String::new()
            } else {
                format!("-n {place}")
            };
            let shown = host.ip(&format!("{namespace} -d link show {name}"));
            assert!(shown.contains(words), "{line}: {shown}");
        }
        file.topo("check");
        file.topo("destroy");
        netloom_testkit::Snapshot::take(&host, &[]).assert_same_as(&before);
    }
}
