use crate::support::{Lab, NIC, conf, eth0, reserved};
use serde_json::json;

#[test]
fn a_device_that_came_back_gets_its_name_and_stale_addresses_go() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = conf(json!({}));
    lab.plugin.add(&conf, &pod).succeeds();
    let valid = pod.container_id();
    lab.plugin
        .gc(&conf, &[(valid.as_str(), "eth0")])
        .succeeds_silently();
    assert_eq!(eth0(&pod)["ifalias"], NIC);
    assert_eq!(reserved(), ["10.1.0.5"]);
    lab.container_dies(&pod, "eth0", "eth0");
    // A request without a list is no permission to remove anything.
    let _ = lab.plugin.call("GC", &conf).run();
    assert_eq!(lab.link("eth0").unwrap()["ifalias"], NIC);
    for _ in 0..2 {
        lab.plugin.gc(&conf, &[]).succeeds_silently();
        lab.assert_returned("GC");
        assert_eq!(reserved(), Vec::<String>::new());
    }
}
