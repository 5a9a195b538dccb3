//! Tunnel ends of a pod network, on the real kernel: forwarding, neighbours, routes by a gateway that no
//! address of the link covers.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod host;

use std::net::IpAddr;

use netloom_kernel::MacAddress;
use netloom_kernel::rtnl::{
    Family, Forwarding, KindSpec, Link, LinkSpec, NeighbourSpec, NeighbourState, PeerSpec,
    RouteFilter, RouteSpec, Socket, VxlanOptions,
};

const MAC: MacAddress = [2, 0, 0, 0, 1, 1];
const PROTOCOL: u8 = 201;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A tunnel end as flannel makes it, on a link with an address.
fn tunnel(host: &Socket) -> Link {
    let (pod, _) = host::pod();
    let uplink = LinkSpec::veth("up0", PeerSpec::new("eth0").in_netns(&pod)).up();
    let uplink = host.create_link(&uplink).unwrap();
    host.add_address(
        uplink.index,
        "192.0.2.1/24".parse::<ipnet::IpNet>().unwrap(),
    )
    .unwrap();
    let options = VxlanOptions {
        vni: 1,
        local: Some(ip("192.0.2.1")),
        device: Some(uplink.index),
        port: Some(8472),
        learning: Some(false),
        ..VxlanOptions::default()
    };
    let spec = LinkSpec::new("flannel.1", KindSpec::Vxlan(options)).mac(MAC);
    host.create_link(&spec.mtu(1450).up()).unwrap()
}

#[test]
fn an_entry_of_the_forwarding_database_is_set_replaced_listed_and_removed() {
    if !host::enter() {
        return;
    }
    let host = Socket::open().unwrap();
    let tunnel = tunnel(&host);
    assert_eq!((tunnel.mac, tunnel.mtu), (Some(MAC), 1450));
    let at = |remote: &str| Forwarding {
        mac: [2, 0, 0, 0, 1, 2],
        remote: ip(remote),
    };
    host.set_forwarding(tunnel.index, &at("192.0.2.2")).unwrap();
    host.set_forwarding(tunnel.index, &at("192.0.2.3")).unwrap();
    assert_eq!(
        host.list_forwarding(tunnel.index).unwrap(),
        [at("192.0.2.3")]
    );
    let seen = host::run("bridge", &["fdb", "show", "dev", "flannel.1"]);
    assert!(
        seen.contains("02:00:00:00:01:02 dst 192.0.2.3 self permanent"),
        "{seen}"
    );
    assert!(
        host.remove_forwarding(tunnel.index, &at("192.0.2.3"))
            .unwrap()
    );
    assert!(
        !host
            .remove_forwarding(tunnel.index, &at("192.0.2.3"))
            .unwrap()
    );
    assert!(host.list_forwarding(tunnel.index).unwrap().is_empty());
}

#[test]
fn a_link_that_is_no_tunnel_refuses_forwarding_and_has_none() {
    if !host::enter() {
        return;
    }
    let host = Socket::open().unwrap();
    tunnel(&host);
    let uplink = host.get_link("up0").unwrap().index;
    let entry = Forwarding {
        mac: MAC,
        remote: ip("192.0.2.2"),
    };
    assert!(host.set_forwarding(9999, &entry).unwrap_err().is_absent());
    assert!(host.list_forwarding(uplink).unwrap().is_empty());
}

#[test]
fn peers_of_both_families_are_one_batch_and_are_listed_by_what_is_ours() {
    if !host::enter() {
        return;
    }
    let host = Socket::open().unwrap();
    let tunnel = tunnel(&host);
    let mut batch = host.batch();
    for n in 1..=200u8 {
        let mac = [2, 0, 0, 0, 2, n];
        let v4 = IpAddr::from([10, 5, n, 0]);
        let v6 = ip(&format!("fd00:5:0:{n:x}::"));
        for (base, length) in [(v4, 24), (v6, 64)] {
            let dst = ipnet::IpNet::new(base, length).unwrap();
            let route = RouteSpec::to(dst).via(base).device(tunnel.index).onlink();
            batch
                .set_neighbour(tunnel.index, &NeighbourSpec::new(base, mac))
                .replace_route(&route.protocol(PROTOCOL));
        }
        let remote = IpAddr::from([192, 0, 2, n]);
        batch.set_forwarding(tunnel.index, &Forwarding { mac, remote });
    }
    let outcome = batch.commit_all().unwrap();
    assert_eq!(outcome.failures, []);
    assert_eq!(host.list_forwarding(tunnel.index).unwrap().len(), 200);
    for family in [Family::V4, Family::V6] {
        let ours = RouteFilter::main(family).protocol(PROTOCOL);
        let routes = host.list_routes(&ours).unwrap();
        assert_eq!(routes.len(), 200, "{family:?}");
        assert!(
            routes
                .iter()
                .all(|route| route.onlink && route.device == Some(tunnel.index))
        );
        let neighbours = host.list_neighbours(family, tunnel.index).unwrap();
        let lasting = |n: &&netloom_kernel::rtnl::Neighbour| n.state == NeighbourState::PERMANENT;
        assert_eq!(neighbours.iter().filter(lasting).count(), 200, "{family:?}");
    }
}
