//! The ptp plugin on the real kernel, each test on a throw-away host of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

use std::fs;
use std::path::Path;

use netloom_testkit::{Host, Plugin, PluginDir, Pod, Scene, Snapshot, Uplink, assert_no_residue};
use serde_json::{Value, json};

struct Lab {
    ptp: Plugin,
    host: Host,
    _plugins: PluginDir,
}

fn lab() -> Option<Lab> {
    let host = Host::new()?;
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    Some(Lab {
        ptp: Plugin::ours(&plugins, "ptp"),
        host,
        _plugins: plugins,
    })
}

/// Dual stack from host-local, masqueraded by nf_tables.
fn conf(version: &str) -> Value {
    json!({
        "cniVersion": version, "name": "net", "type": "ptp", "mtu": 1400,
        "ipMasq": true, "ipMasqBackend": "nftables",
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
        }
    })
}

/// With fixed addresses, and nothing to masquerade.
fn fixed(addresses: Value) -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "ptp",
        "ipam": {"type": "static", "addresses": addresses, "dns": {"nameservers": ["10.9.9.9"]}}
    })
}

fn reserved() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/var/lib/cni/networks/net") else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock" && !name.starts_with("last_reserved_ip."))
        .collect()
}

fn host_end(result: &Value) -> &str {
    result["interfaces"][0]["name"].as_str().unwrap()
}

#[test]
fn a_pod_reaches_its_gateway_and_the_outside_and_another_pod_in_every_version() {
    for version in [
        "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
    ] {
        let Some(lab) = lab() else { return };
        let outside = lab.host.uplink();
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        let before = Snapshot::take(&lab.host, &[&one, &two]);
        let result = lab.ptp.add(&conf(version), &one).succeeds();
        lab.ptp.add(&conf(version), &two).succeeds();
        assert_eq!(result["cniVersion"], version);
        for target in ["10.1.0.1", "fd00:1::1", "10.1.0.3", "fd00:1::3"] {
            let target: std::net::IpAddr = target.parse().unwrap();
            assert!(one.pings(target), "{version}: {target}");
        }
        masquerades(&one, &outside);
        if version >= "0.4" {
            lab.ptp
                .check(&conf(version), &result, &one)
                .succeeds_silently();
        }
        for pod in [&one, &two] {
            lab.ptp.del(&conf(version), pod).succeeds_silently();
            lab.ptp.del(&conf(version), pod).succeeds_silently();
        }
        let after = Snapshot::take(&lab.host, &[&one, &two]);
        assert_same(&before, &after);
    }
}

fn masquerades(pod: &Pod, uplink: &Uplink) {
    for (server, host) in Uplink::SERVER.iter().zip(Uplink::HOST) {
        let seen = pod.source_seen_by(&uplink.outside, *server);
        assert_eq!(seen, Ok(host), "the outside sees the host");
    }
}

#[track_caller]
fn assert_same(before: &Snapshot, after: &Snapshot) {
    after
        .without_shared(&[])
        .assert_same_as(&before.without_shared(&[]));
}

#[test]
fn the_result_lists_host_end_and_container_and_the_addresses_belong_to_the_container() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    for (version, mtu) in [("1.0.0", Value::Null), ("1.1.0", json!(1400))] {
        let result = lab.ptp.add(&conf(version), &pod).succeeds();
        let interfaces = result["interfaces"].as_array().unwrap();
        assert_eq!(interfaces.len(), 2);
        assert!(host_end(&result).starts_with("veth"));
        assert_eq!(interfaces[1]["name"], "eth0");
        assert_eq!(interfaces[1]["sandbox"], "/run/netns/one");
        assert_eq!(interfaces[1]["mtu"], mtu);
        for ip in result["ips"].as_array().unwrap() {
            assert_eq!(ip["interface"], 1);
        }
        lab.ptp.del(&conf(version), &pod).succeeds_silently();
    }
}

#[test]
fn only_the_gateway_is_on_the_link() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let result = lab.ptp.add(&conf("1.1.0"), &pod).succeeds();
    let routes = pod.ip("route");
    assert!(
        routes.contains("10.1.0.1 dev eth0 scope link src 10.1.0.2"),
        "{routes}"
    );
    assert!(
        routes.contains("10.1.0.0/24 via 10.1.0.1 dev eth0 src 10.1.0.2"),
        "{routes}"
    );
    assert!(routes.contains("default via 10.1.0.1 dev eth0"), "{routes}");
    let address = lab
        .host
        .ip(&format!("-o address show dev {}", host_end(&result)));
    assert!(
        address.contains("10.1.0.1/32") && address.contains("fd00:1::1/128"),
        "{address}"
    );
    let accept = format!("/proc/sys/net/ipv6/conf/{}/accept_ra", host_end(&result));
    let accept = lab.host.sh(&format!("cat {accept}"));
    assert_eq!(accept.trim(), "0", "CVE-2020-10749");
}

#[test]
fn a_next_hop_in_the_pods_subnet_is_taken_beside_the_gateway() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let mut conf = fixed(json!([{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}]));
    conf["ipam"]["routes"] = json!([
        {"dst": "10.20.0.0/16", "gw": "10.1.0.7"},
        {"dst": "10.30.0.0/16", "gw": "10.1.0.1"},
        {"dst": "10.30.0.0/16", "gw": "10.1.0.7"},
    ]);
    let result = lab.ptp.add(&conf, &pod).succeeds();
    let routes = pod.ip("route");
    for route in [
        "10.20.0.0/16 via 10.1.0.7 dev eth0",
        "10.30.0.0/16 via 10.1.0.1 dev eth0",
        "10.30.0.0/16 via 10.1.0.7 dev eth0",
    ] {
        assert!(routes.contains(route), "{route}: {routes}");
    }
    lab.ptp.check(&conf, &result, &pod).succeeds_silently();
    lab.ptp.del(&conf, &pod).succeeds_silently();
}

#[test]
fn own_dns_replaces_that_of_the_ipam_plugin_which_is_kept_otherwise() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let mut conf = fixed(json!([{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]));
    let kept = lab.ptp.add(&conf, &pod).succeeds();
    assert_eq!(kept["dns"]["nameservers"], json!(["10.9.9.9"]));
    lab.ptp.del(&conf, &pod).succeeds_silently();
    conf["dns"] = json!({"domain": "example.org"});
    let own = lab.ptp.add(&conf, &pod).succeeds();
    assert_eq!(own["dns"], json!({"domain": "example.org"}));
}

#[test]
fn check_names_what_is_no_longer_as_add_made_it() {
    type Drift = (&'static str, fn(&Lab, &Pod, &str), &'static [&'static str]);
    let drifts: [Drift; 9] = [
        (
            "address",
            |_, pod, _| drop(pod.ip("address del 10.1.0.2/24 dev eth0")),
            &["10.1.0.2/24", "eth0"],
        ),
        (
            "route",
            |_, pod, _| drop(pod.ip("route del default")),
            &["0.0.0.0/0", "not found"],
        ),
        (
            "mac",
            |_, pod, _| drop(pod.ip("link set eth0 address 02:00:00:00:00:99")),
            &["02:00:00:00:00:99"],
        ),
        (
            "down",
            |_, pod, _| drop(pod.ip("link set eth0 down")),
            &["eth0", "down"],
        ),
        (
            "gone",
            |_, pod, _| drop(pod.ip("link del eth0")),
            &["eth0", "not found"],
        ),
        (
            "gateway",
            |lab, _, end| drop(lab.host.ip(&format!("address del 10.1.0.1/32 dev {end}"))),
            &["10.1.0.1", "Gateway"],
        ),
        (
            "host route",
            |lab, _, end| drop(lab.host.ip(&format!("route del 10.1.0.2/32 dev {end}"))),
            &["10.1.0.2/32", "host"],
        ),
        (
            "host mtu",
            |lab, _, end| drop(lab.host.ip(&format!("link set {end} mtu 1300"))),
            &["1300", "1400"],
        ),
        (
            "masquerade",
            |lab, _, _| drop(lab.host.sh("nft delete table inet cni_plugins_masquerade")),
            &["10.1.0.2"],
        ),
    ];
    for (what, drift, words) in drifts {
        let Some(lab) = lab() else { return };
        let pod = lab.host.pod("one");
        let result = lab.ptp.add(&conf("1.1.0"), &pod).succeeds();
        lab.ptp
            .check(&conf("1.1.0"), &result, &pod)
            .succeeds_silently();
        drift(&lab, &pod, host_end(&result));
        let error = lab.ptp.check(&conf("1.1.0"), &result, &pod).fails();
        assert!(error.text().len() > what.len());
        error.names(words);
    }
}

#[test]
fn del_removes_everything_whatever_is_left_of_the_pod() {
    type Ruin = (&'static str, fn(&Lab, &Pod));
    let ruins: [Ruin; 5] = [
        ("whole", |_, _| {}),
        ("netns gone", |_, pod| pod.remove()),
        ("not a netns", |_, pod| pod.unmount()),
        ("link gone", |_, pod| drop(pod.ip("link del eth0"))),
        ("link renamed", |_, pod| {
            drop(pod.sh("ip link set eth0 down; ip link set eth0 name other"))
        }),
    ];
    for (what, ruin) in ruins {
        for with_result in [true, false] {
            // Without its result nothing tells that the renamed link is ours.
            if what == "link renamed" && !with_result {
                continue;
            }
            let Some(lab) = lab() else { return };
            lab.host.sh("mkdir -p /run/netns");
            let before = Snapshot::take(&lab.host, &[]);
            let pod = lab.host.pod("one");
            let result = lab.ptp.add(&conf("1.1.0"), &pod).succeeds();
            ruin(&lab, &pod);
            for _ in 0..2 {
                let outcome = if with_result {
                    lab.ptp.del_with(&conf("1.1.0"), &result, &pod)
                } else {
                    lab.ptp.del(&conf("1.1.0"), &pod)
                };
                outcome.succeeds_silently();
            }
            assert_eq!(reserved(), Vec::<String>::new(), "{what}");
            if Path::new("/run/netns/one").exists() {
                pod.remove();
            }
            // Without a result nothing leads to the veth of a namespace that is gone; the kernel
            // takes it away with the namespace, in its own time.
            let end = host_end(&result);
            lab.host.sh(&format!(
                "timeout 5 sh -c 'while ip link show {end} >&- 2>&-; do sleep 0.05; done'"
            ));
            assert_same(&before, &Snapshot::take(&lab.host, &[]));
        }
    }
}

#[test]
fn del_without_a_netns_or_with_an_unreadable_result_frees_the_address() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let mut conf = conf("1.1.0");
    lab.ptp.add(&conf, &pod).succeeds();
    conf["prevResult"] = json!({"cniVersion": "1.1.0", "ips": "nonsense"});
    let call = lab.ptp.call("DEL", &conf).pod(&pod).env("CNI_NETNS", "");
    call.run().succeeds_silently();
    assert_eq!(reserved(), Vec::<String>::new());
    let rules = lab.host.sh("nft list ruleset");
    assert!(!rules.contains("10.1.0.2 "), "{rules}");
}

#[test]
fn gc_keeps_the_valid_and_status_tells_what_would_fail() {
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    for pod in [&one, &two] {
        lab.ptp.add(&conf("1.1.0"), pod).succeeds();
    }
    two.remove();
    let valid = one.container_id();
    lab.ptp
        .gc(&conf("1.1.0"), &[(valid.as_str(), "eth0")])
        .succeeds_silently();
    let mut left = reserved();
    left.sort();
    assert_eq!(left, ["10.1.0.2", "fd00:1::2"]);
    let rules = lab.host.sh("nft list ruleset");
    assert!(
        rules.contains("10.1.0.2 ") && !rules.contains("10.1.0.3 "),
        "{rules}"
    );

    lab.ptp.status(&conf("1.1.0")).succeeds_silently();
    let mut full = conf("1.1.0");
    full["ipam"]["ranges"] =
        json!([[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.2", "rangeEnd": "10.1.0.2"}]]);
    lab.ptp.status(&full).fails_with(50);
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let with = |keys: Value| {
        let mut conf = conf("1.1.0");
        for (key, value) in keys.as_object().unwrap() {
            conf[key] = value.clone();
        }
        conf
    };
    let gatewayless = fixed(json!([{"address": "10.1.0.5/24"}]));
    let cases = [
        (
            with(json!({"ipam": {}})),
            7,
            vec!["ipam", "no plugin name provided"],
        ),
        (with(json!({"mtu": 70000})), 7, vec!["mtu", "70000"]),
        (with(json!({"mtu": "1400"})), 6, vec!["mtu"]),
        (
            with(json!({"ipMasqBackend": "pf"})),
            7,
            vec!["ipMasqBackend", "pf"],
        ),
        (
            with(json!({"ipam": {"type": "nosuch"}})),
            999,
            vec!["nosuch", "failed to find plugin"],
        ),
        (gatewayless, 999, vec!["10.1.0.5/24", "gateway"]),
    ];
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let before = Snapshot::take(&lab.host, &[&pod]);
    for (conf, code, words) in cases {
        let error = lab.ptp.add(&conf, &pod).fails();
        assert!(
            error.code == code || code == 999,
            "{}: {}",
            error.code,
            error.text()
        );
        error.names(&words);
        assert_same(&before, &Snapshot::take(&lab.host, &[&pod]));
    }
    pod.ip("link add eth0 type veth peer name other");
    let taken = lab.ptp.add(&conf("1.1.0"), &pod).fails();
    taken.names(&["eth0", "already exists"]);
    assert_eq!(reserved(), Vec::<String>::new(), "refused before IPAM");
}

#[test]
fn go_and_netloom_delete_what_the_other_made() {
    let Some(lab) = lab() else { return };
    let Some(debian) = Plugin::debian("ptp") else {
        return;
    };
    let pod = lab.host.pod("one");
    let mut conf = conf("1.0.0");
    conf.as_object_mut().unwrap().remove("ipMasqBackend");
    let before = Snapshot::take(&lab.host, &[&pod]);
    for (adds, deletes) in [(&debian, &lab.ptp), (&lab.ptp, &debian)] {
        let result = adds.add(&conf, &pod).succeeds();
        assert!(pod.pings([10, 1, 0, 1]));
        deletes.check(&conf, &result, &pod).succeeds_silently();
        deletes.del_with(&conf, &result, &pod).succeeds_silently();
        let after = Snapshot::take(&lab.host, &[&pod]);
        assert_same(&before, &after.without_records());
    }
}

#[test]
fn no_fault_in_add_leaves_anything() {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let scene = || {
        let host = Host::new()?;
        let pod = host.pod("one");
        let ptp = Plugin::ours(&plugins, "ptp");
        let call = |command| ptp.call(command, &conf("1.1.0")).pod(&pod);
        let (add, del) = (call("ADD"), call("DEL"));
        Some(Scene {
            pods: vec![pod],
            host,
            add,
            del,
            bridges: Vec::new(),
        })
    };
    let Some(tally) = assert_no_residue("ptp", None, scene) else {
        return;
    };
    assert!(tally.has_points(41, 41), "{tally}");
}

#[test]
fn a_second_interface_in_one_subnet_leaves_the_first_ones_routes() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = |address: &str| {
        fixed(
            json!([{"address": format!("10.4.0.{address}/24"), "gateway": "10.4.0.1"},
                     {"address": format!("fd00:4::{address}/64"), "gateway": "fd00:4::1"}]),
        )
    };
    let first = lab.ptp.add(&conf("2"), &pod).succeeds();
    let four = || pod.ip("-4 route show dev eth0");
    let routes = || four() + &pod.ip("-6 route show dev eth0 proto boot");
    let (before, before_four) = (routes(), four());
    let second = lab
        .ptp
        .call("ADD", &conf("3"))
        .pod(&pod)
        .env("CNI_IFNAME", "net1");
    second.run().succeeds();
    // Of IPv6 the kernel makes one route with two ways of them.
    assert_eq!(four(), before_four);
    let second = lab
        .ptp
        .call("DEL", &conf("3"))
        .pod(&pod)
        .env("CNI_IFNAME", "net1");
    second.run().succeeds_silently();
    assert_eq!(routes(), before);
    lab.ptp.check(&conf("2"), &first, &pod).succeeds_silently();
}
