//! The MTU of the host's end follows that of the pod's.

use crate::support::{Lab, conf_in, eth0};
use netloom_testkit::{Plugin, PluginDir};
use serde_json::{Value, json};

/// Whether a packet with this much data gets through whole.
fn fits(run: impl Fn(&str) -> String, to: &str, size: u16) -> bool {
    let ping = format!("ping -n -q -c 1 -i 0.2 -w 2 -M do -s {size} {to}");
    run(&format!("{ping} >/dev/null 2>&1 && echo yes || true")) == "yes\n"
}

#[test]
fn what_the_one_end_may_send_the_other_takes_from_add_to_del() {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    for (kind, mtu) in [("ptp", 1300), ("ptp", 9000), ("bridge", 1300)] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.host.pod("two");
        let first = Plugin::ours(&plugins, kind);
        let address = json!({"address": "10.5.0.2/24", "gateway": "10.5.0.1"});
        let conf = json!({
            "cniVersion": "1.1.0", "name": "net", "type": kind, "isGateway": true,
            "ipam": {"type": "static", "addresses": [address]},
        });
        let made = first.add(&conf, &pod).succeeds();
        let mut tuning = conf_in("1.1.0", json!({"mtu": mtu}));
        tuning["prevResult"] = made;
        let result = lab.plugin.add(&tuning, &pod).succeeds();
        let listed = result["interfaces"].as_array().unwrap();
        let host_end = listed
            .iter()
            .rev()
            .find(|it| it["sandbox"].is_null())
            .unwrap();
        assert_eq!(host_end["mtu"], mtu, "{result}");
        let mtu_of = |name: &Value| {
            let name = name.as_str().unwrap();
            let line = format!("cat /sys/class/net/{name}/mtu || true");
            lab.host.sh(&line).trim().to_owned()
        };
        assert_eq!(mtu_of(&host_end["name"]), mtu.to_string(), "{kind}");
        // Either way, as much as fits; the host knows of what does not.
        let size = mtu - 28;
        assert!(fits(|line| pod.sh(line), "10.5.0.1", size), "{kind}: {mtu}");
        assert!(
            fits(|line| lab.host.sh(line), "10.5.0.2", size),
            "{kind}: {mtu}"
        );
        let told = format!("ping -n -c 1 -w 1 -M do -s {} 10.5.0.2 2>&1 || true", mtu);
        assert!(
            lab.host.sh(&told).contains("message too long"),
            "{kind}: {mtu}"
        );

        first.check(&conf, &result, &pod).succeeds_silently();
        lab.plugin.check(&tuning, &result, &pod).succeeds_silently();
        lab.plugin
            .del_with(&tuning, &result, &pod)
            .succeeds_silently();
        assert_eq!(mtu_of(&host_end["name"]), "1500", "{kind}");
        assert_eq!(eth0(&pod)["mtu"], 1500);
        first.del_with(&conf, &result, &pod).succeeds_silently();
    }
}

#[test]
fn what_only_bears_the_name_of_the_hosts_end_is_left_alone() {
    let Some(lab) = Lab::new() else { return };
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let pod = lab.host.pod("two");
    let address = json!({"address": "10.5.0.2/24", "gateway": "10.5.0.1"});
    let ptp = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "ptp",
        "ipam": {"type": "static", "addresses": [address]},
    });
    let made = Plugin::ours(&plugins, "ptp").add(&ptp, &pod).succeeds();
    let before = lab.snapshot(&[&pod]);
    let mut tuning = conf_in("1.1.0", json!({"mtu": 1300, "mac": "02:00:00:00:00:77"}));
    tuning["prevResult"] = made.clone();
    tuning["prevResult"]["interfaces"][0]["name"] = json!("lo");
    let result = lab.plugin.add(&tuning, &pod).succeeds();
    assert_eq!(result["interfaces"][0]["mtu"], made["interfaces"][0]["mtu"]);
    lab.plugin
        .del_with(&tuning, &result, &pod)
        .succeeds_silently();
    lab.snapshot(&[&pod]).assert_same_as(&before);
}

#[test]
fn del_without_a_result_gives_the_hosts_end_its_mtu_back_and_nobody_elses() {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let Some(lab) = Lab::new() else { return };
    // The other pod's numbers of links are the same.
    let (pod, other) = (lab.host.pod("two"), lab.host.pod("three"));
    let first = Plugin::ours(&plugins, "ptp");
    let attach = |pod: &netloom_testkit::Pod, address: &str| {
        let conf = json!({
            "cniVersion": "1.1.0", "name": "net", "type": "ptp",
            "ipam": {"type": "static", "addresses": [{"address": address, "gateway": "10.5.0.1"}]},
        });
        let mut tuning = conf_in("1.1.0", json!({"mtu": 1300}));
        tuning["prevResult"] = first.add(&conf, pod).succeeds();
        lab.plugin.add(&tuning, pod).succeeds();
        let end = tuning["prevResult"]["interfaces"][0]["name"].clone();
        (
            tuning,
            format!("cat /sys/class/net/{}/mtu", end.as_str().unwrap()),
        )
    };
    let (mut tuning, own) = attach(&pod, "10.5.0.2/24");
    let (_, others) = attach(&other, "10.5.0.3/24");
    tuning.as_object_mut().unwrap().remove("prevResult");
    lab.plugin.del(&tuning, &pod).succeeds_silently();
    assert_eq!(lab.host.sh(&own), "1500\n");
    assert_eq!(lab.host.sh(&others), "1300\n");
}
