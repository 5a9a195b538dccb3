//! Links, on the real kernel.

mod host;

use netloom_kernel::netns;
use netloom_kernel::rtnl::{
    AddressSpec, BridgeOptions, BridgePortChange, KindSpec, LinkChange, LinkKind, LinkSpec,
    PeerSpec, RouteSpec, Socket,
};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x42];

#[test]
fn a_veth_has_its_peer_made_in_place_and_knows_both_indices() {
    if !host::enter() {
        return;
    }
    let (pod, inside) = host::pod();
    let host = Socket::open().unwrap();
    let bridge = host
        .create_link(&LinkSpec::new("br0", KindSpec::Bridge(BridgeOptions::default())).up())
        .unwrap();
    let peer = PeerSpec::new("eth0").in_netns(&pod).mac(MAC).mtu(1400);
    let veth = host
        .create_link(
            &LinkSpec::veth("veth0", peer)
                .mtu(1400)
                .master(bridge.index)
                .up(),
        )
        .unwrap();

    let eth0 = inside.get_link("eth0").unwrap();
    assert_eq!(veth.lower, Some(eth0.index));
    assert_eq!(veth.lower_netns, host.namespace_id(&pod).unwrap());
    assert_eq!(eth0.mac, Some(MAC));
    assert_eq!((veth.mtu, eth0.mtu), (1400, 1400));
    assert!(veth.flags.is_up() && !eth0.flags.is_up());
    assert_eq!(eth0.kind, Some(LinkKind::Veth));
    let now = host.get_link(veth.index).unwrap();
    assert_eq!(now.master, Some(bridge.index));
    for (name, netns) in [("veth0", None), ("eth0", Some(&pod))] {
        let show = || host::run("ip", &["-d", "link", "show", name]);
        let text = netns.map_or_else(show, |n: &netns::Netns| n.run(show).unwrap());
        assert!(
            text.contains("numtxqueues 1 ") && text.contains("numrxqueues 1 "),
            "{text}"
        );
    }
}

#[test]
fn a_pod_is_configured_by_one_batch() {
    if !host::enter() {
        return;
    }
    let (pod, inside) = host::pod();
    let host = Socket::open().unwrap();
    let veth = host
        .create_link(&LinkSpec::veth("veth0", PeerSpec::new("eth0").in_netns(&pod)).up())
        .unwrap();
    let index = veth.lower.unwrap();
    let mut batch = inside.batch();
    batch
        .add_address(index, AddressSpec::new("10.1.0.5/24".parse().unwrap()))
        .add_address(
            index,
            AddressSpec::new("2001:db8::5/64".parse().unwrap()).no_dad(),
        )
        .set_link(index, &LinkChange::new().up())
        .add_route(
            &RouteSpec::to("0.0.0.0/0".parse().unwrap())
                .via([10, 1, 0, 1].into())
                .device(index)
                .mtu(1300),
        )
        .add_route(
            &RouteSpec::to("::/0".parse().unwrap())
                .via("2001:db8::1".parse().unwrap())
                .device(index),
        );
    batch.commit().unwrap();
    let text = pod
        .run(|| host::run("ip", &["addr", "show", "eth0"]))
        .unwrap();
    assert!(
        text.contains("inet 10.1.0.5/24 brd 10.1.0.255 scope global eth0"),
        "{text}"
    );
    assert!(
        text.contains("inet6 2001:db8::5/64 scope global nodad"),
        "{text}"
    );
    let text = pod.run(|| host::run("ip", &["route"])).unwrap();
    assert!(
        text.contains("default via 10.1.0.1 dev eth0 mtu 1300"),
        "{text}"
    );
}

#[test]
fn a_bridge_port_gets_its_settings_in_the_batch_that_makes_it() {
    if !host::enter() {
        return;
    }
    let host = Socket::open().unwrap();
    let bridge = host
        .create_link(&LinkSpec::new("br0", KindSpec::Bridge(BridgeOptions::default())).up())
        .unwrap();
    let mut batch = host.batch();
    let port = BridgePortChange {
        hairpin: Some(true),
        isolated: Some(true),
        ..Default::default()
    };
    batch
        .create_link(
            &LinkSpec::veth("veth0", PeerSpec::new("veth1"))
                .master(bridge.index)
                .up(),
        )
        .set_link("veth0", &LinkChange::new().bridge_port(port));
    let created = batch.commit().unwrap();
    assert_eq!(created.len(), 1);
    let link = host.get_link(created[0].index).unwrap();
    let port = link.bridge_port.unwrap();
    assert!(port.hairpin && port.isolated);
}
