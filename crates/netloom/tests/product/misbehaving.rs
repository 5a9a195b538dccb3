//! What the command makes of plugins that misbehave, each by the plugin debug.

use std::fs;
use std::path::Path;

use netloom_testkit::{Call, Host, Outcome, Pod, Snapshot, link_plugins};
use serde_json::{Value, json};

use crate::NETLOOM;

const PLUGINS: &str = "/run/plugins";

/// A host on whose network `net` a bridge comes before debug, with these faults.
fn host(faults: &Value) -> Option<Host> {
    let host = Host::new()?;
    fs::create_dir_all("/etc/cni/net.d").unwrap();
    link_plugins(NETLOOM, PLUGINS);
    configure(faults);
    Some(host)
}

fn configure(faults: &Value) {
    let conf = json!({"cniVersion": "1.1.0", "name": "net", "plugins": [
        {
            "type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
            "ipam": {"type": "host-local", "subnet": "10.7.0.0/24"},
        },
        {"type": "debug", "cniOutput": "/dev/null", "faults": faults},
    ]});
    fs::write("/etc/cni/net.d/10-net.conflist", conf.to_string()).unwrap();
}

fn run(verb: &str, pod: &Pod) -> Outcome {
    Call::new(NETLOOM)
        .env("CNI_PATH", PLUGINS)
        .env("RUST_BACKTRACE", "full")
        .arg("--json")
        .arg(verb)
        .arg("net")
        .arg(pod.path())
        .run()
}

fn fault(operation: &str, kind: &str) -> Value {
    json!([{"operation": operation, "kind": kind}])
}

#[test]
fn an_add_that_goes_wrong_in_any_way_is_undone() {
    let Some(host) = host(&json!([])) else { return };
    let pod = host.pod("one");
    // What is shared (bridge, tables, the pool's files) stays.
    run("add", &pod).succeeds();
    assert!(run("del", &pod).is_success());
    let taken = || Snapshot::take(&host, &[&pod]);
    let own = ["/etc/cni/net.d/10-net.conflist", "last_reserved_ip"];
    for (kind, words) in [
        ("error", "debug: ADD was asked to fail"),
        ("panic", "debug: panicked: ADD was asked to panic"),
        ("crash", "signal"),
        ("garbage", "this is no JSON"),
        ("flood", "wrote more than 1048576 bytes to stdout"),
    ] {
        configure(&fault("ADD", kind));
        let before = taken();
        let outcome = run("add", &pod);
        let error = outcome.fails();
        let said = format!("{} {}", error.msg, error.details);
        assert!(said.contains(words), "{kind}: no {words:?}: {outcome}");
        assert!(outcome.stdout.len() < 20_000, "{kind}: {outcome}");
        assert!(outcome.stderr.len() < 100_000, "{kind} floods");
        let after = taken().difference_from(&before);
        let left: Vec<_> = after
            .lines()
            .iter()
            .filter(|line| !own.iter().any(|it| line.contains(it)))
            .collect();
        assert!(left.is_empty(), "{kind}: {left:#?}");
    }
}

#[test]
fn a_check_and_a_del_that_panic_fail_with_the_plugins_words_and_del_can_be_repeated() {
    let Some(host) = host(&fault("CHECK", "panic")) else {
        return;
    };
    let pod = host.pod("one");
    run("add", &pod).succeeds();
    let error = run("check", &pod).fails_with(999);
    error.names(&["debug: panicked: CHECK was asked to panic"]);
    configure(&fault("DEL", "panic"));
    // DEL takes the configuration that ADD was made with: without a fault in DEL.
    let deleted = run("del", &pod);
    assert!(deleted.is_success(), "{deleted}");
    run("add", &pod).succeeds();
    run("del", &pod)
        .fails_with(999)
        .names(&["DEL was asked to panic"]);
    assert!(
        Path::new("/var/lib/cni/networks/net/10.7.0.3").exists(),
        "halted"
    );
    let best = Call::new(NETLOOM)
        .env("CNI_PATH", PLUGINS)
        .arg("del")
        .arg("--best-effort")
        .arg("net")
        .arg(pod.path())
        .run();
    assert_eq!(best.code(), Some(1), "{best}");
    assert_eq!(host.ip("-br link show type veth"), "");
}
