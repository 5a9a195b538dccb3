//! What a pod, a plugin or a file chose reaches a terminal as plain text, and not without end.

use crate::{NETLOOM, PLUGINS, Words as _, configure, host, netloom, path, shell_plugin};
use netloom_testkit::{Outcome, product};
use rustix::pty::OpenptFlags;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;

/// Turns to red, clears the screen by a single character, and writes backwards.
const WILD: &str = "\u{1b}[31mX\u{9b}2J\u{202e}\u{7}";

#[track_caller]
fn assert_plain(outcome: &Outcome) {
    for text in [&outcome.stdout, &outcome.stderr] {
        let is_wild =
            |char: char| char.is_control() && !"\n\t".contains(char) || char == '\u{202e}';
        assert!(!text.contains(is_wild), "{text:?}");
    }
}

fn answering(versions: &str, rest: &str) -> String {
    format!(
        "#!/bin/sh\ncat >/dev/null\n[ $CNI_COMMAND = VERSION ] && {{ echo '{versions}'; exit; }}\n{rest}\n"
    )
}

const VERSIONS: &str = r#"{"cniVersion":"1.1.0","supportedVersions":["1.1.0"]}"#;

#[test]
fn a_device_that_a_pod_named_is_told_by_doctor_in_plain_text() {
    let Some(host) = host() else { return };
    host.sh("ip link add x0 type veth peer name zz; ip link set x0 alias up0");
    host.sh("ip link set x0 name \"$(printf '\\033[31mX')\"");
    let conf = json!({"cniVersion": "1.1.0", "name": "hd", "plugins": [{"type": "host-device", "device": "up0"}]});
    configure("10-hd.conflist", &conf);
    let outcome = netloom(&["doctor"]).run();
    assert!(outcome.stdout.contains(r"lent device: up0"), "{outcome}");
    assert!(outcome.stdout.contains(r"\u{1b}[31mX"), "{outcome}");
    assert_plain(&outcome);
    assert_plain(&netloom(&["--json", "doctor"]).run());
}

#[test]
fn what_a_plugin_says_of_its_failure_is_plain_and_bounded() {
    let Some(host) = host() else { return };
    let pod = host.pod("pod");
    configure(
        "10-net.conf",
        &json!({"cniVersion": "1.1.0", "name": "net", "type": "loud"}),
    );
    let long = WILD.repeat(10_000);
    let object = json!({"code": 123, "msg": format!("{long}\nsecond line"), "details": long});
    fs::write("/run/answer", object.to_string()).unwrap();
    fs::write("/run/words", &long).unwrap();
    shell_plugin(
        "loud",
        &answering(VERSIONS, "cat /run/words >&2; cat /run/answer; exit 1"),
    );
    for verb in ["add", "del", "status"] {
        let outcome = netloom(&["--json", verb, "net", path(&pod)]).run();
        assert_eq!(outcome.code(), Some(1), "{outcome}");
        assert_plain(&outcome);
        let error: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(error["code"], 123);
        let told = outcome.stderr.lines().last().unwrap();
        assert!(
            told.len() < 3 * 4096 && told.contains("bytes more)"),
            "{told}"
        );
    }
}

#[test]
fn endless_words_of_a_plugin_are_passed_on_up_to_a_bound() {
    let Some(host) = host() else { return };
    let pod = host.pod("pod");
    configure(
        "10-net.conf",
        &json!({"cniVersion": "1.1.0", "name": "net", "type": "loud"}),
    );
    let flood = "head -c 30000000 /dev/zero | tr '\\0' x >&2; echo '{\"cniVersion\":\"1.1.0\"}'";
    shell_plugin("loud", &answering(VERSIONS, flood));
    let outcome = netloom(&["add", "net", path(&pod)]).run();
    assert!(outcome.is_success());
    assert!(
        outcome.stderr.len() < 70_000,
        "{} bytes",
        outcome.stderr.len()
    );
    let left_out = 30_000_000 - 64 * 1024;
    assert!(outcome.stderr.contains(&format!("({left_out} bytes more")));
}

#[test]
fn what_files_hold_is_listed_in_plain_text() {
    let Some(host) = host() else { return };
    let pod = host.pod("pod");
    configure(
        "10-net.conf",
        &json!({"cniVersion": "1.1.0", "name": "net", "type": "loopback"}),
    );
    netloom(&["add", "net", path(&pod), "--container-id", "some"])
        .run()
        .succeeds();
    let file = "/var/lib/cni/results/net-some-eth0";
    let mut entry: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    entry["netns"] = json!(format!("/run/netns/{WILD}\nforged"));
    fs::write(file, entry.to_string()).unwrap();
    fs::write(format!("/etc/cni/net.d/20-{WILD}.conf"), "{").unwrap();
    for arguments in [
        &["list"][..],
        &["--json", "list"],
        &["doctor"],
        &["gc", "--dry-run"],
        &["validate"],
        &["status", WILD],
        &["del", WILD, WILD],
    ] {
        let outcome = netloom(arguments).run();
        assert_plain(&outcome);
        let lines = |text: &str| text.lines().any(|line| line.starts_with("forged"));
        assert!(
            !lines(&outcome.stdout) && !lines(&outcome.stderr),
            "{outcome}"
        );
    }
    assert!(
        netloom(&["list"])
            .run()
            .succeeds_with_words()
            .contains(r"\u{1b}[31mX")
    );
}

/// cnitool ends no line, and what reads its bytes may count them; a prompt needs a line of its own.
#[test]
fn the_result_of_add_ends_its_line_on_a_terminal_alone() {
    let Some(host) = host() else { return };
    let conf = json!({"cniVersion": "1.1.0", "name": "net", "type": "bridge"});
    configure("10-net.conf", &conf);
    let piped = netloom(&["add", "net", path(&host.pod("one"))]).run();
    assert!(piped.is_success() && piped.stdout.ends_with('}'), "{piped}");

    let (mut own, theirs) = terminal();
    let status = Command::new(product(Path::new(NETLOOM)))
        .args(["add", "net", path(&host.pod("two"))])
        .env("CNI_PATH", PLUGINS)
        .stdout(theirs)
        .status();
    assert!(status.unwrap().success());
    let mut shown = Vec::new();
    // A terminal that nobody writes to any more is an error at its end.
    let _ = own.read_to_end(&mut shown);
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.ends_with("}\r\n"), "{shown:?}");
}

/// Both ends of a terminal: ours, and a program's.
fn terminal() -> (File, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let own = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&own).unwrap();
    rustix::pty::unlockpt(&own).unwrap();
    let theirs = rustix::pty::ioctl_tiocgptpeer(&own, flags).unwrap();
    (own.into(), theirs)
}
