//! One machine, two implementations: what Debian's Go plugins make is ours to check and delete,
//! and the reverse. Compared are full snapshots of host, pod and disk.

use std::time::{Duration, Instant};

use netloom_testkit::{Host, Plugin, PluginDir, Pod, Snapshot, probe, skip};
use serde_json::{Value, json};

/// The versions that both speak, and CHECK exists in.
const VERSIONS: [&str; 2] = ["0.4.0", "1.0.0"];

/// A host with both implementations and two pods.
struct Lab {
    ours: [Plugin; 2],
    go: [Plugin; 2],
    host: Host,
    _plugins: PluginDir,
}

const BRIDGE: usize = 0;
const HOST_LOCAL: usize = 1;

fn lab() -> Option<Lab> {
    let host = Host::new()?;
    if !probe::has_iptables() {
        skip("no iptables on this machine, and Go's release knows no other masquerade");
        return None;
    }
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let names = ["bridge", "host-local"];
    Some(Lab {
        ours: names.map(|name| Plugin::ours(&plugins, name)),
        go: [Plugin::debian(names[0])?, Plugin::debian(names[1])?],
        host,
        _plugins: plugins,
    })
}

fn conf(version: &str) -> Value {
    json!({
        "cniVersion": version, "name": "net", "type": "bridge", "bridge": "br0",
        "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true, "macspoofchk": true,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
            // Go's CHECK does not find its own route without a gateway.
            "routes": [{"dst": "192.0.2.0/24", "gw": "10.1.0.1"}]
        }
    })
}

impl Lab {
    fn look(&self, pods: &[&Pod]) -> Snapshot {
        Snapshot::take(&self.host, pods)
            .without_shared(&["br0"])
            .without_records()
    }

    /// Asserts that the host is what it was, once the kernel has destroyed the pods that are
    /// gone, and their links with them, which it does in its own time.
    fn comes_back_to(&self, before: &Snapshot, pods: &[&Pod]) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && !self.look(pods).difference_from(before).is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.look(pods).assert_same_as(before);
    }

    /// ADD by `first`, CHECK and DEL by `second`; then once more with a DEL that is told nothing
    /// of the result, and with a DEL that comes twice. Nothing is left of any.
    fn hand_over(&self, version: &str, first: &Plugin, second: &Plugin) {
        let conf = conf(version);
        let (pod, other) = (self.host.pod("one"), self.host.pod("other"));
        // A neighbour by the same hand must come through all this untouched.
        first.add(&conf, &other).succeeds();
        let before = self.look(&[&pod, &other]);
        for told in [true, false] {
            let result = first.add(&conf, &pod).succeeds();
            assert!(
                !self
                    .look(&[&pod, &other])
                    .difference_from(&before)
                    .is_empty()
            );
            second.check(&conf, &result, &pod).succeeds_silently();
            for _ in 0..2 {
                match told {
                    true => second.del_with(&conf, &result, &pod).succeeds_silently(),
                    false => second.del(&conf, &pod).succeeds_silently(),
                }
                self.look(&[&pod, &other]).assert_same_as(&before);
            }
        }
        second.del(&conf, &other).succeeds_silently();
    }
}

#[test]
fn what_go_added_we_check_and_delete_without_residue() {
    for version in VERSIONS {
        let Some(lab) = lab() else { return };
        lab.hand_over(version, &lab.go[BRIDGE], &lab.ours[BRIDGE]);
    }
}

#[test]
fn what_we_added_go_checks_and_deletes_without_residue() {
    for version in VERSIONS {
        let Some(lab) = lab() else { return };
        lab.hand_over(version, &lab.ours[BRIDGE], &lab.go[BRIDGE]);
    }
}

#[test]
fn a_version_without_check_is_handed_over_too() {
    for version in ["0.2.0", "0.3.1"] {
        let Some(lab) = lab() else { return };
        let (pod, conf) = (lab.host.pod("one"), conf(version));
        let before = lab.look(&[&pod]);
        for (first, second) in [(&lab.go, &lab.ours), (&lab.ours, &lab.go)] {
            let result = first[BRIDGE].add(&conf, &pod).succeeds();
            second[BRIDGE]
                .del_with(&conf, &result, &pod)
                .succeeds_silently();
            lab.look(&[&pod]).assert_same_as(&before);
        }
    }
}

#[test]
fn what_go_added_we_delete_when_the_pod_is_gone() {
    for told in [true, false] {
        let Some(lab) = lab() else { return };
        let conf = conf("1.0.0");
        let before = lab.look(&[]);
        let pod = lab.host.pod("one");
        let result = lab.go[BRIDGE].add(&conf, &pod).succeeds();
        pod.remove();
        match told {
            true => lab.ours[BRIDGE]
                .del_with(&conf, &result, &pod)
                .succeeds_silently(),
            false => lab.ours[BRIDGE].del(&conf, &pod).succeeds_silently(),
        }
        lab.comes_back_to(&before, &[]);
    }
}

#[test]
fn go_and_ours_count_on_in_one_pool() {
    let Some(lab) = lab() else { return };
    let conf = conf("1.0.0");
    let pods: Vec<Pod> = (0..6).map(|i| lab.host.pod(&format!("pod{i}"))).collect();
    let before = lab.look(&[]);
    for (index, pod) in pods.iter().enumerate() {
        let by = [&lab.go, &lab.ours][index % 2];
        let result = by[HOST_LOCAL].add(&conf, pod).succeeds();
        assert_eq!(
            result["ips"][0]["address"],
            format!("10.1.0.{}/24", index + 2)
        );
        assert_eq!(
            result["ips"][1]["address"],
            format!("fd00:1::{}/64", index + 2)
        );
        for checker in [&lab.go, &lab.ours] {
            checker[HOST_LOCAL]
                .check(&conf, &result, pod)
                .succeeds_silently();
        }
    }
    for (index, pod) in pods.iter().enumerate() {
        // What one gave, the other takes back; and the one then knows that it is gone.
        let by = [&lab.ours, &lab.go][index % 2];
        by[HOST_LOCAL].del(&conf, pod).succeeds_silently();
        for checker in [&lab.go, &lab.ours] {
            checker[HOST_LOCAL]
                .check(&conf, &json!({"cniVersion": "1.0.0"}), pod)
                .fails();
        }
    }
    lab.look(&[]).assert_same_as(&before);
}

#[test]
fn a_second_add_by_the_other_is_refused_and_changes_nothing() {
    let Some(lab) = lab() else { return };
    let conf = conf("1.0.0");
    for (first, second) in [(&lab.go, &lab.ours), (&lab.ours, &lab.go)] {
        let pod = lab.host.pod("one");
        let result = first[BRIDGE].add(&conf, &pod).succeeds();
        let before = lab.look(&[&pod]);
        second[BRIDGE].add(&conf, &pod).fails().names(&["eth0"]);
        second[HOST_LOCAL]
            .add(&conf, &pod)
            .fails()
            .names(&["has been allocated to id-of-one"]);
        lab.look(&[&pod]).assert_same_as(&before);
        first[BRIDGE]
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
    }
}

#[test]
fn our_gc_collects_what_go_forgot_and_keeps_what_is_valid() {
    let Some(lab) = lab() else { return };
    let mut conf = conf("1.0.0");
    // Go's spoof check does not say which network it is of, so that no GC may take it away.
    conf["macspoofchk"] = json!(false);
    let valid = lab.host.pod("valid");
    lab.go[BRIDGE].add(&conf, &valid).succeeds();
    let before = lab.look(&[&valid]);
    let stale = lab.host.pod("stale");
    lab.go[BRIDGE].add(&conf, &stale).succeeds();
    stale.remove();
    conf["cniVersion"] = json!("1.1.0");
    lab.ours[BRIDGE]
        .gc(&conf, &[("id-of-valid", "eth0")])
        .succeeds_silently();
    lab.comes_back_to(&before, &[&valid]);
}
