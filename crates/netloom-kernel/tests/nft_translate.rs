//! Translation by maps: what is made here is printed by `nft` as if `nft` had made it.

mod host;

use netloom_kernel::nft::{
    Chain, Element, Family, Field, Hook, Key, KeyType, Protocol, Rule, Set, Socket, Table, priority,
};
use netloom_kernel::rtnl;
use std::net::{IpAddr, Ipv6Addr};

const TABLES: [(Table<'_>, KeyType, rtnl::Family); 2] = [
    (
        Table::new(Family::Ip, "t"),
        KeyType::Ipv4Addr,
        rtnl::Family::V4,
    ),
    (
        Table::new(Family::Ip6, "t"),
        KeyType::Ipv6Addr,
        rtnl::Family::V6,
    ),
];

#[test]
fn maps_of_addresses_and_ports_are_printed_as_they_were_meant() {
    if !host::enter() {
        return;
    }
    use KeyType::{InetProto, InetService};
    let socket = Socket::open().unwrap();
    for (table, address, family) in TABLES {
        let v6 = family == rtnl::Family::V6;
        let (pod, subnet): (IpAddr, IpAddr) = match v6 {
            false => ([10, 1, 0, 5].into(), [10, 1, 0, 0].into()),
            true => ("fd00:1::5".parse().unwrap(), "fd00:1::".parse().unwrap()),
        };
        let fields = [Field::L4proto, Field::Dport];
        let mut batch = socket.batch();
        batch
            .ensure_table(&table)
            .create_set(
                &table,
                &Set::map("ports", &[InetProto, InetService], &[address, InetService]),
            )
            .create_set(&table, &Set::new("subnets", &[address, address]))
            .create_set(
                &table,
                &Set::map("sources", &[InetProto, InetService], &[address]),
            )
            .create_chain(
                &table,
                &Chain::new("pre").nat(Hook::Prerouting, priority::DSTNAT),
            )
            .create_chain(
                &table,
                &Chain::new("post").nat(Hook::Postrouting, priority::SRCNAT),
            )
            .create_chain(
                &table,
                &Chain::new("out").filter(Hook::Output, priority::RAW),
            )
            .add_rule(
                &table,
                "pre",
                &Rule::new().dnat_map(&fields, "ports", family),
            );
        for length in [0, 20, if v6 { 128 } else { 32 }] {
            let rule = Rule::new()
                .ct_is_dnat()
                .subnet_and_daddr_in_set(length, "subnets", family);
            batch.add_rule(&table, "post", &rule.masquerade());
        }
        if v6 {
            batch
                .add_rule(
                    &table,
                    "out",
                    &Rule::new().set_ip6_saddr_by_map(&fields, "sources"),
                )
                .add_rule(
                    &table,
                    "out",
                    &Rule::new()
                        .set_ip6_saddr(Ipv6Addr::LOCALHOST)
                        .set_ip6_daddr(Ipv6Addr::LOCALHOST),
                );
        }
        let key = Key::new().protocol(Protocol::TCP).port(8080);
        let element = Element::new(key.clone())
            .value(Key::new().ip(pod).port(80))
            .comment("one");
        batch.create_elements(&table, "ports", &[element]);
        batch.create_elements(
            &table,
            "subnets",
            &[Element::new(Key::new().ip(subnet).ip(pod))],
        );
        batch.commit().unwrap();

        let listing = host::run("nft", &["list", "table", table.family().name(), "t"]);
        let (ip, mask) = match v6 {
            false => ("ip", "255.255.240.0"),
            true => ("ip6", "ffff:f000::"),
        };
        let mut lines = vec![
            format!("tcp . 8080 comment \"one\" : {pod} . 80"),
            format!("elements = {{ {subnet} . {pod} }}"),
            format!("dnat {ip} to meta l4proto . th dport map @ports"),
            format!("ct status dnat {ip} saddr & {mask} . {ip} daddr @subnets masquerade"),
            format!("ct status dnat {ip} saddr . {ip} daddr @subnets masquerade"),
        ];
        if v6 {
            lines.push("ip6 saddr set meta l4proto . th dport map @sources".to_owned());
            lines.push("ip6 saddr set ::1 ip6 daddr set ::1".to_owned());
        }
        for line in lines {
            assert!(listing.contains(&line), "{line}\n{listing}");
        }

        let found = socket.get_element(&table, "ports", &key).unwrap().unwrap();
        assert_eq!(Key::of_bytes(&found.key).bytes(), key.bytes());
        let mut batch = socket.batch();
        batch.delete_elements(&table, "ports", &[Element::new(Key::of_bytes(&found.key))]);
        batch.commit().unwrap();
        assert_eq!(socket.get_element(&table, "ports", &key).unwrap(), None);
    }
}
