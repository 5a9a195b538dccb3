//! Whoever is killed: after the next `netloom ps` everything is as before.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use netloom_testkit::{Host, Snapshot, product};

use crate::{NETLOOM, PLUGINS, call, detached, host, init_of, kill, parent_of, picture, succeeds};

/// Ends what is dead, and compares.
#[track_caller]
pub(crate) fn nothing_is_left(host: &Host, before: &Snapshot) {
    succeeds(&call(&["ps"]));
    picture(host).assert_same_as(before);
}

/// Whether the process is there and has not ended.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_killed_shim_takes_the_pod_along_and_the_next_call_deletes_its_networks() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let id = detached(&[
        "--rm", "--net", "mynet", "--net", "two", "-p", "8080:80", "sleep", "1000",
    ]);
    let init = init_of(&id);
    kill(parent_of(init));
    let outcome = call(&["ps", "-a"]);
    assert!(outcome.stderr.contains("shim was killed"), "{outcome}");
    assert!(!runs(init), "the pod's first process");
    nothing_is_left(&host, &before);

    let id = detached(&["--net", "mynet", "sleep", "1000"]);
    kill(parent_of(init_of(&id)));
    assert!(succeeds(&call(&["ps", "-a"])).contains("exited (137)"));
    succeeds(&call(&["rm", &id]));
    picture(&host).assert_same_as(&before);
}

#[test]
fn a_pod_whose_state_is_damaged_is_forgotten_by_force_and_collected() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let id = detached(&["--net", "mynet", "sleep", "1000"]);
    kill(parent_of(init_of(&id)));
    std::fs::write(format!("/run/netloom/pods/{id}/pod.json"), "{").unwrap();
    let outcome = call(&["ps"]);
    assert!(outcome.stderr.contains("pod.json"), "{outcome}");
    assert_eq!(call(&["rm", &id]).code(), Some(125));
    let forgotten = call(&["rm", "-f", &id]);
    assert!(forgotten.stderr.contains("netloom gc"), "{forgotten}");
    assert!(call(&["gc", "--yes", "mynet"]).is_success());
    picture(&host).assert_same_as(&before);
}

#[test]
fn gc_ends_the_pods_of_killed_shims_too() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let id = detached(&["--rm", "--net", "mynet", "sleep", "1000"]);
    kill(parent_of(init_of(&id)));
    let outcome = call(&["gc", "--yes", "mynet"]);
    assert!(outcome.stderr.contains("shim was killed"), "{outcome}");
    assert!(outcome.is_success(), "{outcome}");
    picture(&host).assert_same_as(&before);
}

/// The kernel is new, `/run` is empty; what is on disk is as it was.
#[test]
fn after_a_reboot_gc_frees_what_pods_had() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let networks = ["--net", "mynet", "--net", "two", "-p", "8080:80"];
    let id = detached(&[&networks[..], &["sleep", "1000"]].concat());
    kill(parent_of(init_of(&id)));
    host.sh("umount -R /run/netns && rm -rf /run/mount /run/netloom /run/netns");
    host.sh(&format!("ip link del {}; nft flush ruleset", crate::BRIDGE));
    assert_eq!(succeeds(&call(&["ps", "-a", "-q"])), "");
    for network in ["mynet", "two"] {
        let outcome = call(&["gc", "--yes", network]);
        assert!(outcome.is_success(), "{outcome}");
        assert!(outcome.stderr.contains(&id), "{outcome}");
    }
    // As at first: what networks share is there.
    let again = [&["--rm"], &networks[..], &["true"]].concat();
    succeeds(&crate::run(&again));
    picture(&host).assert_same_as(&before);
}

#[test]
fn a_killed_first_process_ends_the_pod() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let id = detached(&[
        "--net",
        "mynet",
        "--",
        "sh",
        "-c",
        "sleep 1000 & sleep 1000",
    ]);
    kill(init_of(&id));
    assert_eq!(succeeds(&call(&["wait", &id])), "137");
    succeeds(&call(&["rm", &id]));
    picture(&host).assert_same_as(&before);
}

/// A foreground with a pod that has said that it runs.
fn foreground() -> (std::process::Child, u32) {
    let mut child = Command::new(product(NETLOOM))
        .args([
            "run", "--rm", "--init", "--net", "mynet", "--net", "two", "--", "sh", "-c",
        ])
        .arg("echo up; exec sleep 1000")
        .env("CNI_PATH", PLUGINS)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    let pods = call(&["ps", "-q"]);
    let init = init_of(succeeds(&pods).lines().next().unwrap());
    (child, init)
}

#[test]
fn a_killed_foreground_ends_the_pod() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let (mut child, _) = foreground();
    let id = succeeds(&call(&["ps", "-q"]));
    kill(child.id());
    child.wait().unwrap();
    // The shim sees it by itself.
    call(&["wait", &id]);
    nothing_is_left(&host, &before);
}

#[test]
fn a_foreground_and_a_shim_killed_together_leave_nothing() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let (mut child, init) = foreground();
    let shim = parent_of(init);
    kill(child.id());
    kill(shim);
    child.wait().unwrap();
    nothing_is_left(&host, &before);
}

#[test]
fn a_foreground_whose_shim_was_killed_says_so() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let (mut child, init) = foreground();
    kill(parent_of(init));
    assert_eq!(child.wait().unwrap().code(), Some(137));
    nothing_is_left(&host, &before);
}

#[test]
fn a_signal_to_the_foreground_is_the_commands() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    for (signal, expected) in [
        (rustix::process::Signal::TERM, 143),
        (rustix::process::Signal::INT, 130),
    ] {
        let (mut child, _) = foreground();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(expected));
    }
    picture(&host).assert_same_as(&before);
}
