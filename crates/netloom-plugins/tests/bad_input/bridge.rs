//! Keys of the bridge plugin.

use serde_json::{Value, json};

use crate::Case;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = types();
    cases.extend(values());
    cases.extend(trunks());
    cases
}

fn types() -> Vec<Case> {
    vec![
        Case::bridge(
            "a bridge name that is a number",
            json!({"/bridge": 7}),
            6,
            &["bridge", "7"],
        ),
        Case::bridge(
            "a flag that is text",
            json!({"/isGateway": "yes"}),
            6,
            &["isGateway", "yes"],
        ),
        Case::bridge(
            "an mtu that is text",
            json!({"/mtu": "1500"}),
            6,
            &["mtu", "1500"],
        ),
        Case::bridge(
            "an mtu with a fraction",
            json!({"/mtu": 1500.5}),
            7,
            &["mtu", "1500.5"],
        ),
        Case::bridge(
            "ipam that is no object",
            json!({"/ipam": "host-local"}),
            6,
            &["ipam", "host-local"],
        ),
        Case::bridge(
            "a trunk that is no list",
            json!({"/vlanTrunk": {"id": 5}}),
            6,
            &["vlanTrunk"],
        ),
        Case::variables(
            "an unknown CNI_ARGS key",
            json!({"CNI_ARGS": "FOO=1"}),
            4,
            &["unknown args", "FOO=1"],
        ),
        Case::variables(
            "a CNI_ARGS pair that is none",
            json!({"CNI_ARGS": "MAC"}),
            4,
            &["invalid pair", "MAC"],
        ),
    ]
}

fn values() -> Vec<Case> {
    let both = json!({"/hairpinMode": true, "/promiscMode": true});
    let short = json!({"/runtimeConfig": {"mac": "00:11:22"}});
    let group = json!({"/args": {"cni": {"mac": "01:00:5e:00:00:01"}}});
    vec![
        Case::bridge(
            "a bridge name that is too long",
            json!({"/bridge": "a123456789012345"}),
            7,
            &["bridge", "a123456789012345"],
        ),
        Case::bridge(
            "a bridge name that is a path",
            json!({"/bridge": "../all"}),
            7,
            &["bridge", "../all"],
        ),
        Case::bridge(
            "a bridge name that the kernel would number",
            json!({"/bridge": "br%d"}),
            7,
            &["bridge", "%", "br%d"],
        ),
        Case::bridge("an mtu below zero", json!({"/mtu": -1}), 7, &["mtu", "-1"]),
        Case::bridge(
            "an mtu that is too big",
            json!({"/mtu": 70000}),
            7,
            &["mtu", "70000"],
        ),
        Case::bridge(
            "a vlan that is too big",
            json!({"/vlan": 4095}),
            7,
            &["invalid VLAN ID 4095", "4094"],
        ),
        Case::bridge(
            "hairpin and promiscuous mode",
            both,
            7,
            &["cannot set hairpin mode and promiscuous mode"],
        ),
        Case::bridge(
            "addresses on an interface left down",
            json!({"/disableContainerInterface": true}),
            7,
            &["cannot use IPAM when DisableContainerInterface flag is set"],
        ),
        Case::bridge(
            "an unknown masquerade",
            json!({"/ipMasqBackend": "ebtables"}),
            7,
            &["unknown ipmasq backend", "ebtables", "nftables"],
        ),
        Case::bridge("a mac that is none", short, 7, &["mac", "00:11:22"]),
        Case::bridge("a multicast mac", group, 7, &["mac", "01:00:5e:00:00:01"]),
        Case::variables(
            "a bad mac in CNI_ARGS",
            json!({"CNI_ARGS": "MAC=zz"}),
            7,
            &["mac", "zz"],
        ),
    ]
}

fn trunks() -> Vec<Case> {
    let trunk = |entry: Value| json!({"/vlanTrunk": [entry]});
    vec![
        Case::bridge(
            "a trunk without its maximum",
            trunk(json!({"minID": 5})),
            7,
            &["maxID is missing"],
        ),
        Case::bridge(
            "a trunk without its minimum",
            trunk(json!({"maxID": 5})),
            7,
            &["minID is missing"],
        ),
        Case::bridge(
            "a trunk upside down",
            trunk(json!({"minID": 9, "maxID": 5})),
            7,
            &["minID is greater than maxID", "9"],
        ),
        Case::bridge(
            "a trunk id that is too big",
            trunk(json!({"id": 5000})),
            7,
            &["incorrect trunk id", "5000"],
        ),
    ]
}
