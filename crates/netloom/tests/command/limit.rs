//! Nothing waits without limit or a word: plugins, and the lock of a network.

use crate::{NETLOOM, PLUGINS, Words as _, configure, host, netloom, path, shell_plugin};
use netloom_testkit::{Call, Host, Pod};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A child of the plugin. It writes both down when it takes signals: a shell starts it with some ignored.
const CHILD: &str = "echo $PPID $$ >/run/pids.new; mv /run/pids.new /run/pids; exec sleep 1000";

/// A plugin that hangs at one verb, with a child that holds its streams, and writes down both.
fn hanging(at: &str) -> Option<(Host, Pod)> {
    let host = host()?;
    let lines = format!(
        "#!/bin/sh\ncat >/dev/null\n\
         [ $CNI_COMMAND = {at} ] && {{ env --default-signal sh -c '{CHILD}' & wait; }}\n\
         echo $CNI_COMMAND >>/run/asked\n\
         echo '{{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"1.1.0\"]}}'\n"
    );
    shell_plugin("slow", &lines);
    let list = json!({"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "loopback"}, {"type": "slow"}]});
    configure("10-net.conflist", &list);
    let pod = host.pod("pod");
    Some((host, pod))
}

fn pids() -> Vec<Pid> {
    let text = fs::read_to_string("/run/pids").unwrap();
    let pids = text.split_whitespace().map(|it| it.parse().unwrap());
    pids.map(|pid| Pid::from_raw(pid).unwrap()).collect()
}

/// Until that is so: the kernel ends processes in its own time.
#[track_caller]
fn eventually(is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "it did not come");
        std::thread::yield_now();
    }
}

fn is_gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    // A child of nobody here may be a zombie of who adopted it.
    stat.map_or(true, |stat| stat.contains(") Z")) || test_kill_process(pid).is_err()
}

#[track_caller]
fn assert_all_gone() {
    for pid in pids() {
        eventually(|| is_gone(pid));
    }
}

#[test]
fn a_plugin_that_hangs_is_killed_with_its_children_and_named_with_the_verb() {
    for (verb, command, operation) in [
        ("add", "ADD", "(add)"),
        ("del", "DEL", "(delete)"),
        ("check", "CHECK", "(check)"),
    ] {
        let Some((_host, pod)) = hanging(command) else {
            return;
        };
        if verb != "add" {
            netloom(&["add", "net", path(&pod)]).run().succeeds();
        }
        let outcome = netloom(&["--json", "--timeout", "300ms", verb, "net", path(&pod)]).run();
        let parts = ["type=\"slow\"", operation, "time limit of 300ms"];
        outcome.fails_with_words(&parts);
        let error: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(error["code"], 11, "{error}");
        assert_all_gone();
    }
}

#[test]
fn gc_is_not_held_up_for_ever_and_a_wrong_limit_is_refused() {
    let Some((_host, pod)) = hanging("GC") else {
        return;
    };
    netloom(&["add", "net", path(&pod)]).run().succeeds();
    let gc = ["--timeout", "300ms", "gc", "net", "--yes"];
    netloom(&gc)
        .run()
        .fails_with_words(&["type=\"slow\"", "(gc)", "300ms"]);
    assert_all_gone();
    let wrong = netloom(&["--timeout", "soon", "list"]).run();
    assert_eq!(wrong.code(), Some(2), "{wrong}");
    assert!(
        wrong.stderr.contains("'soon'") && wrong.stderr.contains("90s"),
        "{wrong}"
    );
}

/// With the signals as a shell has them, also where the tests run in its background.
fn start(arguments: &[&str]) -> Child {
    Command::new("env")
        .args(["--default-signal", NETLOOM])
        .args(arguments)
        .env("CNI_PATH", PLUGINS)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn what_ends_the_command_ends_the_plugin_and_what_was_added_is_deleted() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let Some((_host, pod)) = hanging("ADD") else {
            return;
        };
        let command = start(&["add", "net", path(&pod)]);
        eventually(|| fs::exists("/run/pids").unwrap());
        kill_process(Pid::from_child(&command), signal).unwrap();
        let ended = command.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.signal(), Some(signal.as_raw()), "{told}");
        assert!(told.contains("type=\"slow\" failed (add)"), "{told}");
        assert!(
            told.contains("what loopback had added was deleted"),
            "{told}"
        );
        assert_eq!(fs::read_to_string("/run/asked").unwrap(), "DEL\n");
        assert_all_gone();
    }
}

#[test]
fn where_no_plugin_runs_a_signal_ends_the_command_at_once() {
    let Some((_host, _pod)) = hanging("GC") else {
        return;
    };
    // Somebody has the network.
    fs::create_dir_all("/var/lib/cni/locks").unwrap();
    let file = fs::File::create("/var/lib/cni/locks/net.lock").unwrap();
    file.lock().unwrap();
    let mut command = start(&["gc", "net", "--all", "--yes"]);
    let mut said = std::io::BufReader::new(command.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    let holder = format!("process {} (", std::process::id());
    assert!(
        line.starts_with("netloom: waiting for the lock of network \"net\": "),
        "{line}"
    );
    assert!(line.contains(&holder), "{line}");
    kill_process(Pid::from_child(&command), Signal::INT).unwrap();
    let ended = command.wait().unwrap();
    assert_eq!(ended.signal(), Some(Signal::INT.as_raw()));
}

#[test]
fn what_is_ignored_stays_ignored() {
    let Some((_host, pod)) = hanging("NOTHING") else {
        return;
    };
    let line = format!(
        "trap '' HUP; {NETLOOM} add net {} & kill -HUP $!; wait $!",
        path(&pod)
    );
    let outcome = Call::new("sh")
        .arg("-c")
        .arg(&line)
        .env("CNI_PATH", PLUGINS)
        .run();
    assert!(outcome.is_success(), "{outcome}");
}
