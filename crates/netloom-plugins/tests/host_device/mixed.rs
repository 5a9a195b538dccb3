//! One host, two implementations: Debian's Go plugin and ours.

use crate::support::{Lab, MAC, NIC, conf, is_up, reserved};
use netloom_testkit::Plugin;
use serde_json::json;

#[test]
fn each_checks_and_deletes_what_the_other_added() {
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        for keys in [json!({}), json!({"device": null, "hwaddr": MAC})] {
            let Some(lab) = Lab::new() else { return };
            let Some(go) = Plugin::debian("host-device") else {
                return;
            };
            let mut conf = conf(keys);
            conf["cniVersion"] = json!(version);
            for (adds, deletes) in [(&go, &lab.plugin), (&lab.plugin, &go)] {
                let pod = lab.host.pod("one");
                let result = adds.add(&conf, &pod).succeeds();
                assert!(pod.pings([10, 1, 0, 1]));
                if version >= "0.4.0" {
                    deletes.check(&conf, &result, &pod).succeeds_silently();
                }
                deletes.del_with(&conf, &result, &pod).succeeds_silently();
                let link = lab.link(NIC).unwrap();
                assert!(link["address"] == MAC && !is_up(&link), "{link}");
                assert_eq!(reserved(), Vec::<String>::new());
                // Debian's release leaves the alias; ours clears it.
                let alias = link.get("ifalias").is_some();
                assert_eq!(alias, deletes.program() == go.program());
                lab.plugin.del(&conf, &pod).succeeds_silently();
                lab.assert_returned("after a second DEL");
            }
        }
    }
}

#[test]
fn results_are_equal() {
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"] {
        let Some(lab) = Lab::new() else { return };
        let Some(go) = Plugin::debian("host-device") else {
            return;
        };
        let pod = lab.host.pod("one");
        let conf = conf(json!({"cniVersion": version}));
        let results = [&go, &lab.plugin].map(|plugin| {
            let mut result = plugin.add(&conf, &pod).succeeds();
            plugin.del_with(&conf, &result, &pod).succeeds_silently();
            lab.host.sh("rm -r /var/lib/cni/networks");
            if result["dns"] == json!({}) {
                // Debian's release prints an empty `dns` where newer ones print none.
                result.as_object_mut().unwrap().remove("dns");
            }
            result
        });
        assert_eq!(results[0], results[1], "version {version}");
    }
}
