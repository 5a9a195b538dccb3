//! One network that cannot be used, beside others that can.

use crate::{Words, configure, host, mynet, netloom, path, reserved};
use netloom_testkit::{Host, Pod};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;

/// A pod that lives and one that is gone without DEL, on the last of the networks. The files of
/// those that cannot be used come first.
fn scene() -> Option<(Host, Pod)> {
    let host = host()?;
    let lonely = |version: &str, name: &str| json!({"cniVersion": version, "name": name, "type": "loopback"});
    configure("05-newer.conf", &lonely("1.1.x", "newer"));
    configure("06-name.conf", &lonely("1.1.0", "no name"));
    configure(
        "07-planted.conf",
        &json!({"cniVersion": "1.1.0", "name": "planted", "type": "bridge", "bridge": "br7",
            "ipam": {"type": "host-local", "subnet": "10.7.0.0/16"}}),
    );
    configure("10-mynet.conf", &mynet("1.1.0"));
    let (living, dead) = (host.pod("living"), host.pod("dead"));
    for pod in [&living, &dead] {
        let id = format!("id-of-{}", pod.name());
        let add = ["add", "mynet", path(pod), "--container-id", &id];
        netloom(&add).run().succeeds();
    }
    dead.remove();
    // The kernel ends a namespace when it has time; till then the address is there.
    host.sh("while [ $(ip -br link show type veth | wc -l) -gt 1 ]; do sleep 0.01; done");
    fs::create_dir("/run/elsewhere").unwrap();
    symlink("/run/elsewhere", "/var/lib/cni/networks/planted").unwrap();
    Some((host, living))
}

#[test]
fn gc_of_the_others_goes_on_and_tells_at_the_end() {
    let Some((_host, living)) = scene() else {
        return;
    };
    let dry = netloom(&["gc", "--dry-run"]).run();
    dry.fails_with_words(&["network \"newer\"", "1.1.x"]);
    assert!(dry.stdout.contains("DEL id-of-dead eth0"), "{dry}");
    let dry = netloom(&["--json", "gc", "--dry-run"]).run();
    let all: Value = serde_json::from_str(&dry.stdout).unwrap();
    let mut planned = all.as_array().unwrap().iter();
    assert!(planned.any(|it| it["network"] == "mynet"), "{all:#}");

    let dry = netloom(&["gc", "--stale-boot", "--dry-run"]).run();
    dry.fails_with_words(&[
        "network \"newer\"",
        "network \"no name\"",
        "networks/planted",
    ]);
    assert!(dry.stdout.contains("mynet:"), "{dry}");
    netloom(&["gc", "--stale-boot", "--yes"])
        .run()
        .fails_with_words(&["network \"newer\"", "network \"planted\""]);

    netloom(&["gc", "--yes"])
        .run()
        .fails_with_words(&["network \"newer\"", "1.1.x"]);
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
    assert!(living.pings([10, 16, 0, 1]));
}

#[test]
fn doctor_names_it_and_looks_at_the_others() {
    let Some((_host, _living)) = scene() else {
        return;
    };
    let outcome = netloom(&["--json", "doctor"]).run();
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let named = |kind: &str, network: &str| {
        let mut all = report["findings"].as_array().unwrap().iter();
        all.any(|it| it["kind"] == kind && it["network"] == network)
    };
    for (kind, network) in [
        ("configuration", "newer"),
        ("configuration", "no name"),
        ("unreadable", "planted"),
        ("dead attachment", "mynet"),
    ] {
        assert!(named(kind, network), "no {kind} of {network}: {report:#}");
    }
    assert!(!named("plugin", "newer"), "it is told once: {report:#}");
}
