//! Two attachments to which upstream gives one file: `a_b` with `c`, and `a` with `b_c`.

use crate::support::{Lab, MAC, OTHER_MAC, STATE, conf_in, files};
use netloom_testkit::{Call, Plugin, Pod};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const PAIR: [(&str, &str); 2] = [("a_b", "c"), ("a", "b_c")];

/// Two pods, each with the interface of its attachment.
fn pods(lab: &Lab) -> [Pod; 2] {
    PAIR.map(|(id, name)| {
        let pod = lab.pod(&format!("pod-{id}"));
        pod.ip("link set eth0 down");
        pod.ip(&format!("link set eth0 name {name}"));
        pod.ip(&format!("link set {name} up"));
        pod
    })
}

fn conf(number: usize) -> Value {
    let (_, name) = PAIR[number];
    let mut conf = conf_in("1.0.0", json!({"mac": OTHER_MAC, "mtu": 1400 + number}));
    conf["prevResult"]["interfaces"] =
        json!([{"name": name, "mac": MAC, "sandbox": "/run/netns/x"}]);
    conf["prevResult"]["ips"] = json!([]);
    conf
}

fn call(plugin: &Plugin, verb: &str, pods: &[Pod; 2], number: usize) -> Call {
    let (id, name) = PAIR[number];
    let call = plugin.call(verb, &conf(number)).pod(&pods[number]);
    call.env("CNI_CONTAINERID", id).env("CNI_IFNAME", name)
}

fn mac(pods: &[Pod; 2], number: usize) -> String {
    let (_, name) = PAIR[number];
    let listed: Value =
        serde_json::from_str(&pods[number].ip(&format!("-j link show {name}"))).unwrap();
    listed[0]["address"].as_str().unwrap().to_owned()
}

#[test]
fn each_has_a_backup_of_its_own_and_gets_back_what_it_was() {
    for (first, second) in [(0, 1), (1, 0)] {
        for leaves in [first, second] {
            let Some(lab) = Lab::new() else { return };
            let pods = pods(&lab);
            for number in [first, second, first] {
                let verb = |verb: &str| call(&lab.plugin, verb, &pods, number).run();
                verb("ADD").succeeds();
            }
            assert_eq!(files().len(), 2, "{:?}", files());
            call(&lab.plugin, "DEL", &pods, leaves)
                .run()
                .succeeds_silently();
            let other = 1 - leaves;
            assert_eq!(
                (mac(&pods, leaves), mac(&pods, other)),
                (MAC.into(), OTHER_MAC.into())
            );
            assert_eq!(files().len(), 1, "{:?}", files());
            // It is found wherever it is, by another ADD too.
            call(&lab.plugin, "ADD", &pods, other).run().succeeds();
            call(&lab.plugin, "DEL", &pods, other)
                .run()
                .succeeds_silently();
            assert_eq!(mac(&pods, other), MAC);
            assert!(files().is_empty(), "{:?}", files());
        }
    }
}

#[test]
fn gc_tells_them_apart() {
    for stale in [0, 1] {
        let Some(lab) = Lab::new() else { return };
        let pods = pods(&lab);
        for number in [0, 1] {
            call(&lab.plugin, "ADD", &pods, number).run().succeeds();
        }
        let conf = json!({"cniVersion": "1.1.0", "name": "net", "type": "tuning"});
        let valid = PAIR[1 - stale];
        lab.plugin.gc(&conf, &[valid]).succeeds_silently();
        let [left] = files().try_into().unwrap();
        let text = fs::read_to_string(Path::new(STATE).join(left)).unwrap();
        assert!(
            text.contains(&format!("\"container\": \"{}\"", valid.0)),
            "{text}"
        );
    }
}

#[test]
fn an_id_with_an_underscore_keeps_upstreams_name_so_that_each_deletes_what_the_other_added() {
    let Some(lab) = Lab::new() else { return };
    let Some(go) = Plugin::debian("tuning") else {
        return;
    };
    let pods = pods(&lab);
    for number in [0, 1] {
        for (adds, deletes) in [(&go, &lab.plugin), (&lab.plugin, &go)] {
            call(adds, "ADD", &pods, number).run().succeeds();
            assert_eq!(files(), ["a_b_c.json"]);
            call(deletes, "DEL", &pods, number)
                .run()
                .succeeds_silently();
            assert_eq!(mac(&pods, number), MAC);
            assert!(files().is_empty());
        }
    }
}

#[test]
fn what_netloom_wrote_before_is_read_by_its_name() {
    let Some(lab) = Lab::new() else { return };
    let pods = pods(&lab);
    call(&lab.plugin, "ADD", &pods, 0).run().succeeds();
    let path = Path::new(STATE).join("a_b_c.json");
    let mut former: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for key in ["container", "interface"] {
        former["netloom"]
            .as_object_mut()
            .unwrap()
            .remove(key)
            .unwrap();
    }
    fs::write(&path, former.to_string()).unwrap();
    call(&lab.plugin, "DEL", &pods, 0).run().succeeds_silently();
    assert_eq!(mac(&pods, 0), MAC);
    assert!(files().is_empty());
}
