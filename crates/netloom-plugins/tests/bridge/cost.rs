//! What an ADD opens: a socket to each namespace's links, one to nf_tables, and two visits to the pod.

use crate::support::Lab;
use netloom_testkit::{probe, skip};
use serde_json::json;
use std::process::Command;

#[test]
fn an_add_with_masquerade_and_spoof_check_opens_each_socket_once() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("no strace: install Debian's package strace");
    }
    let Some(lab) = Lab::new() else { return };
    if !probe::has_nft_family("bridge") {
        return skip("the kernel has no nf_tables of family bridge");
    }
    let pools = tempfile::tempdir().unwrap();
    let conf = lab.conf(json!({
        "isGateway": true, "ipMasq": true, "ipMasqBackend": "nftables", "macspoofchk": true,
        "ipam": {"type": "host-local", "dataDir": pools.path(),
            "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]},
    }));
    // The bridge and the tables are there from the second pod on.
    lab.bridge.add(&conf, &lab.host.pod("first")).succeeds();
    let log = pools.path().join("log");
    let arguments = [
        "-f",
        "-qq",
        "-e",
        "trace=socket,setns,execve",
        "-o",
        log.to_str().unwrap(),
    ];
    let pod = lab.host.pod("second");
    let call = lab.bridge.call("ADD", &conf).pod(&pod);
    call.under("strace", &arguments).run().succeeds();
    let log = std::fs::read_to_string(&log).unwrap();
    let count = |part: &str| log.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("NETLINK_ROUTE"), 2, "the host's and the pod's: {log}");
    assert_eq!(count("NETLINK_NETFILTER"), 1, "{log}");
    // There and back.
    assert!(count("setns(") <= 4, "{log}");
    assert_eq!(count("execve("), 1, "host-local is the same program: {log}");
}
