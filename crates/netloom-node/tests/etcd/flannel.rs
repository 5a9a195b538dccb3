//! Records as flannel writes them, and hosts that change over from flannel.

use crate::lab::{Etcd, Lab, network};

/// A host of flannel's, typed from its documentation.
const VXLAN: &str = r#"{"PublicIP":"198.51.100.7","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"4e:5c:11:22:33:44"}}"#;
const HOST_GW: &str = r#"{"PublicIP":"192.0.2.9","PublicIPv6":null,"BackendType":"host-gw"}"#;

#[test]
fn flannels_records_lead_to_flannels_objects() {
    let Some(lab) = Lab::new() else { return };
    let config = r#"{"Network":"10.5.0.0/16","SubnetLen":24,"Backend":{"Type":"vxlan","VNI":1,"DirectRouting":true}}"#;
    let etcd = Etcd::start(config);
    etcd.announce("10.5.7.0-24", VXLAN);
    etcd.announce("10.5.9.0-24", HOST_GW);
    let one = lab.machine(1, 1);
    let _daemon = one.joined(&etcd.url(), &[]);
    one.until("both hosts", |m| m.told("/peers/routes") == 2);
    let kernel = one.kernel();
    for object in [
        "10.5.7.0/24 via 10.5.7.0 dev flannel.1 onlink",
        "10.5.9.0/24 via 192.0.2.9 dev eth0",
        "neighbour-flannel.1-10.5.7.0 lladdr 4e:5c:11:22:33:44 PERMANENT",
        "forwarding-flannel.1-4e:5c:11:22:33:44 dst 198.51.100.7 self permanent",
    ] {
        assert!(kernel.contains(object), "{object}\n{kernel}");
    }
    let device = one.sh("ip -d link show flannel.1; ip addr show flannel.1");
    let own = etcd
        .subnets()
        .into_iter()
        .find(|(_, value)| value.contains("192.0.2.1\""))
        .unwrap();
    let base = own.0.strip_suffix("-24").unwrap();
    for part in [
        "vxlan id 1 local 192.0.2.1 dev eth0",
        "dstport 8472 nolearning",
        "mtu 1450",
    ] {
        assert!(device.contains(part), "{part}\n{device}");
    }
    assert!(device.contains(&format!("inet {base}/32")), "{device}");
    // What is announced parses by flannel's rules: names, order of the key, and a hardware address.
    let said: serde_json::Value = serde_json::from_str(&own.1).unwrap();
    assert_eq!(said["BackendType"], "vxlan");
    assert_eq!(said["BackendData"]["VNI"], 1);
    let mac = said["BackendData"]["VtepMAC"].as_str().unwrap();
    assert!(device.contains(mac), "{mac}\n{device}");
    let env = one.sh("cat /run/flannel/subnet.env");
    assert!(env.contains("FLANNEL_NETWORK=10.5.0.0/16\n") && env.contains("FLANNEL_IPMASQ=true\n"));
}

#[test]
fn a_host_that_changes_over_from_flannel_keeps_its_part_and_its_tunnel_end() {
    let Some(lab) = Lab::new() else { return };
    let config = r#"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#;
    let etcd = Etcd::start(config);
    let one = lab.machine(1, 1);
    // As flanneld leaves it: the device, a way to a host that is there, and one to a host that is not.
    one.sh("ip link add flannel.1 address 4e:5c:00:00:00:01 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning
         ip addr add 10.5.42.0/32 dev flannel.1; ip link set flannel.1 mtu 1450 up
         for n in 7 8; do
             ip route add 10.5.$n.0/24 via 10.5.$n.0 dev flannel.1 onlink
             ip neigh add 10.5.$n.0 lladdr 4e:5c:11:22:33:4$n dev flannel.1 nud permanent
             bridge fdb add 4e:5c:11:22:33:4$n dst 198.51.100.$n dev flannel.1 self permanent
         done");
    let index = one.sh("cat /sys/class/net/flannel.1/ifindex || ip -o link show flannel.1");
    let own = r#"{"PublicIP":"192.0.2.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"4e:5c:00:00:00:01"}}"#;
    etcd.announce("10.5.42.0-24", own);
    etcd.announce("10.5.7.0-24", &VXLAN.replace("33:44", "33:47"));
    let _daemon = one.joined(&etcd.url(), &[]);
    assert_eq!(one.told("/subnets"), "10.5.42.0/24");
    one.until("the host that is gone is gone", |m| {
        !m.sh("ip route").contains("10.5.8.0")
    });
    let kernel = one.kernel();
    assert!(
        kernel.contains("10.5.7.0/24 via 10.5.7.0 dev flannel.1"),
        "{kernel}"
    );
    assert!(!kernel.contains("33:48"), "{kernel}");
    assert!(
        one.sh("ip link show flannel.1")
            .contains("4e:5c:00:00:00:01")
    );
    assert_eq!(
        one.sh("cat /sys/class/net/flannel.1/ifindex || ip -o link show flannel.1"),
        index
    );
    let now = etcd
        .subnets()
        .into_iter()
        .find(|(key, _)| key == "10.5.42.0-24")
        .unwrap();
    assert!(now.1.contains("4e:5c:00:00:00:01"), "{}", now.1);
}

#[test]
fn two_hosts_with_one_address_are_told_each_others_names() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("auto"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let _first = one.joined(&etcd.url(), &["--public-ip", "10.0.2.15"]);
    let mut second = two.daemon(&etcd.url(), &["--public-ip", "10.0.2.15"]);
    let line = second.until("is that of node");
    assert!(
        line.contains("10.0.2.15") && line.contains("node m1") && line.contains("--iface"),
        "{line}"
    );
    assert_eq!(etcd.subnets().len(), 1);
    assert!(
        !two.try_sh("test -e /etc/cni/net.d/10-netloom.conflist")
            .status
            .success()
    );
}
