use crate::support::{Lab, conf, everything, file, files, previous};
use netloom_testkit::{Plugin, Pod};
use serde_json::{Value, json};
use std::fs;

fn attach(lab: &Lab, network: &str, name: &str) -> Pod {
    let pod = lab.pod(name);
    let mut conf = conf(everything());
    conf["name"] = json!(network);
    conf["prevResult"] = previous("1.1.0", name);
    lab.plugin.add(&conf, &pod).succeeds();
    pod
}

/// GC requests have no result.
fn bare() -> Value {
    conf(json!({"prevResult": null}))
}

#[test]
fn stale_backups_of_this_network_go_and_no_others() {
    let Some(lab) = Lab::new() else { return };
    let stale: Vec<Pod> = ["a", "b", "c"].map(|name| attach(&lab, "net", name)).into();
    let valid = attach(&lab, "net", "valid");
    let other = attach(&lab, "other", "other");
    // What upstream wrote does not say whose it is.
    fs::write(format!("{}x", file(&stale[0]).display()), "{").unwrap();
    fs::write("/run/cni/tuning/go_eth0.json", "{\n \"mtu\": 1500\n}").unwrap();
    for pod in &stale {
        pod.remove();
    }
    let all = files();
    // A request without a list is no permission to remove anything.
    lab.plugin.call("GC", &bare()).run().succeeds_silently();
    assert_eq!(files(), all);
    let id = valid.container_id();
    for _ in 0..2 {
        lab.plugin
            .gc(&bare(), &[(id.as_str(), "eth0"), (id.as_str(), "net1")])
            .succeeds_silently();
        assert_eq!(
            files(),
            [
                "go_eth0.json",
                "id-of-a_eth0.jsonx",
                "id-of-other_eth0.json",
                "id-of-valid_eth0.json",
            ]
        );
    }
    drop(other);
}

#[test]
fn what_is_no_file_is_named_and_keeps_no_other_from_being_collected() {
    let Some(lab) = Lab::new() else { return };
    let stale = attach(&lab, "net", "stale");
    stale.remove();
    fs::create_dir("/run/cni/tuning/a_eth0.json").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", "/run/cni/tuning/b_eth0.json").unwrap();
    let outcome = lab.plugin.gc(&bare(), &[]);
    assert!(outcome.is_success(), "{outcome}");
    assert!(outcome.stderr.contains("a_eth0.json"), "{outcome}");
    assert_eq!(files(), ["a_eth0.json", "b_eth0.json"]);
}

#[test]
fn of_250_whose_namespaces_are_gone_the_ten_valid_ones_stay() {
    let Some(lab) = Lab::new() else { return };
    let pod = attach(&lab, "net", "one");
    let text = fs::read_to_string(file(&pod)).unwrap();
    fs::remove_file(file(&pod)).unwrap();
    for number in 0..250 {
        let text = text.replace(&pod.container_id(), &format!("c{number}"));
        fs::write(format!("/run/cni/tuning/c{number}_eth0.json"), text).unwrap();
    }
    pod.remove();
    let ids: Vec<String> = (120..130).map(|number| format!("c{number}")).collect();
    let valid: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "eth0")).collect();
    lab.plugin.gc(&bare(), &valid).succeeds_silently();
    let expected: Vec<String> = ids.iter().map(|id| format!("{id}_eth0.json")).collect();
    assert_eq!(files(), expected);
}

#[test]
fn upstream_has_no_gc_to_disturb() {
    let Some(lab) = Lab::new() else { return };
    let Some(go) = Plugin::debian("tuning") else {
        return;
    };
    let pod = attach(&lab, "net", "one");
    let _ = go.gc(&bare(), &[]);
    assert_eq!(files().len(), 1);
    drop(pod);
}
