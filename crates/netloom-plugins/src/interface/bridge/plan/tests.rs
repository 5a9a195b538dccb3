use super::*;
use crate::interface::bridge::vlan::PortVlans;
use crate::wiring::masquerade::Backend;
use serde_json::{Value, json};

fn plan_with_args(keys: Value, args: &str) -> Result<Plan, Error> {
    let mut conf = json!({"cniVersion": "1.0.0", "name": "net", "type": "bridge"});
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    let conf = PluginConf::parse(conf.to_string().as_bytes())?;
    Plan::new(&conf, args).map(|(plan, _)| plan)
}

fn plan(keys: Value) -> Result<Plan, Error> {
    plan_with_args(keys, "")
}

fn message(keys: Value) -> String {
    let error = plan(keys).unwrap_err();
    assert_eq!(error.code, 7, "{error}");
    error.msg
}

#[test]
fn an_empty_configuration_is_a_wire_on_cni0() {
    let plan = plan(json!({})).unwrap();
    assert_eq!(plan.bridge, "cni0");
    assert_eq!(plan.layer, Layer::Two { up: true });
    assert_eq!(plan.mtu, None);
    assert!(!plan.hairpin && !plan.isolated && !plan.promiscuous && !plan.spoof_check);
    assert_eq!(
        plan.vlans,
        Vlans {
            filtering: false,
            access: None,
            port: None
        }
    );
}

#[test]
fn keys_match_in_any_case() {
    let plan = plan(json!({"BRIDGE": "br7", "MacSpoofChk": true, "Mtu": 1400})).unwrap();
    assert_eq!(
        (plan.bridge.as_str(), plan.spoof_check, plan.mtu),
        ("br7", true, Some(1400))
    );
}

#[test]
fn a_default_gateway_is_a_gateway() {
    let plan = plan(json!({"isDefaultGateway": true, "ipam": {"type": "host-local"}})).unwrap();
    let Layer::Three(layer) = plan.layer else {
        panic!("layer 2")
    };
    assert_eq!(
        layer.gateway,
        Some(Gateway {
            default_route: true,
            force_address: false
        })
    );
    assert_eq!(layer.masquerade, None);
}

#[test]
fn masquerade_takes_the_backend_that_is_named() {
    let keys = json!({"ipMasq": true, "ipMasqBackend": "nftables", "ipam": {"type": "x"}});
    let Layer::Three(layer) = plan(keys).unwrap().layer else {
        panic!("layer 2")
    };
    assert_eq!(
        layer.masquerade,
        Some(BackendChoice::Only(Backend::Nftables))
    );
    assert!(message(json!({"ipMasqBackend": "pf"})).contains("unknown ipmasq backend \"pf\""));
}

#[test]
fn gateway_and_masquerade_without_ipam_leave_a_wire() {
    let plan = plan(json!({"isGateway": true, "ipMasq": true})).unwrap();
    assert_eq!(plan.layer, Layer::Two { up: true });
}

#[test]
fn modes_that_exclude_each_other_are_refused() {
    let both = message(json!({"hairpinMode": true, "promiscMode": true}));
    assert!(both.contains("cannot set hairpin mode and promiscuous mode at the same time"));
    let ipam = message(json!({"disableContainerInterface": true, "ipam": {"type": "x"}}));
    assert!(ipam.contains("cannot use IPAM when DisableContainerInterface flag is set"));
    let down = plan(json!({"disableContainerInterface": true})).unwrap();
    assert_eq!(down.layer, Layer::Two { up: false });
}

#[test]
fn a_vlan_out_of_range_is_refused() {
    for vlan in [-1, 4095, 70000] {
        let text = message(json!({"vlan": vlan}));
        assert!(text.contains(&format!(
            "invalid VLAN ID {vlan} (must be between 0 and 4094)"
        )));
    }
    let vlans = plan(json!({"vlan": 4094})).unwrap().vlans;
    assert_eq!((vlans.filtering, vlans.access), (true, Some(4094)));
}

#[test]
fn a_trunk_is_sorted_and_free_of_doubles() {
    let trunk = json!([{"minID": 5, "maxID": 7, "id": 9}, {"id": 6}, {"minID": 2, "maxID": 2}]);
    let vlans = plan(json!({"vlanTrunk": trunk})).unwrap().vlans;
    let tagged = [2, 5, 6, 7, 9].into();
    assert_eq!(
        vlans.port,
        Some(PortVlans {
            native: Some(1),
            tagged,
            keep_default: false
        })
    );
}

#[test]
fn a_trunk_with_a_vlan_carries_that_one_untagged() {
    let keys = json!({"vlan": 3, "vlanTrunk": [{"id": 9}], "preserveDefaultVlan": true});
    let port = plan(keys).unwrap().vlans.port.unwrap();
    assert_eq!(
        port,
        PortVlans {
            native: Some(3),
            tagged: [9].into(),
            keep_default: true
        }
    );
}

#[test]
fn an_empty_trunk_asks_for_filtering_only() {
    let vlans = plan(json!({"vlanTrunk": []})).unwrap().vlans;
    assert_eq!(
        vlans,
        Vlans {
            filtering: true,
            access: None,
            port: None
        }
    );
}

#[test]
fn a_broken_trunk_is_refused_with_the_field_that_is_wrong() {
    for (entry, text) in [
        (
            json!({"minID": 0, "maxID": 4}),
            "incorrect trunk minID parameter",
        ),
        (
            json!({"minID": 1, "maxID": 4095}),
            "incorrect trunk maxID parameter",
        ),
        (json!({"id": 0}), "incorrect trunk id parameter"),
        (json!({"id": 4095}), "incorrect trunk id parameter"),
        (
            json!({"minID": 5, "maxID": 4}),
            "minID is greater than maxID in trunk parameter",
        ),
        (
            json!({"maxID": 4}),
            "configured simultaneously, minID is missing",
        ),
        (
            json!({"minID": 4}),
            "configured simultaneously, maxID is missing",
        ),
    ] {
        let found = message(json!({"vlanTrunk": [entry]}));
        assert!(found.contains(text), "{entry}: {found}");
    }
}

#[test]
fn runtime_config_beats_args_which_beat_cni_args() {
    let mac = |keys, args| {
        plan_with_args(keys, args)
            .unwrap()
            .mac
            .map(|mac| mac.to_string())
    };
    let args = "MAC=c2:00:00:00:00:01";
    let cni = json!({"cni": {"mac": "c2:00:00:00:00:02"}});
    assert_eq!(mac(json!({}), args).as_deref(), Some("c2:00:00:00:00:01"));
    assert_eq!(
        mac(json!({"args": cni}), args).as_deref(),
        Some("c2:00:00:00:00:02")
    );
    let keys = json!({"args": cni, "runtimeConfig": {"mac": "C2-00-00-00-00-03"}});
    assert_eq!(mac(keys, args).as_deref(), Some("c2:00:00:00:00:03"));
    assert_eq!(mac(json!({}), ""), None);
}

#[test]
fn a_mac_address_that_no_interface_can_have_is_refused() {
    for mac in [
        "nonsense",
        "01:00:5e:00:00:01",
        "00:00:00:00:00:00",
        "02:00:5e:10:00:00:00:01",
    ] {
        let text = message(json!({"runtimeConfig": {"mac": mac}}));
        assert!(text.contains(mac), "{text}");
    }
}

#[test]
fn foreign_cni_args_are_refused_unless_told_otherwise() {
    assert!(plan_with_args(json!({}), "FOO=bar").is_err());
    assert!(plan_with_args(json!({}), "FOO=bar;IgnoreUnknown=1").is_ok());
}

#[test]
fn an_mtu_that_no_veth_can_have_is_refused() {
    for mtu in [-1, 67, 65536] {
        assert!(message(json!({"mtu": mtu})).contains(&format!("invalid mtu {mtu}")));
    }
    assert_eq!(plan(json!({"mtu": 9000})).unwrap().mtu, Some(9000));
}

#[test]
fn a_bridge_name_that_no_interface_can_have_is_refused() {
    for name in ["a-name-of-sixteen", "a/b", ".."] {
        assert!(message(json!({"bridge": name})).contains(name));
    }
    assert_eq!(plan(json!({"bridge": ""})).unwrap().bridge, "cni0");
}

#[test]
fn the_gateway_interface_of_a_vlan_must_have_a_possible_name() {
    let ipam = json!({"type": "x"});
    let keys = json!({"bridge": "twelve-chars", "vlan": 100, "isGateway": true, "ipam": ipam});
    assert!(message(keys).contains("twelve-chars.100"));
    let keys = json!({"bridge": "twelve-chars", "vlan": 100, "ipam": ipam});
    assert_eq!(plan(keys).unwrap().gateway_interface(), "twelve-chars.100");
}

#[test]
fn own_dns_replaces_even_when_its_lists_are_empty() {
    let dns = |dns: Value| {
        let conf = json!({"cniVersion": "1.0.0", "name": "n", "type": "bridge", "dns": dns});
        let conf = PluginConf::parse(conf.to_string().as_bytes()).unwrap();
        Plan::new(&conf, "").unwrap().1
    };
    assert_eq!(dns(json!({})), None);
    assert_eq!(dns(json!({"search": []})), Some(Dns::default()));
    assert_eq!(dns(json!({"domain": "x"})).unwrap().domain, "x");
}
