//! Pods that an OCI runtime makes: the same networks and files, and limits.

use std::path::PathBuf;

use netloom_testkit::{Host, skip};

use crate::{call, detached, host, inspect, picture, run, succeeds};

/// The control groups that there are, by their directories.
fn groups() -> Vec<PathBuf> {
    fn below(dir: PathBuf, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                below(entry.path(), found);
            }
        }
        found.push(dir);
    }
    let mut found = Vec::new();
    below("/sys/fs/cgroup".into(), &mut found);
    found.retain(|it| it.to_string_lossy().contains("netloom"));
    found
}

/// A host's `/sys` is its own, and shows no control groups; those of the machine are mounted there again.
fn show_groups(host: &Host) {
    host.sh(
        "mount -t tmpfs tmpfs /sys/fs/cgroup && awk '$3 ~ /^cgroup/ {print $3, $2, $4}' /proc/1/mounts | \
         while read -r kind dir options; do mkdir -p $dir && mount -t $kind -o $options none $dir; done",
    );
}

fn has_runc() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join("runc").is_file());
    if !found {
        skip("no runc: install Debian's package runc");
    }
    found
}

#[test]
fn a_pod_of_a_runtime_has_the_networks_and_files_of_one_of_ours() {
    let Some(host) = host() else { return };
    if !has_runc() {
        return;
    }
    show_groups(&host);
    let before = picture(&host);
    let line = "ip -o -4 addr show eth0 | grep -o 'inet [^ ]*'; cat /etc/hosts /etc/hostname /etc/resolv.conf; \
                grep -E 'NoNewPrivs|CapBnd' /proc/self/status; wc -c < /proc/kcore; ls /sys/class/net";
    let shown = |runtime: &[&str]| {
        let asked = [
            "--rm",
            "--net",
            "mynet:ip=10.16.7.7",
            "--hostname",
            "me",
            "--dns",
            "192.0.2.1",
        ];
        let outcome = run(&[runtime, &asked, &["--", "sh", "-c", line]].concat());
        succeeds(&outcome)
    };
    assert_eq!(shown(&["--runtime", "runc"]), shown(&[]));
    picture(&host).assert_same_as(&before);
}

#[test]
fn limits_of_a_runtime_hold_and_leave_no_control_group() {
    let Some(host) = host() else { return };
    if !has_runc() {
        return;
    }
    show_groups(&host);
    let before = (picture(&host), groups());
    let id = detached(&[
        "--runtime",
        "runc",
        "--net",
        "mynet",
        "--memory",
        "64M",
        "--cpus",
        "0.5",
        "--pids",
        "12",
        "sleep",
        "1000",
    ]);
    // It counts as running from when the runtime was started, which nobody else tells of.
    let runs = (0..200).any(|_| call(&["exec", &id, "true"]).is_success());
    assert!(runs, "{}", succeeds(&call(&["logs", &id])));
    let own: Vec<_> = groups()
        .into_iter()
        .filter(|it| it.to_string_lossy().contains(&id))
        .collect();
    let holds = |files: &[&str], value: &str| {
        own.iter().any(|dir| {
            let read = |file: &&str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
            files.iter().any(|file| read(file).trim() == value)
        })
    };
    assert!(
        holds(&["memory.max", "memory.limit_in_bytes"], "67108864"),
        "{own:?}"
    );
    assert!(holds(&["pids.max"], "12"), "{own:?}");
    assert!(
        holds(&["cpu.max"], "50000 100000") || holds(&["cpu.cfs_quota_us"], "50000"),
        "{own:?}"
    );
    let forks = "n=0; while [ $n -lt 30 ]; do sleep 1000 >/dev/null 2>&1 & n=$((n+1)); done";
    let refused = call(&["exec", &id, "sh", "-c", forks]);
    assert!(refused.stderr.contains("fork"), "{refused}");
    assert_eq!(inspect(&id)["networks"][0]["ifname"], "eth0");
    succeeds(&call(&["rm", "-f", &id]));
    assert_eq!(groups(), before.1);
    picture(&host).assert_same_as(&before.0);
}
