//! A fault at every system call.

use crate::support::{conf, everything, pod};
use netloom_testkit::{Host, Plugin, PluginDir, Scene, assert_del_completes, assert_no_residue};
use serde_json::{Value, json};

/// `shell` runs after DEL, to take back what DEL leaves.
fn scene(plugins: &PluginDir, conf: &Value, shell: &str) -> Option<Scene> {
    let host = Host::new()?;
    let pod = pod(&host, "one");
    let tuning = Plugin::ours(plugins, "tuning");
    let call = |command| tuning.call(command, conf).pod(&pod);
    let (add, mut del) = (call("ADD"), call("DEL"));
    if !shell.is_empty() {
        let line = format!("\"$0\" && ip netns exec one sh -c '{shell}'");
        del = del.under("sh", &["-c", &line]);
    }
    Some(Scene {
        pods: vec![pod],
        host,
        add,
        del,
        bridges: Vec::new(),
    })
}

#[test]
fn no_fault_in_add_leaves_anything() {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let conf = conf(everything());
    let Some(tally) = assert_no_residue("tuning", None, || scene(&plugins, &conf, "")) else {
        return;
    };
    assert!(tally.has_points(16, 9), "{tally}");
}

#[test]
fn no_fault_in_an_add_that_fails_leaves_a_sysctl() {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let keys = json!({"mtu": 1400, "sysctl": {
        "net.ipv4.conf.IFNAME.arp_filter": "1", "net.ipv4.tcp_sack": "0"
    }});
    // DEL leaves sysctls, as upstream's does: they may be another network's.
    let shell = "echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_filter; \
                 echo 1 > /proc/sys/net/ipv4/tcp_sack";
    let scene = || scene(&plugins, &conf(keys.clone()), shell);
    let Some(tally) = assert_no_residue("tuning, sysctls", None, scene) else {
        return;
    };
    assert!(tally.has_points(21, 11), "{tally}");
}

#[test]
fn a_del_that_failed_or_was_killed_anywhere_is_completed_by_the_next() {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let conf = conf(everything());
    let Some(tally) = assert_del_completes("tuning", || scene(&plugins, &conf, "")) else {
        return;
    };
    assert!(tally.has_points(9, 4), "{tally}");
}
