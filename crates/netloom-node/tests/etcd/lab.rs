//! A laboratory: switches, machines on them, and a store.

mod apiserver;
mod daemon;
mod flow;
mod machine;
mod store;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use netloom_testkit::Host;

pub(crate) use apiserver::ApiServer;
pub(crate) use daemon::Daemon;
pub(crate) use flow::Flow;
pub(crate) use machine::{Machine, Pod};
pub(crate) use store::Etcd;

/// However busy the machine is, what is to happen happens within this time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// A network with the configuration of a mode, both families.
pub(crate) fn network(mode: &str) -> String {
    format!(
        r#"{{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{{"Type":"{mode}"}}}}"#
    )
}

/// Two switches with a router between them, on which the store runs.
pub(crate) struct Lab {
    pub(crate) host: Host,
    bin: PathBuf,
}

impl Lab {
    pub(crate) fn new() -> Option<Self> {
        for program in ["etcd", "etcdctl"] {
            if !Path::new("/usr/bin").join(program).exists() {
                netloom_testkit::skip("etcd and etcdctl are not installed");
                return None;
            }
        }
        let host = Host::new()?;
        host.sh("mkdir -p /run/lab/bin
             sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
             ip link add sw1 type bridge && ip link set sw1 up
             ip link add sw2 type bridge && ip link set sw2 up
             ip addr add 192.0.2.254/24 dev sw1 && ip -6 addr add 2001:db8:1::254/64 dev sw1 nodad
             ip addr add 198.51.100.254/24 dev sw2 && ip -6 addr add 2001:db8:2::254/64 dev sw2 nodad");
        let bin = PathBuf::from("/run/lab/bin");
        let plugins = beside("netloom-plugins");
        for name in [
            "flannel",
            "bridge",
            "host-local",
            "portmap",
            "cluster",
            "ratchet",
        ] {
            std::os::unix::fs::symlink(&plugins, bin.join(name)).unwrap();
        }
        Some(Self { host, bin })
    }

    /// A machine on switch 1 or 2.
    pub(crate) fn machine(&self, number: u8, switch: u8) -> Machine {
        Machine::new(&self.host, number, switch, &self.bin)
    }
}

/// A program that cargo has built beside the test.
pub(crate) fn beside(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(
        program.is_file(),
        "cargo build -p {name} first: there is no {program:?}"
    );
    netloom_testkit::product(program)
}
