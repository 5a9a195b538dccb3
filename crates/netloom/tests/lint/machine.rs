//! `lint --host`: what a configuration needs and the machine lacks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netloom_testkit::{Host, PluginDir};
use serde_json::Value;

use crate::{lint, told};

fn host_findings(plugins: &Path, text: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("10-net.conflist");
    fs::write(&file, text).unwrap();
    let call = lint(&["--host", "--format", "json"]).arg(&file);
    told(&call.env("CNI_PATH", plugins).run())
}

fn brief(findings: &[Value]) -> Vec<(&str, &str, u64, u64)> {
    let text = |it: &'_ Value, key: &str| it[key].as_u64().unwrap();
    findings
        .iter()
        .map(|it| {
            let (rule, level) = (it["rule"].as_str().unwrap(), it["level"].as_str().unwrap());
            (rule, level, text(it, "line"), text(it, "column"))
        })
        .collect()
}

const MACVLAN: &str = r#"{ "cniVersion": "1.0.0", "name": "blue", "plugins": [
  { "type": "macvlan",
    "master": "up9",
    "ipam": { "type": "static", "addresses": [{ "address": "10.1.0.2/24" }] } } ] }"#;

#[test]
fn a_plugin_that_is_in_no_directory_is_found_at_its_type() {
    let empty = tempfile::tempdir().unwrap();
    let findings = host_findings(empty.path(), MACVLAN);
    assert_eq!(
        brief(&findings),
        [("NL501", "error", 2, 13), ("NL501", "error", 4, 23)]
    );
    let message = findings[1]["message"].as_str().unwrap();
    assert!(
        message.contains(r#"the plugin "static" is not in"#),
        "{message}"
    );
}

#[test]
fn a_plugin_that_does_not_speak_the_version_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("old");
    let script = "#!/bin/sh\necho '{\"cniVersion\":\"0.4.0\",\"supportedVersions\":[\"0.4.0\"]}'\n";
    fs::write(&plugin, script).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let text = r#"{ "cniVersion": "1.0.0", "name": "n", "plugins": [{ "type": "old" }] }"#;
    let findings = host_findings(folder.path(), text);
    assert_eq!(brief(&findings), [("NL501", "error", 1, 61)]);
}

#[test]
fn a_master_that_is_not_there_is_found_at_its_key_in_every_version() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(crate::NETLOOM);
    for version in ["0.4.0", "1.0.0", "1.1.0"] {
        let text = MACVLAN.replace("1.0.0", version);
        let findings = host_findings(plugins.path(), &text);
        assert_eq!(
            brief(&findings),
            [("NL502", "error", 3, 15)],
            "{findings:?}"
        );
        assert!(findings[0]["message"].as_str().unwrap().contains("up9"));
    }
    host.sh("ip link add up9 type veth peer name out9 && ip link set up9 up");
    assert_eq!(host_findings(plugins.path(), MACVLAN), [Value::Null; 0]);
}

#[test]
fn without_host_no_plugin_is_executed_or_missed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("10-net.conflist");
    fs::write(&file, MACVLAN).unwrap();
    let call = lint(&["--format", "json"]).arg(&file);
    let findings = told(&call.env("CNI_PATH", "/nonexistent").run());
    assert_eq!(findings, [Value::Null; 0]);
}
