//! A fault at every system call.

use crate::support::{both, conf, pod};
use netloom_testkit::{Host, Plugin, PluginDir, Scene, assert_del_completes, assert_no_residue};
use serde_json::{Value, json};

fn scene(plugins: &PluginDir, conf: &Value) -> Option<Scene> {
    let host = Host::new()?;
    let pod = pod(&host, "one");
    let bandwidth = Plugin::ours(plugins, "bandwidth");
    let call = |command| bandwidth.call(command, conf).pod(&pod);
    let (add, del) = (call("ADD"), call("DEL"));
    Some(Scene {
        pods: vec![pod],
        host,
        add,
        del,
        bridges: Vec::new(),
    })
}

fn with_subnets() -> Value {
    let mut conf = conf(both());
    conf["shapedSubnets"] = json!(["10.0.0.0/8", "fd00::/8"]);
    conf
}

#[test]
fn no_fault_in_add_leaves_anything() {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    for (what, conf) in [
        ("bandwidth", conf(both())),
        ("bandwidth, subnets", with_subnets()),
    ] {
        let Some(tally) = assert_no_residue(what, None, || scene(&plugins, &conf)) else {
            return;
        };
        assert!(tally.has_points(16, 9), "{tally}");
    }
}

#[test]
fn a_del_that_failed_or_was_killed_anywhere_is_completed_by_the_next() {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let Some(tally) = assert_del_completes("bandwidth", || scene(&plugins, &with_subnets())) else {
        return;
    };
    assert!(tally.has_points(11, 4), "{tally}");
}
