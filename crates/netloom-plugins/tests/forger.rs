//! Root on the host's and in the pod's network sends what looks like the kernel's answers, to every
//! port that a plugin may have, while plugins work.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use netloom_testkit::{Host, Plugin, PluginDir, Pod, Snapshot};
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketFlags, SocketType};
use serde_json::{Value, json};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;

/// Rounds of ten calls, two of each verb: what takes some seconds, or 2,000 calls of every verb.
fn rounds() -> usize {
    match std::env::var_os("NETLOOM_EVERY_POINT") {
        Some(_) => 1000,
        None => 20,
    }
}

fn message(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = (16 + payload.len()) as u32;
    [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &[0; 2],
        &sequence.to_ne_bytes(),
        &[0; 4],
        payload,
    ]
    .concat()
}

/// Errors, acknowledgements, an empty listing, and a link that is not there: each for the numbers
/// at which the sockets of a process would begin if the first began at none.
fn forgeries() -> Vec<Vec<u8>> {
    let refusal = [&(-1_i32).to_ne_bytes()[..], &[0; 16]].concat();
    let kinds = [
        (NLMSG_ERROR, refusal),
        (NLMSG_ERROR, vec![0; 20]),
        (NLMSG_DONE, vec![0; 4]),
        (RTM_NEWLINK, vec![0; 16]),
    ];
    let mut datagrams = Vec::new();
    for first in (0..3).map(|socket| socket << 20) {
        for (kind, payload) in &kinds {
            let all = (first..first + 64).flat_map(|number| message(*kind, number, payload));
            datagrams.push(all.collect());
        }
    }
    datagrams
}

fn open(protocol: Option<Protocol>) -> OwnedFd {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        protocol,
    )
    .unwrap();
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0)).unwrap();
    socket
}

/// The ports that there are, and those that the next processes will have.
fn ports() -> Vec<u32> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let last: u32 = load
        .split_ascii_whitespace()
        .last()
        .unwrap()
        .parse()
        .unwrap();
    let text = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    let open = text.lines().skip(1).filter_map(|line| {
        let port = line.split_ascii_whitespace().nth(2)?;
        port.parse().ok().filter(|port| *port != 0)
    });
    open.chain(last.saturating_sub(3)..last + 8).collect()
}

/// Forges in the current network until it is over.
fn forge(over: &AtomicBool) {
    let sockets = [open(None), open(Some(NETFILTER))];
    let forgeries = forgeries();
    while !over.load(Ordering::Relaxed) {
        for port in ports() {
            let to = SocketAddrNetlink::new(port, 0);
            for socket in &sockets {
                for datagram in &forgeries {
                    let sent = rustix::net::sendto(socket, datagram, SendFlags::DONTWAIT, &to);
                    if sent.is_err() {
                        break;
                    }
                }
            }
        }
    }
}

/// Ends the forgers when the test ends, however it does.
struct Ends<'o>(&'o AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn beside_forgers(pod: &Pod, work: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        scope.spawn(|| forge(&over));
        scope.spawn(|| pod.run(|| forge(&over)));
        work();
    });
}

fn bridge() -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0",
        "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
        "ipam": {
            "type": "host-local",
            // One address each, so that the next round leaves the same files.
            "ranges": [
                [{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.9"}],
                [{"subnet": "fd00:1::/64", "rangeStart": "fd00:1::9", "rangeEnd": "fd00:1::9"}],
            ],
        }
    })
}

fn portmap() -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "portmap", "backend": "nftables",
        "runtimeConfig": {"portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 5353, "containerPort": 53, "protocol": "udp"},
        ]},
    })
}

#[test]
fn no_call_of_any_verb_fails_or_is_fooled_beside_a_forger() {
    let Some(host) = Host::new() else { return };
    let bin = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let chain = [("bridge", bridge()), ("portmap", portmap())]
        .map(|(name, conf)| (Plugin::ours(&bin, name), conf));
    let pod = host.pod("pod");
    let id = pod.container_id();
    let valid = [(id.as_str(), "eth0")];
    let come_and_go = || {
        let mut result = Value::Null;
        for (plugin, conf) in &chain {
            plugin.status(conf).succeeds_silently();
            result = match result {
                Value::Null => plugin.add(conf, &pod).succeeds(),
                before => {
                    let mut conf = conf.clone();
                    conf["prevResult"] = before;
                    plugin.add(&conf, &pod).succeeds()
                }
            };
        }
        for (plugin, conf) in &chain {
            plugin.gc(conf, &valid).succeeds_silently();
            plugin.check(conf, &result, &pod).succeeds_silently();
        }
        for (plugin, conf) in chain.iter().rev() {
            plugin.del_with(conf, &result, &pod).succeeds_silently();
        }
        for (plugin, conf) in &chain {
            let gone = plugin.check(conf, &result, &pod);
            assert!(!gone.is_success(), "CHECK of what is deleted: {gone}");
        }
    };
    // What is shared is made here.
    come_and_go();
    let before = Snapshot::take(&host, &[&pod]);
    beside_forgers(&pod, || {
        for _ in 0..rounds() {
            come_and_go();
        }
    });
    Snapshot::take(&host, &[&pod]).assert_same_as(&before);
}
