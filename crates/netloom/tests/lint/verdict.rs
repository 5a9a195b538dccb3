//! Lint's errors are what ADD refuses for the configuration's sake.

use std::fs;

use netloom_testkit::{Host, Plugin, PluginDir, skip};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::{NETLOOM, lint, told};

/// Plugins that this kernel may have, and some keys of each.
const PLUGINS: &[(&str, &[&str])] = &[
    (
        "bridge",
        &[
            "bridge",
            "isGateway",
            "isDefaultGateway",
            "hairpinMode",
            "promiscMode",
            "mtu",
            "vlan",
            "vlanTrunk",
            "preserveDefaultVlan",
            "ipMasqBackend",
            "disableContainerInterface",
            "acceptRA",
            "dns",
            "ipam",
        ],
    ),
    ("ptp", &["mtu", "ipMasqBackend", "dns", "acceptRA", "ipam"]),
    (
        "macvlan",
        &[
            "mode",
            "bcqueuelen",
            "master",
            "linkInContainer",
            "ipam",
            "acceptRA",
        ],
    ),
    (
        "portmap",
        &[
            "backend",
            "markMasqBit",
            "externalSetMarkChain",
            "snat",
            "conditionsV4",
        ],
    ),
    (
        "firewall",
        &["backend", "ingressPolicy", "iptablesAdminChainName"],
    ),
    (
        "bandwidth",
        &[
            "ingressRate",
            "ingressBurst",
            "egressRate",
            "egressBurst",
            "unshapedSubnets",
        ],
    ),
    ("tuning", &["mtu", "mac", "promisc", "sysctl", "txQLen"]),
    ("debug", &["addHooks", "checkHooks"]),
];

/// Values that are right for some key and wrong for others.
fn value() -> impl Strategy<Value = Value> {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(-1),
        json!(31),
        json!(67),
        json!(1400),
        json!(4095),
        json!(70000),
        json!(1.5),
        json!("yes"),
        json!(""),
        json!("br7"),
        json!("a/b"),
        json!("bridge"),
        json!("iptables"),
        json!("nftables"),
        json!("isolated"),
        json!("private"),
        json!("wire7"),
        json!("02:00:00:00:00:07"),
        json!("zz"),
        json!([]),
        json!(["10.0.0.0/8"]),
        json!([{"id": 5}]),
        json!([{"minID": 9, "maxID": 3}]),
        json!({}),
        json!({"net.core.somaxconn": "100"}),
        json!({"nameservers": ["1.1.1.1"]}),
    ];
    prop::sample::select(values.to_vec())
}

fn ipam() -> impl Strategy<Value = Value> {
    let values = [
        json!({"type": "host-local", "subnet": "10.77.0.0/24"}),
        json!({"type": "host-local", "subnet": "10.77.0.0/33"}),
        json!({"type": "host-local", "subnet": "10.77.0.0/24", "rangeStart": "10.78.0.1"}),
        json!({"type": "host-local"}),
        json!({"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}], [{"subnet": "10.77.0.0/25"}]]}),
        json!({"type": "static", "addresses": [{"address": "10.77.0.7/24"}]}),
        json!({"type": "static", "addresses": [{"address": "10.77.0.7"}]}),
        json!({"type": "static", "addresses": "x"}),
        json!({}),
        json!("host-local"),
    ];
    prop::sample::select(values.to_vec())
}

fn conf() -> impl Strategy<Value = Value> {
    prop::sample::select(PLUGINS.to_vec()).prop_flat_map(|(kind, keys)| {
        let key = prop::sample::select(keys.to_vec());
        let entries = prop::collection::vec((key, value(), ipam()), 0..4);
        entries.prop_map(move |entries| {
            let mut conf = Map::new();
            for (key, value, ipam) in entries {
                conf.insert(key.to_owned(), if key == "ipam" { ipam } else { value });
            }
            conf.insert("type".to_owned(), kind.into());
            Value::Object(conf)
        })
    })
}

/// What the plugin before left.
fn previous(netns: &str) -> Value {
    json!({
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "cni0", "mac": "02:00:00:00:00:03"},
            {"name": "veth7", "mac": "02:00:00:00:00:02"},
            {"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": netns}
        ],
        "ips": [{"address": "10.77.0.9/24", "interface": 2}]
    })
}

#[test]
fn lint_refuses_what_add_refuses_and_nothing_else() {
    let Some(host) = Host::new() else {
        return skip("namespaces");
    };
    fs::create_dir_all("/etc/cni/net.d").unwrap();
    let bin = PluginDir::of(NETLOOM);
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    let refused = std::cell::Cell::new(0);
    runner
        .run(&conf(), |conf| {
            let pod = host.pod("pod");
            let list = json!({"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "loopback"}, conf]});
            let findings = told(&lint(&["--format", "json", "-"]).stdin(list.to_string()).run());
            let errors: Vec<&Value> = findings.iter().filter(|it| it["level"] == "error").collect();

            let mut request = conf.clone();
            request["name"] = "net".into();
            request["cniVersion"] = "1.1.0".into();
            let kind = conf["type"].as_str().unwrap();
            if ["portmap", "firewall", "bandwidth", "tuning", "debug"].contains(&kind) {
                request["prevResult"] = previous(pod.path().to_str().unwrap());
            }
            let plugin = Plugin::ours(&bin, kind);
            let outcome = plugin.add(&request, &pod);
            let code = if outcome.is_success() { 0 } else { outcome.json()["code"].as_u64().unwrap_or(999) };
            if !matches!(code, 0 | 1 | 6 | 7) {
                // The machine lacks something, which says nothing of the configuration.
                return Ok(());
            }
            let is_refused = code != 0;
            refused.set(refused.get() + usize::from(is_refused));
            prop_assert_eq!(is_refused, !errors.is_empty(), "{}\nlint: {:#?}\nADD: {}", conf, errors, outcome);
            if is_refused {
                // The first thing that ADD says is among what lint says.
                let words = outcome.json()["msg"].as_str().unwrap_or_default().to_owned();
                let said = |it: &&Value| words.contains(it["message"].as_str().unwrap());
                prop_assert!(errors.iter().any(said), "{}\nlint: {:#?}\nADD: {}", conf, errors, words);
            }
            let _ = plugin.del(&request, &pod);
            Ok(())
        })
        .unwrap();
    let refused = refused.get();
    assert!(refused > 30, "only {refused} were refused");
}
