//! Many ADDs at the same time in little memory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use netloom_testkit::{Call, Host, parallel, skip};

use crate::network::{NETLOOM, PLUGINS, TYPES, call_by, host};

const PODS: usize = 100;
const LIMIT: u64 = 64 * 1024 * 1024;
/// A build for tests is large, and so is what of it is mapped.
const LIMIT_OF_TEST_BUILD: u64 = 4 * LIMIT;
const HELD: &str = "/run/held";
const MOUNT: &str = "/run/cgroup";

/// A memory cgroup of either version; removed when dropped, once nothing runs in it.
struct Cgroup {
    path: PathBuf,
    is_v2: bool,
}

impl Cgroup {
    /// `None` after a skip.
    fn new(host: &Host, limit: u64) -> Option<Self> {
        let mounted = |options: &str| {
            let line =
                format!("mkdir -p {MOUNT}; mount -t {options} cgroup {MOUNT} 2>&1 || echo failed");
            !host.sh(&line).contains("failed")
        };
        let is_v2 = if mounted("cgroup -o memory") {
            false
        } else if mounted("cgroup2") {
            true
        } else {
            skip("no memory cgroup can be mounted");
            return None;
        };
        let path = Path::new(MOUNT).join(format!("netloom-{}", std::process::id()));
        if is_v2 {
            // It may be on already, or held by another version.
            drop(fs::write(
                Path::new(MOUNT).join("cgroup.subtree_control"),
                "+memory",
            ));
        }
        let cgroup = Self { path, is_v2 };
        let made = fs::create_dir(&cgroup.path).and_then(|()| cgroup.limit(limit));
        if let Err(error) = made {
            skip(&format!("no memory cgroup can be made: {error}"));
            return None;
        }
        Some(cgroup)
    }

    fn limit(&self, most: u64) -> std::io::Result<()> {
        let [limit, swap] = match self.is_v2 {
            true => ["memory.max", "memory.swap.max"],
            false => ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
        };
        fs::write(self.path.join(limit), most.to_string())?;
        let most = if self.is_v2 { 0 } else { most };
        // A kernel without swap accounting has no such file.
        drop(fs::write(self.path.join(swap), most.to_string()));
        Ok(())
    }

    /// A program of this name that begins in the cgroup.
    fn hold(&self, name: &str, program: &Path) -> PathBuf {
        fs::create_dir_all(HELD).unwrap();
        let file = Path::new(HELD).join(name);
        let (cgroup, program) = (self.path.display(), program.display());
        let text = format!("#!/bin/sh\necho $$ > {cgroup}/cgroup.procs && exec {program} \"$@\"\n");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        file
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap()
    }

    fn peak(&self) -> u64 {
        let file = match self.is_v2 {
            true => "memory.peak",
            false => "memory.max_usage_in_bytes",
        };
        self.read(file).trim().parse().unwrap()
    }

    /// How many processes the kernel killed for lack of memory.
    fn kills(&self) -> u64 {
        let file = match self.is_v2 {
            true => "memory.events",
            false => "memory.oom_control",
        };
        let text = self.read(file);
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.unwrap().parse().unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.path));
    }
}

#[test]
fn a_hundred_adds_at_once_do_with_64_mib() {
    let Some(host) = host("nftables") else { return };
    // As shipped, where `cargo xtask test` has built that.
    let shipped = std::env::var_os("NETLOOM_RELEASE_BIN");
    let limit = match shipped {
        Some(_) => LIMIT,
        None => LIMIT_OF_TEST_BUILD,
    };
    let Some(cgroup) = Cgroup::new(&host, limit) else {
        return;
    };
    // The runtime too, but not as it is built for tests, a hundred of which do not fit.
    let runtime = match &shipped {
        Some(bin) => cgroup.hold("netloom", &Path::new(bin).join("netloom")),
        None => PathBuf::from(NETLOOM),
    };
    // A file for each name, on the disk. They are written in the cgroup, so that what is kept of all
    // of them in memory counts.
    let installed = tempfile::tempdir().unwrap();
    let plugins = match shipped {
        Some(_) => {
            let install = Call::new(&runtime).arg("install").arg("--bin-dir");
            let done = install.arg(installed.path()).run();
            assert!(done.is_success(), "{done}");
            installed.path().to_owned()
        }
        None => PathBuf::from(PLUGINS),
    };
    for name in TYPES {
        cgroup.hold(name, &plugins.join(name));
    }
    let plugins = format!("{HELD}:{}", plugins.display());
    let pods: Vec<_> = (0..PODS).map(|n| host.pod(&format!("p{n}"))).collect();
    let of = |verb: &str, n: usize| {
        let port = 20_000 + 2 * u16::try_from(n).unwrap();
        call_by(&runtime, verb, &pods[n], port).env("CNI_PATH", &plugins)
    };
    let outcomes = parallel(PODS, PODS, |n| of("add", n).run());
    println!(
        "{PODS} ADDs at once ({}): a peak of {} KiB",
        if shipped.is_some() {
            "as shipped"
        } else {
            "built for tests"
        },
        cgroup.peak() / 1024
    );
    assert_eq!(
        cgroup.kills(),
        0,
        "processes were killed for lack of memory"
    );
    for outcome in &outcomes {
        assert!(outcome.is_success(), "{outcome}");
    }
    for n in (0..PODS).step_by(10) {
        let check = of("check", n).run();
        assert!(check.is_success(), "{check}");
    }
}
