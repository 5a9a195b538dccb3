//! `ingressPolicy`: which pods reach each other.

use crate::support::{BOTH, Lab, conf, ips};
use netloom_testkit::{Pod, probe};
use serde_json::{Value, json};

/// Two pods on one bridge, one on another, all with a policy; who reaches whom.
struct Neighbours {
    lab: Lab,
    pods: [Pod; 3],
    results: [Value; 3],
}

fn neighbours(backend: &str, policy: &str) -> Option<Neighbours> {
    let lab = Lab::with(backend)?;
    let pods = ["one", "two", "far"].map(|name| lab.host.pod(name));
    let results = [("br0", 1), ("br0", 1), ("br1", 2)];
    let results: Vec<Value> = pods
        .iter()
        .zip(results)
        .map(|(pod, (bridge, subnet))| {
            let wired = lab.wire(pod, bridge, subnet);
            let keys = json!({"ingressPolicy": policy, "name": bridge});
            lab.firewall
                .add(&conf(backend, &wired, keys), pod)
                .succeeds()
        })
        .collect();
    let results = results.try_into().ok()?;
    Some(Neighbours { lab, pods, results })
}

impl Neighbours {
    /// Whether a pod reaches another, by both families or by none.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let pod = &self.pods[from];
        let reached: Vec<bool> = std::thread::scope(|scope| {
            let tries: Vec<_> = ips(&self.results[to])
                .into_iter()
                .map(|ip| scope.spawn(move || pod.pings(ip)))
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(reached[0], reached[1], "{}", self.lab.rules());
        reached[0]
    }
}

#[test]
fn pods_of_two_bridges_are_kept_apart_and_those_of_one_are_not() {
    for backend in BOTH {
        for (policy, apart) in [("open", false), ("same-bridge", true)] {
            let Some(n) = neighbours(backend, policy) else {
                continue;
            };
            assert!(n.reaches(0, 1) && n.reaches(1, 0), "{backend}, {policy}");
            assert_eq!(n.reaches(0, 2), !apart, "{backend}, {policy}");
            assert_eq!(n.reaches(2, 0), !apart, "{backend}, {policy}");
        }
    }
}

#[test]
fn isolated_pods_of_one_bridge_are_kept_apart_too() {
    for backend in BOTH {
        let Some(n) = neighbours(backend, "isolated") else {
            continue;
        };
        let switch = "/proc/sys/net/bridge/bridge-nf-call-iptables";
        if n.lab.host.sh(&format!("cat {switch} || echo 0")).trim() != "1" {
            return netloom_testkit::skip("bridged packets do not pass the packet filter here");
        }
        assert!(
            !n.reaches(0, 1) && !n.reaches(0, 2) && !n.reaches(2, 0),
            "{backend}"
        );
        assert!(
            n.pods[0].pings([10, 1, 0, 1]),
            "{backend}: the gateway is no pod"
        );
    }
}

#[test]
fn a_policy_stays_when_the_pods_go_and_a_bridge_without_one_is_reached() {
    for backend in BOTH {
        let Some(n) = neighbours(backend, "same-bridge") else {
            continue;
        };
        let lab = &n.lab;
        let keys = json!({"ingressPolicy": "same-bridge", "name": "br0"});
        let conf_of_two = conf(backend, &n.results[1], keys);
        lab.firewall
            .del(&conf_of_two, &n.pods[1])
            .succeeds_silently();
        assert!(!n.reaches(0, 2), "{backend}");
        let open = lab.host.pod("open");
        lab.wire(&open, "br2", 3);
        assert!(n.pods[0].pings([10, 3, 0, 2]), "{backend}");
    }
}

#[test]
fn the_isolation_rules_of_iptables_are_those_of_the_reference() {
    let Some(n) = neighbours("iptables", "isolated") else {
        return;
    };
    let note = |what: &str| format!("-m comment --comment \"CNI firewall plugin rules{what}\"");
    let (own, both) = (
        note(" (ingressPolicy: isolated)"),
        note(" (ingressPolicy: same-bridge|isolated)"),
    );
    for program in ["iptables", "ip6tables"] {
        let rules = n.lab.host.sh(&format!("{program} -S"));
        let of = |chain: &str| -> Vec<String> {
            let start = format!("-A {chain} ");
            rules
                .lines()
                .filter_map(|line| line.strip_prefix(&start))
                .map(str::to_owned)
                .collect()
        };
        let (one, two) = ("CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2");
        assert_eq!(
            of("FORWARD"),
            [
                format!("{both} -j {one}"),
                format!("{} -j CNI-FORWARD", note("")),
            ]
        );
        assert_eq!(
            of(one),
            [
                format!("-i br1 -o br1 {own} -j DROP"),
                format!("-i br1 ! -o br1 {own} -j {two}"),
                format!("-i br0 -o br0 {own} -j DROP"),
                format!("-i br0 ! -o br0 {own} -j {two}"),
                format!("{both} -j RETURN"),
            ]
        );
        assert_eq!(
            of(two),
            [
                format!("-o br1 {both} -j DROP"),
                format!("-o br0 {both} -j DROP"),
                format!("{both} -j RETURN"),
            ]
        );
    }
    assert!(probe::has_iptables());
}

#[test]
fn a_policy_without_a_bridge_of_the_host_is_refused_before_anything_is_made() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    let pod = lab.host.pod("one");
    for (interfaces, words) in [
        (json!([]), ["ingressPolicy", "names none"]),
        (
            json!([{"name": "eth0", "sandbox": "/n"}]),
            ["eth0", "in the container"],
        ),
    ] {
        let result = json!({"cniVersion": "1.0.0", "interfaces": interfaces,
            "ips": [{"address": "10.1.0.5/24"}]});
        let conf = conf("nftables", &result, json!({"ingressPolicy": "same-bridge"}));
        lab.firewall.add(&conf, &pod).fails_with(7).names(&words);
        assert_eq!(lab.rules().trim(), "");
    }
}
