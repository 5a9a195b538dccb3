use crate::support::{Lab, MAC, NIC, bare, buses, conf, eth0, is_up, reserved, selectors};
use serde_json::json;
use std::net::Ipv4Addr;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

#[test]
fn the_pod_has_the_device_and_its_traffic_in_every_version() {
    for version in [
        "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
    ] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.host.pod("one");
        let before = lab.snapshot(&[&pod]);
        let conf = conf(json!({"cniVersion": version}));
        let result = lab.plugin.add(&conf, &pod).succeeds();
        assert_eq!(result["cniVersion"], version);
        assert!(lab.link(NIC).is_none(), "{version}");
        let link = eth0(&pod);
        assert_eq!(
            (&link["address"], &link["ifalias"]),
            (&json!(MAC), &json!(NIC))
        );
        assert!(is_up(&link));
        assert!(pod.pings(GATEWAY), "{version}");
        let seen = pod.source_seen_by(&lab.outside, GATEWAY).unwrap();
        assert_eq!(seen, Ipv4Addr::new(10, 1, 0, 5));
        if version >= "0.4.0" {
            lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        }
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
        lab.assert_returned(version);
        lab.snapshot(&[&pod]).assert_same_as(&before);
        assert_eq!(reserved(), Vec::<String>::new());
    }
}

#[test]
fn the_result_lists_the_device_in_the_pod_and_its_addresses() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    for version in ["1.0.0", "1.1.0"] {
        let conf = conf(json!({"cniVersion": version}));
        let result = lab.plugin.add(&conf, &pod).succeeds();
        lab.plugin.del(&conf, &pod).succeeds_silently();
        let mut interface = json!({"name": "eth0", "mac": MAC, "sandbox": "/run/netns/one"});
        if version == "1.1.0" {
            interface["mtu"] = json!(1500);
        }
        assert_eq!(result["interfaces"], json!([interface]));
        assert_eq!(result["ips"][0]["interface"], 0);
    }
}

#[test]
fn both_families_work_over_the_device() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let addresses = json!([{"address": "10.1.0.9/24"}, {"address": "fd00:1::9/64"}]);
    let conf = conf(json!({"ipam": {"type": "static", "addresses": addresses}}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    let v6: std::net::IpAddr = "fd00:1::1".parse().unwrap();
    assert!(pod.pings(GATEWAY) && pod.pings(v6));
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    lab.plugin
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    lab.assert_returned("dual stack");
}

#[test]
fn without_ipam_the_device_is_up_and_has_no_addresses() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = bare(json!({"dns": {"search": ["example.org"]}}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    assert_eq!(result["dns"], json!({"search": ["example.org"]}));
    assert!(result.get("ips").is_none());
    assert!(is_up(&eth0(&pod)));
    assert!(!pod.ip("-4 addr show dev eth0").contains("inet"));
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    lab.plugin.del(&conf, &pod).succeeds_silently();
    lab.assert_returned("no IPAM");
}

#[test]
fn the_dns_of_the_ipam_plugin_is_kept_unless_the_configuration_has_its_own() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let ipam = json!({
        "type": "static", "addresses": [{"address": "10.1.0.5/24"}],
        "dns": {"nameservers": ["10.9.9.9"]}
    });
    for (keys, dns) in [
        (json!({"ipam": ipam}), json!({"nameservers": ["10.9.9.9"]})),
        (
            json!({"ipam": ipam, "dns": {"domain": "example.org"}}),
            json!({"domain": "example.org"}),
        ),
    ] {
        let conf = bare(keys);
        let result = lab.plugin.add(&conf, &pod).succeeds();
        assert_eq!(result["dns"], dns);
        lab.plugin.del(&conf, &pod).succeeds_silently();
    }
}

#[test]
fn the_device_is_found_by_every_key_and_comes_back_with_and_without_the_result() {
    for with_result in [true, false] {
        let Some(lab) = Lab::new() else { return };
        lab.host.ip("link property add dev nic0 altname slot7");
        buses(&lab.host);
        for keys in selectors() {
            let pod = lab.host.pod("one");
            let conf = conf(keys.clone());
            let result = lab.plugin.add(&conf, &pod).succeeds();
            assert_eq!(eth0(&pod)["ifalias"], NIC, "{keys}");
            let by_pci = keys["pciBusID"].as_str();
            let id = keys["runtimeConfig"]["deviceID"].as_str().or(by_pci);
            let pci = id.filter(|id| id.starts_with("0000:"));
            assert_eq!(result["interfaces"][0]["pciID"].as_str(), pci, "{keys}");
            lab.plugin.check(&conf, &result, &pod).succeeds_silently();
            let del = match with_result {
                true => lab.plugin.del_with(&conf, &result, &pod),
                false => lab.plugin.del(&conf, &pod),
            };
            del.succeeds_silently();
            lab.assert_returned(&keys.to_string());
            assert_eq!(reserved(), Vec::<String>::new());
        }
    }
}

#[test]
fn a_device_of_user_space_is_not_moved() {
    let Some(lab) = Lab::new() else { return };
    buses(&lab.host);
    let pod = lab.host.pod("one");
    let before = lab.snapshot(&[&pod]);
    let id = "0000:00:07.0";
    let keys = json!({"device": null, "runtimeConfig": {"deviceID": id}});
    for (version, pci) in [("1.0.0", json!(null)), ("1.1.0", json!(id))] {
        let conf = conf(crate::support::merged(
            keys.clone(),
            json!({"cniVersion": version}),
        ));
        let result = lab.plugin.add(&conf, &pod).succeeds();
        let mut interface = json!({"name": "eth0", "sandbox": "/run/netns/one"});
        if !pci.is_null() {
            interface["pciID"] = pci;
        }
        assert_eq!(result["interfaces"], json!([interface]));
        assert_eq!(result["ips"][0]["interface"], 0);
        assert_eq!(reserved().len(), 1);
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
    let without_ipam = bare(json!({"dpdkMode": true}));
    let result = lab.plugin.add(&without_ipam, &pod).succeeds();
    assert_eq!(result["interfaces"][0]["name"], "eth0");
    lab.snapshot(&[&pod]).assert_same_as(&before);
}

#[test]
fn the_pod_may_have_a_link_of_the_devices_name() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    pod.ip("link add nic0 type veth peer name other");
    let conf = conf(json!({}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    assert_eq!(eth0(&pod)["ifalias"], NIC);
    assert!(pod.pings(GATEWAY));
    lab.plugin
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    lab.assert_returned("a namesake in the pod");
    assert!(pod.ip("-o link").contains("nic0@other"));
}

#[test]
fn the_name_in_the_pod_may_be_the_devices_own() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let call = |command: &str| {
        let call = lab.plugin.call(command, &bare(json!({}))).pod(&pod);
        call.env("CNI_IFNAME", NIC).run()
    };
    call("ADD").succeeds();
    assert!(pod.ip("-o link").contains("nic0"));
    call("DEL").succeeds_silently();
    lab.assert_returned("the same name");
    call("DEL").succeeds_silently();
    lab.assert_returned("the same name, again");
}

#[test]
fn a_failed_ipam_plugin_leaves_the_device_as_it_was() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    lab.host.ip("link add br0 type bridge");
    lab.host.ip("link set nic0 master br0 alias uplink up");
    let before = lab.snapshot(&[&pod]);
    let conf = conf(json!({"ipam": {"type": "nowhere"}}));
    let error = lab.plugin.add(&conf, &pod).fails();
    error.names(&["failed to find plugin \"nowhere\" in path"]);
    lab.snapshot(&[&pod]).assert_same_as(&before);
    let link = lab.link(NIC).unwrap();
    assert_eq!(
        (&link["ifalias"], &link["master"]),
        (&json!("uplink"), &json!("br0"))
    );
    assert!(is_up(&link));
}

#[test]
fn a_taken_name_in_the_pod_is_refused_before_anything_happens() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    pod.ip("link add eth0 type veth peer name other");
    let before = lab.snapshot(&[&pod]);
    let conf = conf(json!({}));
    let error = lab.plugin.add(&conf, &pod).fails();
    error.names(&["\"eth0\"", "already exists", "/run/netns/one"]);
    lab.snapshot(&[&pod]).assert_same_as(&before);
    // A DEL follows, and the link of others stays.
    lab.plugin.del(&conf, &pod).succeeds_silently();
    lab.snapshot(&[&pod]).assert_same_as(&before);
}
