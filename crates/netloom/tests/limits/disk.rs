//! ADD on a full disk: a clear error, nothing half-written, and the next one works.

use std::time::{Duration, Instant};

use netloom_testkit::{Call, Host, Outcome, Pod, Snapshot};

use crate::network::{PLUGINS, add_or_undo, call, host};

const DISKS: [&str; 2] = ["/var/lib/cni", "/run/cni"];

/// Puts the state on disks of their own, so small that they can be filled.
fn small_disks(host: &Host) {
    for disk in DISKS {
        host.sh(&format!(
            "mkdir -p {disk}; mount -t tmpfs -o size=1m,mode=755 tmpfs {disk}"
        ));
    }
}

fn fill(host: &Host, disk: &str) {
    host.sh(&format!(
        "cat /dev/zero > {disk}/filler 2>/dev/null || true"
    ));
}

fn free(host: &Host) {
    host.sh("rm -f /var/lib/cni/filler /run/cni/filler");
}

/// The error object, with a code for a disk in trouble, and words that name where.
#[track_caller]
fn is_clear(outcome: &Outcome) {
    let error = outcome.fails();
    assert!([5, 11].contains(&error.code), "{outcome}");
    assert!(error.msg.contains("No space left on device"), "{outcome}");
    assert!(error.msg.contains("/cni"), "no file is named\n{outcome}");
    assert!(!error.msg.contains('\n'), "{outcome}");
}

#[track_caller]
fn adds_and_deletes(pod: &Pod) {
    let add = call("add", pod, 8080).run();
    assert!(add.is_success(), "{add}");
    let check = call("check", pod, 8080).run();
    assert!(check.is_success(), "{check}");
    let del = call("del", pod, 8080).run();
    assert!(del.is_success(), "{del}");
}

fn look(host: &Host, pod: &Pod) -> Snapshot {
    Snapshot::take(host, &[pod]).without_shared(&["br0", "cni0"])
}

#[test]
fn an_add_on_a_full_disk_says_so_and_works_when_there_is_room() {
    for disk in DISKS {
        let Some(host) = host("nftables") else { return };
        small_disks(&host);
        let pod = host.pod("one");
        let before = look(&host, &pod);
        fill(&host, disk);
        is_clear(&add_or_undo(&pod, 8080).run());
        free(&host);
        look(&host, &pod).assert_same_as(&before);
        adds_and_deletes(&pod);
    }
}

#[test]
fn del_and_gc_need_no_room() {
    let Some(host) = host("nftables") else { return };
    small_disks(&host);
    let one = host.pod("one");
    adds_and_deletes(&one);
    let before = look(&host, &one);
    let two = host.pod("two");
    for pod in [&one, &two] {
        let add = call("add", pod, if pod.name() == "one" { 8080 } else { 9080 }).run();
        assert!(add.is_success(), "{add}");
    }
    two.remove();
    // The kernel ends the namespace, and its wire with it, when nobody is left in it.
    let end = Instant::now() + Duration::from_secs(30);
    while host.sh("ip -o link show type veth").lines().count() > 1 {
        assert!(Instant::now() < end, "the namespace does not end");
    }
    DISKS.iter().for_each(|disk| fill(&host, disk));
    let gc = Call::new(env!("CARGO_BIN_EXE_netloom")).env("CNI_PATH", PLUGINS);
    let gc = gc.arg("gc").arg("--yes").run();
    assert!(gc.is_success(), "{gc}");
    let check = call("check", &one, 8080).run();
    assert!(check.is_success(), "{check}");
    let del = call("del", &one, 8080).run();
    assert!(del.is_success(), "{del}");
    free(&host);
    look(&host, &one).assert_same_as(&before);
}
