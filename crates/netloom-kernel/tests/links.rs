//! Links, on the real kernel.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod host;

use netloom_kernel::netns;
use netloom_kernel::rtnl::{
    AddressSpec, BridgeOptions, BridgePortChange, BridgeVlan, IpvlanFlag, IpvlanMode,
    IpvlanOptions, KindSpec, LinkChange, LinkKind, LinkSpec, MacvlanMode, MacvlanOptions, PeerSpec,
    RouteSpec, Socket, VlanProtocol, VxlanOptions,
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
        // A kernel for one processor does not print the receive queues.
        let receives_by_one = !text.contains("numrxqueues") || text.contains("numrxqueues 1 ");
        assert!(text.contains("numtxqueues 1 ") && receives_by_one, "{text}");
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

#[test]
fn a_link_is_changed_in_one_message_and_read_back() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let veth = socket
        .create_link(&LinkSpec::veth("veth0", PeerSpec::new("veth1")))
        .unwrap();
    let change = LinkChange::new()
        .up()
        .promiscuous(true)
        .all_multicast(true)
        .mac(MAC)
        .mtu(1300)
        .tx_queue_len(77)
        .alias("of a test");
    socket.set_link(&veth, &change).unwrap();
    let link = socket.get_link("veth0").unwrap();
    assert!(link.flags.is_up() && link.flags.is_promiscuous() && link.flags.is_all_multicast());
    assert_eq!(
        (link.mac, link.mtu, link.tx_queue_len),
        (Some(MAC), 1300, 77)
    );
    assert_eq!(
        (link.promiscuity, link.alias.as_deref()),
        (1, Some("of a test"))
    );

    socket
        .set_link(
            "veth0",
            &LinkChange::new().down().promiscuous(false).alias(""),
        )
        .unwrap();
    socket.rename_link(veth.index, "other").unwrap();
    let link = socket.get_link(veth.index).unwrap();
    assert_eq!(link.name, "other");
    assert!(!link.flags.is_up() && !link.flags.is_promiscuous());
    assert_eq!((link.promiscuity, link.alias), (0, None));
    assert!(socket.remove_link("other").unwrap());
    assert!(socket.find_link("veth1").unwrap().is_none());
}

#[test]
fn a_bridge_keeps_its_mac_and_mtu_when_ports_come_and_go() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let options = BridgeOptions {
        stp: Some(false),
        ageing_time: Some(5000),
        ..Default::default()
    };
    let spec = LinkSpec::new("br0", KindSpec::Bridge(options))
        .mac(MAC)
        .up();
    let bridge = socket.create_link(&spec).unwrap();
    socket
        .set_link("br0", &LinkChange::new().mtu(1400))
        .unwrap();
    let low = PeerSpec::new("veth1");
    socket
        .create_link(
            &LinkSpec::veth("veth0", low)
                .mac([2, 0, 0, 0, 0, 1])
                .master(bridge.index),
        )
        .unwrap();
    let now = socket.get_link("br0").unwrap();
    assert!(now.is_bridge());
    assert_eq!((now.mac, now.mtu), (Some(MAC), 1400));
    let Some(LinkKind::Bridge(options)) = now.kind else {
        unreachable!()
    };
    assert_eq!(
        (options.stp, options.ageing_time),
        (Some(false), Some(5000))
    );
    let ports = socket.list_ports(bridge.index).unwrap();
    assert_eq!(
        ports.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(),
        ["veth0"]
    );
    socket
        .set_link("veth0", &LinkChange::new().no_master())
        .unwrap();
    assert_eq!(socket.get_link("br0").unwrap().mac, Some(MAC));
    assert_eq!(socket.list_ports(bridge.index).unwrap(), []);
}

#[test]
fn every_kind_of_link_is_read_back_as_it_was_made() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let lower = socket
        .create_link(&LinkSpec::veth("lower", PeerSpec::new("rewol")))
        .unwrap();
    let vxlan = VxlanOptions {
        vni: 42,
        local: Some([10, 1, 0, 5].into()),
        remote: Some([10, 1, 0, 6].into()),
        device: Some(lower.index),
        port: Some(4789),
        learning: Some(false),
    };
    let vlan = KindSpec::Vlan {
        id: 7,
        protocol: VlanProtocol::Dot1q,
    };
    let q_in_q = KindSpec::Vlan {
        id: 8,
        protocol: VlanProtocol::Dot1ad,
    };
    let ipvlan = IpvlanOptions {
        mode: IpvlanMode::L3,
        flag: Some(IpvlanFlag::Private),
    };
    let quiet = MacvlanOptions {
        mode: MacvlanMode::Private,
        broadcast_queue_len: Some(500),
    };
    let kinds = [
        (KindSpec::Macvlan(quiet), LinkKind::Macvlan(quiet)),
        (KindSpec::Ipvlan(ipvlan), LinkKind::Ipvlan(ipvlan)),
        (
            vlan,
            LinkKind::Vlan {
                id: 7,
                protocol: VlanProtocol::Dot1q,
            },
        ),
        (
            q_in_q,
            LinkKind::Vlan {
                id: 8,
                protocol: VlanProtocol::Dot1ad,
            },
        ),
        (KindSpec::Vxlan(vxlan), LinkKind::Vxlan(vxlan)),
        (KindSpec::Vrf { table: 1000 }, LinkKind::Vrf { table: 1000 }),
        (KindSpec::Dummy, LinkKind::Dummy),
        (KindSpec::Ifb, LinkKind::Ifb),
    ];
    for (spec, kind) in kinds {
        let stands_on_lower = ["macvlan", "ipvlan", "vlan"].contains(&kind.name());
        let mut spec = LinkSpec::new("x0", spec);
        if stands_on_lower {
            spec = spec.lower(lower.index);
        }
        match socket.create_link(&spec) {
            Ok(made) => {
                let link = socket.get_link("x0").unwrap();
                assert_eq!((link.kind, link.index), (Some(kind), made.index));
                assert!(socket.remove_link("x0").unwrap());
            }
            Err(error) if error.is_unsupported() => {
                host::skip(&format!("{}: {error}", kind.name()))
            }
            Err(error) => panic!("{}: {error}", kind.name()),
        }
    }
}

#[test]
fn a_macvlan_is_made_in_place_over_a_lower_link_outside() {
    if !host::enter() {
        return;
    }
    let (pod, inside) = host::pod();
    let socket = Socket::open().unwrap();
    let lower = socket
        .create_link(&LinkSpec::veth("lower", PeerSpec::new("rewol")))
        .unwrap();
    let kind = KindSpec::Macvlan(MacvlanMode::Bridge.into());
    match socket.create_link_in(&pod, &LinkSpec::new("eth0", kind).lower(lower.index)) {
        Err(error) if error.is_unsupported() => return host::skip(&error.to_string()),
        outcome => outcome.unwrap(),
    }
    let link = inside.get_link("eth0").unwrap();
    assert_eq!(link.lower, Some(lower.index));
    assert!(socket.find_link("eth0").unwrap().is_none());
}

#[test]
fn a_link_outside_of_the_same_name_is_not_in_the_way() {
    if !host::enter() {
        return;
    }
    let (pod, inside) = host::pod();
    let socket = Socket::open().unwrap();
    let lower = socket
        .create_link(&LinkSpec::veth("eth0", PeerSpec::new("rewol")))
        .unwrap();
    let spec = || LinkSpec::new("eth0", KindSpec::Macvlan(MacvlanMode::Bridge.into()));
    match socket.create_link_in(&pod, &spec().lower(lower.index)) {
        Err(error) if error.is_unsupported() => return host::skip(&error.to_string()),
        outcome => outcome.unwrap(),
    }
    // What kernels before 6.14 need for it works everywhere.
    inside.remove_link("eth0").unwrap();
    let spec = spec().lower(lower.index);
    socket
        .create_link_in(&pod, &spec.clone().index(0x4000_0001))
        .unwrap();
    assert_eq!(inside.get_link("eth0").unwrap().index, 0x4000_0001);
    let error = socket.create_link_in(&pod, &spec).unwrap_err();
    assert!(error.is_exists(), "{error}");
}

#[test]
fn vlans_of_one_port_are_set_listed_and_removed() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let filtering = BridgeOptions {
        vlan_filtering: Some(true),
        ..Default::default()
    };
    let bridge = match socket.create_link(&LinkSpec::new("br0", KindSpec::Bridge(filtering)).up()) {
        Ok(bridge) => bridge.index,
        Err(error) if error.is_unsupported() => return host::skip(&error.to_string()),
        Err(error) => panic!("{error}"),
    };
    let port = |name, peer| {
        let spec = LinkSpec::veth(name, PeerSpec::new(peer))
            .master(bridge)
            .up();
        socket.create_link(&spec).unwrap().index
    };
    let (one, two) = (port("one", "eno"), port("two", "owt"));
    let vlans = socket.list_bridge_vlans(one).unwrap();
    if vlans.is_empty() {
        return host::skip("this kernel's bridge has no VLAN filtering");
    }
    assert_eq!(vlans, [BridgeVlan::pvid_untagged(1)]);
    let mut batch = socket.batch();
    batch
        .remove_bridge_vlan(one, vlans[0])
        .add_bridge_vlan(one, BridgeVlan::pvid_untagged(100))
        .add_bridge_vlan(one, BridgeVlan::tagged(200))
        .add_bridge_vlan(one, BridgeVlan::tagged_range(300, 309))
        .add_bridge_vlan_to_bridge(bridge, BridgeVlan::tagged(100));
    batch.commit().unwrap();
    let expected = [
        BridgeVlan::pvid_untagged(100),
        BridgeVlan::tagged(200),
        BridgeVlan::tagged_range(300, 309),
    ];
    assert_eq!(socket.list_bridge_vlans(one).unwrap(), expected);
    assert_eq!(
        socket.list_bridge_vlans(two).unwrap(),
        [BridgeVlan::pvid_untagged(1)]
    );
    assert!(
        socket
            .list_bridge_vlans(bridge)
            .unwrap()
            .contains(&BridgeVlan::tagged(100))
    );
    let shown = host::run("bridge", &["vlan", "show", "dev", "one"]);
    assert!(
        shown.contains("100 PVID Egress Untagged") && shown.contains("309\n"),
        "{shown}"
    );
    for vlan in expected {
        socket.remove_bridge_vlan(one, vlan).unwrap();
        socket.remove_bridge_vlan(one, vlan).unwrap(); // absent is success
    }
    assert_eq!(socket.list_bridge_vlans(one).unwrap(), []);
    socket
        .set_link(
            bridge,
            &LinkChange::new().bridge(BridgeOptions {
                vlan_filtering: Some(false),
                ..Default::default()
            }),
        )
        .unwrap();
    let Some(LinkKind::Bridge(options)) = socket.get_link(bridge).unwrap().kind else {
        unreachable!()
    };
    assert_eq!(options.vlan_filtering, Some(false));
}

/// Whether the kernel makes a link of the kind, on `lower0` where it needs one. It is removed.
fn makes(socket: &Socket, kind: KindSpec<'_>) -> bool {
    let lower = socket.get_link("lower0").unwrap().index;
    let stands = matches!(
        kind,
        KindSpec::Vlan { .. } | KindSpec::Macvlan(_) | KindSpec::Ipvlan(_)
    );
    let spec = LinkSpec::new("probe0", kind);
    let spec = if stands { spec.lower(lower) } else { spec };
    let made = match socket.create_link(&spec) {
        Ok(_) => true,
        Err(error) if error.is_unsupported() => false,
        Err(error) => panic!("{error}"),
    };
    socket.remove_link("probe0").unwrap();
    made
}

/// Whether a bridge that is to filter VLANs does.
fn filters_vlans(socket: &Socket) -> bool {
    let options = BridgeOptions {
        vlan_filtering: Some(true),
        ..BridgeOptions::default()
    };
    let spec = LinkSpec::new("br7", KindSpec::Bridge(options));
    let made = socket.create_link(&spec).is_ok();
    let kind = socket.find_link("br7").unwrap().and_then(|it| it.kind);
    socket.remove_link("br7").unwrap();
    made && matches!(kind, Some(LinkKind::Bridge(it)) if it.vlan_filtering == Some(true))
}

#[test]
fn what_kinds_of_links_the_kernel_has_is_told_without_making_one() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let kinds = [
        "vlan", "macvlan", "ipvlan", "dummy", "ifb", "vrf", "bridge", "veth", "nope",
    ];
    let ask = || {
        let before = host::run("ip", &["-d", "link"]);
        let told = kinds.map(|kind| socket.has_link_kind(kind).unwrap());
        let filtering = socket.has_vlan_filtering().unwrap();
        assert_eq!(host::run("ip", &["-d", "link"]), before, "nothing is made");
        (told, filtering)
    };
    let of_empty_host = ask();
    host::run("ip", &["link", "add", "lower0", "type", "veth"]);
    assert_eq!(ask(), of_empty_host, "whatever links there are");
    let protocol = VlanProtocol::Dot1q;
    let made = [
        makes(&socket, KindSpec::Vlan { id: 7, protocol }),
        makes(&socket, KindSpec::Macvlan(MacvlanOptions::default())),
        makes(&socket, KindSpec::Ipvlan(IpvlanOptions::default())),
        makes(&socket, KindSpec::Dummy),
        makes(&socket, KindSpec::Ifb),
        makes(&socket, KindSpec::Vrf { table: 7 }),
        makes(&socket, KindSpec::Bridge(BridgeOptions::default())),
        true,
        false,
    ];
    assert_eq!(of_empty_host, (made, filters_vlans(&socket)), "{kinds:?}");
}

#[test]
fn an_alternative_name_is_taken_from_a_link() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let link = LinkSpec::veth("veth0", PeerSpec::new("veth1"));
    let index = socket.create_link(&link).unwrap().index;
    let names = ["a-name", "a-name-longer-than-that-of-any-link"];
    for name in names {
        host::run(
            "ip",
            &["link", "property", "add", "dev", "veth0", "altname", name],
        );
    }
    socket.remove_alternative_name(index, names[1]).unwrap();
    assert_eq!(
        socket.get_link(index).unwrap().alternative_names,
        [names[0]]
    );
    assert!(socket.remove_alternative_name(index, names[1]).is_err());
    socket.remove_alternative_name(index, names[0]).unwrap();
    assert_eq!(socket.find_link(names[0]).unwrap(), None);
}

#[test]
fn the_links_of_a_group_go_together_and_bear_more_names_than_one() {
    if !host::enter() {
        return;
    }
    let (pod, inside) = host::pod();
    let host = Socket::open().unwrap();
    for name in ["a0", "b0"] {
        let peer = PeerSpec::new(name).in_netns(&pod).group(78);
        host.create_link(&LinkSpec::veth(name, peer).group(77))
            .unwrap();
    }
    host.create_link(&LinkSpec::veth("stays", PeerSpec::new("too")))
        .unwrap();
    let made = host.get_link("a0").unwrap();
    assert_eq!((made.group, inside.get_link("a0").unwrap().group), (77, 78));
    assert_eq!(made.qdisc, "noop");
    let long = "a name of more than fifteen bytes".replace(' ', "-");
    host.add_alternative_name(made.index, &long).unwrap();
    assert_eq!(
        host.get_link(&long).unwrap().alternative_names,
        std::slice::from_ref(&long)
    );
    assert!(
        host.add_alternative_name(made.index, &long)
            .unwrap_err()
            .is_exists()
    );
    assert!(host.remove_group(77).unwrap());
    assert!(!host.remove_group(77).unwrap());
    assert!(host.remove_group(0).is_err());
    assert!(inside.find_link("a0").unwrap().is_none());
    assert!(host.find_link("stays").unwrap().is_some());
}

#[test]
fn an_address_tells_who_gave_it() {
    if !host::enter() {
        return;
    }
    let host = Socket::open().unwrap();
    let veth = host
        .create_link(&LinkSpec::veth("a0", PeerSpec::new("a1")))
        .unwrap();
    let ours = AddressSpec::new("10.0.0.1/24".parse().unwrap()).protocol(110);
    host.add_address(veth.index, ours).unwrap();
    host.add_address(veth.index, "10.0.1.1/24".parse::<ipnet::IpNet>().unwrap())
        .unwrap();
    let given = host.list_addresses(veth.index).unwrap();
    let protocols: Vec<u8> = given.iter().map(|address| address.protocol).collect();
    assert_eq!(protocols, [110, 0]);
}

#[test]
fn a_link_tells_whether_it_takes_router_advertisements() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let bridge = KindSpec::Bridge(BridgeOptions::default());
    let made = socket.create_link(&LinkSpec::new("br0", bridge)).unwrap();
    let Some(first) = made.accept_ra else {
        return host::skip("the kernel has no IPv6");
    };
    assert_eq!(first, 1);
    for value in [0, 2, 1] {
        let path = "/proc/sys/net/ipv6/conf/br0/accept_ra";
        std::fs::write(path, value.to_string()).unwrap();
        assert_eq!(socket.get_link("br0").unwrap().accept_ra, Some(value));
    }
}
