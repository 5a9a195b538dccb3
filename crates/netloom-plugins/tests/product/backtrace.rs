//! Errors of many kinds where everything is asked to print backtraces.

use netloom_testkit::{Call, PluginDir};

use crate::PROGRAM;

/// Plugin, variables beside those of a good call, stdin, and what the error must name.
type Wrong = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

const KINDS: &[Wrong] = &[
    ("bridge", &[], "", "JSON"),
    ("bridge", &[], "{", "JSON"),
    ("bridge", &[], "[1]", "an array"),
    ("bridge", &[], "{}", "network name"),
    ("bridge", &[], r#"{"name": "../n"}"#, "../n"),
    (
        "bridge",
        &[],
        r#"{"cniVersion": "9.0.0", "name": "n"}"#,
        "9.0.0",
    ),
    (
        "bridge",
        &[],
        r#"{"cniVersion": 1, "name": "n"}"#,
        "cniVersion",
    ),
    (
        "bridge",
        &[("CNI_COMMAND", "add")],
        CONF,
        "unknown CNI_COMMAND: add",
    ),
    (
        "bridge",
        &[("CNI_CONTAINERID", "")],
        "{}",
        "CNI_CONTAINERID",
    ),
    ("bridge", &[("CNI_CONTAINERID", "../c")], "{}", "../c"),
    ("bridge", &[("CNI_IFNAME", "a/b")], "{}", "a/b"),
    ("bridge", &[("CNI_NETNS", "")], "{}", "CNI_NETNS"),
    ("bridge", &[("CNI_ARGS", "A=1;B")], CONF, "CNI_ARGS"),
    ("bridge", &[("CNI_COMMAND", "CHECK")], CONF, "prevResult"),
    ("bridge", &[], CONF, "/no/such/netns"),
    (
        "bridge",
        &[],
        r#"{"cniVersion": "1.1.0", "name": "n", "vlan": 5000}"#,
        "5000",
    ),
    (
        "bridge",
        &[],
        r#"{"cniVersion": "1.1.0", "name": "n", "mtu": "big"}"#,
        "mtu",
    ),
    (
        "host-local",
        &[],
        r#"{"cniVersion": "1.1.0", "name": "n", "ipam": {"type": "host-local", "subnet": "10.1.0.0/33"}}"#,
        "10.1.0.0/33",
    ),
    (
        "host-local",
        &[],
        r#"{"cniVersion": "1.1.0", "name": "n", "ipam": {"type": "host-local", "subnet": "10.1.0.0/24",
            "dataDir": "/proc/none"}}"#,
        "/proc/none",
    ),
    (
        "static",
        &[],
        r#"{"cniVersion": "1.1.0", "name": "n", "ipam": {"type": "static", "addresses": [{"address": "ten"}]}}"#,
        "ten",
    ),
    ("portmap", &[], CONF, "prevResult"),
    ("loopback", &[], CONF, "/no/such/netns"),
    (
        "debug",
        &[],
        r#"{"cniVersion": "1.1.0", "name": "n", "faults": [{"operation": "ADD", "kind": "panic"}]}"#,
        "panicked",
    ),
    (
        "debug",
        &[],
        r#"{"cniVersion": "1.1.0", "name": "n", "faults": [{"operation": "ADD", "kind": "error"}]}"#,
        "asked to fail",
    ),
];

const CONF: &str = r#"{"cniVersion": "1.1.0", "name": "n", "ipam": {"type": "none"}}"#;

#[test]
fn errors_of_twenty_kinds_are_one_object_with_full_backtraces() {
    let bin = PluginDir::of(PROGRAM);
    for (plugin, variables, stdin, named) in KINDS {
        for backtrace in ["1", "full"] {
            let call = Call::new(bin.path().join(plugin))
                .env("CNI_COMMAND", "ADD")
                .env("CNI_CONTAINERID", "c")
                .env("CNI_NETNS", "/no/such/netns")
                .env("CNI_IFNAME", "eth0")
                .env("CNI_PATH", bin.path())
                .env("RUST_BACKTRACE", backtrace)
                .env("RUST_LIB_BACKTRACE", backtrace)
                .stdin(*stdin);
            let call = variables
                .iter()
                .fold(call, |call, (name, value)| call.env(name, value));
            let outcome = call.run();
            assert_eq!(outcome.code(), Some(1), "{outcome}");
            outcome.fails();
            assert!(outcome.stdout.contains(named), "no {named:?}: {outcome}");
        }
    }
}
