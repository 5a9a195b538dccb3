//! Links on the real kernel: made, compared, mended, removed, and never somebody else's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use netloom_links::{
    End, Error, Link, LinkId, Outside, Place, Route, Seen, Side, Vxlan, apply, apply_topology,
    look, plan_topology, remove_interface, remove_topology,
};
use netloom_testkit::{Host, Pod, Snapshot, skip};

fn place(pod: &Pod) -> Place {
    Place::open(pod.path(), format!("ns:{}", pod.name())).unwrap()
}

fn end<'p>(place: &'p Place, name: &str, address: &str) -> End<'p> {
    let mut end = End::new(place, name);
    end.interface.addresses = vec![address.parse().unwrap()];
    end
}

fn id(link: &str) -> LinkId {
    LinkId::new("lab", link)
}

fn cable<'p>(a: &'p Place, b: &'p Place) -> Link<'p> {
    let near = end(a, "eth1", "10.0.0.0/31");
    Link::cable(id("one"), near, end(b, "eth1", "10.0.0.1/31"))
}

fn words(error: &Error) -> String {
    error.to_string()
}

#[test]
fn a_cable_carries_packets_and_leaves_nothing() {
    let Some(host) = Host::new() else { return };
    let (a, b) = (host.pod("a"), host.pod("b"));
    let before = Snapshot::take(&host, &[&a, &b]);
    let (pa, pb) = (place(&a), place(&b));
    let mut link = cable(&pa, &pb);
    link.near.interface.mtu = Some(9000);
    link.near
        .interface
        .addresses
        .push("fd00::1/64".parse().unwrap());
    let to = Route {
        destination: "192.0.2.0/24".parse().unwrap(),
        gateway: Some("10.0.0.1".parse().unwrap()),
    };
    link.near.interface.routes = vec![to];
    assert_eq!(link.look().unwrap(), Seen::Absent);
    assert_eq!(link.apply().unwrap(), Seen::Absent);
    assert!(a.pings([10, 0, 0, 1]));
    assert!(a.ip("link show eth1").contains("mtu 9000"));
    assert!(a.ip("route").contains("192.0.2.0/24 via 10.0.0.1 dev eth1"));
    let made = a.ip("-d link; ip -d addr; ip route");
    assert_eq!(link.apply().unwrap(), Seen::AsWanted);
    assert_eq!(a.ip("-d link; ip -d addr; ip route"), made);
    assert!(link.remove().unwrap());
    assert!(!link.remove().unwrap());
    Snapshot::take(&host, &[&a, &b]).assert_same_as(&before);
}

#[test]
fn a_link_of_somebody_else_is_refused_and_stays() {
    let Some(host) = Host::new() else { return };
    let (a, b) = (host.pod("a"), host.pod("b"));
    b.ip("link add eth1 type veth peer name other");
    let before = Snapshot::take(&host, &[&a, &b]);
    let (pa, pb) = (place(&a), place(&b));
    let link = cable(&pa, &pb);
    for outcome in [link.look(), link.apply()] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
        assert!(
            words(&error).contains("ns:b has an interface \"eth1\""),
            "{error}"
        );
    }
    assert!(!link.remove().unwrap());
    assert!(matches!(
        remove_interface(&pb, "eth1"),
        Err(Error::Foreign { .. })
    ));
    assert_eq!(remove_topology(&pb, "lab").unwrap(), []);
    Snapshot::take(&host, &[&a, &b]).assert_same_as(&before);
}

#[test]
fn what_was_killed_before_it_was_marked_is_finished_or_removed() {
    let Some(host) = Host::new() else { return };
    let (a, b) = (host.pod("a"), host.pod("b"));
    let before = Snapshot::take(&host, &[&a, &b]);
    let (pa, pb) = (place(&a), place(&b));
    let link = cable(&pa, &pb);
    let group = link.id.group();
    let half =
        format!("link add eth1 group {group} type veth peer name eth1 group {group} netns b");
    a.ip(&half);
    assert!(matches!(link.look().unwrap(), Seen::Differs(_)));
    link.apply().unwrap();
    assert!(a.pings([10, 0, 0, 1]));
    assert!(link.remove().unwrap());
    a.ip(&half);
    assert!(link.remove().unwrap());
    a.ip(&half);
    assert_eq!(remove_topology(&pa, "lab").unwrap().len(), 1);
    Snapshot::take(&host, &[&a, &b]).assert_same_as(&before);
}

#[test]
fn what_changed_is_mended_in_place_and_what_broke_is_made_anew() {
    let Some(host) = Host::new() else { return };
    let (a, b) = (host.pod("a"), host.pod("b"));
    let (pa, pb) = (place(&a), place(&b));
    let mut link = cable(&pa, &pb);
    link.apply().unwrap();
    let index = a.ip("-o link show eth1");
    let index = index.split(':').next().unwrap();
    let (near, far) = (&mut link.near.interface, &pb);
    near.mtu = Some(1400);
    near.mac = Some([2, 0, 0, 0, 0, 7]);
    near.addresses = vec!["10.0.1.1/24".parse().unwrap()];
    a.ip("addr add 172.16.0.1/24 dev eth1");
    let Seen::Differs(differences) = link.apply().unwrap() else {
        panic!()
    };
    assert_eq!(differences.len(), 4, "{differences:?}");
    assert!(a.ip("-o link show eth1").starts_with(index));
    let shown = a.ip("addr show eth1");
    for part in [
        "10.0.1.1/24",
        "172.16.0.1/24",
        "mtu 1400",
        "02:00:00:00:00:07",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(!shown.contains("10.0.0.0/31"), "{shown}");
    // A pod took its end away under another name; the mark tells it.
    b.ip("link set eth1 down");
    b.ip("link set eth1 name mine");
    assert!(matches!(link.look().unwrap(), Seen::Broken(_)));
    link.apply().unwrap();
    assert_eq!(link.look().unwrap(), Seen::AsWanted);
    assert!(far.socket().find_link("mine").unwrap().is_none());
    b.ip("link del eth1");
    assert_eq!(link.apply().unwrap(), Seen::Absent);
    assert_eq!(link.look().unwrap(), Seen::AsWanted);
}

#[test]
fn a_topology_loses_what_no_link_wants_and_other_topologies_lose_nothing() {
    let Some(host) = Host::new() else { return };
    let (a, b) = (host.pod("a"), host.pod("b"));
    let before = Snapshot::take(&host, &[&a, &b]);
    let (pa, pb) = (place(&a), place(&b));
    let places = [&pa, &pb];
    let other = Link::cable(
        LinkId::new("other", "x"),
        End::new(&pa, "x"),
        End::new(&pb, "x"),
    );
    other.apply().unwrap();
    let links: Vec<_> = (0..40)
        .map(|n| {
            Link::cable(
                id(&n.to_string()),
                End::new(&pa, format!("e{n}")),
                End::new(&pb, format!("e{n}")),
            )
        })
        .collect();
    let survey = apply_topology("lab", &places, &links).unwrap();
    assert!(survey.links.iter().all(|seen| *seen == Seen::Absent));
    assert!(
        apply_topology("lab", &places, &links)
            .unwrap()
            .is_as_wanted()
    );
    // Swapped names: each end bears the name that another link had.
    let swapped: Vec<_> = (0..20)
        .map(|n| {
            Link::cable(
                id(&format!("s{n}")),
                End::new(&pb, format!("e{n}")),
                End::new(&pa, format!("e{n}")),
            )
        })
        .collect();
    let planned = plan_topology("lab", &places, &swapped).unwrap();
    assert_eq!(planned.others.len(), 80);
    assert_eq!(apply_topology("lab", &places, &swapped).unwrap(), planned);
    assert!(
        plan_topology("lab", &places, &swapped)
            .unwrap()
            .is_as_wanted()
    );
    for place in places {
        remove_topology(place, "lab").unwrap();
    }
    assert_eq!(other.look().unwrap(), Seen::AsWanted);
    other.remove().unwrap();
    Snapshot::take(&host, &[&a, &b]).assert_same_as(&before);
}

#[test]
fn a_failure_leaves_nothing_of_any_link() {
    let Some(host) = Host::new() else { return };
    let (a, b) = (host.pod("a"), host.pod("b"));
    let before = Snapshot::take(&host, &[&a, &b]);
    let (pa, pb) = (place(&a), place(&b));
    let mut second = Link::cable(id("two"), End::new(&pa, "eth2"), End::new(&pb, "eth2"));
    // The broadcast address is no gateway, which the kernel says.
    second.near.interface.addresses = vec!["203.0.113.2/24".parse().unwrap()];
    second.near.interface.routes = vec![Route {
        destination: "198.51.100.0/24".parse().unwrap(),
        gateway: Some("203.0.113.255".parse().unwrap()),
    }];
    let error = apply(&[cable(&pa, &pb), second]).unwrap_err();
    assert!(words(&error).contains("198.51.100.0/24"), "{error}");
    Snapshot::take(&host, &[&a, &b]).assert_same_as(&before);
}

#[test]
fn a_tunnel_and_a_macvlan_are_made_in_the_pod_and_go_with_their_parent() {
    let Some(host) = Host::new() else { return };
    let a = host.pod("a");
    host.ip("link add up0 type veth peer name up1");
    host.ip("addr add 192.0.2.1/24 dev up0");
    host.sh("ip link set up0 up; ip link set up1 up");
    // The host has a link of the same name.
    host.ip("link add eth1 type veth peer name eth2");
    let (here, pa) = (Place::current().unwrap(), place(&a));
    let mut vxlan = Vxlan::to("192.0.2.7".parse().unwrap(), 1001);
    vxlan.local = Some("192.0.2.1".parse().unwrap());
    let tunnel = |vxlan: &Vxlan| {
        let near = end(&pa, "eth1", "10.0.0.1/24");
        Link::outside(id("t"), near, &here, Outside::Vxlan(vxlan.clone()))
    };
    let mode = netloom_kernel::rtnl::MacvlanMode::Bridge;
    let by = Outside::Macvlan {
        parent: "up0".into(),
        mode,
    };
    let macvlan = Link::outside(id("m"), End::new(&pa, "eth2"), &here, by);
    apply(&[tunnel(&vxlan), macvlan.clone()]).unwrap();
    let shown = a.ip("-d link show eth1");
    for part in [
        "vxlan id 1001 remote 192.0.2.7 local 192.0.2.1",
        "mtu 1450",
        "nolearning",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(a.ip("-d link show eth2").contains("macvlan mode bridge"));
    assert_eq!(
        look(&[tunnel(&vxlan), macvlan.clone()]).unwrap(),
        [Seen::AsWanted, Seen::AsWanted]
    );
    // Another remote is told in place.
    vxlan.remote = "192.0.2.8".parse().unwrap();
    assert!(matches!(tunnel(&vxlan).apply().unwrap(), Seen::Differs(_)));
    assert!(a.ip("-d link show eth1").contains("remote 192.0.2.8"));
    assert_eq!(tunnel(&vxlan).look().unwrap(), Seen::AsWanted);
    host.ip("link del up0");
    let error = macvlan.look().unwrap_err();
    assert!(
        words(&error).contains("host has no interface of that name"),
        "{error}"
    );
    assert!(tunnel(&vxlan).remove().unwrap());
}

#[test]
fn a_rate_is_limited_and_set_free() {
    let Some(host) = Host::new() else { return };
    let (a, b) = (host.pod("a"), host.pod("b"));
    let (pa, pb) = (place(&a), place(&b));
    let mut link = cable(&pa, &pb);
    link.near
        .interface
        .impairment
        .set("rate", "10mbit")
        .unwrap();
    link.apply().unwrap();
    assert!(
        a.sh("tc qdisc show dev eth1").contains("tbf 6e6c: root"),
        "{}",
        a.sh("tc qdisc")
    );
    assert!(a.sh("tc qdisc show dev eth1").contains("rate 10Mbit"));
    assert_eq!(link.apply().unwrap(), Seen::AsWanted);
    link.near.interface.impairment.set("rate", "0").unwrap();
    assert!(matches!(link.apply().unwrap(), Seen::Differs(_)));
    assert!(!a.sh("tc qdisc show dev eth1").contains("tbf"));
    a.sh("tc qdisc add dev eth1 root tbf rate 1mbit burst 5k latency 50ms");
    link.near
        .interface
        .impairment
        .set("rate", "10mbit")
        .unwrap();
    assert!(words(&link.apply().unwrap_err()).contains("is not ours"));
}

#[test]
fn delay_and_loss_need_netem_and_say_so() {
    let Some(host) = Host::new() else { return };
    let (a, b) = (host.pod("a"), host.pod("b"));
    let (pa, pb) = (place(&a), place(&b));
    let before = Snapshot::take(&host, &[&a, &b]);
    let mut link = cable(&pa, &pb);
    for (name, value) in [("delay", "20ms"), ("loss", "1%")] {
        link.near.interface.impairment.set(name, value).unwrap();
    }
    match link.apply() {
        Ok(_) => {
            let shown = a.sh("tc qdisc show dev eth1");
            assert!(
                shown.contains("netem 6e6c: root") && shown.contains("delay 20ms loss 1%"),
                "{shown}"
            );
            assert_eq!(link.look().unwrap(), Seen::AsWanted);
            return;
        }
        Err(error) => assert!(words(&error).contains("CONFIG_NET_SCH_NETEM"), "{error}"),
    }
    Snapshot::take(&host, &[&a, &b]).assert_same_as(&before);
    skip("the kernel has no netem");
}

#[test]
fn vlans_and_ipvlans_are_made_in_the_pod() {
    let Some(host) = Host::new() else { return };
    let a = host.pod("a");
    host.sh("ip link add up0 type veth peer name up1; ip link set up0 up");
    let (here, pa) = (Place::current().unwrap(), place(&a));
    if !here.socket().has_link_kind("vlan").unwrap()
        || !here.socket().has_link_kind("ipvlan").unwrap()
    {
        skip("the kernel has no vlan or no ipvlan");
        return;
    }
    let parent = || "up0".to_owned();
    let vlan = Outside::Vlan {
        parent: parent(),
        id: 7,
    };
    let options = netloom_kernel::rtnl::IpvlanOptions::default();
    let ipvlan = Outside::Ipvlan {
        parent: parent(),
        options,
    };
    let links = [
        Link::outside(id("v"), End::new(&pa, "eth1"), &here, vlan),
        Link::outside(id("i"), End::new(&pa, "eth2"), &here, ipvlan),
    ];
    apply(&links).unwrap();
    assert!(
        a.ip("-d link show eth1")
            .contains("vlan protocol 802.1Q id 7")
    );
    assert!(a.ip("-d link show eth2").contains("ipvlan  mode l2"));
    assert_eq!(apply(&links).unwrap(), [Seen::AsWanted, Seen::AsWanted]);
}

#[test]
fn a_long_name_is_an_alternative_one() {
    let Some(host) = Host::new() else { return };
    let (a, b) = (host.pod("a"), host.pod("b"));
    let (pa, pb) = (place(&a), place(&b));
    let name = "GigabitEthernet0/0/0".replace('/', "-");
    let link = Link::cable(id("one"), End::new(&pa, &name), End::new(&pb, "eth1"));
    link.apply().unwrap();
    assert!(
        a.ip(&format!("link show {name}"))
            .contains(&link.id.mark(Side::A))
    );
    assert_eq!(link.apply().unwrap(), Seen::AsWanted);
    assert!(remove_interface(&pa, &name).unwrap());
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_made() {
    let Some(host) = Host::new() else { return };
    let (a, b) = (host.pod("a"), host.pod("b"));
    let before = Snapshot::take(&host, &[&a, &b]);
    let (pa, pb) = (place(&a), place(&b));
    type Change = fn(&mut Link<'_>);
    let cases: [(Change, &str); 12] = [
        (|l| l.near.interface.name = String::new(), "this is no name"),
        (|l| l.near.interface.name = "a/b".into(), "this is no name"),
        (|l| l.near.interface.name = "lo".into(), "this is no name"),
        (
            |l| l.near.interface.name = "x".repeat(128),
            "this is no name",
        ),
        (|l| l.near.interface.mtu = Some(67), "mtu 67 is not from 68"),
        (
            |l| l.near.interface.mac = Some([1, 0, 0, 0, 0, 1]),
            "first byte must be even",
        ),
        (
            |l| {
                l.near
                    .interface
                    .addresses
                    .push("10.0.0.0/31".parse().unwrap())
            },
            "twice",
        ),
        (
            |l| {
                l.near
                    .interface
                    .addresses
                    .push("224.0.0.1/8".parse().unwrap())
            },
            "of no interface",
        ),
        (
            |l| {
                l.near.interface.mtu = Some(1279);
                l.near
                    .interface
                    .addresses
                    .push("fd00::1/64".parse().unwrap());
            },
            "too small for IPv6",
        ),
        (
            |l| l.near.interface.bridge = Some("br9".into()),
            "bridge \"br9\" is not in ns:a",
        ),
        (
            |l| {
                l.near.interface.routes = vec![Route {
                    destination: "::/0".parse().unwrap(),
                    gateway: Some("10.0.0.1".parse().unwrap()),
                }];
            },
            "one is IPv4 and the other IPv6",
        ),
        (
            |l| l.near.interface.impairment.set("jitter", "1ms").unwrap(),
            "more than the delay",
        ),
    ];
    for (change, expected) in cases {
        let mut link = cable(&pa, &pb);
        change(&mut link);
        let error = link.apply().unwrap_err();
        assert!(words(&error).contains(expected), "{error}, not {expected}");
    }
    let twice = [cable(&pa, &pb), cable(&pa, &pb)];
    assert!(words(&apply(&twice).unwrap_err()).contains("twice"));
    let here = Place::current().unwrap();
    let tunnels = [
        (Vxlan::to("192.0.2.7".parse().unwrap(), 0), "vni 0"),
        (
            Vxlan::to("192.0.2.7".parse().unwrap(), 1),
            "is not reached from host",
        ),
        (Vxlan::to("::".parse().unwrap(), 1), "is no other host"),
    ];
    for (vxlan, expected) in tunnels {
        let link = Link::outside(id("t"), End::new(&pa, "eth1"), &here, Outside::Vxlan(vxlan));
        let error = link.apply().unwrap_err();
        assert!(words(&error).contains(expected), "{error}, not {expected}");
    }
    Snapshot::take(&host, &[&a, &b]).assert_same_as(&before);
}

#[test]
fn a_pod_that_forges_marks_can_lose_its_own_interfaces_only() {
    let Some(host) = Host::new() else { return };
    let (a, b, other) = (host.pod("a"), host.pod("b"), host.pod("other"));
    let (pa, pb) = (place(&a), place(&b));
    let link = cable(&pa, &pb);
    let theirs = Snapshot::take(&host, &[&other]);
    // A cable between the pods `other` and `b`, whose end in `b` is made to look like the link's.
    other.ip("link add x type veth peer name y netns b");
    let (group, mark) = (link.id.group(), link.id.mark(Side::B));
    b.ip(&format!("link set y group {group}"));
    b.ip(&format!("link property add dev y altname {mark}"));
    assert!(matches!(link.look().unwrap(), Seen::Broken(_)));
    link.apply().unwrap();
    assert!(a.pings([10, 0, 0, 1]));
    assert_eq!(link.look().unwrap(), Seen::AsWanted);
    // Renamed, without its mark, and with another's: the link goes by what the kernel says of its cable.
    b.ip(&format!("link property del dev eth1 altname {mark}"));
    assert!(matches!(link.look().unwrap(), Seen::Differs(_)));
    b.ip("link set eth1 group 0");
    assert!(matches!(link.look(), Err(Error::Foreign { .. })));
    assert!(link.remove().unwrap(), "by the other end");
    assert!(a.ip("-o link").lines().count() == 1 && b.ip("-o link").lines().count() == 1);
    Snapshot::take(&host, &[&other]).assert_same_as(&theirs);
}

#[test]
fn a_dummy_drops_what_is_sent_and_is_compared_as_the_others() {
    let Some(host) = Host::new() else { return };
    let a = host.pod("a");
    let (here, pa) = (Place::current().unwrap(), place(&a));
    if !here.socket().has_link_kind("dummy").unwrap() {
        skip("the kernel has no dummy");
        return;
    }
    let before = Snapshot::take(&host, &[&a]);
    let link = Link::outside(
        id("d"),
        end(&pa, "d0", "10.0.0.1/32"),
        &here,
        Outside::Dummy,
    );
    assert_eq!(link.apply().unwrap(), Seen::Absent);
    assert_eq!(link.apply().unwrap(), Seen::AsWanted);
    assert!(link.remove().unwrap());
    Snapshot::take(&host, &[&a]).assert_same_as(&before);
}
