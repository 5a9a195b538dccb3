//! Traffic control on the real kernel, read back through our own reads and iproute2's `tc`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod host;

use ipnet::IpNet;
use netloom_kernel::rtnl::tc::{
    Action, ClassSpec, Classifier, Discipline, FilterSpec, Handle, MOST_TICKS, Match, Netem,
    QdiscSpec, Tbf, ticks,
};
use netloom_kernel::rtnl::{KindSpec, LinkSpec, PeerSpec, Socket};

/// A host with a veth `wire` and an ifb `ifb`, both up: their indexes.
fn stage() -> Option<(Socket, u32, u32)> {
    if !host::enter() {
        return None;
    }
    let socket = Socket::open().unwrap();
    let veth = LinkSpec::veth("wire", PeerSpec::new("peer")).up();
    let wire = socket.create_link(&veth).unwrap().index;
    let ifb = LinkSpec::new("ifb", KindSpec::Ifb).tx_queue_len(0).up();
    let ifb = socket.create_link(&ifb).unwrap().index;
    Some((socket, wire, ifb))
}

fn tc(arguments: &str) -> String {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    host::run("tc", &arguments)
}

fn at_root(link: u32, discipline: Discipline) -> QdiscSpec {
    QdiscSpec {
        link,
        parent: Handle::ROOT,
        handle: Handle::new(1, 0),
        discipline,
    }
}

#[test]
fn a_token_bucket_is_what_was_asked_for_and_goes_again() {
    let Some((socket, wire, _)) = stage() else {
        return;
    };
    assert_eq!(socket.find_qdisc(wire, Handle::ROOT).unwrap(), None);
    let never_up = socket.get_link("peer").unwrap().index;
    assert_eq!(socket.find_qdisc(never_up, Handle::ROOT).unwrap(), None);
    let tbf = Tbf {
        rate: 125_000,
        limit: 13_125,
        buffer: ticks(80_000),
    };
    let spec = at_root(wire, Discipline::Tbf(tbf));
    socket.add_qdisc(&spec).unwrap();
    let listed = tc("-d qdisc show dev wire");
    assert!(listed.contains("tbf 1: root"), "{listed}");
    assert!(listed.contains("rate 1Mbit burst 10000b/1"), "{listed}");
    assert!(listed.contains("lat 25ms"), "{listed}");
    assert_eq!(
        socket.find_qdisc(wire, Handle::ROOT).unwrap().unwrap(),
        spec
    );
    assert!(socket.add_qdisc(&spec).unwrap_err().is_exists());
    assert!(socket.remove_qdisc(wire, Handle::ROOT).unwrap());
    assert!(!socket.remove_qdisc(wire, Handle::ROOT).unwrap());
    assert_eq!(socket.find_qdisc(wire, Handle::ROOT).unwrap(), None);
    assert!(tc("qdisc show dev wire").contains("noqueue"));
}

#[test]
fn the_longest_buffer_and_a_rate_of_more_than_32_bits_are_read_back() {
    let Some((socket, wire, _)) = stage() else {
        return;
    };
    let tbf = Tbf {
        rate: 10_000_000_000,
        limit: u32::MAX,
        buffer: MOST_TICKS,
    };
    let spec = at_root(wire, Discipline::Tbf(tbf));
    socket.add_qdisc(&spec).unwrap();
    assert!(tc("qdisc show dev wire").contains("rate 80Gbit"));
    assert_eq!(
        socket.find_qdisc(wire, Handle::ROOT).unwrap().unwrap(),
        spec
    );
}

#[test]
fn classes_with_queues_and_filters_by_subnet_are_read_back() {
    let Some((socket, wire, _)) = stage() else {
        return;
    };
    let class = |minor: u16, rate: u64| ClassSpec {
        link: wire,
        parent: Handle::new(1, 0),
        handle: Handle::new(1, minor),
        rate,
        buffer: ticks(1000),
        quantum: 100_000,
    };
    let (slow, fast) = (class(0x30, 125_000), class(1, 100_000_000_000));
    let queue = |minor: u16, discipline: Discipline| QdiscSpec {
        link: wire,
        parent: Handle::new(1, minor),
        handle: Handle::new(0x100 + minor, 0),
        discipline,
    };
    let queues = [
        queue(0x30, Discipline::Bfifo(13_125)),
        queue(1, Discipline::Pfifo(1000)),
    ];
    let filter = |priority: u16, protocol: u16, net: &str| {
        let net: IpNet = net.parse().unwrap();
        FilterSpec {
            link: wire,
            parent: Handle::new(1, 0),
            priority,
            protocol,
            classifier: Classifier::U32(Match::destination(net)),
            class: Some(fast.handle),
            actions: Vec::new(),
        }
    };
    let filters = [
        filter(15, FilterSpec::IPV6, "fd00:db8::/33"),
        filter(16, FilterSpec::IPV4, "10.0.0.0/8"),
        filter(16, FilterSpec::IPV4, "192.0.2.0/24"),
    ];
    let htb = at_root(
        wire,
        Discipline::Htb {
            default_class: 0x30,
        },
    );
    let mut batch = socket.batch();
    batch.add_qdisc(&htb).add_class(&slow).add_class(&fast);
    for queue in &queues {
        batch.add_qdisc(queue);
    }
    for filter in &filters {
        batch.add_filter(filter);
    }
    batch.commit().unwrap();

    assert_eq!(socket.find_qdisc(wire, Handle::ROOT).unwrap().unwrap(), htb);
    for class in [&slow, &fast] {
        let found = socket.find_class(wire, class.handle).unwrap().unwrap();
        // The kernel tells the root of the discipline as the parent.
        assert_eq!(
            ClassSpec {
                parent: class.parent,
                ..found
            },
            *class
        );
    }
    assert_eq!(socket.find_class(wire, Handle::new(1, 7)).unwrap(), None);
    for queue in &queues {
        let found = socket.find_qdisc(wire, queue.parent).unwrap().unwrap();
        assert_eq!(found, *queue);
    }
    let found = socket.list_filters(wire, Handle::new(1, 0)).unwrap();
    assert_eq!(found, filters);

    let classes = tc("class show dev wire");
    assert!(
        classes.contains("class htb 1:30 root leaf 130:"),
        "{classes}"
    );
    assert!(classes.contains("rate 800Gbit ceil 800Gbit"), "{classes}");
    let listed = tc("filter show dev wire parent 1:");
    assert!(listed.contains("match 0a000000/ff000000 at 16"), "{listed}");
    assert!(listed.contains("match fd000db8/ffffffff at 24"), "{listed}");
    assert!(listed.contains("match 00000000/80000000 at 28"), "{listed}");
    socket.remove_filters(wire, Handle::new(1, 0)).unwrap();
    assert!(
        socket
            .list_filters(wire, Handle::new(1, 0))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn what_comes_in_is_redirected_to_another_link() {
    let Some((socket, wire, ifb)) = stage() else {
        return;
    };
    assert_eq!(socket.find_qdisc(wire, Handle::INGRESS).unwrap(), None);
    let ingress = QdiscSpec {
        link: wire,
        parent: Handle::INGRESS,
        handle: Handle::OF_INGRESS,
        discipline: Discipline::Ingress,
    };
    let filter = FilterSpec {
        link: wire,
        parent: Handle::OF_INGRESS,
        priority: 1,
        protocol: FilterSpec::ALL,
        classifier: Classifier::U32(Vec::new()),
        class: Some(Handle::new(1, 1)),
        actions: vec![Action::Mirror(ifb), Action::Redirect(ifb)],
    };
    socket.add_qdisc(&ingress).unwrap();
    socket.add_filter(&filter).unwrap();
    let listed = tc("filter show dev wire ingress");
    for words in [
        "Egress Mirror to device ifb) pipe",
        "Egress Redirect to device ifb) stolen",
    ] {
        assert!(listed.contains(words), "{listed}");
    }
    assert_eq!(
        socket.find_qdisc(wire, Handle::INGRESS).unwrap().unwrap(),
        ingress
    );
    assert_eq!(
        socket.list_filters(wire, Handle::OF_INGRESS).unwrap(),
        [filter]
    );
    assert!(socket.remove_qdisc(wire, Handle::INGRESS).unwrap());
    assert!(!socket.remove_qdisc(wire, Handle::INGRESS).unwrap());
    assert!(
        socket
            .list_filters(wire, Handle::OF_INGRESS)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn clsact_has_filters_on_both_sides_and_matchall_takes_every_packet() {
    let Some((socket, wire, ifb)) = stage() else {
        return;
    };
    let clsact = QdiscSpec {
        link: wire,
        parent: Handle::INGRESS,
        handle: Handle::OF_INGRESS,
        discipline: Discipline::Clsact,
    };
    socket.add_qdisc(&clsact).unwrap();
    assert_eq!(
        socket.find_qdisc(wire, Handle::INGRESS).unwrap().unwrap(),
        clsact
    );
    let filter = FilterSpec {
        link: wire,
        parent: Handle::new(0xffff, 0xfff3),
        priority: 7,
        protocol: FilterSpec::ALL,
        classifier: Classifier::Matchall,
        class: None,
        actions: vec![Action::Redirect(ifb)],
    };
    match socket.add_filter(&filter) {
        Err(error) if error.is_absent() => return host::skip("the kernel has no matchall"),
        added => added.unwrap(),
    }
    let listed = tc("filter show dev wire egress");
    assert!(listed.contains("pref 7 matchall"), "{listed}");
    assert_eq!(socket.list_filters(wire, filter.parent).unwrap(), [filter]);
}

#[test]
fn links_are_listed_by_their_kind() {
    let Some((socket, _, ifb)) = stage() else {
        return;
    };
    let found = socket.list_links_of_kind("ifb").unwrap();
    assert_eq!(
        found.iter().map(|link| link.index).collect::<Vec<_>>(),
        [ifb]
    );
    assert_eq!(socket.list_links_of_kind("veth").unwrap().len(), 2);
    assert_eq!(socket.list_links_of_kind("dummy").unwrap(), []);
}

#[test]
fn what_is_not_there_is_named() {
    let Some((socket, wire, _)) = stage() else {
        return;
    };
    let spec = at_root(4711, Discipline::Ingress);
    let error = socket.add_qdisc(&spec).unwrap_err();
    assert!(error.is_absent(), "{error}");
    assert!(
        error
            .to_string()
            .contains("ingress at root of the link with index 4711")
    );
    assert_eq!(socket.find_qdisc(4711, Handle::ROOT).unwrap(), None);
    let unknown = at_root(wire, Discipline::Other("nosuch".into()));
    let error = socket.add_qdisc(&unknown).unwrap_err();
    assert!(error.to_string().contains("nosuch at root"), "{error}");
}

#[test]
fn filters_go_by_their_priority_from_either_side_of_clsact() {
    let Some((socket, wire, ifb)) = stage() else {
        return;
    };
    let clsact = QdiscSpec {
        link: wire,
        parent: Handle::INGRESS,
        handle: Handle::OF_INGRESS,
        discipline: Discipline::Clsact,
    };
    socket.add_qdisc(&clsact).unwrap();
    let filter = |parent, priority| FilterSpec {
        link: wire,
        parent,
        priority,
        protocol: FilterSpec::ALL,
        classifier: Classifier::U32(Vec::new()),
        class: None,
        actions: vec![Action::Mirror(ifb)],
    };
    for (parent, priority) in [
        (Handle::COMING_IN, 7),
        (Handle::COMING_IN, 8),
        (Handle::LEAVING, 9),
    ] {
        socket.add_filter(&filter(parent, priority)).unwrap();
    }
    assert!(socket.remove_filter(&filter(Handle::COMING_IN, 7)).unwrap());
    assert!(!socket.remove_filter(&filter(Handle::COMING_IN, 7)).unwrap());
    assert_eq!(
        socket.list_filters(wire, Handle::COMING_IN).unwrap(),
        [filter(Handle::COMING_IN, 8)]
    );
    assert_eq!(
        socket.list_filters(wire, Handle::LEAVING).unwrap(),
        [filter(Handle::LEAVING, 9)]
    );
}

#[test]
fn netem_is_read_back_as_it_was_replaced() {
    let Some((socket, wire, _)) = stage() else {
        return;
    };
    assert!(socket.has_discipline("tbf").unwrap());
    assert!(!socket.has_discipline("nosuchkind").unwrap());
    if !socket.has_discipline("netem").unwrap() {
        return host::skip("the kernel has no netem");
    }
    let mut netem = Netem {
        delay: 20_000_000,
        jitter: 2_000_000,
        loss: u32::MAX / 100,
        duplicate: 5,
        corrupt: 6,
        rate: 1_250_000,
        limit: 1000,
    };
    for delay in [20_000_000, 5_000_000_000] {
        netem.delay = delay;
        let spec = QdiscSpec {
            link: wire,
            parent: Handle::ROOT,
            handle: Handle::new(0x6e6c, 0),
            discipline: Discipline::Netem(netem),
        };
        socket.replace_qdisc(&spec).unwrap();
        assert_eq!(socket.find_qdisc(wire, Handle::ROOT).unwrap(), Some(spec));
    }
    let shown = tc("qdisc show dev wire");
    assert!(
        shown.contains("delay 5s  2ms") || shown.contains("delay 5s 2ms"),
        "{shown}"
    );
}
