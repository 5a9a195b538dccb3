//! Wrong files: the line, the column, and what would be right.

use netloom_testkit::{Host, Snapshot};

use crate::File;

const NODES: &str = "name: lab\nnodes: { r1: {}, r2: {} }\n";

#[test]
fn what_is_wrong_with_a_file_is_told_by_line_and_column() {
    let Some(host) = Host::new() else { return };
    let before = Snapshot::take(&host, &[]);
    let cases = [
        ("nodes: {}\n", ":1:1: a topology file lacks \"name\""),
        ("name: a/b\n", ":1:7: name \"a/b\" is none of a topology"),
        ("name: lab\nname: two\n", ":2:"),
        ("name: [lab\n", ":"),
        (
            "name: lab\nnode: {}\n",
            ":2:1: a topology file has no \"node\"",
        ),
        ("name: lab\nnodes: []\n", ":2:8: nodes is a list, not a map"),
        ("name: lab\nlinks: {}\n", ":2:8: links is a map, not a list"),
        (
            "name: lab\nnodes:\n  a b: {}\n",
            ":3:3: \"a b\" is no name of a node",
        ),
        (
            "name: lab\nnodes:\n  host: {}\n",
            ":3:3: \"host\" is where the command runs",
        ),
        (
            "name: lab\nnodes:\n  r1: { image: x }\n",
            ":3:9: node \"r1\" has no \"image\"",
        ),
        (
            "name: lab\nnodes:\n  r1: { attach: vm:x }\n",
            ":3:17: attach: there are no places \"vm:\"",
        ),
        (
            "name: lab\nnodes:\n  r1: { attach: \"ns:nowhere\" }\n  r2: {}\n\
             links: [{ endpoints: [\"r1:e\", \"r2:e\"] }]\n",
            ":3:17: node \"r1\": ns:nowhere: there is none",
        ),
        (
            "name: lab\nnodes:\n  r1: { host: a }\n",
            ":3:15: there is no host \"a\" in hosts",
        ),
        (
            "name: lab\nhosts: { a: {} }\n",
            ":2:13: host \"a\" lacks \"underlay\"",
        ),
        (
            "name: lab\nhosts: { a: { underlay: x } }\n",
            ":2:25: underlay \"x\" is no IP address",
        ),
    ];
    for (text, words) in cases {
        File::new(text).refuses("apply", words);
    }
    let links = [
        ("{}", "3:9: a link lacks \"endpoints\""),
        (
            "{ endpoints: [\"r1:eth1\"] }",
            "a link has two endpoints, not 1",
        ),
        (
            "{ endpoints: [\"r1\", \"r2:eth1\"] }",
            "3:23: endpoint \"r1\" is not NODE:INTERFACE",
        ),
        (
            "{ endpoints: [\"r9:eth1\", \"r2:eth1\"] }",
            "3:23: there is no node \"r9\"; nodes has r1, r2",
        ),
        (
            "{ endpoints: [\"r1:eth1:10.0.0.1\", \"r2:eth1\"] }",
            "3:23: address \"10.0.0.1\" is no address with a prefix",
        ),
        (
            "{ endpoints: [\"r1:a/b\", \"r2:eth1\"] }",
            "interface \"a/b\" of r1: this is no name",
        ),
        (
            "{ endpoints: [\"r1:eth1\", \"r1:eth1\"] }",
            "wanted by the link",
        ),
        (
            "{ endpoints: [\"r1:e\", \"r2:e\"], mtu: big }",
            "mtu \"big\" is no number from 68 to 65535",
        ),
        (
            "{ endpoints: [\"r1:e\", \"r2:e\"], mut: 1 }",
            "a link has no \"mut\"",
        ),
        (
            "{ endpoints: [\"r1:e\", \"r2:e\"], impair: { delay: 20 } }",
            "delay \"20\" is no time",
        ),
        (
            "{ endpoints: [\"r1:e\", \"r2:e\"], impair: { lag: 20ms } }",
            "there is no impairment \"lag\"",
        ),
        (
            "{ endpoints: [\"r1:e\", \"r2:e\"], impair: { loss: 101% } }",
            "loss \"101%\" is no part",
        ),
        (
            "{ endpoints: [\"r1:e\", { node: r2 }] }",
            "an endpoint lacks \"interface\"",
        ),
        (
            "{ endpoints: [\"r1:e\", { node: r2, interface: e, mac: x }] }",
            "mac \"x\" is no hardware address",
        ),
        (
            "{ endpoints: [\"r1:e\", { node: r2, interface: e, ipv4: 'fd00::1/64' }] }",
            "of the other version of IP",
        ),
        (
            "{ endpoints: [\"r1:e\", { node: r2, interface: e, mac: '01:00:00:00:00:01' }] }",
            "first byte must be even",
        ),
        (
            "{ type: gre, endpoint: { node: r1, interface: e } }",
            "type \"gre\" is none of a link",
        ),
        (
            "{ type: vxlan, endpoint: { node: r1, interface: e }, remote: 192.0.2.1 }",
            "lacks \"vni\"",
        ),
        (
            "{ type: vxlan, endpoint: { node: r1, interface: e }, remote: x, vni: 7 }",
            "remote \"x\" is no IP address",
        ),
        (
            "{ type: vxlan, endpoint: { node: r1, interface: e }, remote: 192.0.2.1, vni: 0 }",
            "vni \"0\" is no number from 1",
        ),
        (
            "{ type: macvlan, endpoint: { node: r1, interface: e }, host-interface: up0, mode: fast }",
            "mode \"fast\" is none",
        ),
        (
            "{ type: host, endpoint: { node: r1, interface: e } }",
            "a link lacks \"host-interface\"",
        ),
        (
            "{ endpoints: [\"r1:e\", \"mgmt-net:x\"] }",
            "mgmt-net is containerlab's own network",
        ),
        (
            "{ endpoints: [{ node: r1, interface: e, routes: [default@10.9.9.9] }, \"r2:e\"] }",
            "no address of this end has 10.9.9.9 in its network",
        ),
        (
            "{ endpoints: [\"r1:e\", \"r2:e\"], host: { r1: a } }",
            "there is no host \"a\"",
        ),
    ];
    for (link, words) in links {
        File::new(&format!("{NODES}links: [{link}]\n")).refuses("apply", words);
    }
    let twice = "links:\n  - { name: x, endpoints: [\"r1:a\", \"r2:a\"] }\n  - { name: x, endpoints: [\"r1:b\", \"r2:b\"] }\n";
    File::new(&format!("{NODES}{twice}")).refuses("apply", ":5:5: link \"x\" is there twice");
    Snapshot::take(&host, &[]).assert_same_as(&before);
}
