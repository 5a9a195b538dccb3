//! The disk is full at any one of the writes of an ADD: a clear error, nothing half-written, and the
//! next ADD works.
//!
//! The fault is put into each program that keeps files: the IPAM plugin, the plugins with files of
//! their own, and the runtime. Only what a full disk fails is made to fail: system calls that need
//! room in the directories of the state. Then the same on real disks that are full after so many
//! files or blocks, and stay full while the ADD is undone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use netloom_testkit::{Call, Faults, Host, Outcome, Plugin, Pod, Snapshot};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::network::NETLOOM;

const STATE: [&str; 2] = ["/var/lib/cni", "/run/cni/tuning"];

/// An ADD that is made again and again on one host, each time with no state on its disk.
struct Scene {
    pod: Pod,
    host: Host,
    add: Call,
    del: Call,
    /// Whether a failed ADD needs a DEL, as the runtime's does.
    is_undone_by_del: bool,
    _plugins: TempDir,
}

/// A host, and plugins where no snapshot reads them.
fn host() -> Option<(Host, TempDir)> {
    let host = Host::new()?;
    let plugins = tempfile::tempdir().unwrap();
    netloom_testkit::link_plugins(NETLOOM, plugins.path());
    Some((host, plugins))
}

/// A block of tmpfs, which cannot be told to have none.
const PAGE: usize = 4096;
/// More inodes or blocks than any ADD needs.
const ENOUGH: usize = 100;
const FILLER: &str = "filler";

fn fill_one_page(directory: &str) {
    fs::write(Path::new(directory).join(FILLER), [1; PAGE]).unwrap();
}

/// What is in files of the state, whole; not the locks, which are empty, nor host-local's index,
/// which is made anew when it is wrong.
type Files = BTreeMap<PathBuf, String>;

fn files() -> Files {
    let mut files = Files::new();
    STATE.iter().for_each(|it| walk(Path::new(it), &mut files));
    files
}

fn walk(directory: &Path, files: &mut Files) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != ".netloom" && name != "locks" {
            walk(&path, files);
        } else if path.is_file() && name != "lock" && name != FILLER {
            let content = fs::read(&path).unwrap();
            files.insert(path, String::from_utf8_lossy(&content).into_owned());
        }
    }
}

/// Those of which the next ADD makes do with less: where host-local's last search ended.
fn without_hints(files: &Files) -> Files {
    let is_hint = |path: &Path| path.to_string_lossy().contains("/last_reserved_ip.");
    let kept = files.iter().filter(|(path, _)| !is_hint(path));
    kept.map(|(path, it)| (path.clone(), it.clone())).collect()
}

impl Scene {
    fn plugin(kind: &str, conf: &Value, prepare: impl FnOnce(&Host, &Pod)) -> Option<Self> {
        let (host, plugins) = host()?;
        let pod = host.pod("one");
        prepare(&host, &pod);
        let plugin = Plugin::at(plugins.path(), kind);
        let call = |command| plugin.call(command, conf).pod(&pod);
        Some(Self {
            add: call("ADD"),
            del: call("DEL"),
            pod,
            host,
            is_undone_by_del: false,
            _plugins: plugins,
        })
    }

    fn look(&self) -> Snapshot {
        Snapshot::take(&self.host, &[&self.pod]).without_shared(&["cni0"])
    }

    /// Takes away what earlier ADDs left for later ones, so that each makes all of its files.
    fn forget(&self) {
        for directory in STATE {
            let _ = fs::remove_dir_all(directory);
        }
    }

    /// Fails every write of the ADD, one at a time, and gives back how many were, and how many of
    /// the ADDs failed.
    fn try_all(&self, name: &str) -> Option<(usize, usize)> {
        // What is shared, like a bridge, is there from now on.
        let first = self.add.run();
        assert!(first.is_success(), "{first}");
        self.undo();
        self.forget();
        let faults = Faults::points_of_disk(&self.add, &STATE)?;
        let whole = files();
        assert!(!whole.is_empty(), "{name}: ADD keeps no file");
        self.undo();
        let (mut tried, mut failed) = (0, 0);
        for k in 0..faults.list().len() {
            let what = format!("{name}: no room for {}", faults.list()[k]);
            self.forget();
            let before = self.look();
            let struck = faults.fail_at(k, "ENOSPC");
            assert!(struck.hit, "{what}: not reached\n{}", struck.outcome);
            tried += 1;
            failed += usize::from(!struck.outcome.is_success());
            self.judge(&what, &struck.outcome, &whole, &before, || {});
        }
        println!("{name}: {tried} writes found no room, {failed} of the ADDs failed");
        for measure in ["inodes", "blocks"] {
            let (tried, failed) = self.try_all_disks(name, measure, &whole);
            println!("{name}: on {tried} disks with few {measure}, {failed} ADDs failed");
            assert!(failed > 0, "{name}: ADD needs no {measure}");
        }
        Some((tried, failed))
    }

    /// ADD on real disks with room for nothing, then for one thing more each time, until one is not
    /// full after it. Here what fails goes on failing, until there is room again.
    fn try_all_disks(&self, name: &str, measure: &str, whole: &Files) -> (usize, usize) {
        let mut failed = 0;
        for room in 1..ENOUGH {
            let what = format!("{name}: a disk with {room} {measure}");
            let option = match measure {
                "inodes" => format!("nr_inodes={room}"),
                _ => format!("size={}", room * PAGE),
            };
            self.mount(&option);
            if measure == "blocks" {
                STATE.iter().for_each(|it| fill_one_page(it));
            }
            let before = self.look();
            let outcome = self.add.run();
            let is_full = self.is_full(whole);
            failed += usize::from(!outcome.is_success());
            self.judge(&what, &outcome, whole, &before, || {
                self.each_disk("mount -o remount,nr_inodes=1000,size=1m");
            });
            self.each_disk("umount");
            if outcome.is_success() && !is_full {
                return (room, failed);
            }
        }
        panic!("{name}: {ENOUGH} {measure} are not enough")
    }

    fn mount(&self, option: &str) {
        self.each_disk("mkdir -p");
        self.each_disk(&format!("mount -t tmpfs -o mode=755,{option} tmpfs"));
    }

    fn each_disk(&self, command: &str) {
        for directory in STATE {
            self.host.sh(&format!("{command} {directory}"));
        }
    }

    /// Whether a disk that ADD has files on has no inode or no block left.
    fn is_full(&self, whole: &Files) -> bool {
        let used = |it: &&&str| whole.keys().any(|path| path.starts_with(it));
        STATE.iter().filter(used).any(|directory| {
            let free = self.host.sh(&format!("stat -f -c '%d %a' {directory}"));
            free.split_whitespace().any(|free| free == "0")
        })
    }

    /// What is left, whether it can be undone, and, with room again, the next ADD.
    fn judge(
        &self,
        what: &str,
        outcome: &Outcome,
        whole: &Files,
        before: &Snapshot,
        give_room: impl FnOnce(),
    ) {
        let left = files();
        if outcome.is_success() {
            println!("{what}: tolerated");
            let (left, whole) = (without_hints(&left), without_hints(whole));
            assert_eq!(left, whole, "{what}: success with less\n{outcome}");
        } else {
            is_clear(what, outcome);
            for (path, content) in &left {
                assert_eq!(Some(content), whole.get(path), "{what}: half of {path:?}");
            }
        }
        if outcome.is_success() || self.is_undone_by_del {
            self.undo();
        }
        self.is_as(before, what);
        give_room();
        let next = self.add.run();
        assert!(next.is_success(), "{what}: the next ADD fails\n{next}");
        // Its address may be the one after.
        let contents = |files: &Files| -> Vec<String> {
            let mut contents: Vec<_> = without_hints(files).into_values().collect();
            contents.sort();
            contents
        };
        let now = contents(&files());
        assert_eq!(now, contents(whole), "{what}: the next ADD keeps less");
        self.undo();
        self.is_as(before, what);
    }

    fn undo(&self) {
        let del = self.del.run();
        assert!(del.is_success(), "DEL fails\n{del}");
    }

    fn is_as(&self, before: &Snapshot, what: &str) {
        let difference = self.look().difference_from(before);
        assert!(difference.is_empty(), "{what}: not as before\n{difference}");
    }
}

/// One line that says which file found no room.
fn is_clear(what: &str, outcome: &Outcome) {
    let error = outcome.fails();
    assert!([5, 11].contains(&error.code), "{what}\n{outcome}");
    let text = error.msg;
    let says = |part: &str| text.contains(part);
    assert!(says("No space left on device"), "{what}\n{outcome}");
    assert!(STATE.iter().any(|it| says(it)), "{what}: where?\n{outcome}");
    assert!(!says("\n"), "{what}\n{outcome}");
}

/// Tries all of a plugin, which should make so many writes at the least.
fn try_plugin(kind: &str, conf: &Value, prepare: impl FnOnce(&Host, &Pod), at_least: usize) {
    let Some(scene) = Scene::plugin(kind, conf, prepare) else {
        return;
    };
    let Some((tried, failed)) = scene.try_all(kind) else {
        return;
    };
    assert!(
        tried >= at_least && failed > 2,
        "{tried} tried, {failed} failed"
    );
}

#[test]
fn host_local_reserves_all_or_nothing_whichever_write_finds_no_room() {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]);
    let conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "bridge",
        "ipam": {"type": "host-local", "ranges": ranges},
    });
    try_plugin("host-local", &conf, |_, _| {}, 15);
}

#[test]
fn tuning_changes_all_or_nothing_whichever_write_finds_no_room() {
    let mac = "02:00:00:00:00:70";
    let conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "tuning",
        "mac": "02:00:00:00:00:71", "mtu": 1400, "promisc": true, "txQLen": 500,
        "prevResult": {
            "cniVersion": "1.1.0",
            "interfaces": [{"name": "eth0", "mac": mac, "sandbox": "/run/netns/one"}],
            "ips": [{"address": "10.1.0.5/24", "interface": 0}],
        },
    });
    let link = |host: &Host, pod: &Pod| {
        let name = pod.name();
        host.ip(&format!(
            "link add peer type veth peer name eth0 address {mac} netns {name}"
        ));
        host.ip("link set peer up");
        pod.ip("link set eth0 up");
        pod.sh("echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6");
    };
    try_plugin("tuning", &conf, link, 3);
}

#[test]
fn flannel_attaches_or_not_whichever_write_finds_no_room() {
    let conf = json!({"cniVersion": "1.1.0", "name": "net", "type": "flannel"});
    let subnet = |_: &Host, _: &Pod| {
        fs::create_dir_all("/run/flannel").unwrap();
        let lease = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\n\
                     FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
        fs::write("/run/flannel/subnet.env", lease).unwrap();
    };
    try_plugin("flannel", &conf, subnet, 15);
}

#[test]
fn ratchet_keeps_its_record_or_fails_whichever_write_finds_no_room() {
    let annotations = json!({
        "ratchet": "true", "ratchet.pod_name": "one", "ratchet.primary": "true",
        "ratchet.local_ip": "10.0.0.1", "ratchet.local_ifname": "in1",
        "ratchet.pair_name": "two", "ratchet.pair_ip": "10.0.0.2", "ratchet.pair_ifname": "in2"
    });
    let conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "ratchet",
        "runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotations},
        "prevResult": {"cniVersion": "1.1.0", "interfaces": [], "ips": []},
    });
    try_plugin("ratchet", &conf, |_, _| {}, 3);
}

#[test]
fn the_runtime_remembers_all_or_nothing_whichever_write_finds_no_room() {
    let Some((host, plugins)) = host() else {
        return;
    };
    let conf = json!({"cniVersion": "1.1.0", "name": "alone", "plugins": [{"type": "loopback"}]});
    fs::create_dir_all("/etc/cni/net.d").unwrap();
    fs::write("/etc/cni/net.d/20-alone.conflist", conf.to_string()).unwrap();
    let pod = host.pod("one");
    let call = |verb: &str| {
        let call = Call::new(NETLOOM)
            .env("CNI_PATH", plugins.path())
            .arg("--json");
        call.arg(verb).arg("alone").arg(pod.path())
    };
    let (add, del) = (call("add"), call("del"));
    let scene = Scene {
        pod,
        host,
        add,
        del,
        is_undone_by_del: true,
        _plugins: plugins,
    };
    let Some((tried, failed)) = scene.try_all("netloom add") else {
        return;
    };
    assert!(tried >= 5 && failed > 3, "{tried} tried, {failed} failed");
}
