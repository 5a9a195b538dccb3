//! nf_tables: what is made here is printed by `nft` as if `nft` had made it.

mod host;

use netloom_kernel::nft::{
    Chain, CtState, Element, Family, Field, Hook, Key, KeyType, Policy, Protocol, Rule, Set,
    Socket, Table, Verdict, priority,
};

const TABLE: Table<'_> = Table::new(Family::Inet, "example");

fn list() -> String {
    host::run("nft", &["list", "ruleset"])
}

/// The rules of the base chain, each trimmed.
fn printed_rules(listing: &str) -> Vec<String> {
    let lines = listing.lines().map(str::trim);
    lines
        .skip_while(|line| !line.starts_with("type nat "))
        .skip(1)
        .take_while(|line| *line != "}")
        .map(str::to_owned)
        .collect()
}

#[test]
fn rules_are_printed_by_nft_as_they_were_meant() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let rules = [
        (
            Rule::new()
                .saddr_eq([10, 1, 0, 5].into())
                .daddr_not_in("10.1.0.0/16".parse().unwrap())
                .masquerade()
                .comment("pod 1"),
            r#"ip saddr 10.1.0.5 ip daddr != 10.1.0.0/16 masquerade comment "pod 1""#,
        ),
        (
            Rule::new()
                .saddr_eq("2001:db8::5".parse().unwrap())
                .daddr_not_in("2001:db8::/57".parse().unwrap())
                .masquerade_fully_random(),
            "ip6 saddr 2001:db8::5 ip6 daddr != 2001:db8::/57 masquerade fully-random",
        ),
        (
            Rule::new().mark_eq(0).mark_set(0x0043_4e49),
            "meta mark 0x00000000 meta mark set 0x00434e49",
        ),
        (
            Rule::new()
                .iifname_eq("br0")
                .not_in_set(&[Field::Iifname, Field::Oifname], "pairs")
                .drop(),
            r#"iifname "br0" iifname . oifname != @pairs drop"#,
        ),
        (
            Rule::new()
                .daddr_in("224.0.0.0/4".parse().unwrap())
                .return_(),
            "ip daddr 224.0.0.0/4 return",
        ),
        (
            Rule::new().daddr_in("ff00::/8".parse().unwrap()).return_(),
            "ip6 daddr ff00::/8 return",
        ),
        (
            Rule::new()
                .saddr_in("10.1.2.0/23".parse().unwrap())
                .accept(),
            "ip saddr 10.1.2.0/23 accept",
        ),
        (
            Rule::new().iifname_ne("veth0").drop(),
            r#"iifname != "veth0" drop"#,
        ),
        (
            Rule::new().counter().accept(),
            "counter packets 0 bytes 0 accept",
        ),
        (
            Rule::new().daddr_is_local().jump("side"),
            "fib daddr type local jump side",
        ),
        (
            Rule::new()
                .ct_state(CtState::ESTABLISHED | CtState::RELATED)
                .accept(),
            "ct state established,related accept",
        ),
        (
            Rule::new().l4proto_eq(Protocol::TCP).accept(),
            "meta l4proto tcp accept",
        ),
        (
            Rule::new()
                .nfproto_is(netloom_kernel::rtnl::Family::V4)
                .accept(),
            "meta nfproto ipv4 accept",
        ),
        (
            Rule::new().vmap(&[Field::Iifname], "links"),
            "iifname vmap @links",
        ),
        (
            Rule::new().in_set(&[Field::IpSaddr], "pods").accept(),
            "ip saddr @pods accept",
        ),
        (
            Rule::new().not_in_set(&[Field::IpDaddr], "nets").accept(),
            "ip daddr != @nets accept",
        ),
        (
            Rule::new().vmap(&[Field::L4proto, Field::Dport], "ports"),
            "meta l4proto . th dport vmap @ports",
        ),
        (Rule::new().goto("side"), "goto side"),
    ];
    let mut batch = socket.batch();
    batch
        .ensure_table(&TABLE.comment("made by a test"))
        .ensure_set(
            &TABLE,
            &Set::new("pairs", &[KeyType::Ifname, KeyType::Ifname]),
        )
        .ensure_set(&TABLE, &Set::verdict_map("links", &[KeyType::Ifname]))
        .ensure_set(
            &TABLE,
            &Set::verdict_map("ports", &[KeyType::InetProto, KeyType::InetService]),
        )
        .ensure_set(
            &TABLE,
            &Set::new("pods", &[KeyType::Ipv4Addr]).comment("pods of a test"),
        )
        .ensure_set(&TABLE, &Set::new("nets", &[KeyType::Ipv4Addr]).interval())
        .ensure_chain(&TABLE, &Chain::new("side").comment("a side chain"))
        .ensure_chain(
            &TABLE,
            &Chain::new("pr").nat(Hook::Postrouting, priority::SRCNAT),
        );
    for (rule, _) in &rules {
        batch.add_rule(&TABLE, "pr", rule);
    }
    batch.commit().unwrap();
    let listing = list();
    let expected: Vec<_> = rules.iter().map(|(_, text)| text.to_string()).collect();
    assert_eq!(printed_rules(&listing), expected, "{listing}");
    assert!(
        listing.contains("type nat hook postrouting priority srcnat; policy accept;"),
        "{listing}"
    );
    for comment in ["made by a test", "a side chain", "pods of a test"] {
        assert!(
            listing.contains(&format!("comment \"{comment}\"")),
            "{comment}: {listing}"
        );
    }
    // What nft prints, nft takes back.
    std::fs::write("/run/listing", &listing).unwrap();
    host::run("nft", &["--check", "-f", "/run/listing"]);
}

#[test]
fn elements_are_printed_with_comments_and_found_by_key() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let pod = Key::new().ip([10, 1, 0, 5].into());
    let link = Key::new().link("veth0");
    let port = Key::new().protocol(Protocol::TCP).port(8080);
    let to = Key::new().ip([10, 1, 0, 5].into()).port(80);
    let mut batch = socket.batch();
    batch
        .ensure_table(&TABLE)
        .ensure_chain(&TABLE, &Chain::new("side"))
        .ensure_set(&TABLE, &Set::new("pods", &[KeyType::Ipv4Addr]))
        .ensure_set(&TABLE, &Set::new("nets", &[KeyType::Ipv4Addr]).interval())
        .ensure_set(&TABLE, &Set::verdict_map("links", &[KeyType::Ifname]))
        .ensure_set(
            &TABLE,
            &Set::map(
                "ports",
                &[KeyType::InetProto, KeyType::InetService],
                &[KeyType::Ipv4Addr, KeyType::InetService],
            ),
        )
        .ensure_elements(
            &TABLE,
            "pods",
            &[Element::new(pod.clone()).comment("pod 1")],
        )
        .ensure_elements(
            &TABLE,
            "nets",
            &[
                Element::network("10.1.0.0/16".parse().unwrap()).comment("a net"),
                Element::network("255.0.0.0/8".parse().unwrap()),
            ],
        )
        .ensure_elements(
            &TABLE,
            "links",
            &[Element::new(link.clone())
                .verdict(Verdict::Jump("side".into()))
                .comment("pod 1")],
        )
        .ensure_elements(
            &TABLE,
            "ports",
            &[Element::new(port.clone()).value(to.clone())],
        )
        .ensure_chain(
            &TABLE,
            &Chain::new("dn").nat(Hook::Prerouting, priority::DSTNAT),
        )
        .add_rule(
            &TABLE,
            "dn",
            &Rule::new().dnat_map(
                &[Field::L4proto, Field::Dport],
                "ports",
                netloom_kernel::rtnl::Family::V4,
            ),
        )
        .add_rule(
            &TABLE,
            "dn",
            &Rule::new()
                .l4proto_eq(Protocol::TCP)
                .dnat([10, 0, 0, 1].into(), Some(8080)),
        );
    batch.commit().unwrap();
    let listing = list();
    for text in [
        r#"elements = { 10.1.0.5 comment "pod 1" }"#,
        r#"10.1.0.0/16 comment "a net""#,
        "255.0.0.0/8",
        r#"elements = { "veth0" comment "pod 1" : jump side }"#,
        "elements = { tcp . 8080 : 10.1.0.5 . 80 }",
        "dnat ip to meta l4proto . th dport map @ports",
        "meta l4proto tcp dnat ip to 10.0.0.1:8080",
    ] {
        assert!(listing.contains(text), "{text}: {listing}");
    }

    let found = socket.get_element(&TABLE, "links", &link).unwrap().unwrap();
    assert_eq!(found.verdict, Some(Verdict::Jump("side".into())));
    assert_eq!(found.comment.as_deref(), Some("pod 1"));
    let found = socket.get_element(&TABLE, "ports", &port).unwrap().unwrap();
    assert_eq!(found.value.as_deref(), Some(to.bytes()));
    assert_eq!(
        socket
            .get_element(&TABLE, "pods", &Key::new().ip([10, 1, 0, 6].into()))
            .unwrap(),
        None
    );
    assert_eq!(socket.list_elements(&TABLE, "pods").unwrap().len(), 1);
    assert_eq!(socket.list_elements(&TABLE, "no-such-set").unwrap(), []);
    let sets = socket.list_sets(&TABLE).unwrap();
    let named: Vec<_> = sets.iter().map(|set| (&*set.name, set.is_map)).collect();
    let (set, map) = (false, true);
    assert_eq!(
        named,
        [("pods", set), ("nets", set), ("links", map), ("ports", map)]
    );
    let other = Table::new(Family::Ip, "no-such-table");
    assert_eq!(socket.list_sets(&other).unwrap(), []);

    let mut batch = socket.batch();
    batch.delete_elements(&TABLE, "pods", &[Element::new(pod)]);
    batch.delete_elements(
        &TABLE,
        "nets",
        &[Element::network("255.0.0.0/8".parse().unwrap())],
    );
    batch.commit().unwrap();
    let listing = list();
    assert!(
        !listing.contains("10.1.0.5 comment") && !listing.contains("255.0.0.0/8"),
        "{listing}"
    );
}

#[test]
fn a_bridge_table_checks_mac_addresses() {
    if !host::enter() {
        return;
    }
    let nat = Table::new(Family::Bridge, "nat");
    let socket = Socket::open().unwrap();
    let mut batch = socket.batch();
    batch
        .ensure_table(&nat)
        .ensure_chain(
            &nat,
            &Chain::new("PREROUTING").filter(Hook::Prerouting, priority::BRIDGE_DSTNAT),
        )
        .ensure_chain(&nat, &Chain::new("cni-br-iface-1"))
        .add_rule(
            &nat,
            "PREROUTING",
            &Rule::new()
                .iifname_eq("veth0")
                .jump("cni-br-iface-1")
                .comment("macspoofchk-1"),
        )
        .add_rule(
            &nat,
            "cni-br-iface-1",
            &Rule::new().ether_saddr_eq([2, 0, 0, 0, 0, 1]).return_(),
        )
        .add_rule(
            &nat,
            "cni-br-iface-1",
            &Rule::new().saddr_eq([10, 0, 0, 1].into()).drop(),
        );
    batch.commit().unwrap();
    let listing = list();
    for text in [
        "type filter hook prerouting priority dstnat; policy accept;",
        r#"iifname "veth0" jump cni-br-iface-1 comment "macspoofchk-1""#,
        "ether saddr 02:00:00:00:00:01 return",
        "ip saddr 10.0.0.1 drop",
    ] {
        assert!(listing.contains(text), "{text}: {listing}");
    }
}

#[test]
fn a_rule_is_found_by_comment_and_deleted_by_handle() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let mut batch = socket.batch();
    batch
        .ensure_table(&TABLE)
        .ensure_chain(&TABLE, &Chain::new("one"))
        .ensure_chain(&TABLE, &Chain::new("two"));
    for n in 0..300 {
        batch.add_rule(
            &TABLE,
            "one",
            &Rule::new().accept().comment(format!("number {n}")),
        );
    }
    batch.add_rule(&TABLE, "two", &Rule::new().drop().comment("other"));
    batch.commit().unwrap();
    let rules = socket.list_rules(&TABLE, "one").unwrap();
    assert_eq!(rules.len(), 300);
    let found = rules
        .iter()
        .find(|rule| rule.comment.as_deref() == Some("number 7"))
        .unwrap();
    let mut batch = socket.batch();
    batch.delete_rule(&TABLE, "one", found.handle);
    batch.commit().unwrap();
    assert_eq!(socket.list_rules(&TABLE, "one").unwrap().len(), 299);

    let mut batch = socket.batch();
    batch.flush_chain(&TABLE, "one");
    batch.commit().unwrap();
    assert_eq!(socket.list_rules(&TABLE, "one").unwrap(), []);
    let mut batch = socket.batch();
    batch.delete_chain(&TABLE, "two");
    batch.commit().unwrap();
    assert_eq!(socket.get_chain(&TABLE, "two").unwrap(), None);
    assert_eq!(socket.list_chains(&TABLE).unwrap().len(), 1);
    assert_eq!(socket.list_rules(&TABLE, "two").unwrap(), []);
}

#[test]
fn a_refused_change_is_named_and_undoes_the_others() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let mut batch = socket.batch();
    batch
        .ensure_table(&TABLE)
        .ensure_chain(&TABLE, &Chain::new("one"))
        .add_rule(&TABLE, "one", &Rule::new().jump("nowhere"))
        .add_rule(&TABLE, "one", &Rule::new().accept());
    let (index, error) = batch.commit_or_index().unwrap_err();
    assert_eq!(index, Some(2));
    assert!(error.is_absent());
    assert_eq!(
        error.to_string(),
        "add rule to chain \"inet example one\": No such file or directory (2)"
    );
    assert_eq!(socket.get_table(&TABLE).unwrap(), None);
    // The socket is in step again.
    let mut batch = socket.batch();
    batch.create_table(&TABLE);
    batch.commit().unwrap();
    let mut batch = socket.batch();
    batch.create_table(&TABLE);
    assert!(batch.commit().unwrap_err().is_exists());
}

#[test]
fn a_transaction_of_an_old_generation_is_refused_as_a_whole() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let generation = socket.generation().unwrap();
    let mut batch = socket.batch_of_generation(generation);
    batch.ensure_table(&TABLE);
    batch.commit().unwrap();
    let mut batch = socket.batch_of_generation(generation);
    batch.delete_table(&TABLE);
    let (index, error) = batch.commit_or_index().unwrap_err();
    assert_eq!((index, error.errno()), (None, libc::ERESTART));
    assert!(socket.get_table(&TABLE).unwrap().is_some());
}

#[test]
fn a_batch_of_ten_thousand_elements_goes_in_one_transaction() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let elements: Vec<_> = (0..10_000u32)
        .map(|n| {
            Element::new(Key::new().ip(std::net::Ipv4Addr::from(0x0a00_0000 + n).into()))
                .comment(format!("pod {n}"))
        })
        .collect();
    let mut batch = socket.batch();
    batch
        .ensure_table(&TABLE)
        .ensure_set(&TABLE, &Set::new("pods", &[KeyType::Ipv4Addr]))
        .create_elements(&TABLE, "pods", &elements);
    batch.commit().unwrap();
    assert_eq!(socket.list_elements(&TABLE, "pods").unwrap().len(), 10_000);
    let mut batch = socket.batch();
    batch.create_elements(&TABLE, "pods", &elements);
    assert!(batch.commit().unwrap_err().is_exists());
}

#[test]
fn a_dump_is_whole_although_rules_before_the_reader_go() {
    if !host::enter() {
        return;
    }
    const GOING: usize = 200;
    const STAYING: usize = 1500;
    let socket = Socket::open().unwrap();
    let mut batch = socket.batch();
    batch
        .ensure_table(&TABLE)
        .ensure_chain(&TABLE, &Chain::new("one"));
    for n in 0..GOING + STAYING {
        let comment = if n < GOING { "going" } else { "staying" };
        batch.add_rule(&TABLE, "one", &Rule::new().accept().comment(comment));
    }
    batch.commit().unwrap();
    let rules = socket.list_rules(&TABLE, "one").unwrap();
    let here = netloom_kernel::netns::Netns::current().unwrap();
    let (start, started) = std::sync::mpsc::channel::<Vec<u64>>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let socket = Socket::open_in(&here).unwrap();
            for handle in started.into_iter().flatten() {
                let mut batch = socket.batch();
                batch.delete_rule(&TABLE, "one", handle);
                batch.commit().unwrap();
            }
        });
        for going in rules[..GOING].chunks(5) {
            start
                .send(going.iter().map(|rule| rule.handle).collect())
                .unwrap();
            let found = socket.list_rules(&TABLE, "one").unwrap();
            let staying = found
                .iter()
                .filter(|r| r.comment.as_deref() == Some("staying"));
            assert_eq!(staying.count(), STAYING);
        }
        drop(start);
    });
}

#[test]
fn a_policy_and_a_chain_of_one_link_are_kept() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let device = Table::new(Family::Netdev, "dev");
    let mut batch = socket.batch();
    batch
        .ensure_table(&TABLE)
        .ensure_chain(
            &TABLE,
            &Chain::new("in")
                .filter(Hook::Input, priority::FILTER)
                .policy(Policy::Drop),
        )
        .ensure_table(&device)
        .ensure_chain(
            &device,
            &Chain::new("lo").filter(Hook::Ingress, 0).device("lo"),
        );
    match batch.commit() {
        Ok(()) => {}
        Err(error) if error.is_unsupported() => return host::skip(&error.to_string()),
        Err(error) => panic!("{error}"),
    }
    let listing = list();
    assert!(
        listing.contains("type filter hook input priority filter; policy drop;"),
        "{listing}"
    );
    assert!(listing.contains("hook ingress device \"lo\""), "{listing}");
}

#[test]
fn a_chain_of_iptables_is_found_by_name() {
    if !host::enter() {
        return;
    }
    if !host::run("iptables", &["--version"]).contains("nf_tables") {
        return host::skip("iptables is not the nf_tables variant");
    }
    let nat = Table::new(Family::Ip, "nat");
    let socket = Socket::open().unwrap();
    assert_eq!(socket.get_chain(&nat, "CNI-1").unwrap(), None);
    let script = "*nat\n:CNI-1 - [0:0]\n-A CNI-1 -d 10.1.0.5/16 -j ACCEPT\nCOMMIT\n";
    netloom_kernel::iptables::restore(netloom_kernel::iptables::Family::V4, script).unwrap();
    assert_eq!(
        socket.get_chain(&nat, "CNI-1").unwrap().unwrap().name,
        "CNI-1"
    );
    assert_eq!(socket.get_chain(&nat, "CNI-2").unwrap(), None);
}

#[test]
fn what_a_rule_compares_and_decides_is_read_whoever_made_it() {
    if !host::enter() {
        return;
    }
    if !host::run("iptables", &["--version"]).contains("nf_tables") {
        return host::skip("iptables is not the nf_tables variant");
    }
    let script = "*filter\n:ONE - [0:0]\n:TWO - [0:0]\n\
        -A ONE -i br0 ! -o br0 -m comment --comment stage -j TWO\n\
        -A ONE -i br00 -j DROP\n-A ONE -m mark --mark 0x434e49 -j ACCEPT\n\
        -A ONE -s 10.1.0.5 -d 10.1.0.6 -m conntrack --ctstate ESTABLISHED -j ACCEPT\nCOMMIT\n";
    netloom_kernel::iptables::restore(netloom_kernel::iptables::Family::V4, script).unwrap();
    let filter = Table::new(Family::Ip, "filter");
    let socket = Socket::open().unwrap();
    let ours = Rule::new().iifname_eq("br0").mark_eq(5).goto("TWO");
    let mut batch = socket.batch();
    batch.add_rule(&filter, "ONE", &ours);
    batch.commit().unwrap();
    let rules = socket.list_rules(&filter, "ONE").unwrap();
    let [stage, drop, mark, addresses, ours] = &rules[..] else {
        panic!("{rules:#?}");
    };
    assert_eq!(stage.verdict(), Some(&Verdict::Jump("TWO".into())));
    assert!(stage.compares_iifname(true, "br0") && stage.compares_oifname(false, "br0"));
    assert!(!stage.compares_iifname(false, "br0") && !stage.compares_oifname(true, "br0"));
    assert_eq!(drop.verdict(), Some(&Verdict::Drop));
    assert!(drop.compares_iifname(true, "br00") && !drop.compares_iifname(true, "br0"));
    assert_eq!(mark.verdict(), Some(&Verdict::Accept));
    assert!(mark.compares_mark(0x0043_4e49) && !mark.compares_mark(0x43));
    let [from, to] = [[10, 1, 0, 5], [10, 1, 0, 6]].map(std::net::IpAddr::from);
    assert!(addresses.compares_saddr(from) && addresses.compares_daddr(to));
    assert!(!addresses.compares_saddr(to) && !addresses.compares_daddr(from));
    assert_eq!(ours.verdict(), Some(&Verdict::Goto("TWO".into())));
    assert!(ours.compares_iifname(true, "br0") && ours.compares_mark(5));
}
