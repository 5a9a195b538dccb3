//! Every system call of ADD fails once, and the plugin is killed at every one.

use crate::acquire::wait_until;
use crate::lan::{Lan, conf};
use crate::running::{LEASES, Running};
use netloom_testkit::{Faults, Host, Plugin, PluginDir};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

fn kept() -> usize {
    // The lock is no lease.
    std::fs::read_dir(LEASES).unwrap().count() - 1
}

#[test]
fn an_add_that_fails_or_dies_anywhere_keeps_no_lease() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let daemon = Running::start(&bin, &[]);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let Some(faults) = Faults::points(&dhcp.call("ADD", &conf).pod(&pod)) else {
        return;
    };
    dhcp.del(&conf, &pod).succeeds_silently();
    let (mut failed, mut killed) = (0, 0);
    for k in faults.fallible() {
        let struck = faults.fail_at(k, "EIO");
        failed += usize::from(struck.hit);
        if struck.outcome.is_success() {
            dhcp.del(&conf, &pod).succeeds_silently();
        }
        assert_eq!(kept(), 0, "{:?}\n{}", faults.list()[k], struck.outcome);
        wait_until("the lease to go", || lan.leases().is_empty());
    }
    for k in faults.mortal() {
        killed += usize::from(faults.kill_at(k).hit);
        dhcp.del(&conf, &pod).succeeds_silently();
        assert_eq!(kept(), 0, "{:?}", faults.list()[k]);
        wait_until("the lease to go", || lan.leases().is_empty());
    }
    println!("dhcp ADD: {failed} points failed, {killed} killed");
    assert!(failed > 5 && killed > 3, "{failed} {killed}");
    assert_eq!(daemon.threads(), 1);
}
