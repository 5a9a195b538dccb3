use crate::support::{Lab, host_veth};
use netloom_testkit::{Pod, probe, skip};
use serde_json::{Value, json};

/// Every way in which a DEL may find the pod.
const STATES: [&str; 5] = [
    "whole",
    "link missing",
    "netns unmounted",
    "path missing",
    "netns empty",
];

fn lab() -> Option<Lab> {
    let lab = Lab::new()?;
    if probe::has_nft_family("inet") && probe::has_nft_family("bridge") {
        return Some(lab);
    }
    skip("no nf_tables of the families inet and bridge");
    None
}

fn conf(lab: &Lab, backend: &str) -> Value {
    lab.routed(json!({
        "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": backend, "macspoofchk": true,
    }))
}

fn bring_to(state: &str, pod: &Pod) {
    match state {
        "link missing" => drop(pod.ip("link del eth0")),
        "netns unmounted" => pod.unmount(),
        "path missing" => pod.remove(),
        _ => {}
    }
}

fn del(lab: &Lab, conf: &Value, state: &str, pod: &Pod) {
    let mut call = lab.bridge.call("DEL", conf).pod(pod);
    if state == "netns empty" {
        call = call.env("CNI_NETNS", "");
    }
    call.run().succeeds_silently();
}

#[test]
fn nothing_is_left_in_whatever_state_the_pod_is() {
    for backend in ["nftables", "iptables"] {
        for state in STATES {
            for previous in ["absent", "unreadable", "present"] {
                let Some(lab) = lab() else { return };
                if backend == "iptables" && !probe::has_iptables() {
                    return skip("no iptables on this machine");
                }
                let pod = lab.host.pod("one");
                let mut conf = conf(&lab, backend);
                let result = lab.bridge.add(&conf, &pod).succeeds();
                match previous {
                    "unreadable" => conf["prevResult"] = json!({"cniVersion": "0.1.0", "ips": 7}),
                    "present" => conf["prevResult"] = result,
                    _ => {}
                }
                lab.ipam.calls();
                bring_to(state, &pod);
                for _ in 0..2 {
                    del(&lab, &conf, state, &pod);
                    let left = lab.ruleset();
                    let case = format!("{backend}, {state}, prevResult {previous}: {left}");
                    assert!(
                        !left.contains("id-of-one") && !left.contains("CNI-"),
                        "{case}"
                    );
                }
                assert_eq!(
                    lab.ipam.calls(),
                    ["DEL", "DEL"],
                    "{backend}, {state}, {previous}"
                );
                if state == "whole" {
                    assert!(!pod.ip("-o link").contains("eth0"));
                }
            }
        }
    }
}

#[test]
fn a_bad_configuration_or_foreign_cni_args_do_not_keep_del_from_cleaning() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let mut conf = conf(&lab, "nftables");
    let result = lab.bridge.add(&conf, &pod).succeeds();
    conf["vlan"] = json!(5000);
    conf["mtu"] = json!("large");
    let call = lab
        .bridge
        .call("DEL", &conf)
        .pod(&pod)
        .env("CNI_ARGS", "FOO=bar;;");
    call.run().succeeds_silently();
    assert!(!lab.has_link(&host_veth(&result)));
    assert!(!lab.ruleset().contains("id-of-one"));
}

#[test]
fn a_link_of_that_name_that_is_no_veth_is_left_alone() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    pod.ip("link add eth0 type bridge");
    lab.bridge
        .del(&lab.conf(json!({})), &pod)
        .succeeds_silently();
    assert!(pod.ip("-o link").contains("eth0"));
}

#[test]
fn the_hosts_own_namespace_is_never_touched() {
    let Some(lab) = Lab::new() else { return };
    lab.host.ip("link add eth0 type veth peer name other");
    let call = lab.bridge.call("DEL", &lab.conf(json!({})));
    let call = call.env("CNI_CONTAINERID", "c").env("CNI_IFNAME", "eth0");
    call.env("CNI_NETNS", lab.host.netns_path())
        .run()
        .succeeds_silently();
    assert!(lab.has_link("eth0"));
}

#[test]
fn the_shared_bridge_and_its_addresses_stay() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.routed(json!({"isGateway": true}));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    lab.bridge
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    assert!(lab.host.ip("addr show dev br0").contains("10.1.0.1/24"));
}
