//! `netloom run` and the verbs about pods, as a user calls them, in throw-away hosts.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod bad_input;
mod every_call;
mod inside;
mod killed;
mod life;
mod networks;
mod rootless;
mod runtime;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};

use netloom_testkit::{Call, Host, Outcome, Snapshot, link_plugins};
use serde_json::{Value, json};

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");
const CONF_DIR: &str = "/etc/cni/net.d";
const PLUGINS: &str = "/run/plugins";
const BRIDGE: &str = "mybr0";

/// A host with plugins and two networks, whose shared parts are there already.
fn host() -> Option<Host> {
    let host = Host::new()?;
    fs::create_dir_all(CONF_DIR).unwrap();
    link_plugins(NETLOOM, PLUGINS);
    configure("10-mynet.conflist", &mynet());
    configure(
        "20-two.conf",
        &json!({
            "cniVersion": "1.0.0", "name": "two", "type": "ptp",
            "ipam": {"type": "host-local", "subnet": "10.17.0.0/16"},
        }),
    );
    let warm = run(&[
        "--rm", "--net", "mynet", "--net", "two", "-p", "9:9", "--", "true",
    ]);
    assert!(warm.is_success(), "{warm}");
    Some(host)
}

fn mynet() -> Value {
    json!({"cniVersion": "1.0.0", "name": "mynet", "plugins": [
        {
            "type": "bridge", "bridge": BRIDGE, "isGateway": true,
            "ipMasq": true, "ipMasqBackend": "nftables",
            "capabilities": {"mac": true, "ips": true},
            "ipam": {
                "type": "host-local", "subnet": "10.16.0.0/16",
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}},
    ]})
}

fn configure(file: &str, conf: &Value) {
    fs::write(Path::new(CONF_DIR).join(file), conf.to_string()).unwrap();
}

fn netloom(arguments: &[&str]) -> Call {
    let call = Call::new(NETLOOM).env("CNI_PATH", PLUGINS);
    arguments.iter().fold(call, |call, it| call.arg(it))
}

fn call(arguments: &[&str]) -> Outcome {
    netloom(arguments).run()
}

fn run(arguments: &[&str]) -> Outcome {
    call(&[&["run"], arguments].concat())
}

/// What is there of pods: all but what networks share.
fn picture(host: &Host) -> Snapshot {
    Snapshot::take(host, &[]).without_shared(&[BRIDGE])
}

#[track_caller]
fn succeeds(outcome: &Outcome) -> String {
    assert!(outcome.is_success(), "{outcome}");
    outcome.stdout.trim_end().to_owned()
}

/// A pod that runs in the background; its id.
#[track_caller]
fn detached(arguments: &[&str]) -> String {
    let id = succeeds(&run(&[&["-d"], arguments].concat()));
    assert_eq!(id.len(), 32, "{id}");
    id
}

fn inspect(pod: &str) -> Value {
    call(&["inspect", pod]).succeeds()
}

/// The process of the host that is the pod's first one.
fn init_of(pod: &str) -> u32 {
    let pid = inspect(pod)["pid"].as_u64().unwrap();
    pid.try_into().unwrap()
}

fn parent_of(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after = &stat[stat.rfind(')').unwrap() + 1..];
    after.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Kills a process, and returns when it has ended.
fn kill(pid: u32) {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&process, Signal::KILL).unwrap();
    poll(&mut [PollFd::new(&process, PollFlags::IN)], None).unwrap();
}

/// A root file system with busybox and nothing else, below the host's `/run`; `None` after a skip.
fn busybox_root(name: &str) -> Option<PathBuf> {
    let program = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find(|it| Path::new(it).is_file());
    let Some(program) = program else {
        netloom_testkit::skip("no busybox: install Debian's package busybox-static");
        return None;
    };
    let root = Path::new("/run").join(name);
    for dir in ["bin", "etc", "tmp"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy(program, root.join("bin/busybox")).unwrap();
    for applet in ["sh", "cat", "id", "ls", "ip", "true"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    Some(root)
}
