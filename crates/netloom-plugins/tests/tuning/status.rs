use crate::support::{Lab, conf};
use serde_json::json;

#[test]
fn what_no_add_could_do_is_reported() {
    let Some(lab) = Lab::new() else { return };
    lab.host.sh("touch /run/file");
    let bare = |mut keys: serde_json::Value| {
        keys["prevResult"] = json!(null);
        conf(keys)
    };
    let good = json!({"mtu": 1400, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}});
    lab.plugin.status(&bare(good)).succeeds_silently();
    let error = lab.plugin.status(&bare(json!({"mtu": -1}))).fails_with(7);
    error.names(&["invalid mtu -1"]);
    for directory in ["/run/file", "/run/file/below"] {
        let error = lab.plugin.status(&bare(json!({"dataDir": directory})));
        error.fails_with(50).names(&["dataDir", directory]);
    }
}
