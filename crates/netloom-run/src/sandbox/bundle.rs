//! `--runtime`: what an OCI runtime is to make of the pod (its bundle's `config.json`), and becoming its
//! client.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use netloom_kernel::{signal_fd, unshare};
use serde_json::{Value, json};

use super::{Order, User, privileges, root};
use crate::engine;
use crate::error::{Doing, Error, Result, status};
use crate::files;
use crate::spec::{Entry, PodSpec, Runtime};

/// Mounts the root file system where nobody else sees it, writes the bundle, and becomes the runtime's
/// client.
pub(super) fn become_client(order: &Order, runtime: &Runtime) -> Result<super::Never> {
    unshare::sandbox_mounts()?;
    let rootfs = root::mount_for_runtime(order)?;
    let user = User::find_in(&rootfs, &order.spec.user)?;
    let config = config(order, runtime, &rootfs, &user);
    let bundle = order.dir.join("bundle");
    fs::create_dir(&bundle)
        .and_then(|()| fs::write(bundle.join("config.json"), config.to_string()))
        .doing(|| format!("write the bundle {bundle:?}"))?;
    signal_fd::unblock_all();
    let cause = Command::new(&runtime.program)
        .arg("--root")
        .arg(engine::runtime_root(&order.dir))
        .args(["run", "--bundle"])
        .arg(&bundle)
        .arg(&order.spec.id)
        .exec();
    Err(Error::with_status(
        status::NOT_STARTED,
        format!("--runtime: cannot execute {:?}: {cause}", runtime.program),
    ))
}

fn config(order: &Order, runtime: &Runtime, rootfs: &Path, user: &User) -> Value {
    let spec = &order.spec;
    let names = privileges::names(spec.capabilities);
    let mut env: Vec<_> = spec
        .env
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if !spec.env.iter().any(|(key, _)| key == "HOME") {
        env.push(format!("HOME={}", user.home));
    }
    let mut namespaces = json!([
        {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"},
    ]);
    if let (Some(netns), Some(list)) = (&order.netns, namespaces.as_array_mut()) {
        list.push(json!({"type": "network", "path": netns}));
    }
    let none: [String; 0] = [];
    let held = if user.uid == 0 { &names[..] } else { &none[..] };
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": spec.tty,
            "user": {"uid": user.uid, "gid": user.gid, "additionalGids": user.groups},
            "args": spec.command,
            "env": env,
            "cwd": spec.cwd,
            "noNewPrivileges": true,
            "capabilities": {
                "bounding": names, "effective": held, "permitted": held,
            },
        },
        "root": {"path": rootfs, "readonly": false},
        "hostname": spec.hostname,
        "mounts": mounts(order),
        "linux": {
            "namespaces": namespaces,
            // In no directory of netloom's, which the runtime would leave behind.
            "cgroupsPath": format!("/netloom-{}", spec.id),
            "resources": resources(runtime),
            "maskedPaths": root::MASKED,
            "readonlyPaths": root::READ_ONLY,
        },
    })
}

fn mounts(order: &Order) -> Vec<Value> {
    let kind = |at: &str, kind: &str, options: &[&str]| json!({"destination": at, "type": kind, "source": kind, "options": options});
    let strict = ["nosuid", "noexec", "nodev"];
    let mut mounts = vec![
        kind("/proc", "proc", &strict),
        kind("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        kind("/dev", "tmpfs", &["nosuid", "mode=755", "size=64k"]),
        kind(
            "/dev/pts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        kind(
            "/dev/shm",
            "tmpfs",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=64m"],
        ),
        kind("/dev/mqueue", "mqueue", &strict),
    ];
    for name in files::NAMES {
        let (at, source) = (format!("/etc/{name}"), order.dir.join(name));
        mounts.push(bind(&at, &source, true));
    }
    let volumes = order.spec.volumes.iter();
    mounts.extend(volumes.map(|it| bind(&it.target, &it.source, it.read_only)));
    mounts
}

fn bind(at: &str, source: &Path, read_only: bool) -> Value {
    let access = if read_only { "ro" } else { "rw" };
    let options = ["rbind", "nosuid", "nodev", access];
    json!({"destination": at, "type": "bind", "source": source, "options": options})
}

/// Of processors, what they may use of a tenth of a second.
fn resources(runtime: &Runtime) -> Value {
    const PERIOD: u64 = 100_000;
    let mut resources = json!({"devices": [{"allow": false, "access": "rwm"}]});
    if let Some(bytes) = runtime.memory {
        resources["memory"] = json!({"limit": bytes});
    }
    if let Some(thousandths) = runtime.cpus {
        resources["cpu"] = json!({"period": PERIOD, "quota": thousandths * PERIOD / 1000});
    }
    if let Some(pids) = runtime.pids {
        resources["pids"] = json!({"limit": pids});
    }
    resources
}

/// The words with which a runtime executes one more program in the pod.
pub(crate) fn exec_arguments(spec: &PodSpec, dir: &Path, entry: &Entry) -> Result<Vec<String>> {
    let mut words = vec![
        "--root".to_owned(),
        engine::runtime_root(dir).to_string_lossy().into_owned(),
        "exec".to_owned(),
        "--cwd".to_owned(),
        entry.cwd.clone(),
    ];
    if entry.tty {
        words.push("--tty".to_owned());
    }
    if entry.user != spec.user {
        let is_number = |text: &str| text.parse::<u32>().is_ok();
        if !entry.user.split(':').all(is_number) {
            return Err(Error::new(format!(
                "-u {:?}: in a pod of {} a user is a number",
                entry.user,
                spec.runtime.as_ref().map_or("a runtime", |it| &it.program)
            )));
        }
        words.extend(["--user".to_owned(), entry.user.clone()]);
    }
    for (key, value) in &entry.env {
        words.extend(["--env".to_owned(), format!("{key}={value}")]);
    }
    words.push(spec.id.clone());
    words.extend(entry.command.iter().cloned());
    Ok(words)
}
