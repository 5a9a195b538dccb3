use crate::support::{Lab, host_veth};
use serde_json::json;

#[test]
fn a_wire_without_ipam_joins_pod_and_bridge() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let result = lab.bridge.add(&lab.conf(json!({})), &pod).succeeds();
    let veth = host_veth(&result);
    assert!(veth.len() == 12 && veth.starts_with("veth"), "{veth}");
    assert!(
        veth[4..]
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
        "{veth}"
    );
    assert_eq!(lab.link(&veth)["master"], "br0");
    assert_eq!(lab.link(&veth)["operstate"], "UP");
    assert_eq!(lab.link("br0")["linkinfo"]["info_kind"], "bridge");
    assert!(
        lab.eth0(&pod)["flags"]
            .as_array()
            .unwrap()
            .contains(&json!("UP"))
    );
    assert!(
        result.get("ips").is_none() && result.get("routes").is_none(),
        "{result}"
    );
    lab.bridge
        .check(&lab.conf(json!({})), &result, &pod)
        .succeeds_silently();
    lab.bridge
        .del_with(&lab.conf(json!({})), &result, &pod)
        .succeeds_silently();
    assert!(!lab.has_link(&veth));
    assert!(lab.has_link("br0"), "the bridge is shared and stays");
}

#[test]
fn the_bridge_is_cni0_when_none_is_named() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = json!({"cniVersion": "1.0.0", "name": "net", "type": "bridge"});
    let result = lab.bridge.add(&conf, &pod).succeeds();
    assert_eq!(result["interfaces"][0]["name"], "cni0");
    assert!(lab.has_link("cni0"));
}

#[test]
fn a_link_that_is_no_bridge_is_refused_and_nothing_changes() {
    let Some(lab) = Lab::new() else { return };
    lab.host.ip("link add br0 type veth peer name other");
    let pod = lab.host.pod("one");
    let before = lab.host.ip("-o link");
    let error = lab.bridge.add(&lab.conf(json!({})), &pod).fails();
    error.names(&["\"br0\" already exists but is not a bridge"]);
    assert_eq!(lab.host.ip("-o link"), before);
}

#[test]
fn a_bad_netns_leaves_no_bridge_behind() {
    let Some(lab) = Lab::new() else { return };
    std::fs::write("/run/plain", "").unwrap();
    for (path, words) in [
        ("/run/missing", "failed to open netns"),
        ("/run/plain", "unknown FS magic"),
    ] {
        let call = lab.bridge.call("ADD", &lab.conf(json!({})));
        let call = call
            .env("CNI_CONTAINERID", "c")
            .env("CNI_IFNAME", "eth0")
            .env("CNI_NETNS", path);
        call.run().fails_with(8).names(&[words, path]);
        assert!(!lab.has_link("br0"));
    }
}

#[test]
fn an_interface_name_that_is_taken_is_refused_before_anything_is_made() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    lab.bridge.add(&lab.conf(json!({})), &pod).succeeds();
    let before = lab.host.ip("-o link");
    let error = lab
        .bridge
        .add(&lab.conf(json!({"bridge": "br1"})), &pod)
        .fails();
    error.names(&["eth0", "already exists"]);
    assert_eq!(lab.host.ip("-o link"), before);
}

#[test]
fn mtu_goes_to_the_new_bridge_and_both_ends() {
    let Some(lab) = Lab::new() else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let conf = lab.conf(json!({"mtu": 1400}));
    let result = lab.bridge.add(&conf, &one).succeeds();
    assert_eq!(lab.link("br0")["mtu"], 1400);
    assert_eq!(lab.link(&host_veth(&result))["mtu"], 1400);
    assert_eq!(lab.eth0(&one)["mtu"], 1400);
    for index in 0..3 {
        assert_eq!(result["interfaces"][index]["mtu"], 1400, "{result}");
    }
    let other = lab.conf(json!({"mtu": 1300}));
    lab.bridge.add(&other, &two).succeeds();
    assert_eq!(lab.eth0(&two)["mtu"], 1300);
    lab.bridge.check(&conf, &result, &one).succeeds_silently();
}

#[test]
fn hairpin_mode_sends_frames_back() {
    let Some(lab) = Lab::new() else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let on = lab
        .bridge
        .add(&lab.conf(json!({"hairpinMode": true})), &one)
        .succeeds();
    let off = lab.bridge.add(&lab.conf(json!({})), &two).succeeds();
    let hairpin =
        |result| lab.link(&host_veth(result))["linkinfo"]["info_slave_data"]["hairpin"].clone();
    assert_eq!(hairpin(&on), true);
    assert_eq!(hairpin(&off), false);
}

#[test]
fn isolated_ports_reach_the_others_but_not_each_other() {
    let Some(lab) = Lab::new() else { return };
    let pods = [
        lab.host.pod("one"),
        lab.host.pod("two"),
        lab.host.pod("open"),
    ];
    for (index, pod) in pods.iter().enumerate() {
        let address = format!("10.1.0.{}/24", index + 5);
        lab.ipam.answers(json!({"ips": [{"address": address}]}));
        let conf = lab.routed(json!({"portIsolation": index < 2}));
        let result = lab.bridge.add(&conf, pod).succeeds();
        let slave = lab.link(&host_veth(&result))["linkinfo"]["info_slave_data"].clone();
        assert_eq!(slave["isolated"], index < 2);
    }
    let address = |last: u8| std::net::Ipv4Addr::new(10, 1, 0, last);
    assert!(!pods[0].pings(address(6)));
    assert!(pods[0].pings(address(7)));
    assert!(pods[2].pings(address(5)));
}

#[test]
fn promiscuous_mode_is_set_on_the_bridge() {
    let Some(lab) = Lab::new() else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let conf = lab.conf(json!({"promiscMode": true}));
    let result = lab.bridge.add(&conf, &one).succeeds();
    assert_eq!(lab.link("br0")["promiscuity"], 1);
    lab.bridge.add(&conf, &two).succeeds();
    lab.bridge.check(&conf, &result, &one).succeeds_silently();
    lab.host.ip("link set br0 promisc off");
    lab.bridge
        .check(&conf, &result, &one)
        .fails()
        .names(&["br0", "promisc"]);
}

#[test]
fn a_disabled_container_interface_stays_down() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.conf(json!({"disableContainerInterface": true}));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    assert!(
        !lab.eth0(&pod)["flags"]
            .as_array()
            .unwrap()
            .contains(&json!("UP"))
    );
    lab.bridge.check(&conf, &result, &pod).succeeds_silently();
    let both = lab.routed(json!({"disableContainerInterface": true}));
    lab.bridge
        .add(&both, &pod)
        .fails_with(7)
        .names(&["cannot use IPAM"]);
}

#[test]
fn the_mac_address_comes_from_runtime_config_args_or_cni_args() {
    let Some(lab) = Lab::new() else { return };
    let args = "MAC=c2:00:00:00:00:01";
    let cni = json!({"cni": {"mac": "c2:00:00:00:00:02"}});
    let runtime = json!({"mac": "c2:00:00:00:00:03"});
    for (name, keys, mac) in [
        ("one", json!({}), "c2:00:00:00:00:01"),
        ("two", json!({"args": cni}), "c2:00:00:00:00:02"),
        (
            "three",
            json!({"args": cni, "runtimeConfig": runtime}),
            "c2:00:00:00:00:03",
        ),
    ] {
        let pod = lab.host.pod(name);
        let call = lab
            .bridge
            .call("ADD", &lab.conf(keys))
            .pod(&pod)
            .env("CNI_ARGS", args);
        let result = call.run().succeeds();
        assert_eq!(lab.eth0(&pod)["address"], mac);
        assert_eq!(result["interfaces"][2]["mac"], mac);
    }
}

#[test]
fn the_host_does_not_accept_router_advertisements_from_containers() {
    let Some(lab) = Lab::new() else { return };
    if !netloom_testkit::probe::has_ipv6() {
        return netloom_testkit::skip("the kernel has no IPv6");
    }
    for name in ["one", "two"] {
        let pod = lab.host.pod(name);
        let result = lab.bridge.add(&lab.conf(json!({})), &pod).succeeds();
        for link in ["br0".to_owned(), host_veth(&result)] {
            let value = lab
                .host
                .sh(&format!("cat /proc/sys/net/ipv6/conf/{link}/accept_ra"));
            assert_eq!(value.trim(), "0", "{link} of {name}");
        }
        // Somebody changed it: the next ADD sees that.
        lab.host
            .sh("echo 2 > /proc/sys/net/ipv6/conf/br0/accept_ra");
    }
}

#[test]
fn the_bridge_keeps_its_mac_while_ports_come_and_go() {
    let Some(lab) = Lab::new() else { return };
    let conf = lab.conf(json!({}));
    let first = lab.host.pod("first");
    let mac = lab.bridge.add(&conf, &first).succeeds()["interfaces"][0]["mac"].clone();
    for round in 0..20 {
        let pod = lab.host.pod(&format!("pod{round}"));
        let result = lab.bridge.add(&conf, &pod).succeeds();
        assert_eq!(result["interfaces"][0]["mac"], mac);
        assert_eq!(lab.link("br0")["address"], mac);
        if round % 3 != 0 {
            lab.bridge
                .del_with(&conf, &result, &pod)
                .succeeds_silently();
            assert_eq!(lab.link("br0")["address"], mac);
        }
    }
    lab.bridge.del(&conf, &first).succeeds_silently();
    assert_eq!(lab.link("br0")["address"], mac);
}

#[test]
fn a_bridge_made_by_others_is_pinned_when_a_port_would_change_its_mac() {
    let Some(lab) = Lab::new() else { return };
    lab.host.ip("link add br0 type bridge");
    let mac = lab.link("br0")["address"].clone();
    let pod = lab.host.pod("one");
    let result = lab.bridge.add(&lab.conf(json!({})), &pod).succeeds();
    assert_eq!(result["interfaces"][0]["mac"], mac);
    assert_eq!(lab.link("br0")["address"], mac);
}
