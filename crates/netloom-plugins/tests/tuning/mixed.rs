//! One host, two implementations: Debian's Go plugin and ours.

use crate::support::{Lab, OTHER_MAC, conf_in, everything, files};
use netloom_testkit::Plugin;
use serde_json::{Value, json};

/// What Debian's release knows; `txQLen` is newer.
fn known() -> Value {
    let mut keys = everything();
    keys.as_object_mut().unwrap().remove("txQLen");
    keys
}

fn without_dns(mut result: Value) -> Value {
    // Debian's release prints an empty `dns` where newer ones print none.
    if result["dns"] == json!({}) {
        result.as_object_mut().unwrap().remove("dns");
    }
    result
}

#[test]
fn each_checks_and_deletes_what_the_other_added() {
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        let Some(lab) = Lab::new() else { return };
        let Some(go) = Plugin::debian("tuning") else {
            return;
        };
        let pod = lab.pod("one");
        let before = lab.snapshot(&[&pod]);
        let conf = conf_in(version, known());
        for (adds, deletes) in [(&go, &lab.plugin), (&lab.plugin, &go)] {
            for told in [true, false] {
                let result = adds.add(&conf, &pod).succeeds();
                if version >= "0.4.0" {
                    deletes.check(&conf, &result, &pod).succeeds_silently();
                }
                match told {
                    true => deletes.del_with(&conf, &result, &pod).succeeds_silently(),
                    false => deletes.del(&conf, &pod).succeeds_silently(),
                }
                assert!(files().is_empty());
                lab.snapshot(&[&pod]).assert_same_as(&before);
            }
        }
    }
}

#[test]
fn results_are_equal() {
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"] {
        let Some(lab) = Lab::new() else { return };
        let Some(go) = Plugin::debian("tuning") else {
            return;
        };
        let pod = lab.pod("one");
        let mut conf = conf_in(version, known());
        if version >= "0.3.0" {
            // Go takes an interface of the host for the pod's if the names are the same, and keys
            // that it does not know for nothing.
            conf["prevResult"]["interfaces"][0]["name"] = json!("host-one");
            let result = conf["prevResult"].as_object_mut().unwrap();
            result.remove("of.somebody/else");
        }
        let results = [&go, &lab.plugin].map(|plugin| {
            let result = plugin.add(&conf, &pod).succeeds();
            plugin.del(&conf, &pod).succeeds_silently();
            without_dns(result)
        });
        assert_eq!(results[0], results[1], "version {version}");
        assert!(version < "0.3.0" || results[0]["interfaces"][1]["mac"] == OTHER_MAC);
    }
}

#[test]
fn after_an_add_by_each_the_first_backup_is_still_there() {
    let Some(lab) = Lab::new() else { return };
    let Some(go) = Plugin::debian("tuning") else {
        return;
    };
    let pod = lab.pod("one");
    let before = lab.snapshot(&[&pod]);
    let conf = conf_in("1.0.0", known());
    go.add(&conf, &pod).succeeds();
    lab.plugin.add(&conf, &pod).succeeds();
    go.del(&conf, &pod).succeeds_silently();
    lab.snapshot(&[&pod]).assert_same_as(&before);
}
