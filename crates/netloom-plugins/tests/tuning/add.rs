use crate::support::{
    Lab, MAC, OTHER_MAC, conf, conf_in, eth0, everything, file, files, has_flag, previous, sysctl,
};
use netloom_testkit::Trace;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn every_attribute_is_set_and_told_in_the_result_of_every_version() {
    for version in [
        "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
    ] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod("one");
        let conf = conf_in(version, everything());
        let result = lab.plugin.add(&conf, &pod).succeeds();
        let link = eth0(&pod);
        assert_eq!(link["address"], OTHER_MAC);
        assert_eq!((&link["mtu"], &link["txqlen"]), (&json!(1400), &json!(77)));
        assert!(has_flag(&link, "PROMISC") && has_flag(&link, "ALLMULTI"));

        let mut expected = previous(version, "one");
        if version >= "0.3.0" {
            expected["interfaces"][1]["mac"] = json!(OTHER_MAC);
        }
        if version >= "1.1.0" {
            expected["interfaces"][1]["mtu"] = json!(1400);
        }
        for shape in [&mut expected, &mut result.clone()] {
            shape.as_object_mut().unwrap().remove("dns");
        }
        let mut told = result.clone();
        told.as_object_mut().unwrap().remove("dns");
        expected.as_object_mut().unwrap().remove("dns");
        assert_eq!(told, expected, "{version}");
        if version >= "0.4.0" {
            lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        }
    }
}

#[test]
fn the_interface_of_a_result_without_namespaces_is_updated_by_its_name() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let interfaces = json!([{"name": "other"}, {"name": "eth0", "mac": MAC}]);
    let mut conf = conf(json!({"mac": OTHER_MAC.to_uppercase()}));
    conf["prevResult"]["interfaces"] = interfaces;
    let result = lab.plugin.add(&conf, &pod).succeeds();
    assert_eq!(result["interfaces"][1]["mac"], OTHER_MAC);
    assert_eq!(result["interfaces"][0]["mac"], Value::Null);
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
}

#[test]
fn sysctls_are_set_in_the_pod_alone_by_dots_slashes_and_for_its_interface() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    pod.ip("link set eth0 down");
    pod.ip("link add eth0.5 type veth peer name peer");
    let conf = conf(json!({"sysctl": {
        "net.ipv4.ip_forward": "1",
        "net/ipv4/tcp_sack": "0",
        "net.ipv4.conf.IFNAME.arp_filter": "1",
        "net/ipv4/conf/eth0.5/arp_filter": "1",
        "net.ipv4.conf.eth0/5.arp_ignore": "2",
        "net/ipv4.tcp_timestamps": "0",
        "net.ipv4.ip_local_port_range": "20000 30000",
    }}));
    let host = |key: &str| fs::read_to_string(format!("/proc/thread-self/root/proc/sys/{key}"));
    let before = host("net/ipv4/tcp_sack").unwrap();
    let result = lab.plugin.add(&conf, &pod).succeeds();
    for (key, value) in [
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv4/tcp_sack", "0"),
        ("net/ipv4/conf/eth0/arp_filter", "1"),
        ("net/ipv4/conf/eth0.5/arp_filter", "1"),
        ("net/ipv4/conf/eth0.5/arp_ignore", "2"),
        ("net/ipv4/tcp_timestamps", "0"),
        ("net/ipv4/ip_local_port_range", "20000\t30000"),
    ] {
        assert_eq!(sysctl(&pod, key), value, "{key}");
    }
    assert_eq!(host("net/ipv4/tcp_sack").unwrap(), before);
    // The kernel's tab is no drift, and sysctls need no backup.
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    assert!(files().is_empty());
}

#[test]
fn an_interface_with_dots_in_its_name_is_meant_by_ifname() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    pod.ip("link add net1.5 type veth peer name peer");
    let conf = conf(json!({"mtu": 1300, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}}));
    let call = lab.plugin.call("ADD", &conf).pod(&pod);
    call.env("CNI_IFNAME", "net1.5").run().succeeds();
    assert_eq!(sysctl(&pod, "net/ipv4/conf/net1.5/arp_filter"), "1");
    assert!(pod.ip("link show net1.5").contains("mtu 1300"));
}

#[test]
fn every_source_of_arguments_counts_as_upstream_has_it() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let mac = |n: u8| format!("02:00:00:00:01:{n:02x}");
    let mut conf = conf(json!({"mac": mac(1), "mtu": 1400}));
    let add = |conf: &Value, args: &str| {
        let call = lab.plugin.call("ADD", conf).pod(&pod);
        let result = call.env("CNI_ARGS", args).run().succeeds();
        let link = eth0(&pod);
        assert_eq!(result["interfaces"][1]["mac"], link["address"]);
        link
    };
    assert_eq!(add(&conf, "")["address"], mac(1));
    let args = format!("IgnoreUnknown=1;K8S_POD_NAME=x;MAC={}", mac(2));
    assert_eq!(add(&conf, &args)["address"], mac(2));
    conf["runtimeConfig"] = json!({"mac": mac(3)});
    assert_eq!(add(&conf, &args)["address"], mac(3));
    conf["args"] = json!({"cni": {"mac": mac(4), "mtu": 1350, "promisc": true, "txQLen": 9,
        "allmulti": true, "sysctl": {"net.ipv4.tcp_sack": "0"}}});
    let link = add(&conf, &args);
    assert_eq!(link["address"], mac(4));
    assert_eq!((&link["mtu"], &link["txqlen"]), (&json!(1350), &json!(9)));
    assert!(has_flag(&link, "PROMISC") && has_flag(&link, "ALLMULTI"));
    assert_eq!(sysctl(&pod, "net/ipv4/tcp_sack"), "0");
}

#[test]
fn the_backup_is_upstreams_and_private() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    lab.plugin.add(&conf(everything()), &pod).succeeds();
    let text = fs::read_to_string(file(&pod)).unwrap();
    let start = format!(
        "{{\n \"mac\": \"{MAC}\",\n \"promisc\": false,\n \"mtu\": 1500,\n \"allmulti\": false,\n \
         \"txQLen\": 1000,\n \"netloom\": {{\n"
    );
    assert!(text.starts_with(&start), "{text}");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(file(&pod)), 0o600);
    assert_eq!(files(), ["id-of-one_eth0.json"]);
}

#[test]
fn a_second_add_keeps_the_first_backup_and_completes_it() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let before = lab.snapshot(&[&pod]);
    let one = conf(json!({"mac": OTHER_MAC, "dataDir": ""}));
    lab.plugin.add(&one, &pod).succeeds();
    lab.plugin.add(&one, &pod).succeeds();
    let backup = fs::read_to_string(file(&pod)).unwrap();
    assert!(backup.contains(MAC), "{backup}");
    // A second tuning of the chain.
    let two = conf(json!({"mac": "02:00:00:00:00:72", "mtu": 1400}));
    lab.plugin.add(&two, &pod).succeeds();
    let backup = fs::read_to_string(file(&pod)).unwrap();
    assert!(
        backup.contains(MAC) && backup.contains("\"mtu\": 1500"),
        "{backup}"
    );
    for conf in [&two, &one] {
        lab.plugin.del(conf, &pod).succeeds_silently();
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
}

#[test]
fn the_backup_of_an_earlier_container_of_the_same_id_does_not_count() {
    let Some(lab) = Lab::new() else { return };
    let conf = conf(json!({"mtu": 1400}));
    let pod = lab.pod("one");
    lab.plugin.add(&conf, &pod).succeeds();
    let stale = fs::read(file(&pod)).unwrap();
    lab.host.ip("link del host-one");
    drop(pod);
    lab.host.ip("link add filler type veth peer name relliff");
    let pod = lab.pod("one");
    pod.ip("link set eth0 mtu 1450");
    fs::write(file(&pod), stale).unwrap();
    lab.plugin.add(&conf, &pod).succeeds();
    let backup = fs::read_to_string(file(&pod)).unwrap();
    assert!(backup.contains("\"mtu\": 1450"), "{backup}");
    lab.plugin.del(&conf, &pod).succeeds_silently();
    assert_eq!(eth0(&pod)["mtu"], 1450);
}

#[test]
fn nothing_asked_for_is_nothing_done() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let before = lab.snapshot(&[&pod]);
    // As upstream has it: `false` turns nothing off, CHECK only looks.
    for keys in [
        json!({}),
        json!({"promisc": false, "mtu": 0, "mac": "", "sysctl": null}),
    ] {
        let conf = conf(keys);
        let result = lab.plugin.add(&conf, &pod).succeeds();
        assert_eq!(result["interfaces"], conf["prevResult"]["interfaces"]);
        assert_eq!(result["of.somebody/else"], json!([1]));
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
}

#[test]
fn nothing_is_executed_and_nothing_sleeps() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let mut all = conf(everything());
    all["sysctl"] = json!({"net.ipv4.tcp_sack": "0"});
    for command in ["ADD", "CHECK", "DEL"] {
        let Some(trace) = Trace::of(&lab.plugin.call(command, &all).pod(&pod)) else {
            return;
        };
        assert!(trace.outcome.is_success(), "{}", trace.outcome);
        assert!(trace.executions().is_empty() && trace.sleeps().is_empty());
        println!("{command}: {} system calls", trace.calls.len());
    }
}
