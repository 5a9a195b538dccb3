//! The store goes away, comes back, and comes back with nothing: pods do not notice.

use netloom_kernel::rtnl::{Changed, Happened, Monitor, Socket};
use rustix::process::Signal;

use crate::lab::{Etcd, Flow, Lab, Machine, network};

/// Leases that are short enough to end within a test.
const SHORT: [&str; 4] = ["--lease", "3", "--alive", "2"];

/// Who hears of every change in a machine's kernel.
fn witness(machine: &Machine) -> Monitor {
    machine
        .netns()
        .run(|| Monitor::open(8 << 20))
        .unwrap()
        .unwrap()
}

/// What has changed since, but for neighbours that are asked for as packets flow, and caches.
fn changes(machine: &Machine, witness: &Monitor) -> Vec<String> {
    let socket = Socket::open_in(&machine.netns()).unwrap();
    let tunnels: Vec<u32> = ["flannel.1", "flannel-v6.1"]
        .iter()
        .filter_map(|name| socket.find_link(*name).unwrap())
        .map(|link| link.index)
        .collect();
    let mut seen = Vec::new();
    let mut keep = |happened: Happened, changed: Changed| {
        let counts = match &changed {
            Changed::Neighbour(n) => tunnels.contains(&n.link),
            _ => true,
        };
        if counts {
            seen.push(format!("{happened:?} {changed:?}"));
        }
    };
    assert!(witness.read(&mut keep).unwrap(), "changes were lost");
    seen
}

fn subnets(etcd: &Etcd) -> Vec<String> {
    etcd.subnets().into_iter().map(|(key, _)| key).collect()
}

#[test]
fn without_a_store_packets_flow_pods_start_and_a_new_start_changes_nothing() {
    let Some(lab) = Lab::new() else { return };
    let mut etcd = Etcd::start(&network("auto"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let mut daemons = [
        one.joined(&etcd.url(), &SHORT),
        two.joined(&etcd.url(), &SHORT),
    ];
    one.until("both ways", |m| m.told("/peers/routes") == 2);
    two.until("both ways", |m| m.told("/peers/routes") == 2);
    let (here, there) = (one.pod("here"), two.pod("there"));
    let flows = [0, 1].map(|n| Flow::start(&here, there.ips[n]));
    let held = subnets(&etcd);

    etcd.kill();
    daemons[0].until("the store does not answer");
    let witness = witness(&one);
    assert!(daemons[0].end(Signal::KILL).code().is_none());
    daemons[0] = one.daemon(&etcd.url(), &SHORT);
    daemons[0].until_all(&["pods can start", "the store does not answer"]);
    assert_eq!(changes(&one, &witness), [""; 0]);
    assert_eq!(one.told("/store/connected"), false);
    assert_eq!(one.told("/ready"), true);
    let late = one.pod("late");
    assert!(late.pings(there.ips[0]) && late.pings(there.ips[1]));
    one.remove(late);

    etcd.begin();
    for daemon in &mut daemons {
        daemon.until("connected to the store");
    }
    let [v4, v6] = flows.map(Flow::end);
    assert!(v4.0 > 10 && v6.0 > 10, "{v4:?} {v6:?}");
    assert_eq!((v4.1, v6.1), (0, 0), "lost");
    assert_eq!(subnets(&etcd), held);
}

#[test]
fn a_store_that_comes_back_empty_is_told_the_same_again_and_no_packet_is_lost() {
    let Some(lab) = Lab::new() else { return };
    let mut etcd = Etcd::start(&network("auto"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let mut daemons = [one.joined(&etcd.url(), &[]), two.joined(&etcd.url(), &[])];
    one.until("both ways", |m| m.told("/peers/routes") == 2);
    two.until("both ways", |m| m.told("/peers/routes") == 2);
    let (here, there) = (one.pod("here"), two.pod("there"));
    let flow = Flow::start(&here, there.ips[0]);
    let held = etcd.subnets();
    let before = one.kernel();

    etcd.kill();
    etcd.wipe();
    etcd.begin();
    for daemon in &mut daemons {
        daemon.until_all(&["connected to the store", "the store has no network"]);
    }
    etcd.put("/coreos.com/network/config", &network("auto"));
    for (key, _) in &held {
        etcd.until("PUT", &format!("/coreos.com/network/subnets/{key}"));
    }
    assert_eq!(
        etcd.subnets(),
        held,
        "the same parts with the same tunnel ends"
    );
    one.until("the other is no more only remembered", |m| {
        m.told("/peers/remembered") == 0
    });
    assert_eq!(one.kernel(), before);
    let (sent, lost) = flow.end();
    assert!(sent > 10 && lost == 0, "{lost} of {sent}");
}

#[test]
fn records_that_are_deleted_by_mistake_take_no_way_away_and_come_back() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("vxlan"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let _daemons = [one.joined(&etcd.url(), &[]), two.joined(&etcd.url(), &[])];
    one.until("both ways", |m| m.told("/peers/routes") == 2);
    let held = etcd.subnets();
    let witness = witness(&one);
    etcd.ctl(&["del", "--prefix", "/coreos.com/network/subnets/"]);
    one.until("two deletions and two announcements were heard", |m| {
        etcd.subnets() == held && m.told("/peers/remembered") == 0
    });
    assert_eq!(changes(&one, &witness), [""; 0]);
}

#[test]
fn a_host_that_is_silent_beyond_its_lease_keeps_its_pods_and_its_part() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("auto"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let daemons = [
        one.joined(&etcd.url(), &SHORT),
        two.joined(&etcd.url(), &SHORT),
    ];
    one.until("both ways", |m| m.told("/peers/routes") == 2);
    two.until("both ways", |m| m.told("/peers/routes") == 2);
    let (here, there) = (one.pod("here"), two.pod("there"));
    let flow = Flow::start(&here, there.ips[0]);
    let part = two.told("/subnets").as_str().unwrap().to_owned();
    let key = etcd
        .subnets()
        .into_iter()
        .find(|(_, value)| value.contains("198.51.100.2"));
    let key = format!("/coreos.com/network/subnets/{}", key.unwrap().0);

    daemons[1].signal(Signal::STOP);
    etcd.until("DELETE", &key);
    assert_eq!(one.told("/peers/routes"), 2, "believed still");
    daemons[1].signal(Signal::CONT);
    one.until("the host is back", |m| m.told("/peers/remembered") == 0);
    assert_eq!(two.told("/subnets"), part.as_str());
    let (sent, lost) = flow.end();
    assert!(sent > 10 && lost == 0, "{lost} of {sent}");
}

#[test]
fn a_host_that_vanished_for_good_is_forgotten_in_time_or_when_its_addresses_are_given_away() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("vxlan"));
    let one = lab.machine(1, 1);
    let record = |ip: &str, mac: &str| {
        format!(
            r#"{{"PublicIP":"{ip}","BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{mac}"}}}}"#
        )
    };
    etcd.announce("10.5.200.0-24", &record("192.0.2.77", "02:00:00:00:00:77"));
    let _daemon = one.joined(&etcd.url(), &["--remove-after", "3"]);
    one.until("a way", |m| m.told("/peers/routes") == 1);
    etcd.withdraw("10.5.200.0-24");
    one.until("only remembered", |m| m.told("/peers/remembered") == 1);
    assert!(one.kernel().contains("10.5.200.0/24"));
    // Somebody else gets half of its addresses: the old way goes at once.
    etcd.announce(
        "10.5.200.128-25",
        &record("192.0.2.78", "02:00:00:00:00:78"),
    );
    one.until("another way in place of the old one", |m| {
        let kernel = m.kernel();
        kernel.contains("10.5.200.128/25") && !kernel.contains("10.5.200.0/24")
    });
    assert!(
        !one.kernel().contains("02:00:00:00:00:77"),
        "{}",
        one.kernel()
    );
    etcd.withdraw("10.5.200.128-25");
    one.until("nothing is left", |m| m.kernel().is_empty());
}

#[test]
fn what_somebody_else_changes_in_the_kernel_is_put_back() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("vxlan"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let _daemons = [one.joined(&etcd.url(), &[]), two.joined(&etcd.url(), &[])];
    one.until("both ways", |m| m.told("/peers/routes") == 2);
    let before = one.kernel();
    let masquerade = one.sh("nft list table inet netloom-node");
    for harm in [
        "ip route del $(ip route show proto 111 | cut -d' ' -f1)",
        "ip -6 route flush proto 111",
        "ip neigh flush dev flannel.1 nud permanent",
        "bridge fdb del $(bridge fdb show dev flannel.1 | cut -d' ' -f1,2,3) dev flannel.1",
        "ip link set flannel.1 address 02:11:22:33:44:55",
        "ip link set flannel.1 down",
        "ip link del flannel.1",
        "ip addr flush dev flannel.1",
        "ip route add 10.5.99.0/24 via 10.5.99.0 dev flannel.1 onlink",
    ] {
        let rounds = one.told("/counters/kernelChanges").as_u64().unwrap();
        one.sh(harm);
        one.until(harm, |m| {
            m.kernel() == before && m.told("/counters/kernelChanges").as_u64().unwrap() > rounds
        });
    }
    assert!(one.sh("ip addr show flannel.1").contains("/32"));
    assert_eq!(one.sh("nft list table inet netloom-node"), masquerade);
}

#[test]
fn the_uplinks_new_mtu_and_address_are_followed_without_a_new_start() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("vxlan"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let _daemons = [one.joined(&etcd.url(), &[]), two.joined(&etcd.url(), &[])];
    one.until("both ways", |m| m.told("/peers/routes") == 2);
    one.sh("ip link set eth0 mtu 1400");
    one.until("a smaller MTU", |m| m.told("/mtu") == 1330);
    assert!(
        one.sh("cat /run/flannel/subnet.env")
            .contains("FLANNEL_MTU=1330\n")
    );
    one.sh("ip addr del 192.0.2.1/24 dev eth0
         ip addr add 192.0.2.99/24 dev eth0
         ip route add default via 192.0.2.254");
    two.until("the new address", |m| m.kernel().contains("dst 192.0.2.99"));
    let (here, there) = (one.pod("here"), two.pod("there"));
    assert!(here.pings(there.ips[0]) && there.pings(here.ips[0]));
}
