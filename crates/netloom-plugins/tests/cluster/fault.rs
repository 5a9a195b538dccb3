//! cluster with a fault at every system call: no reservation is left, and the grants stay as they are.

use crate::conf;
use crate::daemon::Daemon;
use netloom_testkit::{Host, Plugin, PluginDir, Scene};
use netloom_testkit::{assert_del_completes, assert_no_residue};

/// A pod about to get an address of what its node holds. The daemon is gone, so that nobody tidies up.
fn scene(bin: &PluginDir) -> Option<Scene> {
    let host = Host::new()?;
    let pod = host.pod("one");
    let cluster = Plugin::ours(bin, "cluster");
    let conf = conf();
    let call = |command| cluster.call(command, &conf).pod(&pod);
    let (add, del) = (call("ADD"), call("DEL"));
    let daemon = Daemon::start();
    add.run().succeeds();
    drop(daemon);
    del.run().succeeds_silently();
    Some(Scene {
        pods: vec![pod],
        host,
        add,
        del,
        bridges: Vec::new(),
    })
}

#[test]
fn no_fault_in_add_leaves_an_address_reserved() {
    let bin = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let tally = assert_no_residue("ADD of cluster", None, || scene(&bin));
    if let Some(tally) = tally {
        assert!(tally.has_points(31, 11), "{tally}");
    }
}

#[test]
fn a_del_with_a_fault_is_completed_by_the_next() {
    let bin = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let tally = assert_del_completes("DEL of cluster", || scene(&bin));
    if let Some(tally) = tally {
        assert!(tally.has_points(21, 8), "{tally}");
    }
}
