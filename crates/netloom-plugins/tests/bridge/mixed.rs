//! One host, two implementations: Debian's Go plugins and ours.

use crate::support::Lab;
use netloom_testkit::{Plugin, Pod, probe, skip};
use serde_json::{Value, json};

/// Versions that both speak and that have CHECK.
const VERSIONS: [&str; 2] = ["0.4.0", "1.0.0"];

struct Both {
    lab: Lab,
    go: Plugin,
}

fn both() -> Option<Both> {
    let lab = Lab::new()?;
    let go = Plugin::debian("bridge")?;
    if !probe::has_iptables() {
        skip("no iptables on this machine");
        return None;
    }
    Some(Both { lab, go })
}

fn conf(lab: &Lab, version: &str) -> Value {
    let ipam = json!({
        "type": "host-local", "dataDir": "/run/pools",
        "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
    });
    lab.conf(json!({
        "cniVersion": version, "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
        "macspoofchk": true, "ipam": ipam,
    }))
}

/// Everything that an attachment leaves on the host; links apart from the shared bridge.
fn state(lab: &Lab, pod: &Pod) -> String {
    let rules = lab
        .host
        .sh("nft list ruleset; iptables-save; ip6tables-save");
    let traces = rules
        .lines()
        .filter(|l| l.contains("id-of-") || l.contains("CNI-"))
        .collect::<Vec<_>>();
    let links = lab.host.sh("ip -o link | grep -c veth || true");
    let pools = lab
        .host
        .sh("find /run/pools -type f -name '[0-9f]*' 2>/dev/null || true");
    format!(
        "{traces:#?}\n{links}{pools}{}",
        pod.sh("ip -o link | grep eth0 || true")
    )
}

/// ADD by one, CHECK and DEL by the other: nothing is left.
fn hand_over(lab: &Lab, version: &str, first: &Plugin, second: &Plugin) {
    let pod = lab.host.pod("one");
    let conf = conf(lab, version);
    let before = state(lab, &pod);
    let result = first.add(&conf, &pod).succeeds();
    assert_ne!(state(lab, &pod), before);
    second.check(&conf, &result, &pod).succeeds_silently();
    second.del_with(&conf, &result, &pod).succeeds_silently();
    assert_eq!(state(lab, &pod), before, "version {version}");
}

#[test]
fn what_go_added_we_check_and_delete() {
    for version in VERSIONS {
        let Some(Both { lab, go }) = both() else {
            return;
        };
        hand_over(&lab, version, &go, &lab.bridge);
    }
}

#[test]
fn what_we_added_go_checks_and_deletes() {
    for version in VERSIONS {
        let Some(Both { lab, go }) = both() else {
            return;
        };
        hand_over(&lab, version, &lab.bridge, &go);
    }
}

#[test]
fn a_bridge_that_go_made_serves_our_pods_and_the_reverse() {
    let Some(Both { lab, go }) = both() else {
        return;
    };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let conf = conf(&lab, "1.0.0");
    let first = go.add(&conf, &one).succeeds();
    let second = lab.bridge.add(&conf, &two).succeeds();
    assert_eq!(
        first["interfaces"][0]["mac"],
        second["interfaces"][0]["mac"]
    );
    let address: ipnet::IpNet = second["ips"][0]["address"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(one.pings(address.addr()));
    go.check(&conf, &first, &one).succeeds_silently();
    lab.bridge.check(&conf, &second, &two).succeeds_silently();
}

#[test]
fn results_are_equal_apart_from_random_names() {
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"] {
        let Some(Both { lab, go }) = both() else {
            return;
        };
        let pod = lab.host.pod("one");
        let conf = conf(&lab, version);
        let results = [&go, &lab.bridge].map(|plugin| {
            let mut result = plugin.add(&conf, &pod).succeeds();
            plugin.del_with(&conf, &result, &pod).succeeds_silently();
            lab.host.sh("rm -r /run/pools; ip link del br0");
            if result["dns"] == json!({}) {
                // Debian's release prints an empty `dns` where newer ones print none.
                result.as_object_mut().unwrap().remove("dns");
            }
            for interface in result["interfaces"].as_array_mut().into_iter().flatten() {
                let keys = interface.as_object_mut().unwrap();
                assert!(keys.remove("mac").is_some());
                keys.remove("mtu");
                if keys["name"].as_str().unwrap().starts_with("veth") {
                    keys["name"] = json!("veth");
                }
            }
            result
        });
        assert_eq!(results[0], results[1], "version {version}");
    }
}
