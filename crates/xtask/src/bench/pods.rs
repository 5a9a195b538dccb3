//! `netloom run` from start to end, beside ADD and DEL alone, and beside podman and containerd on the same network.
//!
//! All use our plugins: what is compared is who runs them, and the container.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount, mount_bind};
use serde_json::json;

use super::Order;
use super::call::Call;
use super::host;
use super::report::Row;
use super::scenario::Scenario;
use super::side::Side;
use crate::process;

const NETWORK: &str = "mynet";
const BUSYBOX: &str = "/bin/busybox";
/// Between two measurements: what the kernel put off is mostly done by then.
const PAUSE: Duration = Duration::from_millis(100);
/// How long containerd may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A row for each engine that is installed, and the first for ADD and DEL, as the floor.
pub(crate) fn measure(scenario: &Scenario, order: &Order) -> Result<Vec<Row>> {
    let netloom = order.command.as_ref().context("netloom was not built")?;
    let root = prepare(order)?;
    let run = Call {
        program: netloom.clone(),
        arguments: words(
            &["run", "--rm", "--net", NETWORK, "--rootfs"],
            &root,
            "/bin/true",
        ),
        environment: environment(order),
        ..Call::default()
    };
    let mut rows = vec![Row::new(scenario, "alone")];
    let mut others = Vec::new();
    if process::find_program("podman").is_some() {
        others.push(podman(order, &root)?);
        rows.push(Row::new(scenario, "podman"));
    }
    let mut containerd = None;
    if ["containerd", "ctr"]
        .iter()
        .all(|it| process::find_program(it).is_some())
    {
        containerd = Some(Containerd::start(order)?);
        others.push(ctr(&root));
        rows.push(Row::new(scenario, "ctr"));
    }
    let measured = rounds(scenario, order, &run, &mut others, &mut rows);
    drop(containerd);
    measured.map(|()| rows)
}

fn rounds(
    scenario: &Scenario,
    order: &Order,
    run: &Call,
    others: &mut [Call],
    rows: &mut [Row],
) -> Result<()> {
    // What networks share is there, and programs are warm.
    run.time()?;
    for other in others.iter_mut() {
        other.time()?;
    }
    for round in 0..order.rounds.min(scenario.most_rounds) {
        let netns = format!("alone{round}");
        host::ip(&["netns", "add", &netns])?;
        let mut push = |row: usize, side, time| {
            rows[row].samples.entry(side).or_default().push(time);
        };
        push(0, Side::Floor, alone(order, &netns)?);
        for row in 0..=others.len() {
            std::thread::sleep(PAUSE);
            push(row, Side::Ours, run.time()?.0);
            let Some(other) = row.checked_sub(1).and_then(|it| others.get(it)) else {
                continue;
            };
            std::thread::sleep(PAUSE);
            push(row, Side::Peer, other.time()?.0);
        }
        host::ip(&["netns", "del", &netns])?;
    }
    Ok(())
}

/// ADD and DEL of the same network.
fn alone(order: &Order, netns: &str) -> Result<Duration> {
    let mut time = Duration::ZERO;
    for verb in ["ADD", "DEL"] {
        std::thread::sleep(PAUSE);
        let mut environment = environment(order);
        environment.extend([
            ("CNI_COMMAND", verb.to_owned()),
            ("CNI_CONTAINERID", netns.to_owned()),
            ("CNI_NETNS", format!("/run/netns/{netns}")),
            ("CNI_IFNAME", "eth0".to_owned()),
        ]);
        let mut conf = plugin();
        conf["cniVersion"] = json!("1.0.0");
        conf["name"] = json!(NETWORK);
        let call = Call {
            program: order.ours.join("bridge"),
            environment,
            stdin: conf.to_string().into_bytes(),
            ..Call::default()
        };
        time += call.time()?.0;
    }
    Ok(time)
}

fn plugin() -> serde_json::Value {
    json!({
        "type": "bridge", "bridge": host::bridge_name(Side::Ours), "isGateway": true,
        "ipMasq": true, "ipMasqBackend": "nftables",
        "ipam": {
            "type": "host-local", "subnet": "10.100.0.0/16", "routes": [{"dst": "0.0.0.0/0"}],
        },
    })
}

/// The network where all look for it, and a root file system with busybox; the latter.
fn prepare(order: &Order) -> Result<PathBuf> {
    for folder in ["/etc/cni", "/opt"] {
        fs::create_dir_all(folder)?;
        mount("tmpfs", folder, "tmpfs", MountFlags::empty(), c"mode=0755")
            .with_context(|| format!("cannot mount a tmpfs on {folder}"))?;
    }
    fs::create_dir_all("/etc/cni/net.d")?;
    fs::create_dir_all("/opt/cni/bin")?;
    mount_bind(&order.ours, "/opt/cni/bin").context("cannot mount our plugins on /opt/cni/bin")?;
    let list = json!({"cniVersion": "1.0.0", "name": NETWORK, "plugins": [plugin()]});
    fs::write("/etc/cni/net.d/10-mynet.conflist", list.to_string())?;
    let root = order.state.join("root");
    for folder in ["bin", "etc", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    ensure!(
        Path::new(BUSYBOX).exists(),
        "there is no {BUSYBOX} (package busybox-static)"
    );
    fs::copy(BUSYBOX, root.join("bin/true"))?;
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n")?;
    Ok(root)
}

fn environment(order: &Order) -> Vec<(&'static str, String)> {
    vec![("CNI_PATH", order.ours.display().to_string())]
}

fn words(before: &[&str], root: &Path, command: &str) -> Vec<String> {
    let before = before.iter().map(|&word| word.to_owned());
    let all = before.chain([root.display().to_string()]);
    all.chain([command.to_owned()]).collect()
}

/// podman with its CNI backend, which keeps all in the bench's folder.
fn podman(order: &Order, root: &Path) -> Result<Call> {
    let conf = order.state.join("containers.conf");
    let text = "[network]\nnetwork_backend = \"cni\"\ncni_plugin_dirs = [\"/opt/cni/bin\"]\n\
                network_config_dir = \"/etc/cni/net.d\"\n\
                [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nruntime = \"runc\"\n\
                [containers]\nlog_driver = \"none\"\n\
                default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";
    fs::write(&conf, text)?;
    let folder = |name: &str| order.state.join(name).display().to_string();
    let mut before = vec!["--root".to_owned(), folder("podman")];
    before.extend(["--runroot".to_owned(), "/run/podman-bench".to_owned()]);
    before.extend(["--storage-driver", "vfs", "run", "--rm"].map(str::to_owned));
    before.extend(["--network", NETWORK, "--rootfs"].map(str::to_owned));
    let before: Vec<_> = before.iter().map(String::as_str).collect();
    Ok(Call {
        program: "podman".into(),
        arguments: words(&before, root, "/bin/true"),
        environment: vec![("CONTAINERS_CONF", conf.display().to_string())],
        ..Call::default()
    })
}

/// The container is gone when ctr ends, so that its id can be used again.
fn ctr(root: &Path) -> Call {
    let mut arguments = words(&["run", "--rm", "--cni", "--rootfs"], root, "bench");
    arguments.push("/bin/true".to_owned());
    Call {
        program: "ctr".into(),
        arguments,
        ..Call::default()
    }
}

/// containerd, until it is dropped.
struct Containerd(Child);

impl Containerd {
    fn start(order: &Order) -> Result<Self> {
        let conf = order.state.join("containerd.toml");
        let root = order.state.join("containerd");
        let text = format!(
            "version = 2\nroot = {root:?}\nstate = \"/run/containerd\"\n\
             [grpc]\naddress = \"/run/containerd/containerd.sock\"\n"
        );
        fs::write(&conf, text)?;
        let child = Command::new("containerd")
            .arg("-c")
            .arg(&conf)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start containerd")?;
        let started = Self(child);
        let begin = Instant::now();
        let is_there = || {
            let mut asked = Command::new("ctr");
            asked
                .arg("version")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            asked.status().is_ok_and(|status| status.success())
        };
        while !is_there() {
            ensure!(begin.elapsed() < PATIENCE, "containerd does not answer");
            std::thread::sleep(PAUSE);
        }
        Ok(started)
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
