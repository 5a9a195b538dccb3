//! Dumps: filtered by the kernel, and whole although the table changes meanwhile.

mod host;

use std::sync::mpsc;

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{
    AddressSpec, Family, LinkChange, LinkSpec, NeighbourSpec, NeighbourState, PeerSpec,
    RouteFilter, RouteKind, RouteSpec, RuleSpec, Scope, Socket, table,
};

fn veth(socket: &Socket, name: &str, peer: &str) -> u32 {
    let spec = LinkSpec::veth(name, PeerSpec::new(peer)).up();
    socket
        .create_link(&spec)
        .expect("the kernel has veth")
        .index
}

#[test]
fn addresses_are_those_of_one_link() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let (one, two) = (veth(&socket, "one", "eno"), veth(&socket, "two", "owt"));
    for n in 0..40u8 {
        let ip = |third| AddressSpec::new(format!("10.{third}.0.{n}/16").parse().unwrap());
        socket.add_address(one, ip(1)).unwrap();
        socket.add_address(two, ip(2)).unwrap();
    }
    socket
        .add_address(
            one,
            AddressSpec::new("2001:db8::1/64".parse().unwrap()).no_dad(),
        )
        .unwrap();
    let found = socket.list_addresses(one).unwrap();
    assert_eq!(
        found.iter().filter(|a| a.address.addr().is_ipv4()).count(),
        40
    );
    assert!(found.iter().all(|a| a.link == one));
    let first = &found[0];
    assert_eq!(first.address.to_string(), "10.1.0.0/16");
    assert_eq!(first.broadcast, Some([10, 1, 255, 255].into()));
    assert_eq!(first.label.as_deref(), Some("one"));
    let v6 = found
        .iter()
        .find(|a| a.address.to_string() == "2001:db8::1/64")
        .unwrap();
    assert!(v6.flags.is_without_dad() && v6.flags.is_permanent() && !v6.flags.is_tentative());
    assert!(!v6.flags.is_without_prefix_route());
    let bare = AddressSpec::new("10.3.0.1/16".parse().unwrap()).no_prefix_route();
    socket.add_address(one, bare).unwrap();
    let bare = socket.list_addresses(one).unwrap();
    let bare = bare.iter().find(|a| a.address.to_string() == "10.3.0.1/16");
    assert!(bare.unwrap().flags.is_without_prefix_route());
    assert!(socket.remove_address(one, v6.address).unwrap());
    assert!(
        !socket
            .list_addresses(one)
            .unwrap()
            .iter()
            .any(|a| a.address == v6.address)
    );
}

#[test]
fn small_networks_have_no_broadcast_address() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let link = veth(&socket, "one", "eno");
    for net in ["10.0.0.1/30", "10.0.1.1/31", "10.0.2.1/32"] {
        socket
            .add_address(link, AddressSpec::new(net.parse().unwrap()))
            .unwrap();
    }
    let found = socket.list_addresses(link).unwrap();
    let broadcasts: Vec<_> = found
        .iter()
        .filter(|a| a.address.addr().is_ipv4())
        .map(|a| a.broadcast)
        .collect();
    assert_eq!(broadcasts, [Some([10, 0, 0, 3].into()), None, None]);
    assert!(
        socket
            .add_address(link, AddressSpec::new("10.0.0.1/30".parse().unwrap()))
            .unwrap_err()
            .is_exists()
    );
    socket
        .replace_address(link, AddressSpec::new("10.0.0.1/30".parse().unwrap()))
        .unwrap();
    let peer = AddressSpec::new("10.3.0.1/32".parse().unwrap()).peer([10, 3, 0, 2].into());
    socket.add_address(link, peer).unwrap();
    let found = socket.list_addresses(link).unwrap();
    assert!(found.iter().any(|a| a.peer == Some([10, 3, 0, 2].into())));
}

#[test]
fn routes_keep_all_that_was_said_of_them() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let link = veth(&socket, "one", "eno");
    socket
        .add_address(link, AddressSpec::new("10.1.0.5/24".parse().unwrap()))
        .unwrap();
    let dst = "10.9.0.0/16".parse().unwrap();
    let route = RouteSpec::to(dst).via([10, 1, 0, 1].into()).device(link);
    let full = route
        .clone()
        .priority(7)
        .table(1000)
        .mtu(1300)
        .advmss(1200)
        .source([10, 1, 0, 5].into());
    socket.add_route(&full).unwrap();
    let found = socket
        .list_routes(&RouteFilter::main(Family::V4).table(1000))
        .unwrap();
    assert_eq!(found.len(), 1);
    let r = &found[0];
    assert_eq!(
        (r.dst, r.gateway, r.device),
        (dst, Some([10, 1, 0, 1].into()), Some(link))
    );
    assert_eq!(
        (r.priority, r.table, r.mtu, r.advmss),
        (7, 1000, 1300, 1200)
    );
    assert_eq!(r.source, Some([10, 1, 0, 5].into()));

    socket.add_route(&route).unwrap();
    assert!(socket.add_route(&route).unwrap_err().is_exists());
    socket.replace_route(&route.clone().mtu(1280)).unwrap();
    let other = RouteSpec::to(dst).via([10, 1, 0, 2].into()).device(link);
    assert!(socket.add_route(&other).unwrap_err().is_exists());
    socket.add_route_beside(&other).unwrap();
    assert!(socket.add_route_beside(&other).unwrap_err().is_exists());
    let found = socket
        .list_routes(&RouteFilter::main(Family::V4).dst(dst))
        .unwrap();
    let gateways: Vec<_> = found
        .iter()
        .map(|r| r.gateway.unwrap().to_string())
        .collect();
    assert_eq!(gateways, ["10.1.0.2", "10.1.0.1"]); // the later one comes first
    assert!(socket.remove_route(&other).unwrap());
    assert_eq!(
        socket.lookup_route([10, 9, 1, 1].into()).unwrap().gateway,
        Some([10, 1, 0, 1].into())
    );

    let onlink = RouteSpec::to("10.8.0.0/16".parse().unwrap())
        .via([192, 0, 2, 1].into())
        .device(link)
        .onlink();
    socket.add_route(&onlink).unwrap();
    let scoped = RouteSpec::to("10.7.0.0/16".parse().unwrap())
        .device(link)
        .scope(Scope::Link);
    socket.add_route(&scoped).unwrap();
    let hole = RouteSpec::to("10.6.0.0/16".parse().unwrap()).kind(RouteKind::Blackhole);
    socket.add_route(&hole).unwrap();
    let found = socket.list_routes(&RouteFilter::main(Family::V4)).unwrap();
    let by = |dst: &str| {
        found
            .iter()
            .find(|r| r.dst == dst.parse().unwrap())
            .unwrap()
    };
    assert!(by("10.8.0.0/16").onlink);
    assert_eq!(by("10.7.0.0/16").scope, Scope::Link);
    assert_eq!(by("10.6.0.0/16").kind, RouteKind::Blackhole);
    let of_link = socket
        .list_routes(&RouteFilter::main(Family::V4).device(link))
        .unwrap();
    assert_eq!(of_link.len(), found.len() - 1);
    assert!(socket.remove_route(&hole).unwrap());
    assert_eq!(
        socket
            .list_routes(&RouteFilter::main(Family::V4).table(4000))
            .unwrap(),
        []
    );
}

#[test]
fn default_routes_of_both_families_are_found() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let link = veth(&socket, "one", "eno");
    let mut batch = socket.batch();
    batch
        .add_address(link, AddressSpec::new("10.1.0.5/24".parse().unwrap()))
        .add_address(
            link,
            AddressSpec::new("2001:db8::5/64".parse().unwrap()).no_dad(),
        )
        .set_link("eno", &LinkChange::new().up())
        .add_route(&RouteSpec::to("0.0.0.0/0".parse().unwrap()).via([10, 1, 0, 1].into()))
        .add_route(&RouteSpec::to("::/0".parse().unwrap()).via("2001:db8::1".parse().unwrap()));
    batch.commit().unwrap();
    for (family, gateway) in [(Family::V4, "10.1.0.1"), (Family::V6, "2001:db8::1")] {
        let found = socket.list_routes(&RouteFilter::main(family)).unwrap();
        let default: Vec<_> = found.iter().filter(|r| r.is_default()).collect();
        assert_eq!(default.len(), 1);
        assert_eq!(default[0].gateway, Some(gateway.parse().unwrap()));
        assert_eq!(default[0].table, table::MAIN);
    }
    for (to, default) in [
        ("192.0.2.1", true),
        ("10.1.0.9", false),
        ("3fff::1", true),
        ("2001:db8::9", false),
    ] {
        let entry = socket.match_route(to.parse().unwrap()).unwrap();
        assert_eq!(
            (entry.is_default(), entry.device, entry.table),
            (default, Some(link), table::MAIN),
            "{to}"
        );
    }
    let elsewhere = RouteSpec::to("192.0.2.0/24".parse().unwrap()).device(link);
    socket.add_route(&elsewhere.table(1000)).unwrap();
    socket
        .add_rule(&RuleSpec::to_table(Family::V4, 1000))
        .unwrap();
    let entry = socket.match_route([192, 0, 2, 1].into()).unwrap();
    assert_eq!((entry.table, entry.is_default()), (1000, false));
    assert!(
        !socket
            .lookup_route([192, 0, 2, 1].into())
            .unwrap()
            .is_default()
    );
}

#[test]
fn a_route_that_was_read_can_be_put_elsewhere_and_removed() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let link = veth(&socket, "one", "eno");
    for address in ["10.1.0.5/24", "2001:db8::5/64"] {
        let address = AddressSpec::new(address.parse().unwrap()).no_dad();
        socket.add_address(link, address).unwrap();
    }
    for arguments in [
        "route add 192.0.2.0/24 via 10.1.0.1 dev one metric 7 mtu 1300 advmss 1200 src 10.1.0.5",
        "route add 198.51.100.0/24 via 10.99.0.1 dev one onlink proto static",
        "route add 203.0.113.0/24 dev one scope host",
        "-6 route add 2001:db8:9::/48 via 2001:db8::1 dev one metric 9 src 2001:db8::5",
    ] {
        host::run("ip", &arguments.split(' ').collect::<Vec<_>>());
    }
    for (family, count) in [(Family::V4, 4), (Family::V6, 2)] {
        let main = RouteFilter::main(family).device(link);
        let mut found = socket.list_routes(&main).unwrap();
        found.retain(|route| !route.dst.to_string().starts_with("fe80"));
        assert_eq!(found.len(), count);
        found.sort_by_key(|route| route.gateway.is_some());
        for route in &found {
            let elsewhere = RouteSpec::of(route).table(1000);
            socket.append_route(&elsewhere).unwrap();
            assert!(socket.remove_route(&RouteSpec::of(route)).unwrap());
        }
        let left = socket.list_routes(&main).unwrap();
        assert!(
            left.iter()
                .all(|route| route.dst.to_string().starts_with("fe80"))
        );
        let mut moved = socket.list_routes(&main.table(1000)).unwrap();
        assert_eq!(moved.len(), count);
        for route in &mut moved {
            let again = RouteSpec::of(route);
            route.table = table::MAIN;
            assert!(found.contains(route), "{route:?}: {found:?}");
            assert!(socket.remove_route(&again).unwrap());
        }
    }
}

#[test]
fn rules_and_neighbours_are_set_listed_and_removed() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let mut rule = RuleSpec::from("10.1.0.5/32".parse().unwrap(), 1000).priority(500);
    rule.iif = Some("lo".into());
    rule.mark = Some((0x10, 0xff));
    match socket.add_rule(&rule) {
        Err(error) if error.is_unsupported() => return host::skip(&error.to_string()),
        outcome => outcome.unwrap(),
    }
    assert!(socket.add_rule(&rule).unwrap_err().is_exists());
    let found = socket.list_rules(Family::V4).unwrap();
    assert!(found.contains(&rule), "{found:?}");
    assert!(socket.remove_rule(&rule).unwrap());
    assert!(!socket.remove_rule(&rule).unwrap());
    let mut marked = rule.clone();
    marked.protocol = 3;
    socket.add_rule(&marked).unwrap();
    let found = socket.list_rules(Family::V4).unwrap();
    let marked = found.iter().find(|found| **found == marked).unwrap();
    let other = RuleSpec {
        protocol: 4,
        ..marked.clone()
    };
    assert!(!socket.remove_rule(&other).unwrap());
    assert!(socket.remove_rule(marked).unwrap());

    let (one, two) = (veth(&socket, "one", "eno"), veth(&socket, "two", "owt"));
    let mac = [2, 0, 0, 0, 0, 9];
    let neighbour = NeighbourSpec::new([10, 1, 0, 9].into(), mac);
    socket.set_neighbour(one, &neighbour).unwrap();
    socket.set_neighbour(two, &neighbour).unwrap();
    let found = socket.list_neighbours(Family::V4, one).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].mac, found[0].state),
        (Some(mac), NeighbourState::PERMANENT)
    );
    assert!(socket.remove_neighbour(one, &neighbour).unwrap());
    assert!(!socket.remove_neighbour(one, &neighbour).unwrap());
}

#[test]
fn a_dump_is_whole_although_addresses_before_the_reader_go() {
    if !host::enter() {
        return;
    }
    const GOING: u32 = 200;
    const STAYING: u32 = 1500;
    let address = |n: u32| -> ipnet::IpNet {
        ipnet::Ipv4Net::from(std::net::Ipv4Addr::from(0x0a00_0000 + n)).into()
    };
    let socket = Socket::open().unwrap();
    let link = veth(&socket, "one", "eno");
    let mut batch = socket.batch();
    for n in 0..GOING + STAYING {
        batch.add_address(link, AddressSpec::new(address(n)));
    }
    batch.commit().unwrap();
    let here = Netns::current().unwrap();
    let (start, started) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let socket = Socket::open_in(&here).unwrap();
            // What goes is first in the kernel's list, so that the rest moves up under the
            // reader, who would miss one of it.
            for n in started {
                for n in n..n + 5 {
                    socket.remove_address(link, address(n)).unwrap();
                }
            }
        });
        for n in (0..GOING).step_by(5) {
            start.send(n).unwrap();
            let found = socket.list_addresses(link).unwrap();
            let staying = found.iter().filter(|a| a.address >= address(GOING)).count();
            assert_eq!(staying, STAYING as usize);
        }
        drop(start);
    });
}
