use super::super::plan::{Tables, sources};
use super::*;
use netloom_kernel::rtnl::RouteKind;
use netloom_spec::{AddResult, IpConfig};

const LINK: u32 = 7;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn route(dst: &str, gateway: &str, source: &str) -> Route {
    let dst = net(dst);
    let near = gateway.is_empty() && dst.addr().is_ipv4();
    let v6_priority = if gateway.is_empty() { 256 } else { 1024 };
    Route {
        dst,
        gateway: gateway.parse().ok(),
        device: Some(LINK),
        priority: if dst.addr().is_ipv4() { 0 } else { v6_priority },
        table: table::MAIN,
        scope: if near { Scope::Link } else { Scope::Universe },
        source: source.parse().ok(),
        mtu: 0,
        advmss: 0,
        onlink: false,
        protocol: if gateway.is_empty() { 2 } else { BOOT },
        kind: RouteKind::Unicast,
        next_hops: Vec::new(),
    }
}

fn source(address: &str, gateway: &str) -> Source {
    let mut result = AddResult::new();
    let mut ip = IpConfig::new(net(address));
    ip.gateway = gateway.parse().ok();
    result.ips = vec![ip];
    sources(&result, "eth0", &Tables::default())[0]
}

fn in_table(route: &Route, number: u32) -> RouteSpec {
    RouteSpec::of(route).table(number)
}

#[test]
fn each_address_gets_the_routes_of_its_subnet_and_those_of_none_in_its_own_family() {
    let main = [
        route("10.1.0.0/24", "", "10.1.0.2"),
        route("10.2.0.0/24", "", "10.2.0.2"),
        route("172.16.0.0/16", "", ""),
        route("192.0.2.0/24", "10.9.0.1", ""),
        route("fd00::/64", "", ""),
        route("fe80::/64", "", ""),
    ];
    let given = [
        (source("10.1.0.2/24", ""), 100),
        (source("10.2.0.2/24", ""), 101),
        (source("fd00::2/64", ""), 103),
    ];
    let moves = Moves::plan(LINK, &given, &main, false);
    let expected = [
        (0, 100),
        (2, 100),
        (3, 100),
        (1, 101),
        (2, 101),
        (3, 101),
        (4, 103),
        (5, 103),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(index, number)| in_table(&main[*index], *number))
        .collect();
    assert_eq!(moves.into, expected);
    let out: Vec<_> = main[..5].iter().map(RouteSpec::of).collect();
    assert_eq!(moves.out, out, "all but the link-local route of IPv6");
    let rules: Vec<_> = moves
        .rules
        .iter()
        .map(|rule| (rule.from, rule.table))
        .collect();
    assert_eq!(
        rules,
        [
            (Some(net("10.1.0.2/32")), 100),
            (Some(net("10.2.0.2/32")), 101),
            (Some(net("fd00::2/128")), 103),
        ]
    );
}

#[test]
fn the_gateway_s_default_route_is_added_after_the_way_to_it_unless_there_is_one() {
    let near = route("10.1.0.0/24", "", "10.1.0.2");
    let given = [(source("10.1.0.2/24", "10.1.0.1"), 100)];
    let own = RouteSpec::to(net("0.0.0.0/0"))
        .via("10.1.0.1".parse().unwrap())
        .device(LINK)
        .table(100)
        .protocol(OWN);
    let moves = Moves::plan(LINK, &given, std::slice::from_ref(&near), false);
    assert_eq!(moves.into, [in_table(&near, 100), own.clone()]);

    let default = route("0.0.0.0/0", "10.1.0.254", "");
    let main = [near.clone(), default.clone()];
    let moves = Moves::plan(LINK, &given, &main, false);
    assert_eq!(moves.into, [in_table(&near, 100), in_table(&default, 100)]);

    let spare = Route {
        priority: 50,
        ..default
    };
    let moves = Moves::plan(LINK, &given, &[near.clone(), spare.clone()], false);
    let all = [in_table(&near, 100), own, in_table(&spare, 100)];
    assert_eq!(moves.into, all, "of another priority both have a place");
}

#[test]
fn a_static_gateway_takes_the_place_of_every_default_route() {
    let main = [
        route("10.1.0.0/24", "", "10.1.0.2"),
        route("0.0.0.0/0", "10.1.0.1", ""),
    ];
    let mut fixed = source("10.1.0.2/24", "10.1.0.1");
    fixed.gateway = Some(Gateway::Static("10.1.0.9".parse().unwrap()));
    let moves = Moves::plan(LINK, &[(fixed, 100)], &main, false);
    let own = RouteSpec::to(net("0.0.0.0/0")).via("10.1.0.9".parse().unwrap());
    let own = own.device(LINK).table(100).protocol(OWN);
    assert_eq!(moves.into, [in_table(&main[0], 100), own]);
    assert_eq!(moves.out.len(), 2);
}

#[test]
fn hints_keep_the_way_to_the_subnet_and_name_the_first_address_of_it() {
    let main = [
        route("10.1.0.0/24", "", "10.1.0.2"),
        route("fd00::/64", "", ""),
        route("fe80::/64", "", ""),
        route("0.0.0.0/0", "10.1.0.1", ""),
        route("::/0", "fd00::1", ""),
    ];
    let given = [
        (source("10.1.0.2/24", "10.1.0.1"), 100),
        (source("10.1.0.3/24", "10.1.0.1"), 101),
        (source("fd00::2/64", "fd00::1"), 102),
        (source("10.7.0.2/24", ""), 103),
        (source("10.8.0.2/32", ""), 104),
    ];
    let moves = Moves::plan(LINK, &given, &main, true);
    let v6 = RouteSpec::of(&main[1]).protocol(BOOT);
    let fresh = RouteSpec::to(net("10.7.0.0/24")).device(LINK);
    let fresh = fresh.scope(Scope::Link).protocol(BOOT);
    assert_eq!(
        moves.hints,
        [
            v6.source("fd00::2".parse().unwrap()),
            fresh.source("10.7.0.2".parse().unwrap())
        ]
    );
    let out: Vec<_> = [1, 3, 4].map(|index| RouteSpec::of(&main[index])).into();
    assert_eq!(moves.out, out, "what the hint replaces, and what is far");
}

#[test]
fn del_knows_a_hint_from_what_was_there_before() {
    let was_there = [
        route("fd00::/64", "", ""),
        route("10.1.0.0/24", "", "10.1.0.2"),
    ];
    let hint = Route {
        protocol: BOOT,
        ..route("fd00::/64", "", "fd00::2")
    };
    assert!(is_hint(&hint, &was_there));
    assert!(!is_hint(&was_there[1], &was_there), "made by the kernel");
    let same = Route {
        protocol: BOOT,
        ..was_there[1].clone()
    };
    assert!(!is_hint(&same, &was_there), "it is in the table too");
    let foreign = Route {
        protocol: BOOT,
        ..route("192.0.2.0/24", "", "10.1.0.2")
    };
    assert!(!is_hint(&foreign, &was_there), "not the address's subnet");
}
