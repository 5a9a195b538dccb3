//! One program, many names.

use netloom_plugins::registry::PLUGINS;
use netloom_testkit::{Call, Outcome, Plugin, PluginDir, product};
use serde_json::json;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

/// The first line is the reference's, with a release of it; the second tells netloom's.
#[track_caller]
fn introduces(about: &Outcome, name: &str) {
    let mut lines = about.stderr.lines();
    let first = lines.next().unwrap_or_default();
    let release = match name {
        "flannel" => first.strip_prefix("CNI Plugin flannel version v"),
        _ => first.strip_prefix(&format!("CNI {name} plugin v")),
    };
    let number = release.and_then(|release| release.split(['-', ' ']).next());
    let parts = number.map(|number| number.split('.').map(str::parse::<u32>));
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    assert!(
        parts.len() == 3 && parts.iter().all(Result::is_ok),
        "{about}"
    );
    let own = format!("netloom v{} (", env!("CARGO_PKG_VERSION"));
    let build = lines.next().and_then(|line| line.strip_prefix(&own));
    let how = build.and_then(|build| build.split_once(", "));
    let (library, linked) = how.unwrap_or_else(|| panic!("no C library: {about}"));
    assert!(
        library.starts_with("musl") || library.starts_with("glibc 2."),
        "{about}"
    );
    assert!(["static)", "dynamic)"].contains(&linked), "{about}");
}

#[test]
fn nerdctl_finds_a_firewall_that_isolates() {
    let about = Call::new(PROGRAM).arg("firewall").run();
    // As nerdctl's guessFirewallPluginVersion reads it: what follows the prefix is a version.
    let mut lines = about.stderr.lines();
    let version = lines.find_map(|line| line.strip_prefix("CNI firewall plugin v"));
    let number = |part: &str| part.parse::<u32>().ok();
    let version: Option<Vec<_>> = version.map(|it| it.split('.').map(number).collect());
    assert!(version >= Some(vec![Some(1), Some(7), Some(1)]), "{about}");
    assert_eq!(version.map(|it| it.len()), Some(3), "{about}");
}

#[test]
fn every_plugin_answers_to_the_name_of_a_link() {
    let bin = PluginDir::of(PROGRAM);
    for plugin in PLUGINS {
        let versions = Plugin::ours(&bin, plugin.name()).version().succeeds();
        let listed = versions["supportedVersions"].as_array().unwrap().len();
        assert_eq!(listed, plugin.versions().len(), "{}", plugin.name());
        let about = Call::new(bin.path().join(plugin.name())).run();
        about.succeeds_silently();
        introduces(&about, plugin.name());
    }
}

#[test]
fn every_plugin_answers_to_an_argument() {
    for plugin in PLUGINS {
        let about = Call::new(PROGRAM).arg(plugin.name()).run();
        introduces(&about, plugin.name());
    }
}

#[test]
fn every_plugin_refuses_a_version_of_the_future() {
    let bin = PluginDir::of(PROGRAM);
    let conf = json!({"cniVersion": "9.0.0", "name": "net", "ipam": {"type": "none"}});
    for plugin in PLUGINS {
        let call = Plugin::ours(&bin, plugin.name()).call("ADD", &conf);
        let call = call.env("CNI_CONTAINERID", "c").env("CNI_IFNAME", "eth0");
        let error = call.env("CNI_NETNS", "/no/such/netns").run().fails_with(1);
        error.names(&["incompatible CNI versions", "9.0.0"]);
    }
}

#[test]
fn alone_the_program_lists_its_plugins() {
    let listed = Call::new(PROGRAM).run();
    let mut names: Vec<_> = PLUGINS.iter().map(|plugin| plugin.name()).collect();
    names.sort_unstable();
    assert!(listed.is_success());
    assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), names);
}

#[test]
fn a_name_it_does_not_have_is_an_error() {
    let outcome = Call::new(PROGRAM).arg("frobnicate").run();
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (Some(1), ""));
    assert!(
        outcome.stderr.contains("no plugin \"frobnicate\""),
        "{outcome}"
    );
}

#[test]
fn a_runtime_gets_an_error_object_from_a_name_it_does_not_have() {
    let dir = TempDir::new().unwrap();
    let link = dir.path().join("frobnicate");
    symlink(product(PROGRAM), &link).unwrap();
    let error = Call::new(&link)
        .env("CNI_COMMAND", "ADD")
        .run()
        .fails_with(4);
    error.names(&["frobnicate", "loopback"]);
}
