//! The examples of docs/plugins/host-device.md that need a device, which goes with its pod when
//! that is a virtual one; tests/docs runs the others.

use netloom_testkit::{Host, Plugin, PluginDir};
use serde_json::Value;

const PAGE: &str = include_str!("../../../../docs/plugins/host-device.md");

#[test]
fn the_examples_work() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let plugin = Plugin::ours(&plugins, "host-device");
    host.ip("link add ens5 address 02:00:00:00:28:05 type veth peer name other");
    let examples: Vec<Value> = PAGE
        .split("```json\n")
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split("```").next().unwrap()).unwrap())
        .collect();
    assert_eq!(examples.len(), 2);
    for conf in examples {
        let pod = host.pod("one");
        let result = plugin.add(&conf, &pod).succeeds();
        plugin.check(&conf, &result, &pod).succeeds_silently();
        plugin.del_with(&conf, &result, &pod).succeeds_silently();
        assert!(host.ip("-o link").contains("ens5@other"), "{conf}");
    }
}
