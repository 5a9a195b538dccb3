//! debug records, passes on, and runs hooks where the container is.

use netloom_testkit::{Call, Host, Plugin, PluginDir};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

fn conf() -> Value {
    json!({"cniVersion": "1.1.0", "name": "seen", "type": "debug"})
}

fn call(bin: &PluginDir, command: &str, conf: &Value) -> Call {
    Plugin::ours(bin, "debug")
        .call(command, conf)
        .env("CNI_CONTAINERID", "c1")
        .env("CNI_NETNS", "/no/such/netns")
        .env("CNI_IFNAME", "eth0")
        .env("CNI_ARGS", "K=V")
}

fn record(command: &str, bin: &PluginDir, conf: &Value) -> String {
    format!(
        "{command}\nContainerID: c1\nNetns: /no/such/netns\nIfName: eth0\nArgs: K=V\n\
         Path: {}\nStdinData: {conf}\n----------------------\n",
        bin.path().display()
    )
}

#[test]
fn records_are_appended_to_the_file_in_order() {
    let (bin, dir) = (PluginDir::of(PROGRAM), TempDir::new().unwrap());
    let file = dir.path().join("log");
    let mut conf = conf();
    conf["cniOutput"] = json!(file);
    let mut expected = String::new();
    for (command, title) in [("ADD", "CmdAdd"), ("CHECK", "CmdCheck"), ("DEL", "CmdDel")] {
        let outcome = call(&bin, command, &conf).run();
        outcome.succeeds();
        assert_eq!(outcome.stderr, "");
        expected += &record(title, &bin, &conf);
        assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    }
}

#[test]
fn without_a_file_the_record_goes_to_stderr() {
    let bin = PluginDir::of(PROGRAM);
    let outcome = call(&bin, "ADD", &conf()).run();
    assert_eq!(outcome.succeeds(), json!({"cniVersion": "1.1.0"}));
    assert_eq!(outcome.stderr, record("CmdAdd", &bin, &conf()));
}

#[test]
fn gc_and_status_are_recorded_too() {
    let bin = PluginDir::of(PROGRAM);
    for (command, title) in [("GC", "CmdGC\n"), ("STATUS", "CmdStatus\n")] {
        let outcome = call(&bin, command, &conf()).run();
        outcome.succeeds_silently();
        assert!(outcome.stderr.starts_with(title), "{outcome}");
    }
}

#[test]
fn a_file_that_cannot_be_written_does_not_fail_the_call() {
    let bin = PluginDir::of(PROGRAM);
    let mut conf = conf();
    conf["cniOutput"] = json!("/no/such/dir/log");
    let outcome = call(&bin, "ADD", &conf).run();
    outcome.succeeds();
    assert!(
        outcome
            .stderr
            .starts_with("debug: cannot append to cniOutput"),
        "{outcome}"
    );
    assert!(
        outcome.stderr.ends_with(&record("CmdAdd", &bin, &conf)),
        "{outcome}"
    );
}

#[test]
fn the_previous_result_passes_through_in_every_version() {
    let bin = PluginDir::of(PROGRAM);
    for version in ["0.3.0", "0.3.1", "0.4.0"] {
        let mut conf = conf();
        conf["cniVersion"] = json!(version);
        conf["prevResult"] = json!({
            "cniVersion": version, "interfaces": [{"name": "eth0", "sandbox": "/x"}],
            "ips": [{"version": "4", "interface": 0, "address": "10.1.0.5/16"}], "dns": {},
        });
        assert_eq!(
            call(&bin, "ADD", &conf).run().succeeds(),
            conf["prevResult"]
        );
    }
    let mut conf = conf();
    conf["prevResult"] = json!({
        "cniVersion": "1.1.0", "ips": [{"address": "10.1.0.5/16", "x-vendor": true}],
        "routes": [{"dst": "0.0.0.0/0", "table": 0, "mtu": 1400}],
    });
    assert_eq!(
        call(&bin, "ADD", &conf).run().succeeds(),
        conf["prevResult"]
    );
}

#[test]
fn hooks_run_in_order_in_the_namespace_of_the_container() {
    let Some(host) = Host::new() else { return };
    let (bin, dir, pod) = (
        PluginDir::of(PROGRAM),
        TempDir::new().unwrap(),
        host.pod("one"),
    );
    pod.ip("link set lo up");
    pod.ip("address add 127.9.9.9/32 dev lo");
    let out = dir.path().join("out");
    let hook = |line: &str| json!(["sh", "-c", format!("{line} >> {}", out.display())]);
    let mut conf = conf();
    conf["addHooks"] = json!([hook("echo $CNI_COMMAND"), hook("ip -br addr show dev lo")]);
    conf["delHooks"] = json!([hook("echo $CNI_COMMAND")]);
    conf["checkHooks"] = json!([hook("echo $CNI_COMMAND")]);
    for command in ["ADD", "CHECK", "DEL"] {
        let outcome = call(&bin, command, &conf)
            .env("CNI_NETNS", pod.path())
            .run();
        outcome.succeeds();
    }
    let seen = fs::read_to_string(out).unwrap();
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!((lines[0], &lines[2..]), ("ADD", &["CHECK", "DEL"][..]));
    assert!(lines[1].contains("127.9.9.9"), "{seen}");
}

#[test]
fn a_hook_that_fails_is_told_and_disturbs_nothing() {
    let Some(host) = Host::new() else { return };
    let (bin, pod) = (PluginDir::of(PROGRAM), host.pod("one"));
    let mut conf = conf();
    conf["addHooks"] = json!([
        ["sh", "-c", "echo noise; echo because >&2; exit 3"],
        ["/no/such/program"],
        ["sh", "-c", "echo this must not be in the result"],
    ]);
    let outcome = call(&bin, "ADD", &conf).env("CNI_NETNS", pod.path()).run();
    assert_eq!(outcome.succeeds(), json!({"cniVersion": "1.1.0"}));
    for part in [
        "exit status: 3",
        "noise",
        "because",
        "/no/such/program",
        "cannot be run",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {outcome}");
    }
}

#[test]
fn hooks_are_skipped_when_the_namespace_is_gone() {
    let (bin, dir) = (PluginDir::of(PROGRAM), TempDir::new().unwrap());
    let out = dir.path().join("out");
    let mut conf = conf();
    conf["addHooks"] = json!([["touch", out]]);
    conf["delHooks"] = conf["addHooks"].clone();
    for command in ["ADD", "DEL"] {
        let outcome = call(&bin, command, &conf).run();
        outcome.succeeds();
        assert!(outcome.stderr.contains("hooks skipped"), "{outcome}");
        assert!(!out.exists());
    }
}

#[test]
fn a_hook_without_a_program_is_refused_but_never_blocks_del() {
    let bin = PluginDir::of(PROGRAM);
    let mut conf = conf();
    conf["addHooks"] = json!([["true"], []]);
    call(&bin, "ADD", &conf)
        .run()
        .fails_with(7)
        .names(&["addHooks[1] is empty"]);
    call(&bin, "DEL", &conf).run().succeeds_silently();
    conf["addHooks"] = json!("true");
    call(&bin, "ADD", &conf)
        .run()
        .fails_with(6)
        .names(&["addHooks"]);
    call(&bin, "DEL", &conf).run().succeeds_silently();
}
