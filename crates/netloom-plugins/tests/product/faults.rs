//! What the plugin debug does wrong when it is asked to.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netloom_testkit::{Call, Host, Outcome, Plugin, PluginDir, Snapshot};
use serde_json::{Value, json};

use crate::PROGRAM;

const OPERATIONS: [&str; 5] = ["ADD", "CHECK", "DEL", "GC", "STATUS"];

fn conf(faults: &Value) -> Value {
    json!({"cniVersion": "1.1.0", "name": "net", "type": "debug", "cniOutput": "/dev/null",
        "faults": faults})
}

fn call(bin: &PluginDir, operation: &str, faults: &Value) -> Call {
    Plugin::ours(bin, "debug")
        .call(operation, &conf(faults))
        .env("CNI_CONTAINERID", "c1")
        .env("CNI_NETNS", "/no/such/netns")
        .env("CNI_IFNAME", "eth0")
}

/// The call with this kind of fault in it.
fn with(bin: &PluginDir, operation: &str, kind: &str) -> Call {
    call(
        bin,
        operation,
        &json!([{"operation": operation, "kind": kind}]),
    )
}

#[track_caller]
fn panicked(outcome: &Outcome, who: &str) {
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    let error = outcome.fails_with(999);
    error.names(&["debug: panicked: ", "was asked to panic"]);
    assert!(outcome.stderr.contains("panicked at"), "{who}: {outcome}");
}

#[test]
fn a_panic_is_an_error_object_in_every_operation_with_a_backtrace_too() {
    let bin = PluginDir::of(PROGRAM);
    for operation in OPERATIONS {
        for backtrace in ["0", "1", "full"] {
            let call = with(&bin, operation, "panic").env("RUST_BACKTRACE", backtrace);
            panicked(&call.run(), operation);
        }
    }
}

#[test]
fn what_was_made_before_a_panic_is_undone() {
    let Some(host) = Host::new() else { return };
    let (bin, pod) = (PluginDir::of(PROGRAM), host.pod("one"));
    let bridge = Plugin::ours(&bin, "bridge");
    let of = |operation: &str| {
        json!({
            "cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0",
            "ipam": {"type": "debug"}, "cniOutput": "/dev/null",
            "faults": [{"operation": operation, "kind": "panic"}],
        })
    };
    // The bridge itself is shared and stays.
    let taken = || Snapshot::take(&host, &[&pod]).without_shared(&["br0"]);
    let before = taken();
    let conf = of("ADD");
    // In the process of the bridge, and in one of its own.
    let strangers = tempfile::tempdir().unwrap();
    let script = format!(
        "#!/bin/sh\nexec {} \"$@\"\n",
        bin.path().join("debug").display()
    );
    let debug = strangers.path().join("debug");
    std::fs::write(&debug, script).unwrap();
    host.sh(&format!("chmod 755 {}", debug.display()));
    let path = format!(
        "{}:{}",
        strangers.path().display(),
        bin.path().to_str().unwrap()
    );
    let executed = bridge
        .call("ADD", &conf)
        .pod(&pod)
        .env("CNI_PATH", path)
        .run();
    for outcome in [bridge.add(&conf, &pod), executed] {
        panicked(&outcome, "bridge");
        taken().assert_same_as(&before);
    }
}

#[test]
fn an_error_has_the_code_and_the_words_that_were_asked_for() {
    let bin = PluginDir::of(PROGRAM);
    for operation in OPERATIONS {
        let error = with(&bin, operation, "error").run().fails_with(100);
        error.names(&[&format!("debug: {operation} was asked to fail")]);
        let faults = json!([
            {"operation": operation, "kind": "error", "code": 11, "msg": "come back later"}
        ]);
        let error = call(&bin, operation, &faults).run().fails_with(11);
        assert_eq!(error.msg, "come back later");
    }
}

#[test]
fn only_the_chosen_operation_goes_wrong() {
    let bin = PluginDir::of(PROGRAM);
    for chosen in OPERATIONS {
        let faults = json!([{"operation": chosen, "kind": "error"}]);
        for operation in OPERATIONS {
            let outcome = call(&bin, operation, &faults).run();
            assert_eq!(outcome.is_success(), operation != chosen, "{outcome}");
        }
    }
    let both = json!([
        {"operation": "ADD", "kind": "error"},
        {"operation": "DEL", "kind": "error", "code": 101},
    ]);
    call(&bin, "ADD", &both).run().fails_with(100);
    call(&bin, "DEL", &both).run().fails_with(101);
}

#[test]
fn a_crash_says_nothing_and_garbage_comes_before_the_result() {
    use std::os::unix::process::ExitStatusExt;
    let bin = PluginDir::of(PROGRAM);
    let outcome = with(&bin, "ADD", "crash").run();
    assert_eq!(outcome.status.signal(), Some(9), "{outcome}");
    assert_eq!(outcome.stdout, "", "{outcome}");
    let outcome = with(&bin, "ADD", "garbage").run();
    assert!(outcome.is_success(), "{outcome}");
    let (garbage, result) = outcome.stdout.split_once('\n').unwrap();
    assert!(serde_json::from_str::<Value>(garbage).is_err(), "{outcome}");
    assert!(serde_json::from_str::<Value>(result).is_ok(), "{outcome}");
    let outcome = with(&bin, "DEL", "garbage").run();
    assert!(outcome.is_success() && !outcome.stdout.is_empty());
}

#[test]
fn it_hangs_for_the_time_that_was_asked_for_or_for_ever() {
    let bin = PluginDir::of(PROGRAM);
    let begin = Instant::now();
    let faults = json!([{"operation": "STATUS", "kind": "hang", "seconds": 1}]);
    call(&bin, "STATUS", &faults).run().succeeds_silently();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    let words = ["--signal=KILL", "2"];
    let outcome = with(&bin, "DEL", "hang").under("timeout", &words).run();
    assert!(!outcome.is_success(), "it ended by itself: {outcome}");
    assert_eq!(outcome.stdout, "");
}

#[test]
fn a_flood_goes_on_until_nobody_takes_it() {
    let bin = PluginDir::of(PROGRAM);
    for (kind, take) in [("flood", "2>$0 |"), ("flood-stderr", "2>&1 >$0 |")] {
        let said = tempfile::NamedTempFile::new().unwrap();
        let conf = conf(&json!([{"operation": "STATUS", "kind": kind}]));
        let program = bin.path().join("debug");
        let line = format!(
            "printf %s '{conf}' | {} {take} head -c 3000000 | wc -c",
            program.display()
        );
        let output = Command::new("timeout")
            .args(["60", "sh", "-c", &line])
            .arg(said.path())
            .env("CNI_COMMAND", "STATUS")
            .env("CNI_PATH", bin.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{kind}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "3000000");
        let said = std::fs::read_to_string(said.path()).unwrap();
        let error: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(error["code"], 5, "{kind}: {said}");
    }
}

#[test]
fn a_fault_that_cannot_be_made_is_one_error_and_never_blocks_del() {
    let bin = PluginDir::of(PROGRAM);
    let panic = json!({"operation": "ADD", "kind": "panic"});
    let bad = [
        (
            json!({"operation": "ADD", "kind": "explode"}),
            7,
            "unknown kind of fault: \"explode\" (must be one of error, panic, crash, hang",
        ),
        (
            json!({"operation": "add", "kind": "panic"}),
            7,
            "unknown operation of a fault: \"add\" (must be one of ADD, CHECK, DEL, GC, STATUS)",
        ),
        (json!({"operation": "ADD", "kind": ""}), 7, "kind is empty"),
        (panic.clone(), 7, "faults[1]: ADD has a fault already"),
        (
            json!({"operation": "GC", "kind": "panic", "msg": "x"}),
            7,
            "are for the kind \"error\"",
        ),
        (
            json!({"operation": "GC", "kind": "error", "code": 0}),
            7,
            "code 0 is no error",
        ),
        (
            json!({"operation": "GC", "kind": "crash", "seconds": 9}),
            7,
            "are for the kind \"hang\"",
        ),
        (json!({"operation": "GC"}), 7, "faults[1].kind: required"),
    ];
    for (fault, code, words) in bad {
        let faults = json!([panic, fault]);
        for operation in ["ADD", "CHECK", "STATUS"] {
            let error = call(&bin, operation, &faults).run().fails_with(code);
            error.names(&[words]);
        }
        let del = call(&bin, "DEL", &faults).run();
        del.succeeds_silently();
        assert!(del.stderr.contains("without hooks and faults"), "{del}");
    }
}
