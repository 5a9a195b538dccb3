//! Properties of every parser and of the conversions, on generated input.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;

use ipnet::IpNet;
use netloom_spec::{
    AddResult, CniArgs, ContainerId, Dns, Error, IfName, Interface, IpConfig, Mac,
    NetworkConfigList, NetworkName, PluginConf, PluginInfo, Route, Version, decode, net,
    select_version, version::Triple,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

/// Every parser of bytes. None may panic, and what one accepts it must accept
/// again as it printed it.
fn read_everything(bytes: &[u8]) {
    if let Ok(list) = NetworkConfigList::parse(bytes) {
        assert_eq!(NetworkConfigList::parse(&list.bytes).as_ref(), Ok(&list));
        for conf in &list.plugins {
            assert!(NetworkConfigList::from_conf(conf).is_ok());
        }
    }
    if let Ok(conf) = PluginConf::parse(bytes) {
        assert_eq!(PluginConf::parse(&conf.to_bytes()).as_ref(), Ok(&conf));
        let _ = (conf.prev_result(), conf.valid_attachments(), conf.version());
        let _ = (conf.dns(), conf.capabilities(), conf.ipam_type());
    }
    if let Ok(fault) = Error::parse(bytes) {
        assert_eq!(Error::parse(fault.to_json().as_bytes()), Ok(fault));
    }
    if let Ok(info) = PluginInfo::parse(bytes) {
        assert_eq!(PluginInfo::parse(info.to_json().as_bytes()), Ok(info));
    }
    for version in Version::ALL {
        let Ok(result) = AddResult::parse(bytes, version) else {
            continue;
        };
        for target in Version::ALL {
            if let Ok(text) = result.to_json(target) {
                let again = AddResult::parse(text.as_bytes(), target).unwrap();
                assert_eq!(again.to_json(target), Ok(text));
            }
        }
    }
}

/// JSON made of the words of the specification, so that parsers get far.
fn document() -> impl Strategy<Value = Value> {
    let text = select(vec![
        "",
        "10.1.0.5/16",
        "10.1.0.5",
        "fd00::5/64",
        "::ffff:1.2.3.4/120",
        "0.1.0",
        "0.2.0",
        "0.3.1",
        "0.4.0",
        "1.0.0",
        "1.1.0",
        "9.9.9",
        "bridge",
        "true",
        "<nil>",
        "é/\u{0}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..3000_u32).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let key = select(vec![
        "cniVersion",
        "CNIVERSION",
        "cniVersions",
        "name",
        "Name",
        "type",
        "plugins",
        "ipam",
        "capabilities",
        "dns",
        "nameservers",
        "domain",
        "prevResult",
        "interfaces",
        "ips",
        "IPs",
        "routes",
        "address",
        "gateway",
        "interface",
        "version",
        "ip4",
        "ip6",
        "ip",
        "dst",
        "gw",
        "mtu",
        "advmss",
        "table",
        "scope",
        "sandbox",
        "mac",
        "code",
        "msg",
        "details",
        "unknown",
        "cni.dev/valid-attachments",
        "containerID",
        "ifname",
        "supportedVersions",
        "disableGC",
        "*",
    ]);
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key.clone(), inner), 0..8).prop_map(|entries| {
                let entries = entries
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::Object(entries.collect())
            }),
        ]
    })
}

/// Unknown keys that no version knows.
fn extra() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(Value::Null),
        vec(any::<bool>(), 0..3).prop_map(Value::from),
    ];
    btree_map("x[a-zA-Z./]{0,6}", value, 0..3).prop_map(|entries| entries.into_iter().collect())
}

fn cidr() -> impl Strategy<Value = IpNet> {
    prop_oneof![cidr4(), cidr6()]
}

fn cidr4() -> impl Strategy<Value = IpNet> {
    (any::<u32>(), 0..=32_u8)
        .prop_map(|(ip, bits)| IpNet::new(IpAddr::V4(ip.into()), bits).unwrap())
}

fn cidr6() -> impl Strategy<Value = IpNet> {
    // An address that maps an IPv4 one is no IPv6 address here.
    (any::<u128>(), 0..=128_u8)
        .prop_map(|(ip, bits)| IpNet::new(IpAddr::V6((ip | 1 << 127).into()), bits).unwrap())
}

fn ip() -> impl Strategy<Value = Option<IpAddr>> {
    proptest::option::of(cidr().prop_map(|net| net.addr()))
}

prop_compose! {
    fn interface()(
        name in ".{0,8}", mac in ".{0,8}", mtu in any::<u32>(), sandbox in ".{0,8}",
        socket_path in ".{0,8}", pci_id in ".{0,8}", extra in extra(),
    ) -> Interface {
        Interface { name, mac, mtu, sandbox, socket_path, pci_id, extra }
    }
}

prop_compose! {
    fn ip_config()(
        address in cidr(), gateway in ip(), interface in any::<Option<usize>>(), extra in extra(),
    ) -> IpConfig {
        IpConfig { address, gateway, interface, extra }
    }
}

prop_compose! {
    fn route()(
        dst in cidr(), gw in ip(), mtu in any::<u32>(), advmss in any::<u32>(),
        priority in any::<u32>(), table in any::<Option<u32>>(), scope in any::<Option<u8>>(),
        extra in extra(),
    ) -> Route {
        Route { dst, gw, mtu, advmss, priority, table, scope, extra }
    }
}

prop_compose! {
    fn dns()(
        nameservers in vec(".{0,5}", 0..3), domain in ".{0,5}", search in vec(".{0,5}", 0..3),
        options in vec(".{0,5}", 0..3),
    ) -> Dns {
        Dns { nameservers, domain, search, options }
    }
}

prop_compose! {
    fn result()(
        interfaces in vec(interface(), 0..3), ips in vec(ip_config(), 0..4),
        routes in vec(route(), 0..4), dns in dns(), extra in extra(),
    ) -> AddResult {
        AddResult { interfaces, ips, routes, dns, extra, ..AddResult::new() }
    }
}

/// What is left of `result` in the shape of `version`.
fn what_fits(result: &AddResult, version: Version) -> AddResult {
    let mut result = AddResult {
        cni_version: version,
        ..result.clone()
    };
    if version < Version::V1_0_0 {
        for interface in &mut result.interfaces {
            *interface = Interface {
                mtu: 0,
                socket_path: String::new(),
                pci_id: String::new(),
                ..interface.clone()
            };
        }
    }
    if version < Version::V0_3_0 {
        result.interfaces.clear();
        let is_v4 = |net: &IpNet| net.addr().is_ipv4();
        let first = |v4: bool| {
            result
                .ips
                .iter()
                .find(|ip| is_v4(&ip.address) == v4)
                .cloned()
        };
        let ips: Vec<IpConfig> = [first(true), first(false)].into_iter().flatten().collect();
        let mut routes = Vec::new();
        for ip in &ips {
            let family = is_v4(&ip.address);
            routes.extend(
                result
                    .routes
                    .iter()
                    .filter(|route| is_v4(&route.dst) == family)
                    .map(|route| Route {
                        gw: route.gw,
                        extra: route.extra.clone(),
                        ..Route::new(route.dst)
                    }),
            );
        }
        result.ips = ips
            .into_iter()
            .map(|ip| IpConfig {
                interface: None,
                ..ip
            })
            .collect();
        result.routes = routes;
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..64)) {
        read_everything(&bytes);
    }

    #[test]
    fn no_document_makes_a_parser_panic(document in document()) {
        read_everything(document.to_string().as_bytes());
    }

    #[test]
    fn no_broken_document_makes_a_parser_panic(document in document(), cut in any::<prop::sample::Index>()) {
        let text = document.to_string();
        read_everything(&text.as_bytes()[..cut.index(text.len())]);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,24}|[0-9a-f:./%-]{0,40}|[IPMAC=;1]{0,12}") {
        let _ = (ContainerId::new(&text), NetworkName::new(&text), IfName::new(&text));
        let _ = (Triple::parse(&text), text.parse::<Version>());
        CniArgs::lenient(&text);
        if let Ok(args) = CniArgs::parse(&text) {
            let again = args.pairs().map(|(key, value)| format!("{key}={value}"));
            prop_assert_eq!(again.collect::<Vec<_>>().join(";"), text.as_str());
        }
        if let Ok(mac) = text.parse::<Mac>() {
            prop_assert_eq!(mac.to_string().parse(), Ok(mac));
        }
        if let Ok(ip) = net::parse_ip(&text) {
            prop_assert_eq!(net::parse_ip(&ip.to_string()), Ok(ip));
        }
        if let Ok(cidr) = net::parse_cidr(&text) {
            prop_assert_eq!(net::parse_cidr(&cidr.to_string()), Ok(cidr));
        }
    }

    #[test]
    fn mac_addresses_and_prefixes_survive_their_text(bytes: [u8; 6], cidr in cidr()) {
        prop_assert_eq!(Mac(bytes).to_string().parse(), Ok(Mac(bytes)));
        prop_assert_eq!(net::parse_cidr(&cidr.to_string()), Ok(cidr));
    }

    #[test]
    fn a_shape_keeps_what_it_can_hold(result in result(), version in select(Version::ALL.to_vec())) {
        let fits = what_fits(&result, version);
        match result.to_json(version) {
            Ok(text) => prop_assert_eq!(AddResult::parse(text.as_bytes(), version), Ok(fits)),
            Err(_) => prop_assert!(version < Version::V0_3_0 && result.ips.is_empty()),
        }
    }

    #[test]
    fn there_and_back_keeps_what_both_shapes_hold(
        result in result(),
        here in select(Version::ALL.to_vec()),
        there in select(Version::ALL.to_vec()),
    ) {
        let Ok(start) = result.to_value(here) else { return Ok(()) };
        let start = AddResult::from_value(&start, here).unwrap();
        let Ok(away) = start.to_value(there) else {
            prop_assert!(there < Version::V0_3_0 && start.ips.is_empty());
            return Ok(());
        };
        let back = AddResult::from_value(&away, there).unwrap().to_value(here).unwrap();
        let back = AddResult::from_value(&back, here).unwrap();
        // Old routes keep their extras only while they stay in the old shape.
        let mut expected = what_fits(&start, there);
        if here < Version::V0_3_0 && there < Version::V0_3_0 {
            expected.routes.clone_from(&start.routes);
        }
        expected.cni_version = here;
        prop_assert_eq!(back, expected);
    }

    #[test]
    fn the_case_of_keys_does_not_matter(route in route(), upper in any::<bool>()) {
        let spell = |key: &String| if upper { key.to_uppercase() } else { key.to_lowercase() };
        let known = Route { extra: Map::new(), ..route };
        let Value::Object(object) = serde_json::to_value(&known).unwrap() else { unreachable!() };
        let object = object.iter().map(|(key, value)| (spell(key), value.clone()));
        prop_assert_eq!(decode::from_object::<Route>(&object.collect()), Ok(known));
    }

    #[test]
    fn a_selected_version_is_known_or_the_original(
        original in "|[0-2]\\.[0-5]\\.[0-2]",
        versions in vec("[0-2]\\.[0-5]\\.[0-2]", 0..6),
    ) {
        let selected = select_version(&original, &versions).unwrap();
        prop_assert!(selected == original || versions.contains(&selected));
        if let Some(best) = versions.iter().filter_map(|text| text.parse::<Version>().ok()).max() {
            prop_assert!(selected.parse::<Version>().unwrap() >= best);
        }
    }
}
