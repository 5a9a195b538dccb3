//! A host for tests: directories of its own and plugins that record what they are asked.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use netloom_invoke::{ProcessExec, Stderr};
use netloom_runtime::{Cni, RuntimeConf};
use netloom_spec::NetworkConfigList;
use serde_json::Value;

/// Records command, name and container in `log`, the request in `NAME.COMMAND`, the `CNI_*`
/// variables in `NAME.COMMAND.env`. Fails with the content of `NAME.COMMAND.fail` if there is
/// one. Answers ADD with `NAME.result` and VERSION with `NAME.version`.
const RECORDER: &str = r#"#!/bin/sh
name=${0##*/}
dir=${0%/*}/../record
cat >"$dir/$name.$CNI_COMMAND"
env | grep -E '^(CNI_|TRACE|BAGGAGE)' | sort >"$dir/$name.$CNI_COMMAND.env"
echo "$CNI_COMMAND $name $CNI_CONTAINERID" >>"$dir/log"
if [ -e "$dir/$name.$CNI_COMMAND.fail" ]; then cat "$dir/$name.$CNI_COMMAND.fail"; exit 1; fi
case $CNI_COMMAND in
ADD) cat "$dir/$name.result" ;;
VERSION) cat "$dir/$name.version" ;;
esac
"#;

pub(crate) struct Host(tempfile::TempDir);

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        for dir in ["bin", "conf", "cache", "record"] {
            fs::create_dir(host.path(dir)).unwrap();
        }
        host
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Installs a script as the plugin `name`.
    pub(crate) fn script(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Installs the recorder as the plugin `name`, which answers ADD with `result`.
    pub(crate) fn plugin(&self, name: &str, result: &str) {
        self.script(name, RECORDER);
        self.write(&format!("record/{name}.result"), result);
        let version = r#"{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}"#;
        self.write(&format!("record/{name}.version"), version);
    }

    pub(crate) fn fail(&self, name: &str, command: &str, error: &str) {
        self.write(&format!("record/{name}.{command}.fail"), error);
    }

    pub(crate) fn works_again(&self, name: &str, command: &str) {
        fs::remove_file(self.path(&format!("record/{name}.{command}.fail"))).unwrap();
    }

    pub(crate) fn cni(&self) -> Cni {
        let exec = ProcessExec {
            stderr: Stderr::memory().0,
            ..ProcessExec::default()
        };
        Cni::new([self.path("bin")])
            .cache_dir(self.path("cache"))
            .exec(exec)
    }

    /// What was asked since the last call.
    pub(crate) fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("record/log")).unwrap_or_default();
        let _ = fs::remove_file(self.path("record/log"));
        log.lines().map(str::to_owned).collect()
    }

    /// The request that a plugin got last.
    pub(crate) fn request(&self, name: &str, command: &str) -> Value {
        serde_json::from_str(&self.read(&format!("record/{name}.{command}"))).unwrap()
    }

    pub(crate) fn env(&self, name: &str, command: &str) -> Vec<String> {
        let env = self.read(&format!("record/{name}.{command}.env"));
        env.lines().map(str::to_owned).collect()
    }

    /// The names of the files in the cache.
    pub(crate) fn cached(&self) -> Vec<String> {
        names(&self.path("cache/results"))
    }
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

pub(crate) fn list(text: &str) -> NetworkConfigList {
    NetworkConfigList::parse(text.as_bytes()).unwrap()
}

/// The network `name` with the plugins `one` and `two`.
pub(crate) fn chain(name: &str, version: &str) -> NetworkConfigList {
    list(&format!(
        r#"{{"cniVersion":"{version}","name":"{name}","plugins":[{{"type":"one"}},{{"type":"two"}}]}}"#
    ))
}

/// A host with the plugins `one` and `two`, which answer with one and two addresses.
pub(crate) fn host_with_chain() -> Host {
    let host = Host::new();
    host.plugin(
        "one",
        r#"{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}]}"#,
    );
    host.plugin(
        "two",
        r#"{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"},{"address":"fd00::2/64"}]}"#,
    );
    host
}

pub(crate) fn rt(container_id: &str) -> RuntimeConf {
    RuntimeConf::new(container_id, format!("/run/netns/{container_id}"), "eth0")
}
