//! What every plugin must do alike, whichever it is.

use netloom_plugin::Version;
use netloom_plugins::registry::PLUGINS;
use netloom_testkit::{Host, Plugin, PluginDir, Snapshot};
use serde_json::{Value, json};

use crate::PROGRAM;

/// A configuration that any plugin can read; those that delegate find an IPAM plugin in it.
fn conf(name: &str) -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": name, "master": "lo", "vrfname": "blue",
        "ipam": {"type": "host-local", "subnet": "10.1.0.0/24", "range": "10.1.0.0/24"}
    })
}

/// Calls `work` with every plugin, on a host of its own.
fn for_each(work: impl Fn(&Host, &Plugin, &str)) {
    let plugins = PluginDir::of(PROGRAM);
    for plugin in PLUGINS {
        let Some(host) = Host::new() else { return };
        work(&host, &Plugin::ours(&plugins, plugin.name()), plugin.name());
    }
}

#[test]
fn each_answers_version_with_what_it_supports_and_reads_nothing() {
    for_each(|_, plugin, name| {
        let answer = plugin
            .call("VERSION", &json!(7))
            .stdin("{not json")
            .run()
            .succeeds();
        assert_eq!(answer["cniVersion"], Version::LATEST.to_string(), "{name}");
        let listed = answer["supportedVersions"].as_array().unwrap();
        assert!(listed.contains(&json!("1.0.0")), "{name}: {answer}");
    });
}

#[test]
fn each_introduces_itself_on_stderr_when_called_by_hand() {
    for_each(|_, plugin, name| {
        let about = plugin.call("", &json!({})).without("CNI_COMMAND").run();
        about.succeeds_silently();
        // The reference's flannel is of another project, with a line of its own.
        let first = match name {
            "flannel" => "CNI Plugin flannel version v".to_owned(),
            _ => format!("CNI {name} plugin v"),
        };
        assert!(about.stderr.starts_with(&first), "{about}");
        assert!(
            about.stderr.contains("CNI protocol versions supported: "),
            "{about}"
        );
    });
}

#[test]
fn each_refuses_a_command_that_nobody_knows() {
    for_each(|_, plugin, name| {
        let error = plugin.call("ATTACH", &conf(name)).run().fails_with(4);
        error.names(&["CNI_COMMAND", "ATTACH"]);
    });
}

#[test]
fn each_names_all_missing_variables() {
    let required = [
        ("ADD", &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"][..]),
        ("CHECK", &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]),
        ("DEL", &["CNI_CONTAINERID", "CNI_IFNAME"]),
        ("GC", &[]),
        ("STATUS", &[]),
    ];
    for_each(|host, plugin, name| {
        let before = Snapshot::take(host, &[]);
        for (command, variables) in required {
            let call = plugin.call(command, &conf(name)).without("CNI_PATH");
            let error = call.run().fails_with(4);
            error.names(variables).names(&["CNI_PATH"]);
        }
        Snapshot::take(host, &[]).assert_same_as(&before);
    });
}

#[test]
fn each_refuses_stdin_that_is_no_json() {
    for_each(|host, plugin, name| {
        let pod = host.pod("one");
        for command in ["ADD", "CHECK", "DEL", "GC", "STATUS"] {
            let call = plugin.call(command, &conf(name)).pod(&pod);
            for stdin in ["", "{", "[]", "{} {}"] {
                call.clone().stdin(stdin).run().fails_with(6);
            }
        }
    });
}

#[test]
fn each_deletes_what_it_never_added_and_changes_nothing() {
    for_each(|host, plugin, name| {
        let pod = host.pod("one");
        let before = Snapshot::take(host, &[&pod]);
        let call = plugin.call("DEL", &conf(name)).pod(&pod);
        call.run().succeeds_silently();
        call.clone().env("CNI_NETNS", "").run().succeeds_silently();
        call.clone()
            .env("CNI_NETNS", "/run/netns/gone")
            .run()
            .succeeds_silently();
        std::fs::write("/run/plain", "").unwrap();
        call.clone()
            .env("CNI_NETNS", "/run/plain")
            .run()
            .succeeds_silently();
        std::fs::remove_file("/run/plain").unwrap();
        if name == "loopback" {
            // Taking the interface down is what its DEL does.
            pod.ip("link set lo down");
        }
        Snapshot::take(host, &[&pod]).assert_same_as(&before);
    });
}

#[test]
fn each_collects_nothing_where_there_is_nothing() {
    for_each(|host, plugin, name| {
        let before = Snapshot::take(host, &[]);
        plugin.gc(&conf(name), &[]).succeeds_silently();
        plugin
            .gc(&conf(name), &[("other", "eth0")])
            .succeeds_silently();
        plugin.call("GC", &conf(name)).run().succeeds_silently();
        Snapshot::take(host, &[]).assert_same_as(&before);
    });
}

#[test]
fn each_tells_its_status_and_changes_nothing() {
    for_each(|host, plugin, name| {
        let before = Snapshot::take(host, &[]);
        let status = plugin.status(&conf(name));
        if !status.is_success() {
            // It lacks something on this empty host, and says so in the spec's terms.
            let error = status.fails();
            assert!([50, 51].contains(&error.code), "{name}: {status}");
        }
        Snapshot::take(host, &[]).assert_same_as(&before);
    });
}

#[test]
fn each_gates_commands_by_the_version_of_the_configuration() {
    for_each(|host, plugin, name| {
        let pod = host.pod("one");
        for (command, version) in [("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0")] {
            let mut conf = conf(name);
            conf["cniVersion"] = json!(version);
            let error = plugin.call(command, &conf).pod(&pod).run().fails_with(1);
            error.names(&[command]);
        }
    });
}
