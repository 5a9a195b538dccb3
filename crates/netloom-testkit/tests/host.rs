//! Throw-away hosts, pods and the uplink.

use std::path::Path;
use std::time::{Duration, Instant};

use netloom_testkit::{Host, Uplink, parallel, probe};

#[test]
fn a_host_starts_empty_and_does_not_touch_the_machine() {
    let outside = std::fs::read_link("/proc/self/ns/net").unwrap();
    {
        let Some(host) = Host::new() else { return };
        host.sh("ip link add br0 type bridge && touch /etc/cni/mark /var/lib/cni/mark /run/mark");
        assert_eq!(host.ip("-br link").lines().count(), 2);
        let inside = host.sh("ls /sys/class/net");
        assert!(
            inside.contains("br0"),
            "sysfs shows another namespace: {inside}"
        );
        assert_ne!(
            std::fs::read_link("/proc/thread-self/ns/net").unwrap(),
            outside
        );
    }
    assert_eq!(
        std::fs::read_link("/proc/thread-self/ns/net").unwrap(),
        outside
    );
    for mark in ["/etc/cni/mark", "/var/lib/cni/mark", "/run/mark"] {
        assert!(!Path::new(mark).exists(), "{mark} is on the real disk");
    }
}

#[test]
fn hosts_of_two_tests_do_not_see_each_other() {
    let Some(host) = Host::new() else { return };
    host.ip("link add br0 type bridge");
    std::thread::spawn(|| {
        let other = Host::new().unwrap();
        other.ip("link add br0 type bridge");
    })
    .join()
    .unwrap();
    host.ip("link show br0");
}

#[test]
fn a_pod_is_what_ip_netns_knows_and_goes_when_dropped() {
    let Some(host) = Host::new() else { return };
    let pod = host.pod("one");
    assert_eq!(host.ip("netns list").trim(), "one");
    host.ip("-n one link set lo up");
    assert!(pod.ip("link show lo").contains("UP"));
    assert_eq!(pod.ip("-br link").lines().count(), 1);
    let path = pod.path().to_owned();
    drop(pod);
    assert!(!path.exists());
    assert_eq!(host.ip("netns list"), "");
}

#[test]
fn an_unmounted_pod_leaves_a_plain_file_and_a_removed_one_nothing() {
    let Some(host) = Host::new() else { return };
    let pod = host.pod("one");
    pod.unmount();
    assert!(pod.path().is_file());
    assert_eq!(std::fs::read(pod.path()).unwrap(), b"");
    pod.remove();
    assert!(!pod.path().exists());
}

#[test]
fn the_links_of_a_removed_pod_go_with_it() {
    let Some(host) = Host::new() else { return };
    let pod = host.pod("one");
    host.ip("link add v0 type veth peer name eth0 netns one");
    pod.remove();
    let deadline = Instant::now() + Duration::from_secs(10);
    while host.ip("-br link").contains("v0") {
        assert!(Instant::now() < deadline, "the namespace is still in use");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_uplink_answers_the_host_but_knows_no_pod() {
    let Some(host) = Host::new() else { return };
    let uplink = host.uplink();
    let pod = host.pod("one");
    host.sh("ip link add v0 type veth peer name eth0 netns one
         ip addr add 10.9.0.1/24 dev v0; ip link set v0 up
         echo 1 > /proc/sys/net/ipv4/ip_forward");
    pod.sh("ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up
         ip route add default via 10.9.0.1");
    for server in Uplink::SERVER {
        assert!(
            host.sh(&format!("ping -c1 -W2 {server}"))
                .contains(" 0% packet loss")
        );
    }
    assert!(!pod.pings(Uplink::SERVER[0]), "answered without masquerade");
    host.sh("nft 'add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; add rule ip t c ip saddr 10.9.0.2 masquerade'");
    assert!(pod.pings(Uplink::SERVER[0]));
    let seen = pod
        .source_seen_by(&uplink.outside, Uplink::SERVER[0])
        .unwrap();
    assert_eq!(seen, Uplink::HOST[0]);
}

#[test]
fn parallel_calls_run_in_the_host_and_keep_their_order() {
    let Some(host) = Host::new() else { return };
    host.ip("link add mark type bridge");
    let results = parallel(20, 4, |i| {
        let links = std::process::Command::new("ip")
            .args(["-br", "link"])
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&links.stdout).contains("mark"));
        i * 2
    });
    assert_eq!(results, (0..20).map(|i| i * 2).collect::<Vec<_>>());
}

#[test]
fn probes_answer_no_for_a_link_kind_that_nobody_has() {
    let Some(_host) = Host::new() else { return };
    assert!(probe::has_link_kind("veth"));
    assert!(probe::has_link_kind("bridge"));
    assert!(!probe::has_link_kind("nosuchkind"));
    assert!(probe::has_program("ip"));
    assert!(!probe::has_program("nosuchprogram"));
    assert!(probe::has_nft_family("inet"));
    assert!(!probe::has_nft_family("nosuchfamily"));
}
