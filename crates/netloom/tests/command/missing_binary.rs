//! DEL while the binary of a plugin is missing.

use crate::{PLUGINS, Words, configure, host, netloom, path, reserved};
use netloom_testkit::{Host, Pod, Snapshot};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const BACKUP: &str = "/run/cni/tuning/id-of-one_eth0.json";

/// A pod behind bridge, portmap and tuning, and the host as it was before, with what all share.
struct Scene {
    before: Snapshot,
    pod: Pod,
    host: Host,
}

fn call(verb: &[&str], pod: &Pod) -> netloom_testkit::Outcome {
    let ports =
        json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});
    let target = ["net", path(pod), "--container-id", "id-of-one"];
    netloom(&[verb, &target[..]].concat())
        .env("CAP_ARGS", ports.to_string())
        .run()
}

fn scene() -> Option<Scene> {
    let host = host()?;
    let plugins: Value = json!([
        {"type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true,
            "ipMasqBackend": "nftables", "ipam": {"type": "host-local", "subnet": "10.1.0.0/16"}},
        {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"},
        {"type": "tuning", "mtu": 1400},
    ]);
    configure(
        "10-net.conflist",
        &json!({"cniVersion": "1.1.0", "name": "net", "plugins": plugins}),
    );
    let pod = host.pod("one");
    call(&["add"], &pod).succeeds();
    call(&["del"], &pod).succeeds_silently();
    let before = Snapshot::take(&host, &[]).without_shared(&["br0"]);
    call(&["add"], &pod).succeeds();
    Some(Scene { before, pod, host })
}

/// What the attachment still has: address, wire, mapping, masquerade, backup.
fn left(scene: &Scene) -> [bool; 5] {
    let table = |name: &str| {
        scene
            .host
            .sh(&format!("nft list table {name}"))
            .contains("id-of-one")
    };
    [
        !reserved("net").is_empty(),
        scene.host.ip("-br link show type veth").contains("veth"),
        table("ip cni_hostport"),
        table("inet cni_plugins_masquerade"),
        Path::new(BACKUP).exists(),
    ]
}

/// DEL in both ways without this binary: it is reported, and what is left is as told. With the
/// binary back, DEL removes the rest.
#[track_caller]
fn without(binary: &str, by_default: [bool; 5], by_best_effort: [bool; 5]) {
    for (verb, expected) in [
        (&["del"][..], by_default),
        (&["del", "--best-effort"], by_best_effort),
    ] {
        let Some(scene) = scene() else { return };
        assert_eq!(left(&scene), [true; 5]);
        let file = Path::new(PLUGINS).join(binary);
        let aside = Path::new(PLUGINS).join("aside");
        fs::rename(&file, &aside).unwrap();
        for _ in 0..2 {
            let missing = format!("failed to find plugin \"{binary}\"");
            call(verb, &scene.pod).fails_with_words(&[&missing, PLUGINS]);
            assert_eq!(left(&scene), expected, "{binary}, {verb:?}");
        }
        // The attachment is known until all of it is gone.
        let cached = Path::new("/var/lib/cni/results/net-id-of-one-eth0");
        assert!(cached.exists(), "{binary}, {verb:?}");
        fs::rename(&aside, &file).unwrap();
        call(verb, &scene.pod).succeeds_silently();
        Snapshot::take(&scene.host, &[])
            .without_shared(&["br0"])
            .assert_same_as(&scene.before);
    }
}

#[test]
fn without_the_last_plugins_binary_del_halts_and_best_effort_frees_the_rest() {
    without("tuning", [true; 5], [false, false, false, false, true]);
}

#[test]
fn without_a_plugin_in_the_middle_del_halts_there_and_best_effort_frees_the_rest() {
    without(
        "portmap",
        [true, true, true, true, false],
        [false, false, true, false, false],
    );
}

#[test]
fn without_the_first_plugins_binary_what_others_made_is_freed() {
    let left = [true, true, false, true, false];
    without("bridge", left, left);
}

#[test]
fn without_the_ipam_plugins_binary_all_but_the_address_is_freed() {
    let left = [true, false, false, false, false];
    without("host-local", left, left);
}
