//! Installations into another host's tree, that stay, and that are killed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use netloom_testkit::{Faults, Host, Sample, product};
use rustix::process::{Pid, Signal, kill_process};

use crate::{NETLOOM, Words, called};

const PROGRAM: &str = "/run/bin/netloom";
const NODE: &str = "/run/node";
/// A stranger's plugin, and what is new.
const NAMES: [&str; 2] = ["bridge", "tuning"];

fn netloom(arguments: &[&str]) -> netloom_testkit::Call {
    called(Path::new(PROGRAM), arguments)
}

/// A host with the command, and with another host's tree, whose `/opt` is a link, in which somebody has
/// a bridge.
fn host() -> Option<(Host, PathBuf)> {
    let host = Host::new()?;
    fs::create_dir_all("/run/bin").unwrap();
    host.sh(&format!(
        "strip -s -o {PROGRAM} {}",
        product(NETLOOM).display()
    ));
    let bin = Path::new(NODE).join("var/opt/cni/bin");
    fs::create_dir_all(&bin).unwrap();
    symlink("/var/opt", Path::new(NODE).join("opt")).unwrap();
    fs::write(bin.join("bridge"), "#!/bin/sh\n# a stranger\n").unwrap();
    Some((host, bin))
}

/// The contents of the files, which are plugins.
fn plugins(bin: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = fs::read_dir(bin).unwrap().map(|entry| entry.unwrap());
    let files = names.filter(|entry| entry.file_type().unwrap().is_file());
    files
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn entries(bin: &Path) -> Vec<String> {
    let names = fs::read_dir(bin).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn another_hosts_tree_gets_the_plugins_where_its_own_links_lead_and_is_as_before_when_they_go() {
    let Some((_host, bin)) = host() else { return };
    let before = plugins(&bin);
    netloom(&["install", "--host", NODE])
        .run()
        .fails_with_words(&["(bridge)", "--force"]);
    let words = netloom(&["install", "--host", NODE, "--force"])
        .run()
        .succeeds_with_words();
    assert!(words.contains("/run/node/var/opt/cni/bin: "), "{words}");
    assert!(plugins(&bin).len() > 20);
    assert!(!Path::new("/var/opt/cni").exists(), "this host has nothing");
    netloom(&["uninstall", "--host", NODE])
        .run()
        .succeeds_with_words();
    assert_eq!(plugins(&bin), before);
    assert_eq!(entries(&bin), ["bridge"]);

    let failed = netloom(&["install", "--host", "/run/none"]).run();
    failed.fails_with_words(&["--host /run/none", "No such file"]);
    let failed = netloom(&["install", "--host", NODE, "--bin-dir", "opt"]).run();
    failed.fails_with_words(&["--bin-dir opt", "from the root"]);
}

#[test]
fn an_installer_that_stays_ends_when_it_is_asked_to() {
    let Some((_host, bin)) = host() else { return };
    for verb in ["install", "uninstall"] {
        let mut arguments = vec![verb, "--host", NODE, "--stay"];
        arguments.extend(["--force"].iter().filter(|_| verb == "install"));
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut words = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = words.next().unwrap().unwrap();
        assert!(first.contains("/var/opt/cni/bin"), "{first}");
        assert_eq!(child.try_wait().unwrap(), None);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(entries(&bin), ["bridge"]);
}

#[test]
fn killed_at_any_point_no_plugin_is_half_and_the_next_one_brings_all_in_order() {
    let Some((_host, bin)) = host() else { return };
    let install = netloom(&["install", "--host", NODE, "--force", NAMES[0], NAMES[1]]);
    let uninstall = netloom(&["uninstall", "--host", NODE]);
    let before = plugins(&bin);
    let Some(of_install) = Faults::points(&install) else {
        return;
    };
    let after = plugins(&bin);
    let Some(of_uninstall) = Faults::points(&uninstall) else {
        return;
    };
    assert_eq!(plugins(&bin), before);
    let whole = || {
        for (name, content) in plugins(&bin) {
            let is = |all: &BTreeMap<String, Vec<u8>>| all.get(&name) == Some(&content);
            assert!(is(&before) || is(&after), "{name} is half");
        }
    };
    let sample = Sample::of_this_run();
    let mut struck = 0;
    for k in of_install.mortal().filter(|k| sample.has(*k)) {
        struck += usize::from(of_install.kill_at(k).hit);
        whole();
        install.run().succeeds_with_words();
        assert_eq!(plugins(&bin), after, "{:?}", of_install.list()[k]);
        uninstall.run().succeeds_with_words();
        assert_eq!(plugins(&bin), before, "{:?}", of_install.list()[k]);
        assert_eq!(entries(&bin), ["bridge"]);
    }
    for k in of_uninstall.mortal().filter(|k| sample.has(*k)) {
        install.run().succeeds_with_words();
        struck += usize::from(of_uninstall.kill_at(k).hit);
        whole();
        // It may have been done but for the last words.
        drop(uninstall.run());
        assert_eq!(plugins(&bin), before, "{:?}", of_uninstall.list()[k]);
        assert_eq!(entries(&bin), ["bridge"]);
    }
    assert!(struck > 2 || !sample.is_whole(), "{struck}");
}
