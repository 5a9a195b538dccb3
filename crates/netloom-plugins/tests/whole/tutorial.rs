//! What the tutorials on the web do by hand: a namespace, a file, exported variables, and the
//! plugin with its stdin from the file.

use netloom_testkit::{Host, PluginDir, Snapshot, probe, skip};
use serde_json::{Value, json};

use crate::PROGRAM;

/// The file of the tutorials that use `mybr0`, written as they write it.
const MYBR0: &str = r#"{
    "cniVersion": "VERSION",
    "name": "mynet",
    "type": "bridge",
    "bridge": "mybr0",
    "isGateway": true,
    "ipMasq": true,
    "ipam": {
        "type": "host-local",
        "subnet": "10.16.0.0/16",
        "routes": [ { "dst": "0.0.0.0/0" } ]
    }
}
"#;
/// The one of the tutorials that use `cni0`.
const CNI0: &str = r#"{
    "cniVersion": "VERSION",
    "name": "mynet",
    "type": "bridge",
    "bridge": "cni0",
    "isDefaultGateway": true,
    "forceAddress": false,
    "ipMasq": true,
    "hairpinMode": true,
    "ipam": {
        "type": "host-local",
        "subnet": "172.19.0.0/24"
    }
}
"#;
const VERSIONS: [&str; 5] = ["0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

struct Tutorial {
    file: &'static str,
    bridge: &'static str,
    address: &'static str,
    gateway: &'static str,
}

const TUTORIALS: [Tutorial; 2] = [
    Tutorial {
        file: MYBR0,
        bridge: "mybr0",
        address: "10.16.0.2/16",
        gateway: "10.16.0.1",
    },
    Tutorial {
        file: CNI0,
        bridge: "cni0",
        address: "172.19.0.2/24",
        gateway: "172.19.0.1",
    },
];

/// A shell with the tutorial's exports; the line runs in the directory of plugins.
fn shell(host: &Host, plugins: &PluginDir, command: &str, line: &str) -> String {
    let path = plugins.path().display();
    host.sh(&format!(
        "export CNI_COMMAND={command} CNI_CONTAINERID=cni-demo CNI_NETNS=/var/run/netns/demo
         export CNI_IFNAME=eth0 CNI_PATH={path}
         cd {path} && {line}"
    ))
}

fn follow(tutorial: &Tutorial, version: &str) -> Option<()> {
    let host = Host::new()?;
    let plugins = PluginDir::of(PROGRAM);
    host.sh("ip netns add demo && mkdir -p /etc/cni/net.d");
    let file = tutorial.file.replace("VERSION", version);
    std::fs::write("/etc/cni/net.d/10-mynet.conf", file).unwrap();
    let before = Snapshot::take(&host, &[]);
    let inside_before = host.sh("ip netns exec demo sh -c 'ip -o addr; ip route; ip -6 route'");

    let added = shell(
        &host,
        &plugins,
        "ADD",
        "./bridge < /etc/cni/net.d/10-mynet.conf",
    );
    let result: Value = serde_json::from_str(&added).unwrap();
    assert_result(tutorial, version, &result);
    let gateway = tutorial.gateway;
    host.sh(&format!("ip netns exec demo ping -n -c 1 -W 2 {gateway}"));
    let routes = host.sh("ip netns exec demo ip route");
    assert!(
        routes.contains(&format!("default via {gateway} dev eth0")),
        "{routes}"
    );
    let bridge = tutorial.bridge;
    assert!(host.ip(&format!("-o addr show {bridge}")).contains(gateway));

    let deleted = shell(
        &host,
        &plugins,
        "DEL",
        "./bridge < /etc/cni/net.d/10-mynet.conf",
    );
    assert_eq!(deleted, "", "DEL prints nothing");
    let inside = host.sh("ip netns exec demo sh -c 'ip -o addr; ip route; ip -6 route'");
    assert_eq!(inside, inside_before);
    let after = Snapshot::take(&host, &[]);
    after
        .without_shared(&[bridge])
        .assert_same_as(&before.without_shared(&[bridge]));
    host.sh("ip netns del demo");
    Some(())
}

/// The shape of the result is that of its version.
fn assert_result(tutorial: &Tutorial, version: &str, result: &Value) {
    let Tutorial {
        address, gateway, ..
    } = tutorial;
    assert_eq!(result["cniVersion"], version);
    let default = json!({"dst": "0.0.0.0/0", "gw": gateway});
    if version == "0.2.0" {
        assert_eq!(result["ip4"]["ip"], *address, "{result}");
        assert_eq!(result["ip4"]["gateway"], *gateway);
        assert_eq!(result["ip4"]["routes"][0]["dst"], "0.0.0.0/0");
        for absent in ["ip6", "ips", "interfaces", "routes"] {
            assert!(
                result.get(absent).is_none(),
                "{version} has no {absent}: {result}"
            );
        }
        return;
    }
    let ip = &result["ips"][0];
    assert_eq!(ip["address"], *address, "{result}");
    assert_eq!(ip["gateway"], *gateway);
    assert_eq!(ip["interface"], 2);
    let family = matches!(version, "0.3.1" | "0.4.0").then(|| json!("4"));
    assert_eq!(ip.get("version"), family.as_ref(), "{result}");
    let names: Vec<_> = result["interfaces"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[0]["name"], tutorial.bridge);
    assert_eq!(names[2]["name"], "eth0");
    assert_eq!(names[2]["sandbox"], "/var/run/netns/demo");
    let mtu = (version == "1.1.0").then(|| json!(1500));
    assert_eq!(names[2].get("mtu"), mtu.as_ref(), "{result}");
    let route = &result["routes"][0];
    assert_eq!(route["dst"], default["dst"]);
    if let Some(gw) = route.get("gw") {
        assert_eq!(*gw, default["gw"]);
    }
    assert!(result.get("ip4").is_none());
}

#[test]
fn bridge_by_hand_works_in_every_version_and_del_leaves_nothing() {
    if !probe::has_program("iptables-restore") && !probe::has_nft_family("inet") {
        return skip("nothing to masquerade with");
    }
    for tutorial in &TUTORIALS {
        for version in VERSIONS {
            if follow(tutorial, version).is_none() {
                return;
            }
        }
    }
}

#[test]
fn loopback_by_hand_brings_the_interface_up() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    host.sh("ip netns add demo");
    for version in VERSIONS {
        let line = format!(
            "echo '{{\"cniVersion\": \"{version}\", \"name\": \"lo\", \"type\": \"loopback\"}}' | CNI_IFNAME=lo ./loopback"
        );
        let added = shell(&host, &plugins, "ADD", &line);
        let result: Value = serde_json::from_str(&added).unwrap();
        assert_eq!(result["cniVersion"], version);
        assert!(added.contains("127.0.0.1/8"), "{added}");
        host.sh("ip netns exec demo ping -n -c 1 -W 2 127.0.0.1");
        assert_eq!(shell(&host, &plugins, "DEL", &line), "");
        assert!(host.sh("ip -n demo link show lo").contains("state DOWN"));
    }
    host.sh("ip netns del demo");
}
