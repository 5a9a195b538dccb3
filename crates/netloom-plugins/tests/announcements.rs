//! Telling the wire: whoever knew an address at another place reaches it at once when a pod has it.
//!
//! Each test gives neighbours on the host, in another pod and on the wire an entry for the address
//! with the MAC address of a pod that is gone, lets a plugin attach a new pod, and pings. An entry
//! that nobody corrects is believed in for five seconds; a ping waits for two.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

use netloom_testkit::{Host, Plugin, PluginDir, Pod, probe, skip};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Command, Stdio};

const GONE: &str = "02:00:00:00:00:99";

/// A host with our plugins, and a machine at the other end of `up0`: an uplink, or a lent device.
struct Lab {
    plugins: PluginDir,
    host: Host,
    wire: Pod,
}

/// Somebody who knows the address from before.
#[derive(Clone, Copy)]
enum Who<'l> {
    Host(&'static str),
    Pod(&'l Pod, &'static str),
}

impl Lab {
    fn new() -> Option<Self> {
        let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
        let host = Host::new()?;
        let wire = host.pod("wire");
        host.sh("ip link add up0 type veth peer name up1 netns wire; ip link set up0 up");
        wire.sh("ip link set lo up; ip link set up1 up");
        on_the_subnet(&wire, "up1");
        Some(Self {
            plugins,
            host,
            wire,
        })
    }

    fn add(&self, conf: &Value, pod: &Pod) -> Value {
        let plugin = Plugin::ours(&self.plugins, conf["type"].as_str().unwrap());
        plugin.add(conf, pod).succeeds()
    }

    /// All of them have the entry of the pod that is gone.
    fn mislead(&self, all: &[Who<'_>]) {
        for who in all {
            for ip in addresses(2) {
                let line = |link: &str| {
                    format!("ip neigh replace {ip} dev {link} lladdr {GONE} nud stale")
                };
                match who {
                    Who::Host(link) => self.host.sh(&line(link)),
                    Who::Pod(pod, link) => pod.sh(&line(link)),
                };
            }
        }
    }

    fn all_reach(&self, all: &[Who<'_>], what: &str) {
        for (number, who) in all.iter().enumerate() {
            for ip in addresses(2) {
                let reaches = match who {
                    Who::Host(_) => {
                        let line = format!("ping -n -q -c 1 -i 0.2 -w 2 {ip} >/dev/null && echo y");
                        self.host.sh(&format!("{line} || true")) == "y\n"
                    }
                    Who::Pod(pod, _) => pod.pings(ip),
                };
                assert!(reaches, "{what}: {ip} is not known anew to number {number}");
            }
        }
    }
}

/// The addresses with this end, of each family.
fn addresses(last: u8) -> [IpAddr; 2] {
    let v6 = format!("fd00:1::{last}").parse().unwrap();
    [[10, 1, 0, last].into(), v6]
}

fn on_the_subnet(pod: &Pod, link: &str) {
    pod.sh(&format!(
        "ip addr add 10.1.0.9/24 dev {link}; ip addr add fd00:1::9/64 dev {link} nodad"
    ));
}

fn conf(kind: &str, last: u8, keys: &Value) -> Value {
    let [v4, v6] = addresses(last);
    let addresses = [(v4, 24, "10.1.0.1"), (v6, 64, "fd00:1::1")].map(
        |(ip, length, gateway)| json!({"address": format!("{ip}/{length}"), "gateway": gateway}),
    );
    let mut conf = json!({
        "cniVersion": "1.0.0", "name": "net", "type": kind,
        "ipam": {"type": "static", "addresses": addresses},
    });
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

/// A pod with the address 3, and the one that gets address 2.
fn pods(lab: &Lab, kind: &str, keys: &Value) -> (Pod, Pod) {
    let other = lab.host.pod("other");
    lab.add(&conf(kind, 3, keys), &other);
    (other, lab.host.pod("new"))
}

/// The host's own address on a new bridge is tested for duplicates first.
fn settled(lab: &Lab) {
    lab.host
        .sh("ping -q -c 1 -w 10 fd00:1::3 >/dev/null; ping -q -c 1 -w 10 10.1.0.3 >/dev/null");
}

#[test]
fn of_a_pod_on_a_bridge_host_pods_and_what_is_behind_an_uplink_are_told() {
    let Some(lab) = Lab::new() else { return };
    let keys = json!({"bridge": "br0", "isGateway": true});
    let (other, new) = pods(&lab, "bridge", &keys);
    lab.host.ip("link set up0 master br0");
    settled(&lab);
    assert!(other.pings([10, 1, 0, 9]), "the uplink's port forwards");
    let all = [
        Who::Host("br0"),
        Who::Pod(&other, "eth0"),
        Who::Pod(&lab.wire, "up1"),
    ];
    lab.mislead(&all);
    lab.add(&conf("bridge", 2, &keys), &new);
    lab.all_reach(&all, "bridge");
}

#[test]
fn what_tuning_changes_of_a_pod_is_told_and_let_pass_by_the_spoof_check() {
    let Some(lab) = Lab::new() else { return };
    let spoof = probe::has_nft_family("bridge");
    let keys = json!({"bridge": "br0", "isGateway": true, "macspoofchk": spoof});
    let (other, new) = pods(&lab, "bridge", &keys);
    lab.host.ip("link set up0 master br0");
    settled(&lab);
    let all = [
        Who::Host("br0"),
        Who::Pod(&other, "eth0"),
        Who::Pod(&lab.wire, "up1"),
    ];
    let bridge = conf("bridge", 2, &keys);
    let made = lab.add(&bridge, &new);
    // What bridge told is forgotten again.
    lab.mislead(&all);
    let mut tuning = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "tuning", "mac": "02:00:00:00:00:42",
        "prevResult": made,
    });
    let result = lab.add(&tuning, &new);
    assert_eq!(result["interfaces"][2]["mac"], "02:00:00:00:00:42");
    lab.all_reach(&all, "tuning");
    let plugin = |name: &str| Plugin::ours(&lab.plugins, name);
    plugin("bridge")
        .check(&bridge, &result, &new)
        .succeeds_silently();
    plugin("tuning")
        .check(&tuning, &result, &new)
        .succeeds_silently();
    if spoof {
        new.ip("link set eth0 address 02:00:00:00:00:43");
        lab.host.sh("ip neigh flush dev br0");
        assert!(!new.pings([10, 1, 0, 1]), "the check is still one");
    } else {
        skip("the kernel has no nf_tables of family bridge");
    }
    tuning["prevResult"] = result.clone();
    plugin("tuning").del(&tuning, &new).succeeds_silently();
    plugin("bridge")
        .del_with(&bridge, &result, &new)
        .succeeds_silently();
    if spoof {
        let rules = lab.host.sh("nft list ruleset");
        assert_eq!(rules.matches("02:00:00:00:00:4").count(), 0, "{rules}");
    }
}

/// The wire is told whatever the link is that tuning changes.
#[test]
fn what_tuning_changes_of_a_link_without_an_end_on_the_host_is_told_to_the_wire() {
    for (kind, keys) in [
        ("macvlan", json!({"master": "up0"})),
        ("host-device", json!({"device": "up0"})),
    ] {
        if kind == "macvlan" && !probe::has_link_kind(kind) {
            println!("no {kind} here");
            continue;
        }
        let Some(lab) = Lab::new() else { return };
        let new = lab.host.pod("new");
        let all = [Who::Pod(&lab.wire, "up1")];
        let made = lab.add(&conf(kind, 2, &keys), &new);
        // The addresses have been tested, and what that brought is forgotten.
        lab.all_reach(&all, kind);
        lab.mislead(&all);
        let tuning = json!({
            "cniVersion": "1.0.0", "name": "net", "type": "tuning", "mac": "02:00:00:00:00:42",
            "prevResult": made,
        });
        lab.add(&tuning, &new);
        lab.all_reach(&all, &format!("{kind} and tuning"));
    }
}

/// The host has no neighbours on a wire that is new, so frames are counted.
#[test]
fn of_a_pod_behind_ptp_the_host_is_told() {
    if !probe::has_nft_family("arp") {
        return skip("the kernel has no nf_tables of family arp");
    }
    let Some(lab) = Lab::new() else { return };
    let new = lab.host.pod("new");
    lab.host.sh(
        "nft 'table arp watch { chain in { type filter hook input priority 0;
           arp saddr ip 10.1.0.2 arp daddr ip 10.1.0.2 counter; }; }
         table ip6 watch { chain in { type filter hook input priority 0;
           ip6 saddr fd00:1::2 icmpv6 type nd-neighbor-advert counter; }; }'",
    );
    lab.add(&conf("ptp", 2, &json!({})), &new);
    // What was sent before this has arrived when it is answered.
    assert!(new.pings([10, 1, 0, 1]) && new.pings(addresses(1)[1]));
    for family in ["arp", "ip6"] {
        let table = lab.host.sh(&format!("nft list table {family} watch"));
        assert!(!table.contains("packets 0 "), "{table}");
    }
}

#[test]
fn of_a_lent_device_the_wire_is_told() {
    let Some(lab) = Lab::new() else { return };
    let new = lab.host.pod("new");
    let all = [Who::Pod(&lab.wire, "up1")];
    lab.mislead(&all);
    lab.add(&conf("host-device", 2, &json!({"device": "up0"})), &new);
    lab.all_reach(&all, "host-device");
}

/// A link of the wire that keeps what it knows while the cable has no other end.
#[test]
fn of_a_link_without_a_carrier_the_wire_is_told_when_there_is_one() {
    if !probe::has_link_kind("macvlan") {
        return skip("the kernel has no macvlan links");
    }
    for kind in ["host-device", "macvlan", "ipvlan", "vlan"] {
        if kind.ends_with("vlan") && !probe::has_link_kind(kind) {
            println!("no {kind} here");
            continue;
        }
        let Some(lab) = Lab::new() else { return };
        let new = lab.host.pod("new");
        let own = match kind {
            "vlan" => "vlan id 5 loose_binding on",
            _ => "macvlan mode bridge",
        };
        lab.wire.sh(&format!(
            "ip addr flush dev up1; ip link add link up1 name mv0 type {own}
             echo 0 > /proc/sys/net/ipv4/conf/mv0/arp_evict_nocarrier
             echo 0 > /proc/sys/net/ipv6/conf/mv0/ndisc_evict_nocarrier
             ip link set mv0 up",
        ));
        on_the_subnet(&lab.wire, "mv0");
        lab.wire.ip("link set up1 down");
        let all = [Who::Pod(&lab.wire, "mv0")];
        lab.mislead(&all);
        let keys = json!({"device": "up0", "master": "up0", "vlanId": 5});
        lab.add(&conf(kind, 2, &keys), &new);
        let entries = lab.wire.ip("neigh show dev mv0");
        assert_eq!(entries.matches(GONE).count(), 2, "{kind}: {entries}");
        lab.wire.ip("link set up1 up");
        // An IPv6 address is tested for duplicates first, which takes a second or two.
        for ip in addresses(2) {
            let line = format!("ping -n -q -c 1 -i 0.2 -w 4 {ip} >/dev/null && echo y || true");
            assert_eq!(lab.wire.sh(&line), "y\n", "{kind}: {ip} is not known anew");
        }
    }
}

#[test]
fn each_of_several_addresses_is_told() {
    let Some(lab) = Lab::new() else { return };
    let keys = json!({"bridge": "br0", "isGateway": true});
    let (other, new) = pods(&lab, "bridge", &keys);
    settled(&lab);
    let more = ["10.1.0.20", "10.1.0.21", "fd00:1::20", "fd00:1::21"];
    for ip in more {
        other.ip(&format!(
            "neigh replace {ip} dev eth0 lladdr {GONE} nud stale"
        ));
    }
    let mut conf = conf("bridge", 2, &keys);
    let addresses = conf["ipam"]["addresses"].as_array_mut().unwrap();
    for ip in more {
        let (length, gateway) = match ip.contains(':') {
            true => (64, "fd00:1::1"),
            false => (24, "10.1.0.1"),
        };
        addresses.push(json!({"address": format!("{ip}/{length}"), "gateway": gateway}));
    }
    lab.add(&conf, &new);
    for ip in more {
        let ip: IpAddr = ip.parse().unwrap();
        assert!(other.pings(ip), "{ip} is not known anew");
    }
}

/// The links that stand on another: pods on the same, and the wire behind it.
fn on_a_master(kind: &str, keys: &Value, link_of_wire: &'static str, prepare: impl Fn(&Lab)) {
    if !probe::has_link_kind(kind) {
        return skip(&format!("the kernel has no {kind} links"));
    }
    let Some(lab) = Lab::new() else { return };
    prepare(&lab);
    let mut all = vec![Who::Pod(&lab.wire, link_of_wire)];
    // A second vlan of one number is not to be had on one master.
    let (other, new) = match kind {
        "vlan" => (lab.host.pod("other"), lab.host.pod("new")),
        _ => pods(&lab, kind, keys),
    };
    if kind != "vlan" {
        all.push(Who::Pod(&other, "eth0"));
    }
    lab.mislead(&all);
    lab.add(&conf(kind, 2, keys), &new);
    lab.all_reach(&all, kind);
}

#[test]
fn of_a_macvlan_the_wire_and_its_neighbours_are_told() {
    on_a_master("macvlan", &json!({"master": "up0"}), "up1", |_| {});
}

/// The host reaches macvlans by one of its own.
#[test]
fn of_a_macvlan_a_host_that_has_one_too_is_told() {
    if !probe::has_link_kind("macvlan") {
        return skip("the kernel has no macvlan links");
    }
    let Some(lab) = Lab::new() else { return };
    lab.host.sh(
        "ip link add link up0 name own0 type macvlan mode bridge; ip link set own0 up
         ip addr add 10.1.0.8/24 dev own0; ip addr add fd00:1::8/64 dev own0 nodad",
    );
    let new = lab.host.pod("new");
    let all = [Who::Host("own0"), Who::Pod(&lab.wire, "up1")];
    lab.mislead(&all);
    lab.add(&conf("macvlan", 2, &json!({"master": "up0"})), &new);
    lab.all_reach(&all, "macvlan");
}

#[test]
fn of_an_ipvlan_the_wire_and_its_neighbours_are_told() {
    on_a_master("ipvlan", &json!({"master": "up0"}), "up1", |_| {});
}

#[test]
fn of_a_vlan_the_wire_is_told() {
    let keys = json!({"master": "up0", "vlanId": 5});
    on_a_master("vlan", &keys, "up1.5", |lab| {
        lab.wire.sh(
            "ip addr flush dev up1; ip link add link up1 name up1.5 type vlan id 5
             ip link set up1.5 up",
        );
        on_the_subnet(&lab.wire, "up1.5");
    });
}

#[test]
fn a_link_that_goes_into_a_vrf_is_told_of_again() {
    if !probe::has_link_kind("vrf") {
        return skip("the kernel has no vrf links");
    }
    let Some(lab) = Lab::new() else { return };
    let keys = json!({"bridge": "br0", "isGateway": true});
    let (other, new) = pods(&lab, "bridge", &keys);
    settled(&lab);
    let made = lab.add(&conf("bridge", 2, &keys), &new);
    let all = [Who::Host("br0"), Who::Pod(&other, "eth0")];
    lab.mislead(&all);
    let vrf = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "vrf", "vrfname": "red", "prevResult": made,
    });
    lab.add(&vrf, &new);
    lab.all_reach(&all, "vrf");
}

/// On a bridge each frame goes to all ports. The kernel tells too when a link with addresses comes up.
#[test]
fn an_address_is_told_once() {
    let Some(lab) = Lab::new() else { return };
    if !probe::has_program("tcpdump") {
        return skip("no tcpdump");
    }
    let keys = json!({"bridge": "br0", "isGateway": true});
    let (other, new) = pods(&lab, "bridge", &keys);
    let mut tcpdump = Command::new("ip")
        .args([
            "netns",
            "exec",
            other.name(),
            "tcpdump",
            "-l",
            "-n",
            "-i",
            "eth0",
            "arp",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let words = BufReader::new(tcpdump.stderr.take().unwrap());
    let begun = |line: std::io::Result<String>| line.unwrap().contains("listening on");
    assert!(words.lines().any(begun), "tcpdump");
    lab.add(&conf("bridge", 2, &keys), &new);
    // The last frame: nobody has this address.
    new.sh("ping -c 1 -W 1 10.1.0.77 >/dev/null || true");
    let seen = BufReader::new(tcpdump.stdout.take().unwrap()).lines();
    let seen: Vec<String> = seen
        .map(Result::unwrap)
        .take_while(|line| !line.contains("who-has 10.1.0.77"))
        .collect();
    tcpdump.kill().unwrap();
    tcpdump.wait().unwrap();
    let told = seen.iter().filter(|line| line.contains("10.1.0.2")).count();
    assert_eq!(told, 1, "{seen:#?}");
}
