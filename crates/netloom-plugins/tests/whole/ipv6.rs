//! IPv6 of the pod, which is its IPAM's, and of the host, which keeps it.

use netloom_testkit::{Host, Plugin, PluginDir, Pod, probe};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketAddrV6, SocketType};
use serde_json::{Value, json};
use std::net::Ipv6Addr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::PROGRAM;

const PREFIX: &str = "2001:db8:5:";

fn conf(kind: &str, addresses: &[&str]) -> Value {
    let addresses: Vec<_> = addresses
        .iter()
        .map(|address| {
            let (ip, _) = address.split_once('/').unwrap();
            let net = &ip[..ip.len() - 1];
            json!({"address": address, "gateway": format!("{net}1")})
        })
        .collect();
    let mut conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": kind, "master": "lower0", "vlanId": 5,
        "device": "device0", "isGateway": true,
        "ipam": {"type": "static", "addresses": addresses},
    });
    if kind == "bridge" {
        conf["bridge"] = json!("br0");
    }
    conf
}

fn plugin(plugins: &PluginDir, conf: &Value) -> Plugin {
    Plugin::ours(plugins, conf["type"].as_str().unwrap())
}

/// A setting of a link of the pod or, in the thread, of the host.
fn setting(link: &str, key: &str) -> String {
    let path = format!("/proc/sys/net/ipv6/conf/{link}/{key}");
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

fn taken_from_routers(pod: &Pod, link: &str) -> [String; 2] {
    pod.run(|| [setting(link, "accept_ra"), setting(link, "autoconf")])
}

/// A router, as far as it advertises a prefix and itself.
struct Router {
    socket: OwnedFd,
    to: SocketAddrV6,
}

impl Router {
    /// By a link of the calling thread's namespace.
    fn on(link: &str) -> Self {
        let protocol: Option<Protocol> = Some(rustix::net::ipproto::ICMPV6);
        let socket = rustix::net::socket(AddressFamily::INET6, SocketType::RAW, protocol).unwrap();
        let index = rustix::net::netdevice::name_to_index(&socket, link).unwrap();
        rustix::net::sockopt::set_ipv6_multicast_hops(&socket, 255).unwrap();
        let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let to = SocketAddrV6::new(everybody, 0, 0, index);
        Self { socket, to }
    }

    /// Whether it could: the link's own address may not be there yet.
    fn advertise(&self) -> bool {
        self.advertise_for(1800)
    }

    /// Says for so many seconds that it is a way out; for none it tells its prefix alone.
    fn advertise_for(&self, seconds: u16) -> bool {
        let [high, low] = seconds.to_be_bytes();
        let mut message = vec![134, 0, 0, 0, 64, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0];
        // One prefix, on the link and for addresses.
        message.extend([3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 7, 8, 0, 0, 0, 0]);
        message.extend([0x20, 1, 0xd, 0xb8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        rustix::net::sendto(&self.socket, &message, SendFlags::empty(), &self.to).is_ok()
    }
}

/// Advertises all the time while the work is done.
fn flooded<T>(router: &Router, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                router.advertise();
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        result.unwrap()
    })
}

/// Sends advertisements until something is so.
fn advertise_until(router: &Router, what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        router.advertise();
    }
}

#[test]
fn an_address_of_ipam_is_the_only_one_and_no_router_adds_to_it() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let own = conf("bridge", &["fd00:1::5/64"]);
    let bridge = plugin(&plugins, &own);
    let (first, witness) = (host.pod("first"), host.pod("witness"));
    bridge.add(&own, &first).succeeds();
    // What has none is told by this router, which so is seen to be heard.
    let layer2 = json!({"cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0"});
    bridge.add(&layer2, &witness).succeeds();
    let router = Router::on("br0");
    advertise_until(&router, "nobody hears the router", || {
        witness.ip("-6 address show dev eth0").contains(PREFIX)
    });
    for number in 0..8 {
        let pod = host.pod(&format!("pod{number}"));
        flooded(&router, || bridge.add(&own, &pod).succeeds());
        // The link is up and hears what the witness hears.
        has_its_own_address_alone(&pod, "bridge");
        bridge.del(&own, &pod).succeeds_silently();
    }
}

fn has_its_own_address_alone(pod: &Pod, kind: &str) {
    let own = pod.ip("-6 address show dev eth0 scope global");
    assert_eq!(own.matches("inet6").count(), 1, "{kind}: {own}");
    assert_eq!(pod.ip("-6 route show default"), "", "{kind}");
}

/// The flood comes by the wire on which these links stand, or which is lent.
#[test]
fn so_it_is_with_links_that_are_on_the_wire_itself() {
    for kind in ["macvlan", "ipvlan", "vlan", "host-device"] {
        if kind.ends_with("vlan") && !probe::has_link_kind(kind) {
            println!("no {kind} here");
            continue;
        }
        let Some(host) = Host::new() else { return };
        let plugins = PluginDir::of(PROGRAM);
        host.sh("ip link add lower0 type veth peer name lower1; ip link set lower0 up; ip link set lower1 up");
        let mut from = "lower1";
        if kind == "vlan" {
            host.sh(
                "ip link add link lower1 name lower1.5 type vlan id 5; ip link set lower1.5 up",
            );
            from = "lower1.5";
        }
        let router = Router::on(from);
        let witness = host.pod("witness");
        let mut own = conf(kind, &["fd00:1::5/64"]);
        own["device"] = json!("lower0");
        // What takes router advertisements hears this router.
        let mut open = own.clone();
        open["acceptRA"] = json!(true);
        plugin(&plugins, &open).add(&open, &witness).succeeds();
        advertise_until(&router, "nobody hears the router", || {
            witness.ip("-6 address show dev eth0").contains(PREFIX)
        });
        plugin(&plugins, &open)
            .del(&open, &witness)
            .succeeds_silently();
        for number in 0..4 {
            let pod = host.pod(&format!("pod{number}"));
            flooded(&router, || {
                plugin(&plugins, &own).add(&own, &pod).succeeds()
            });
            has_its_own_address_alone(&pod, kind);
            plugin(&plugins, &own).del(&own, &pod).succeeds_silently();
        }
    }
}

#[test]
fn router_advertisements_are_off_by_every_plugin_exactly_where_ipam_gives_an_ipv6_address() {
    let kinds = [
        "bridge",
        "ptp",
        "macvlan",
        "ipvlan",
        "vlan",
        "dummy",
        "tap",
        "host-device",
    ];
    for kind in kinds {
        let needed = ["macvlan", "ipvlan", "vlan", "dummy"];
        if needed.contains(&kind) && !probe::has_link_kind(kind) {
            println!("no {kind} here");
            continue;
        }
        let Some(host) = Host::new() else { return };
        let plugins = PluginDir::of(PROGRAM);
        host.ip("link add lower0 type veth peer name lower1");
        host.ip("link set lower0 up");
        host.ip("link add device0 type veth peer name device1");
        let both: [&[&str]; 2] = [&["10.1.0.5/24", "fd00:1::5/64"], &["10.1.0.5/24"]];
        let [v6, v4] = both.map(|addresses| conf(kind, addresses));
        let with = |conf: &Value, accept: bool| {
            let mut conf = conf.clone();
            conf["acceptRA"] = json!(accept);
            conf
        };
        for (conf, expected) in [
            (&v6, "0"),
            (&with(&v6, true), "1"),
            (&with(&v6, false), "0"),
            (&v4, "1"),
            (&with(&v4, true), "1"),
            (&with(&v4, false), "0"),
        ] {
            let pod = host.pod("one");
            let plugin = plugin(&plugins, conf);
            plugin.add(conf, &pod).succeeds();
            let found = taken_from_routers(&pod, "eth0");
            assert_eq!(found, [expected, expected], "{kind}: {conf}");
            plugin.del(conf, &pod).succeeds_silently();
        }
        let mut wrong = v6.clone();
        wrong["acceptRA"] = json!("no");
        let pod = host.pod("two");
        let error = plugin(&plugins, &wrong).add(&wrong, &pod).fails();
        error.names(&["acceptRA"]);
    }
}

#[test]
fn a_link_without_ipam_takes_none_where_the_configuration_says_so() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    host.ip("link add lower0 type veth peer name lower1");
    host.ip("link set lower0 up");
    host.ip("link add device0 type veth peer name device1");
    for kind in ["bridge", "macvlan", "tap", "host-device"] {
        let mut conf = conf(kind, &[]);
        conf.as_object_mut().unwrap().remove("ipam");
        for (accept, expected) in [(Value::Null, "1"), (json!(false), "0")] {
            conf["acceptRA"] = accept;
            let pod = host.pod("one");
            let plugin = plugin(&plugins, &conf);
            plugin.add(&conf, &pod).succeeds();
            assert_eq!(
                taken_from_routers(&pod, "eth0"),
                [expected, expected],
                "{kind}"
            );
            assert!(pod.ip("link show dev eth0").contains(",UP"), "{kind}");
            plugin.del(&conf, &pod).succeeds_silently();
        }
    }
}

#[test]
fn a_host_that_has_its_routes_by_router_advertisements_keeps_them_when_it_begins_to_forward() {
    for kind in ["bridge", "ptp"] {
        let Some(host) = Host::new() else { return };
        let plugins = PluginDir::of(PROGRAM);
        let uplink = host.uplink();
        host.sh("ip -6 address flush dev uplink0 scope global; ip -6 route flush default");
        // Neither hears anything of a router.
        host.ip("link add idle0 type veth peer name idle1");
        host.ip("link set idle0 up");
        host.ip("link set idle1 up");
        for link in ["uplink0", "idle0"] {
            assert_eq!(setting(link, "accept_ra"), "1");
        }
        let default = || host.ip("-6 route show default proto ra");
        let router = uplink.outside.run(|| Router::on("eth0"));
        advertise_until(&router, "the host has no route", || !default().is_empty());

        let v4 = conf(kind, &["10.2.0.5/24"]);
        plugin(&plugins, &v4).add(&v4, &host.pod("old")).succeeds();
        assert_eq!(
            setting("uplink0", "accept_ra"),
            "1",
            "IPv4 has nothing to do with it"
        );

        let mut v6 = conf(kind, &["fd00:1::5/64"]);
        if kind == "bridge" {
            v6["bridge"] = json!("br6");
        }
        plugin(&plugins, &v6).add(&v6, &host.pod("new")).succeeds();
        assert_eq!(setting("all", "forwarding"), "1");
        assert_eq!(setting("uplink0", "accept_ra"), "2");
        for link in ["idle0", "idle1", "lo", "default", "all"] {
            assert_eq!(setting(link, "accept_ra"), "1", "{link}");
        }
        assert!(
            !default().is_empty(),
            "{kind}: the host's default route went"
        );
        host.ip("-6 route flush default");
        advertise_until(&router, "the host takes no new route", || {
            !default().is_empty()
        });
    }
}

/// Its address would run out: no router tells it again.
#[test]
fn a_host_that_has_an_address_alone_by_router_advertisements_keeps_it_when_it_begins_to_forward() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let uplink = host.uplink();
    host.sh("ip -6 address flush dev uplink0 scope global; ip -6 route flush default");
    let router = uplink.outside.run(|| Router::on("eth0"));
    let has_address = || host.ip("-6 address show dev uplink0").contains(PREFIX);
    let end = Instant::now() + Duration::from_secs(10);
    while !has_address() {
        assert!(Instant::now() < end, "the host has no address");
        router.advertise_for(0);
    }
    assert_eq!(host.ip("-6 route show proto ra"), "");
    let conf = conf("ptp", &["fd00:1::5/64"]);
    plugin(&plugins, &conf)
        .add(&conf, &host.pod("one"))
        .succeeds();
    assert_eq!(setting("all", "forwarding"), "1");
    assert_eq!(setting("uplink0", "accept_ra"), "2");
    host.ip("-6 address flush dev uplink0 scope global");
    while !has_address() {
        assert!(Instant::now() < end, "the host takes no new address");
        router.advertise_for(0);
    }
}

/// As of a host whose network card is a port of a bridge, which pods join.
#[test]
fn a_bridge_by_which_the_host_has_its_ipv6_goes_on_taking_router_advertisements() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let uplink = host.uplink();
    host.sh(
        "ip -6 route flush default; ip link add br0 type bridge; ip link set uplink0 master br0
         ip link set br0 up",
    );
    let router = uplink.outside.run(|| Router::on("eth0"));
    let default = || host.ip("-6 route show default proto ra dev br0");
    let takes_anew = |what: &str| {
        assert!(!default().is_empty(), "{what}: the host's route went");
        host.ip("-6 route flush default");
        advertise_until(&router, what, || !default().is_empty());
    };
    advertise_until(&router, "the host has no route", || !default().is_empty());
    for (number, gateway) in [(5, false), (6, true), (7, false)] {
        let mut conf = conf("bridge", &[&format!("fd00:1::{number}/64")]);
        conf["isGateway"] = json!(gateway);
        let pod = host.pod(&format!("pod{number}"));
        plugin(&plugins, &conf).add(&conf, &pod).succeeds();
        let wanted = if number == 5 { "1" } else { "2" };
        assert_eq!(setting("br0", "accept_ra"), wanted, "{conf}");
        takes_anew(&format!("gateway {gateway}"));
    }
}

#[test]
fn a_host_that_forwards_already_is_left_as_it_is() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let uplink = host.uplink();
    let router = uplink.outside.run(|| Router::on("eth0"));
    let learnt = || host.ip("-6 route show proto ra");
    advertise_until(&router, "the host has no route", || !learnt().is_empty());
    for forwarding in ["1", "2"] {
        let path = "/proc/sys/net/ipv6/conf/all/forwarding";
        std::fs::write(path, forwarding).unwrap();
        let conf = conf("ptp", &["fd00:1::5/64"]);
        let pod = host.pod("one");
        plugin(&plugins, &conf).add(&conf, &pod).succeeds();
        assert_eq!(setting("uplink0", "accept_ra"), "1");
        assert_eq!(setting("all", "forwarding"), forwarding);
        plugin(&plugins, &conf).del(&conf, &pod).succeeds_silently();
    }
}

#[test]
fn ipv6_is_switched_on_for_the_hosts_end_where_new_links_have_none() {
    for kind in ["bridge", "ptp"] {
        let Some(host) = Host::new() else { return };
        let plugins = PluginDir::of(PROGRAM);
        for scope in ["default", "all"] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1").unwrap();
        }
        let pod = host.pod("one");
        let conf = conf(kind, &["10.1.0.5/24", "fd00:1::5/64"]);
        let result = plugin(&plugins, &conf).add(&conf, &pod).succeeds();
        assert!(
            pod.pings(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1)),
            "{kind}"
        );
        let own = result["interfaces"][0]["name"].as_str().unwrap();
        assert_eq!(setting(own, "disable_ipv6"), "0", "{kind}");
        for link in ["lo", "default", "all"] {
            assert_eq!(setting(link, "disable_ipv6"), "1", "{link}");
        }
    }
}

#[test]
fn an_mtu_that_ipv6_does_not_work_with_is_named_and_nothing_is_left() {
    for kind in ["bridge", "ptp", "macvlan"] {
        let Some(host) = Host::new() else { return };
        let plugins = PluginDir::of(PROGRAM);
        host.ip("link add lower0 type veth peer name lower1");
        host.ip("link set lower0 up");
        let pod = host.pod("one");
        let mut conf = conf(kind, &["10.1.0.5/24", "fd00:1::5/64"]);
        conf["mtu"] = json!(1279);
        let before = host.ip("-br link");
        let error = plugin(&plugins, &conf).add(&conf, &pod).fails_with(7);
        error.names(&["mtu 1279", "fd00:1::5/64", "at least 1280"]);
        assert_eq!(host.ip("-br link"), before, "{kind}");
        assert!(!pod.ip("-br link").contains("eth0"), "{kind}");
        conf["mtu"] = json!(1280);
        plugin(&plugins, &conf).add(&conf, &pod).succeeds();
    }
}

#[test]
fn a_bridge_for_addresses_that_cannot_be_goes_again_unless_others_use_it() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let pod = host.pod("one");
    // The kernel takes no such address for a link.
    let impossible = conf("bridge", &["ff02::5/64"]);
    let bridge = plugin(&plugins, &impossible);
    let before = host.ip("-br link");
    bridge.add(&impossible, &pod).fails();
    assert_eq!(host.ip("-br link"), before);
    let other = host.pod("other");
    let possible = conf("bridge", &["fd00:1::5/64"]);
    bridge.add(&possible, &other).succeeds();
    bridge.add(&impossible, &pod).fails();
    assert!(other.pings(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1)));
    // One without ports that was there before stays as well.
    bridge.del(&possible, &other).succeeds_silently();
    bridge.add(&impossible, &pod).fails();
    assert!(host.ip("-br link").contains("br0"));
}
