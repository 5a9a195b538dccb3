//! Symbolic links that somebody planted where plugins keep their state: what they lead to is not
//! read, written or removed. And with what modes state is made.

use crate::PROGRAM;
use netloom_testkit::{Host, Outcome, Plugin, PluginDir, Pod};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A plugin that keeps state.
struct Subject {
    name: &'static str,
    conf: fn() -> Value,
    /// What must be there before its ADD.
    prepare: fn(&Pod),
    /// Below this everything is the plugin's.
    state: &'static str,
    /// What is there only while something is written.
    passing: &'static [&'static str],
    /// The mode of each file and directory below.
    mode: fn(&str) -> u32,
}

const SUBJECTS: [Subject; 4] = [
    Subject {
        name: "host-local",
        conf: || {
            json!({"cniVersion": "1.1.0", "name": "blue", "type": "host-local",
                   "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}})
        },
        prepare: |_| {},
        state: "/var/lib/cni/networks",
        passing: &[".netloom/blue/.reserving", ".netloom/blue/.owners"],
        // The reference's, which people and scripts rely on.
        mode: |path| match path {
            "blue" => 0o755,
            "blue/lock" => 0o750,
            ".netloom" | ".netloom/blue" => 0o700,
            _ => 0o600,
        },
    },
    Subject {
        name: "flannel",
        conf: || {
            json!({"cniVersion": "1.1.0", "name": "blue", "type": "flannel",
                   "delegate": {"type": "ptp"}})
        },
        prepare: |_| {
            let env = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\n\
                       FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
            fs::create_dir_all("/run/flannel").unwrap();
            fs::write("/run/flannel/subnet.env", env).unwrap();
        },
        state: "/var/lib/cni/flannel",
        passing: &[],
        mode: |_| 0o600,
    },
    Subject {
        name: "tuning",
        conf: || {
            json!({"cniVersion": "1.1.0", "name": "blue", "type": "tuning", "mtu": 1400,
                   "prevResult": {"cniVersion": "1.1.0", "ips": [],
                                  "interfaces": [{"name": "eth0", "sandbox": "/run/netns/pod"}]}})
        },
        prepare: |pod| {
            pod.ip("link add eth0 type veth peer name other");
        },
        state: "/run/cni/tuning",
        passing: &[],
        mode: |_| 0o600,
    },
    Subject {
        name: "ratchet",
        conf: || {
            let annotations = json!({
                "ratchet": "true", "ratchet.pod_name": "pod", "ratchet.primary": "true",
                "ratchet.local_ip": "10.0.0.1", "ratchet.local_ifname": "in1",
                "ratchet.pair_name": "pair", "ratchet.pair_ip": "10.0.0.2",
                "ratchet.pair_ifname": "in2"
            });
            json!({"cniVersion": "1.1.0", "name": "blue", "type": "ratchet",
                   "runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotations}})
        },
        prepare: |_| {},
        state: "/var/lib/cni/netloom/ratchet",
        passing: &[],
        mode: |path| {
            let is_directory = path == "blue" || (path.contains("/asked-") && !path.contains(':'));
            if is_directory { 0o700 } else { 0o600 }
        },
    },
];

/// What a planted link leads to.
#[derive(Clone, Copy, Debug)]
enum Victim {
    File,
    Directory,
    Nothing,
}

const PLACE: &str = "/run/victim";

impl Victim {
    /// Makes it; a file has the content of what the link stands for.
    fn make(self, content: &[u8]) {
        match self {
            Self::File => fs::write(PLACE, content).unwrap(),
            Self::Directory => {
                fs::create_dir(PLACE).unwrap();
                fs::write(Path::new(PLACE).join("10.1.0.2"), content).unwrap();
            }
            Self::Nothing => {}
        }
    }

    /// Names, contents, modes and times.
    fn state() -> Vec<(PathBuf, Vec<u8>, u32, i64, i64)> {
        let mut found = Vec::new();
        let mut left = vec![PathBuf::from(PLACE)];
        while let Some(path) = left.pop() {
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            if metadata.is_dir() {
                let entries = fs::read_dir(&path).unwrap();
                left.extend(entries.map(|entry| entry.unwrap().path()));
            }
            let (mode, seconds, nanoseconds) =
                (metadata.mode(), metadata.mtime(), metadata.mtime_nsec());
            let content = fs::read(&path).unwrap_or_default();
            found.push((path, content, mode, seconds, nanoseconds));
        }
        found
    }
}

/// One throw-away host with the plugin on it.
struct Scene<'s> {
    subject: &'s Subject,
    plugin: Plugin,
    pod: Pod,
    _host: Host,
}

impl<'s> Scene<'s> {
    fn new(subject: &'s Subject, bin: &PluginDir) -> Option<Self> {
        let host = Host::new()?;
        let pod = host.pod("pod");
        (subject.prepare)(&pod);
        Some(Self {
            subject,
            plugin: Plugin::ours(bin, subject.name),
            pod,
            _host: host,
        })
    }

    fn add(&self) -> Outcome {
        let conf = (self.subject.conf)();
        let call = self.plugin.call("ADD", &conf).pod(&self.pod);
        // So that no mode is what it is only because of it.
        call.under("sh", &["-c", "umask 0; exec \"$0\""]).run()
    }

    /// Everything there is, below the directory of state.
    fn made(&self) -> Vec<String> {
        let root = Path::new(self.subject.state);
        let (mut made, mut left) = (Vec::new(), vec![root.to_owned()]);
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let name = entry.path();
                made.push(
                    name.strip_prefix(root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
                if entry.file_type().unwrap().is_dir() {
                    left.push(name);
                }
            }
        }
        made.sort();
        made
    }

    /// Puts a link in the place of a file or directory.
    fn plant(&self, name: &str, victim: Victim) {
        let path = Path::new(self.subject.state).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = fs::read(&path).unwrap_or_else(|_| b"pod-1\r\neth0".to_vec());
        victim.make(&content);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            drop(fs::remove_file(&path));
        }
        symlink(PLACE, path).unwrap();
    }

    /// Whatever comes of them, these are answers as a runtime expects them.
    fn all_other_calls(&self) {
        let conf = (self.subject.conf)();
        let previous = json!({"cniVersion": "1.1.0", "ips": []});
        let calls = [
            self.plugin.check(&conf, &previous, &self.pod),
            self.plugin.status(&conf),
            self.plugin.del(&conf, &self.pod),
            self.plugin.gc(&conf, &[]),
        ];
        calls.iter().for_each(is_an_answer);
    }
}

fn is_an_answer(outcome: &Outcome) {
    if !outcome.is_success() {
        let error = outcome.fails();
        assert!(!error.text().contains('\n'), "{outcome}");
    }
}

#[test]
fn links_that_are_there_before_add_are_not_followed() {
    each(|scene, name, victim| {
        scene.plant(name, victim);
        let before = Victim::state();
        is_an_answer(&scene.add());
        assert_eq!(
            Victim::state(),
            before,
            "ADD with {name} a link to {victim:?}"
        );
        scene.all_other_calls();
        assert_eq!(Victim::state(), before, "with {name} a link to {victim:?}");
    });
}

#[test]
fn links_that_replace_state_after_add_are_not_followed() {
    each(|scene, name, victim| {
        scene.add().succeeds();
        scene.plant(name, victim);
        let before = Victim::state();
        scene.all_other_calls();
        is_an_answer(&scene.add());
        assert_eq!(Victim::state(), before, "with {name} a link to {victim:?}");
    });
}

/// Calls for each place of each subject and each victim, on a host of its own.
fn each(test: impl Fn(&Scene<'_>, &str, Victim)) {
    let bin = PluginDir::of(PROGRAM);
    for subject in &SUBJECTS {
        let Some(scene) = Scene::new(subject, &bin) else {
            return;
        };
        scene.add().succeeds();
        let mut places = scene.made();
        drop(scene);
        assert!(!places.is_empty(), "{} keeps no state", subject.name);
        places.extend(subject.passing.iter().map(|name| (*name).to_owned()));
        for place in places {
            for victim in [Victim::File, Victim::Directory, Victim::Nothing] {
                let Some(scene) = Scene::new(subject, &bin) else {
                    return;
                };
                test(&scene, &place, victim);
            }
        }
    }
}

#[test]
fn a_backup_that_is_a_link_restores_nothing() {
    let bin = PluginDir::of(PROGRAM);
    let Some(scene) = Scene::new(&SUBJECTS[2], &bin) else {
        return;
    };
    scene.add().succeeds();
    let [backup] = &scene.made()[..] else {
        panic!("{:?}", scene.made());
    };
    let path = Path::new(scene.subject.state).join(backup);
    let planted = fs::read_to_string(&path).unwrap().replace("1500", "1300");
    fs::write(PLACE, planted).unwrap();
    fs::remove_file(&path).unwrap();
    symlink(PLACE, &path).unwrap();
    let conf = (scene.subject.conf)();
    scene.plugin.del(&conf, &scene.pod).succeeds_silently();
    let link = scene.pod.ip("link show eth0");
    assert!(link.contains("mtu 1400"), "{link}");
    assert!(!path.is_symlink() && Path::new(PLACE).exists());
}

#[test]
fn state_is_made_with_the_modes_of_the_reference_or_stricter() {
    let bin = PluginDir::of(PROGRAM);
    for subject in &SUBJECTS {
        let Some(scene) = Scene::new(subject, &bin) else {
            return;
        };
        scene.add().succeeds();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let root = Path::new(subject.state);
        for name in scene.made() {
            let expected = (subject.mode)(&name);
            assert_eq!(
                mode(&root.join(&name)),
                expected,
                "{}: {name}",
                subject.name
            );
        }
        let expected = match subject.name {
            "host-local" => 0o755,
            _ => 0o700,
        };
        assert_eq!(mode(root), expected, "{}", subject.state);
    }
}
