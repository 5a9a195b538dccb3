//! Pods of three hosts reach each other.

use crate::lab::{Daemon, Etcd, Lab, Machine, network};

/// Joins three machines, on these switches, and lets a pod of each speak to the others.
fn pods_reach_each_other(
    mode: &str,
    switches: [u8; 3],
) -> Option<(Lab, Vec<Machine>, Vec<Daemon>, Etcd)> {
    let lab = Lab::new()?;
    let etcd = Etcd::start(&network(mode));
    let machines: Vec<Machine> = (1..)
        .zip(switches)
        .map(|(number, switch)| lab.machine(number, switch))
        .collect();
    let daemons: Vec<Daemon> = machines
        .iter()
        .map(|m| m.joined(&etcd.url(), &[]))
        .collect();
    for machine in &machines {
        machine.until("four routes, two to each of the others", |m| {
            m.told("/peers/routes") == 4 && m.told("/errors").as_array().unwrap().is_empty()
        });
    }
    let pods: Vec<_> = machines
        .iter()
        .map(|m| m.pod(&format!("pod-of-{}", m.name)))
        .collect();
    for (from, machine) in pods.iter().zip(&machines) {
        assert_eq!(from.ips.len(), 2, "{:?}", from.ips);
        for to in pods.iter().filter(|to| to.name != from.name) {
            for (number, ip) in to.ips.iter().enumerate() {
                let why = || format!("{} to {ip}\n{}", from.name, machine.kernel());
                assert!(from.pings(*ip), "{}", why());
                assert_eq!(from.seen_by(&to.netns, *ip), from.ips[number], "{}", why());
            }
        }
        // The router knows no way to pods: it sees the machine.
        let router = netloom_kernel::netns::Netns::current().unwrap();
        for (outside, own) in [("192.0.2.254", machine.v4), ("2001:db8:1::254", machine.v6)] {
            assert_eq!(from.seen_by(&router, outside.parse().unwrap()), own);
        }
    }
    for (pod, machine) in pods.into_iter().zip(&machines) {
        machine.remove(pod);
    }
    Some((lab, machines, daemons, etcd))
}

#[test]
fn pods_of_three_hosts_on_one_switch_reach_each_other_by_their_hosts() {
    let Some((_lab, machines, ..)) = pods_reach_each_other("host-gw", [1, 1, 1]) else {
        return;
    };
    let seen = machines[0].kernel();
    assert!(!seen.contains("flannel"), "{seen}");
    assert!(
        seen.contains("via 192.0.2.2 dev eth0") && seen.contains("via 2001:db8:1::3"),
        "{seen}"
    );
}

#[test]
fn pods_of_three_hosts_on_two_networks_reach_each_other_by_tunnels() {
    let Some((_lab, machines, ..)) = pods_reach_each_other("vxlan", [1, 1, 2]) else {
        return;
    };
    let seen = machines[0].kernel();
    assert_eq!(seen.matches("forwarding-flannel.1-").count(), 2, "{seen}");
    assert_eq!(
        seen.matches("forwarding-flannel-v6.1-").count(),
        2,
        "{seen}"
    );
    assert!(!seen.contains("dev eth0"), "{seen}");
}

#[test]
fn auto_takes_the_tunnel_only_to_hosts_behind_a_router() {
    let Some((_lab, machines, ..)) = pods_reach_each_other("auto", [1, 1, 2]) else {
        return;
    };
    let seen = machines[0].kernel();
    assert!(seen.contains("via 192.0.2.2 dev eth0"), "{seen}");
    assert_eq!(seen.matches("forwarding-flannel.1-").count(), 1, "{seen}");
    let seen = machines[2].kernel();
    assert!(!seen.contains("dev eth0"), "{seen}");
}

#[test]
fn a_host_that_host_gw_cannot_reach_is_named() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("host-gw"));
    let (near, far) = (lab.machine(1, 1), lab.machine(2, 2));
    let _daemons = [near.joined(&etcd.url(), &[]), far.joined(&etcd.url(), &[])];
    near.until("the far host out of reach", |m| {
        m.told("/peers/unreachable")
            .to_string()
            .contains("198.51.100.2 is not on a link of this host")
    });
    assert_eq!(near.told("/peers/routes"), 0);
    assert!(near.kernel().is_empty(), "{}", near.kernel());
}
