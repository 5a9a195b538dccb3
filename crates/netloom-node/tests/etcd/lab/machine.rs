//! A machine: network and mount namespaces of its own, held by a process.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Group, Socket, Subscription};
use netloom_testkit::Host;

use super::{Daemon, beside, deadline};

/// What a machine has for itself.
const OWN: &str = "set -e
    for dir in /var/lib/netloom /var/lib/cni /etc/cni /run/netns /run/netloom /run/flannel /run/cni; do
        mkdir -p $dir; mount -t tmpfs own $dir
    done
    ip link set lo up
    echo ready
    exec sleep infinity";

pub(crate) struct Machine {
    child: Child,
    pub(crate) name: String,
    pub(crate) v4: IpAddr,
    pub(crate) v6: IpAddr,
    bin: PathBuf,
}

impl Machine {
    pub(super) fn new(host: &Host, number: u8, switch: u8, bin: &Path) -> Self {
        let mut child = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--uts",
                "--propagation",
                "private",
                "sh",
                "-c",
                OWN,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        let (net4, net6) = match switch {
            1 => ("192.0.2", "2001:db8:1"),
            _ => ("198.51.100", "2001:db8:2"),
        };
        let machine = Self {
            name: format!("m{number}"),
            v4: format!("{net4}.{number}").parse().unwrap(),
            v6: format!("{net6}::{number}").parse().unwrap(),
            bin: bin.to_owned(),
            child,
        };
        let pid = machine.child.id();
        host.sh(&format!(
            "ip link add m{number} up master sw{switch} type veth peer name eth0 netns {pid}"
        ));
        machine.sh(&format!(
            "ip addr add {}/24 dev eth0 && ip addr add {}/64 dev eth0 nodad
             ip link set eth0 up
             ip route add default via {net4}.254 && ip -6 route add default via {net6}::254
             echo machine-{number} > /var/lib/netloom/machine-id",
            machine.v4, machine.v6
        ));
        machine
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.child.id().to_string();
        command
            .args(["--target", &pid, "--net", "--mount", "--uts", "--"])
            .arg(program);
        command
    }

    /// Runs a shell line, and gives back what it says; panics if it fails.
    pub(crate) fn sh(&self, line: &str) -> String {
        let output = self.try_sh(line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{}: `{line}`: {stdout}{stderr}",
            self.name
        );
        stdout
    }

    pub(crate) fn try_sh(&self, line: &str) -> Output {
        self.command("sh").args(["-ec", line]).output().unwrap()
    }

    /// Runs `netloom-node`.
    pub(crate) fn node(&self, arguments: &[&str]) -> Output {
        self.command(super::beside("netloom-node").to_str().unwrap())
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Starts the daemon, on a store at `url`.
    pub(crate) fn daemon(&self, url: &str, arguments: &[&str]) -> Daemon {
        self.daemon_under(&[], &["--insecure", "--etcd", url], arguments)
    }

    /// Starts it by another program, on the store that these arguments name.
    pub(crate) fn daemon_under(
        &self,
        wrapper: &[&str],
        store: &[&str],
        arguments: &[&str],
    ) -> Daemon {
        let node = super::beside("netloom-node");
        let words = [wrapper, &[node.to_str().unwrap(), "run"], store].concat();
        let mut command = self.command(words[0]);
        command.args(&words[1..]);
        // Each flag is taken only once.
        let own = [
            ("--name", self.name.as_str()),
            ("--bin-dir", self.bin.to_str().unwrap()),
        ];
        for (flag, value) in own {
            if !arguments.contains(&flag) {
                command.args([flag, value]);
            }
        }
        command.args(arguments);
        Daemon::start(command)
    }

    /// Starts it, and waits until pods can start.
    pub(crate) fn joined(&self, url: &str, arguments: &[&str]) -> Daemon {
        let mut daemon = self.daemon(url, arguments);
        daemon.until("pods can start");
        daemon
    }

    /// What the daemon knows.
    pub(crate) fn status(&self) -> serde_json::Value {
        let text = self.sh("cat /run/netloom/node.json");
        serde_json::from_str(&text).unwrap()
    }

    /// A part of the daemon's status.
    pub(crate) fn told(&self, pointer: &str) -> serde_json::Value {
        self.status().pointer(pointer).cloned().unwrap_or_default()
    }

    /// Attaches a pod by the configuration that the daemon has written.
    pub(crate) fn pod(&self, name: &str) -> Pod {
        self.pod_on("cbr0", name)
    }

    /// Attaches a pod to a network.
    pub(crate) fn pod_on(&self, network: &str, name: &str) -> Pod {
        let text = self.sh(&format!(
            "ip netns add {name}
             CNI_PATH={} {} add {network} /run/netns/{name}",
            self.bin.display(),
            beside("netloom").display()
        ));
        let result: serde_json::Value = serde_json::from_str(&text).unwrap();
        let ips = result["ips"].as_array().unwrap().iter().map(|ip| {
            let net: ipnet::IpNet = ip["address"].as_str().unwrap().parse().unwrap();
            net.addr()
        });
        let path = format!("/proc/{}/root/run/netns/{name}", self.child.id());
        Pod {
            ips: ips.collect(),
            netns: Netns::open(&path).unwrap(),
            name: name.to_owned(),
            network: network.to_owned(),
        }
    }

    /// Detaches it.
    pub(crate) fn remove(&self, pod: Pod) {
        self.sh(&format!(
            "CNI_PATH={} {} del {network} /run/netns/{name}; ip netns del {name}",
            self.bin.display(),
            beside("netloom").display(),
            network = pod.network,
            name = pod.name
        ));
    }

    /// A file of the machine's, as the test sees it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.child.id()))
    }

    /// The machine's network namespace.
    pub(crate) fn netns(&self) -> Netns {
        Netns::open(format!("/proc/{}/ns/net", self.child.id())).unwrap()
    }

    /// Waits until something holds, looking again at each change of links, addresses, routes and
    /// neighbours.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let socket = Socket::open_in(&self.netns()).unwrap();
        let groups = [
            Group::Links,
            Group::AddressesV4,
            Group::AddressesV6,
            Group::Neighbours,
            Group::RoutesV4,
            Group::RoutesV6,
        ];
        let events = Subscription::open(&socket, &groups).unwrap();
        let deadline = deadline();
        while !holds(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{}: {what}: {:#}\n{}",
                self.name,
                self.status(),
                self.kernel()
            );
            // The daemon tells of a round after its last event.
            events
                .wait(Instant::now() + left.min(Duration::from_millis(200)))
                .unwrap();
        }
    }

    /// What the kernel has for the network.
    pub(crate) fn kernel(&self) -> String {
        self.sh("ip route show proto 111; ip -6 route show proto 111
             for dev in flannel.1 flannel-v6.1; do
                 ip link show $dev >/dev/null 2>&1 || continue
                 ip neigh show dev $dev nud permanent | sed s/^/neighbour-$dev-/
                 ip -6 neigh show dev $dev nud permanent | sed s/^/neighbour-$dev-/
                 bridge fdb show dev $dev | grep dst | sed s/^/forwarding-$dev-/
             done")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pod that the daemon's network has.
pub(crate) struct Pod {
    pub(crate) name: String,
    network: String,
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) netns: Netns,
}

impl Pod {
    /// Whether one of several echo requests is answered.
    pub(crate) fn pings(&self, ip: IpAddr) -> bool {
        let ping = || {
            Command::new("ping")
                .args([
                    "-n",
                    "-q",
                    "-c",
                    "1",
                    "-i",
                    "0.2",
                    "-w",
                    "5",
                    &ip.to_string(),
                ])
                .stdout(Stdio::null())
                .status()
        };
        self.netns.run(ping).unwrap().unwrap().success()
    }

    /// The address that a server in another namespace sees of this pod.
    pub(crate) fn seen_by(&self, server: &Netns, ip: IpAddr) -> IpAddr {
        let listener = server.run(|| TcpListener::bind((ip, 0))).unwrap().unwrap();
        let at: SocketAddr = listener.local_addr().unwrap();
        let client = self
            .netns
            .run(|| TcpStream::connect_timeout(&at, super::PATIENCE));
        let client = client
            .unwrap()
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        let (_, peer) = listener.accept().unwrap();
        drop(client);
        peer.ip()
    }
}
