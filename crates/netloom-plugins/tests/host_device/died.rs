//! A device that came back from a dead container before any DEL, and the next ADD.

use crate::support::{Lab, MAC, NIC, bare, buses, eth0};
use serde_json::json;

#[test]
fn the_next_add_takes_it_under_its_own_name() {
    for keys in [
        json!({}),
        json!({"device": null, "hwaddr": MAC}),
        json!({"device": null, "pciBusID": "0000:00:05.0"}),
    ] {
        let Some(lab) = Lab::new() else { return };
        buses(&lab.host);
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        let conf = bare(keys);
        let first = lab.plugin.add(&conf, &one).succeeds();
        lab.container_dies(&one, "eth0", "eth0");
        lab.host
            .sh("cd /sys/bus/pci/devices/0000:00:05.0/net && mv nic0 eth0");
        let second = lab.plugin.add(&conf, &two).succeeds();
        assert_eq!(eth0(&two)["ifalias"], NIC);
        // The late DEL of the first pod leaves the second alone.
        lab.plugin.del_with(&conf, &first, &one).succeeds_silently();
        lab.plugin.check(&conf, &second, &two).succeeds_silently();
        lab.plugin
            .del_with(&conf, &second, &two)
            .succeeds_silently();
        lab.assert_returned("after two pods");
    }
}
