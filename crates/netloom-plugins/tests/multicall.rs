//! One program, many names.

use netloom_plugins::registry::PLUGINS;
use netloom_testkit::{Call, Plugin, PluginDir};
use serde_json::json;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

#[test]
fn every_plugin_answers_to_the_name_of_a_link() {
    let bin = PluginDir::of(PROGRAM);
    for plugin in PLUGINS {
        let versions = Plugin::ours(&bin, plugin.name()).version().succeeds();
        let listed = versions["supportedVersions"].as_array().unwrap().len();
        assert_eq!(listed, plugin.versions().len(), "{}", plugin.name());
        let about = Call::new(bin.path().join(plugin.name())).run();
        about.succeeds_silently();
        assert!(
            about
                .stderr
                .starts_with(&format!("CNI {} plugin ", plugin.name())),
            "{about}"
        );
    }
}

#[test]
fn every_plugin_answers_to_an_argument() {
    for plugin in PLUGINS {
        let about = Call::new(PROGRAM).arg(plugin.name()).run();
        assert!(
            about
                .stderr
                .starts_with(&format!("CNI {} plugin ", plugin.name())),
            "{about}"
        );
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
    let names: Vec<_> = PLUGINS.iter().map(|plugin| plugin.name()).collect();
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
    symlink(PROGRAM, &link).unwrap();
    let error = Call::new(&link)
        .env("CNI_COMMAND", "ADD")
        .run()
        .fails_with(4);
    error.names(&["frobnicate", "loopback"]);
}
