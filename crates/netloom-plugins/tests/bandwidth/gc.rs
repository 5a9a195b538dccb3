use crate::support::{Lab, both, conf, pod, previous};
use netloom_testkit::Pod;
use serde_json::{Value, json};

fn attach(lab: &Lab, network: &str, name: &str) -> (Pod, String) {
    let pod = pod(&lab.host, name);
    let mut conf = conf(both());
    conf["name"] = json!(network);
    conf["prevResult"] = previous("1.1.0", &format!("host-{name}"), "eth0", name);
    let result = lab.plugin.add(&conf, &pod).succeeds();
    let ifb = result["interfaces"][2]["name"].as_str().unwrap().to_owned();
    (pod, ifb)
}

fn bare() -> Value {
    conf(json!({"prevResult": null}))
}

#[test]
fn stale_ifbs_of_this_network_go_and_no_others() {
    let Some(lab) = Lab::new() else { return };
    let stale: Vec<(Pod, String)> = ["a", "b", "c"].map(|n| attach(&lab, "net", n)).into();
    let (valid, kept) = attach(&lab, "net", "valid");
    let (_other, others) = attach(&lab, "other", "other");
    // What upstream made does not say whose it is.
    lab.host.ip("link add bwp0123456789ab type ifb");
    for (pod, _) in &stale {
        pod.remove();
    }
    let all = lab.ifbs();
    assert_eq!(all.len(), 6);
    // A request without a list is no permission to remove anything.
    lab.plugin.call("GC", &bare()).run().succeeds_silently();
    assert_eq!(lab.ifbs(), all);
    let id = valid.container_id();
    let mut left = vec![kept, others, "bwp0123456789ab".to_owned()];
    left.sort();
    for _ in 0..2 {
        lab.plugin
            .gc(&bare(), &[(id.as_str(), "eth0")])
            .succeeds_silently();
        assert_eq!(lab.ifbs(), left);
    }
    // Another interface of the same container is another attachment.
    lab.plugin
        .gc(&bare(), &[(id.as_str(), "net1")])
        .succeeds_silently();
    assert_eq!(lab.ifbs().len(), 2);
}

#[test]
fn of_250_whose_namespaces_are_gone_the_ten_valid_ones_stay() {
    let Some(lab) = Lab::new() else { return };
    let (pod, ifb) = attach(&lab, "net", "one");
    let alias = lab.host.sh(&format!("cat /sys/class/net/{ifb}/ifalias"));
    let network = alias.split('-').next().unwrap().to_owned();
    lab.host.ip(&format!("link del {ifb}"));
    // As ADD leaves them, made by `ip` to be quick.
    let mut batch = String::new();
    let mut valid = Vec::new();
    for number in 0..250 {
        let id = format!("c{number}");
        let instance = lab.host.sh(&format!("printf eth0:{id} | sha512sum"));
        let name = format!("bwp{:012x}", number);
        batch.push_str(&format!(
            "link add {name} type ifb\nlink set {name} alias \"{network}-{}, x\"\n",
            &instance[..16]
        ));
        if (120..130).contains(&number) {
            valid.push((id, name));
        }
    }
    std::fs::write("/run/batch", batch).unwrap();
    lab.host.ip("-batch /run/batch");
    pod.remove();
    assert_eq!(lab.ifbs().len(), 250);
    let attachments: Vec<(&str, &str)> =
        valid.iter().map(|(id, _)| (id.as_str(), "eth0")).collect();
    lab.plugin.gc(&bare(), &attachments).succeeds_silently();
    let names: Vec<String> = valid.iter().map(|(_, name)| name.clone()).collect();
    assert_eq!(lab.ifbs(), names);
}
