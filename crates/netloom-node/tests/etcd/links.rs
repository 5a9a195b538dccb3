//! Links of the plugin ratchet across hosts: pods learn of each other by the store, and each host makes
//! its own end.

use std::net::IpAddr;
use std::process::Command;
use std::time::Instant;

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Group, Socket, Subscription};
use rustix::process::Signal;

use crate::lab::{Daemon, Etcd, Lab, Machine, deadline, network};

/// The files of the network `lab`.
const STORE: &str = "/var/lib/cni/netloom/ratchet/lab";
/// What the daemons tell each other.
const KEYS: &str = "/netloom/v1/links/";

/// A pod that asks for one link.
struct Pod {
    name: &'static str,
    if_name: &'static str,
    address: &'static str,
    peer: &'static str,
    peer_if: &'static str,
}

/// The two of ratchet's tutorial.
const PRIMARY: Pod = Pod {
    name: "primary",
    if_name: "in1",
    address: "192.168.2.100",
    peer: "default/pair",
    peer_if: "in2",
};
const PAIR: Pod = Pod {
    name: "pair",
    if_name: "in2",
    address: "192.168.2.101",
    peer: "default/primary",
    peer_if: "in1",
};

impl Pod {
    fn call(&self, machine: &Machine, command: &str) {
        let Self {
            name,
            if_name,
            address,
            peer,
            peer_if,
        } = self;
        let link = format!(
            r#"{{"if":"{if_name}","addresses":["{address}/24"],"peer":"{peer}","peerIf":"{peer_if}"}}"#
        );
        machine.sh(&format!(
            r#"export CNI_COMMAND={command} CNI_CONTAINERID=id-{name} CNI_NETNS=/run/netns/{name} CNI_IFNAME=eth0
            export CNI_PATH=/run/lab/bin CNI_ARGS='IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name}'
            /run/lab/bin/ratchet <<'X'
            {{"cniVersion":"1.1.0","name":"lab","type":"ratchet","runtimeConfig":{{"links":[{link}]}},
              "prevResult":{{"cniVersion":"1.1.0","interfaces":[],"ips":[]}}}}
X"#
        ));
    }

    fn add(&self, machine: &Machine) -> Netns {
        machine.sh(&format!("ip netns add {}", self.name));
        self.call(machine, "ADD");
        Netns::open(machine.path(&format!("/run/netns/{}", self.name))).unwrap()
    }

    fn del(&self, machine: &Machine) {
        self.call(machine, "DEL");
        machine.sh(&format!("ip netns del {}", self.name));
    }
}

/// Waits until an interface of a namespace is up (`true`), or gone.
fn until(netns: &Netns, name: &str, there: bool) {
    let socket = Socket::open_in(netns).unwrap();
    let events = Subscription::open(&socket, &[Group::Links]).unwrap();
    let deadline = deadline();
    loop {
        let found = socket.find_link(name).unwrap();
        let is_so = match &found {
            Some(link) => there && link.flags.is_up(),
            None => !there,
        };
        if is_so {
            return;
        }
        assert!(
            events.wait(deadline).unwrap(),
            "{name} there: {there} wanted, and it is {found:?}"
        );
    }
}

fn pings(netns: &Netns, ip: &str, more: &[&str]) -> bool {
    let ping = || {
        let words = ["-n", "-q", "-c", "1", "-i", "0.2", "-w", "5"];
        Command::new("ping").args(words).args(more).arg(ip).output()
    };
    netns.run(ping).unwrap().unwrap().status.success()
}

/// What a link is, as `ip` shows it.
fn shown(machine: &Machine, pod: &Pod) -> String {
    let (name, if_name) = (pod.name, pod.if_name);
    machine.sh(&format!("ip -n {name} -d link show {if_name}"))
}

fn daemon(machine: &Machine, etcd: &Etcd) -> Daemon {
    machine.joined(&etcd.url(), &["--links", "--alive", "10"])
}

#[test]
fn pods_of_two_hosts_are_linked_when_both_are_there_and_as_long_as_they_are() {
    let Some(lab) = Lab::new() else { return };
    let mut etcd = Etcd::start(&network("auto"));
    // On two networks: a router is between them.
    let (a, b) = (lab.machine(1, 1), lab.machine(2, 2));
    let mut of_a = daemon(&a, &etcd);
    let mut of_b = daemon(&b, &etcd);
    let primary = PRIMARY.add(&a);
    etcd.until("PUT", &format!("{KEYS}m1/lab/default/primary"));
    let pair = PAIR.add(&b);
    let second = Instant::now();
    until(&primary, "in1", true);
    assert!(pings(&primary, PAIR.address, &[]));
    let took = second.elapsed();
    eprintln!("{took:?} from the second ADD to the answer");
    until(&pair, "in2", true);
    assert!(pings(&pair, PRIMARY.address, &[]));
    let tunnel = format!("remote {} local {}", b.v4, a.v4);
    assert!(shown(&a, &PRIMARY).contains(&tunnel), "{tunnel}");
    // Full packets that may not be cut to pieces.
    assert!(shown(&a, &PRIMARY).contains("mtu 1450"));
    assert!(pings(&primary, PAIR.address, &["-M", "do", "-s", "1422"]));
    PRIMARY.call(&a, "CHECK");
    PAIR.call(&b, "CHECK");

    // Neither the store's nor a daemon's end ends a link.
    etcd.kill();
    of_a.until("the store does not answer");
    assert!(pings(&primary, PAIR.address, &[]));
    etcd.begin();
    of_a.until("connected to the store");
    of_b.until("connected to the store");
    of_a.end(Signal::KILL);
    assert!(pings(&primary, PAIR.address, &[]));
    let _of_a = daemon(&a, &etcd);
    assert!(pings(&primary, PAIR.address, &[]));

    // The pod moves: a cable now, and a tunnel again.
    PAIR.del(&b);
    until(&primary, "in1", false);
    let near = PAIR.add(&a);
    assert!(shown(&a, &PRIMARY).contains("veth"));
    assert!(pings(&near, PRIMARY.address, &[]));
    PAIR.del(&a);
    let pair = PAIR.add(&b);
    until(&primary, "in1", true);
    until(&pair, "in2", true);
    assert!(shown(&a, &PRIMARY).contains(&tunnel));
    assert!(pings(&primary, PAIR.address, &[]));

    // The other host is gone, without a word.
    of_b.end(Signal::KILL);
    until(&primary, "in1", false);
    PRIMARY.del(&a);
    etcd.until("DELETE", &format!("{KEYS}m1/lab/default/primary"));
    assert_eq!(etcd.ctl(&["get", "--prefix", KEYS]), "");
    assert_eq!(a.sh(&format!("find {STORE} -type f")), "");
    // It is there again, and its pod has nobody left to be linked to.
    let _of_b = daemon(&b, &etcd);
    until(&pair, "in2", false);
    PAIR.del(&b);
    assert_eq!(b.sh(&format!("find {STORE} -type f")), "");
}

#[test]
fn nobody_is_linked_to_whom_it_does_not_name_or_by_what_a_stranger_says() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("auto"));
    let (a, b) = (lab.machine(1, 1), lab.machine(2, 1));
    let mut of_a = daemon(&a, &etcd);
    let _of_b = daemon(&b, &etcd);
    let primary = PRIMARY.add(&a);
    let agrees = r#"{"v":1,"links":[{"link":{"pod":"default/pair","if":"in2","peer":"default/primary","peerIf":"in1"}}]}"#;
    let node = |address: &str| format!(r#"{{"v":1,"machine":"x","addresses":["{address}"]}}"#);
    let nodes = [
        ("liar", None),
        ("loopback", Some(node("127.0.0.1"))),
        ("group", Some(node("224.0.0.7"))),
        ("copy", Some(node(&a.v4.to_string()))),
    ];
    for (name, record) in nodes {
        if let Some(record) = record {
            etcd.put(&format!("/netloom/v1/nodes/{name}"), &record);
        }
        etcd.put(&format!("{KEYS}{name}/lab/default/pair"), agrees);
    }
    // A pod that is known to be here is not taken by another host, either.
    etcd.put(&format!("{KEYS}m2/lab/default/primary"), agrees);
    for (key, value) in [
        ("m2/lab/default/pair", r#"{"v":1,"links":"x"}"#),
        ("m2/../default/pair", agrees),
        ("m2/lab/default/UPPER", agrees),
    ] {
        etcd.put(&format!("{KEYS}{key}"), value);
        let said = of_a.until("links: the record");
        assert!(said.contains(key), "{said}");
    }
    // Somebody of that name who names somebody else.
    let other = Pod {
        peer: "default/other",
        ..PAIR
    };
    let pair = other.add(&b);
    let far = || a.try_sh(&format!("cat {STORE}/far")).stdout;
    a.until("the other pod is known", |_| {
        String::from_utf8_lossy(&far()).contains("default/other")
    });
    assert!(!String::from_utf8_lossy(&far()).contains("liar"));
    let has = |netns: &Netns, name: &str| {
        let socket = Socket::open_in(netns).unwrap();
        socket.find_link(name).unwrap().is_some()
    };
    assert!(!has(&primary, "in1") && !has(&pair, "in2"));
    // Who agrees gets it, from the right host.
    other.del(&b);
    let pair = PAIR.add(&b);
    until(&primary, "in1", true);
    until(&pair, "in2", true);
    let remote: IpAddr = b.v4;
    assert!(shown(&a, &PRIMARY).contains(&format!("remote {remote} ")));
    assert!(pings(&primary, PAIR.address, &[]));
}
