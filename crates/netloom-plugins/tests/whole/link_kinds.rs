//! STATUS tells whether the kernel has the kinds of links that ADD makes, and makes none.

use netloom_testkit::{Host, Plugin, PluginDir, Snapshot, probe};
use serde_json::{Value, json};

use crate::PROGRAM;

/// The kinds, and a configuration of a plugin that needs each.
fn needs() -> Vec<(&'static str, Value)> {
    let ipam = json!({"type": "static", "addresses": [{"address": "10.1.0.2/24"}]});
    let (rate, burst) = (json!(8_000_000), json!(800_000));
    vec![
        (
            "vlan",
            json!({"type": "vlan", "master": "lower0", "vlanId": 7, "ipam": ipam}),
        ),
        (
            "macvlan",
            json!({"type": "macvlan", "master": "lower0", "ipam": ipam}),
        ),
        (
            "ipvlan",
            json!({"type": "ipvlan", "master": "lower0", "ipam": ipam}),
        ),
        ("dummy", json!({"type": "dummy", "ipam": ipam})),
        ("vrf", json!({"type": "vrf", "vrfname": "red"})),
        (
            "ifb",
            json!({"type": "bandwidth", "egressRate": rate, "egressBurst": burst}),
        ),
        ("bridge", json!({"type": "bridge", "ipam": ipam})),
        (
            "bridge vlan_filtering 1",
            json!({"type": "bridge", "vlan": 7, "ipam": ipam}),
        ),
    ]
}

#[test]
fn status_is_50_exactly_where_the_kernel_lacks_the_kind_of_link() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    host.ip("link add lower0 type veth peer name other");
    host.ip("link set lower0 up");
    for (kind, mut conf) in needs() {
        conf["cniVersion"] = json!("1.1.0");
        conf["name"] = json!("net");
        let has = probe::has_link_kind(kind);
        let before = Snapshot::take(&host, &[]);
        let plugin = Plugin::ours(&plugins, conf["type"].as_str().unwrap());
        let outcome = plugin.status(&conf);
        Snapshot::take(&host, &[]).assert_same_as(&before);
        match (has, kind) {
            (true, _) => outcome.succeeds_silently(),
            (false, "bridge vlan_filtering 1") => {
                let error = outcome.fails_with(50);
                error.names(&["do not filter VLANs", "CONFIG_BRIDGE_VLAN_FILTERING"]);
            }
            (false, _) => {
                let error = outcome.fails_with(50);
                let line = format!("the kernel has no links of kind {kind}: load its module");
                assert!(error.msg.starts_with(&line), "{}", error.msg);
                assert!(!error.msg.contains('\n'));
            }
        }
    }
}
