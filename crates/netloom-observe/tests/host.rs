//! Snapshots and recordings beside what `ip` and `nft` do and say.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Happened;
use netloom_observe::{Change, Kind, Place, Recorder, Snapshot};
use netloom_testkit::Host;

/// What is told of all but the sysctls, a line each.
fn lines(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let differences = before.diff(after);
    let told = differences.iter();
    let told = told.filter(|it| it.object.kind != Kind::Sysctl);
    told.map(ToString::to_string).collect()
}

fn look(places: &[Place]) -> Snapshot {
    Snapshot::take(places, &[PathBuf::from("/run")]).unwrap()
}

#[test]
fn every_kind_of_object_that_comes_is_told_and_what_goes_is_gone() {
    let Some(host) = Host::new() else { return };
    let places = [Place::here("host")];
    let empty = look(&places);
    host.ip("link add a0 type veth peer name b0");
    host.ip("addr add 192.0.2.1/24 dev a0");
    host.ip("link set a0 up");
    host.ip("route add 198.51.100.0/24 via 192.0.2.9");
    host.ip("rule add from 192.0.2.0/24 lookup 100");
    host.ip("neigh add 192.0.2.7 lladdr 02:00:00:00:00:07 dev a0");
    host.sh("tc qdisc add dev a0 root tbf rate 1mbit burst 10k latency 50ms");
    host.sh(
        "nft 'add table inet t; add chain inet t c; add rule inet t c drop comment \"mine\"; \
         add set inet t s { type ipv4_addr; }; add element inet t s { 192.0.2.3 }'",
    );
    host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward; echo words > /run/left");
    let full = look(&places);

    let kinds: BTreeSet<Kind> = empty.diff(&full).iter().map(|it| it.object.kind).collect();
    let all = [
        Kind::Link,
        Kind::Address,
        Kind::Route,
        Kind::Rule,
        Kind::Neighbour,
        Kind::TrafficControl,
        Kind::Table,
        Kind::Chain,
        Kind::ChainRule,
        Kind::Set,
        Kind::Element,
        Kind::Sysctl,
        Kind::File,
    ];
    assert_eq!(kinds, all.into_iter().collect());
    let told = lines(&empty, &full);
    for wanted in [
        "host: address 192.0.2.1/24 on a0 added",
        "host: route 198.51.100.0/24 via 192.0.2.9 dev a0 added",
        "host: rule 32765: from 192.0.2.0/24 lookup 100 added",
        "host: neighbour 192.0.2.7 on a0 added (02:00:00:00:00:07)",
        "host: tc qdisc tbf at root of a0 added",
        "host: nft rule inet t c: \"mine\", drop added",
        "host: nft element inet t s { 192.0.2.3 } added",
    ] {
        assert!(told.iter().any(|it| it == wanted), "{wanted}: {told:#?}");
    }
    let sysctl = empty
        .diff(&full)
        .into_iter()
        .find(|it| it.object.name.ends_with("/ip_forward"));
    let changed = Change::Changed("0".to_owned(), "1".to_owned());
    assert_eq!(sysctl.map(|it| it.change), Some(changed));

    host.ip("link del a0");
    host.ip("rule del from 192.0.2.0/24 lookup 100");
    host.sh("nft delete table inet t; rm /run/left; echo 0 > /proc/sys/net/ipv4/ip_forward");
    let differences = empty.diff(&look(&places));
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn the_links_and_addresses_are_those_that_ip_lists() {
    let Some(host) = Host::new() else { return };
    host.ip("link add a0 type veth peer name b0");
    host.ip("addr add 192.0.2.1/24 dev a0");
    host.ip("addr add 2001:db8::1/64 dev b0 nodad");
    let seen = look(&[Place::here("host")]);
    let names = |kind| -> BTreeSet<String> {
        let objects = seen.objects();
        objects
            .filter(|(it, _)| it.kind == kind)
            .map(|(it, _)| it.name.clone())
            .collect()
    };
    let listed =
        |line: &str| -> BTreeSet<String> { host.sh(line).lines().map(str::to_owned).collect() };
    let links = listed("ip -o link | awk -F '[ :@]+' '{print $2}'");
    assert_eq!(names(Kind::Link), links);
    let addresses = listed("ip -o addr show scope global | awk '{print $4 \" on \" $2}'");
    assert!(addresses.len() == 2 && addresses.is_subset(&names(Kind::Address)));
}

#[test]
fn a_recording_has_the_changes_of_host_and_pod_in_their_order_with_the_process() {
    let Some(host) = Host::new() else { return };
    let pod = host.pod("one");
    host.ip("link add old0 type bridge");
    let netns = Netns::open(pod.path()).unwrap();
    let places = [Place::here("host"), Place::of("pod", netns)];
    let recorder = Recorder::start(&places).unwrap();
    host.ip("link add a0 type veth peer name eth0 netns one");
    host.ip("link set a0 master old0 up");
    pod.ip("link set eth0 up");
    pod.ip("addr add 192.0.2.2/24 dev eth0");
    pod.ip("route add default via 192.0.2.1");
    host.sh("nft 'add table inet t; add chain inet t c'");
    host.ip("link del a0");
    let recording = recorder.stop().unwrap();
    assert!(!recording.is_incomplete);

    let told: Vec<String> = recording.events.iter().map(ToString::to_string).collect();
    let order = [
        "+ host: link a0 ",
        "~ host: link a0 (veth, up, mtu 1500)",
        "~ host: link a0 (veth, up, mtu 1500, port of old0)",
        "~ pod: link eth0 (veth, up",
        "+ pod: address 192.0.2.2/24 on eth0",
        "+ pod: route default via 192.0.2.1 dev eth0",
        "+ host: nft table inet t",
        "+ host: nft chain inet t c",
        "- host: link a0",
    ];
    let mut rest = told.iter();
    for wanted in order {
        assert!(rest.any(|it| it.starts_with(wanted)), "{wanted}: {told:#?}");
    }
    let table = recording
        .events
        .iter()
        .find(|it| it.object.kind == Kind::Table)
        .unwrap();
    assert_eq!(table.process.as_deref(), Some("nft"));
    assert!(
        recording
            .events
            .iter()
            .any(|it| it.happened == Happened::Removed)
    );
}

/// What a snapshot tells of a link's settings it knows from netlink where it can.
#[test]
fn each_setting_of_a_link_that_can_change_is_told_when_it_changes() {
    let Some(host) = Host::new() else { return };
    let places = [Place::here("host")];
    host.ip("link add a0 type veth peer name b0");
    let (mut changed, mut untold) = (0, Vec::new());
    for tree in ["net/ipv4/conf", "net/ipv6/conf"] {
        let directory = PathBuf::from("/proc/sys").join(tree).join("a0");
        for file in std::fs::read_dir(&directory).into_iter().flatten() {
            let path = file.unwrap().path();
            let setting = path
                .strip_prefix("/proc/sys")
                .unwrap()
                .display()
                .to_string();
            let by_itself = setting.ends_with("/mtu") || setting.ends_with("/stable_secret");
            let Ok(before) = std::fs::read_to_string(&path) else {
                continue;
            };
            look(&places);
            let writes = |value: &str| std::fs::write(&path, value).is_ok();
            let now = || std::fs::read_to_string(&path).unwrap();
            let is_other = |value: &&str| writes(value) && now() != before;
            if by_itself || !["1", "0", "2", "9"].iter().any(is_other) {
                continue;
            }
            let (now, told) = (now(), look(&places));
            let told = told.objects().find(|(it, _)| it.name == setting);
            if told.map(|(_, value)| value) != Some(now.trim()) {
                untold.push(setting.clone());
            }
            assert!(writes(&before), "{setting}");
            changed += 1;
        }
    }
    assert_eq!(untold, Vec::<String>::new());
    assert!(changed > 25, "only {changed} settings could be changed");
}
