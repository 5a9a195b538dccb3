//! Many runtimes' calls at the same time, on one bridge and one pool.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

use std::collections::BTreeSet;

use netloom_testkit::{
    DEBIAN_DIR, Host, Outcome, Plugin, PluginDir, Pod, Snapshot, parallel, probe, skip,
};
use serde_json::{Value, json};

/// Calls at the same time: more than the machine has processors.
const AT_ONCE: usize = 16;

fn conf(backend: &str) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "br0",
        "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": backend, "hairpinMode": true,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00:1::/64"}]],
        }
    })
}

fn pods(host: &Host, count: usize) -> Vec<Pod> {
    (0..count)
        .map(|index| host.pod(&format!("pod{index}")))
        .collect()
}

/// The host and some of the pods: one look into each of them would take long.
fn look(host: &Host, pods: &[Pod]) -> Snapshot {
    let some: Vec<&Pod> = pods.iter().step_by(23).collect();
    Snapshot::take(host, &some).without_shared(&["br0"])
}

/// Asserts that all succeeded; shows the first that did not, and how many there are.
#[track_caller]
fn all_succeed(outcomes: &[Outcome]) -> Vec<Value> {
    let failed: Vec<&Outcome> = outcomes.iter().filter(|o| !o.is_success()).collect();
    if let Some(first) = failed.first() {
        panic!(
            "{} of {} calls failed; the first:\n{first}",
            failed.len(),
            outcomes.len()
        );
    }
    outcomes.iter().map(Outcome::succeeds).collect()
}

/// Asserts that no address was given twice.
#[track_caller]
fn all_different(results: &[Value]) {
    let addresses: Vec<&str> = results
        .iter()
        .flat_map(|result| result["ips"].as_array().unwrap())
        .map(|ip| ip["address"].as_str().unwrap())
        .collect();
    let different: BTreeSet<&str> = addresses.iter().copied().collect();
    assert_eq!(
        addresses.len(),
        2 * results.len(),
        "one address of each family for each pod"
    );
    assert_eq!(
        different.len(),
        addresses.len(),
        "addresses given twice among {addresses:?}"
    );
}

/// `count` ADDs at once, then traffic, CHECKs and DELs at once; nothing is left.
fn come_and_go(count: usize, backend: &str) {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let bridge = Plugin::ours(&plugins, "bridge");
    let conf = conf(backend);
    let pods = pods(&host, count);
    let before = look(&host, &pods);

    let results = all_succeed(&parallel(count, AT_ONCE, |i| bridge.add(&conf, &pods[i])));
    all_different(&results);
    let reached = parallel(count, AT_ONCE, |i| pods[i].pings([10, 1, 0, 1]));
    assert_eq!(
        reached.iter().filter(|reached| **reached).count(),
        count,
        "pods reach the gateway"
    );
    all_succeed(&parallel(count, AT_ONCE, |i| {
        bridge.check(&conf, &results[i], &pods[i])
    }));
    all_succeed(&parallel(count, AT_ONCE, |i| {
        bridge.del_with(&conf, &results[i], &pods[i])
    }));
    look(&host, &pods).assert_same_as(&before);
}

#[test]
fn two_hundred_pods_come_and_go_at_once() {
    come_and_go(200, "nftables");
}

#[test]
fn pods_with_an_iptables_masquerade_come_and_go_at_once() {
    if Host::new().is_some() && !probe::has_iptables() {
        return skip("no iptables on this machine");
    }
    come_and_go(40, "iptables");
}

#[test]
fn pods_that_come_do_not_disturb_pods_that_go() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let bridge = Plugin::ours(&plugins, "bridge");
    let conf = conf("nftables");
    let pods = pods(&host, 24);
    let before = look(&host, &pods);
    let rounds = parallel(pods.len(), AT_ONCE, |i| {
        let mut outcomes = Vec::new();
        for _ in 0..4 {
            let added = bridge.add(&conf, &pods[i]);
            let result: Value = serde_json::from_str(&added.stdout).unwrap_or_default();
            let checked = bridge.check(&conf, &result, &pods[i]);
            outcomes.extend([added, checked, bridge.del(&conf, &pods[i])]);
        }
        outcomes
    });
    all_succeed(&rounds.concat());
    look(&host, &pods).assert_same_as(&before);
}

#[test]
fn one_of_many_adds_for_the_same_pod_wins_and_is_left_whole() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let bridge = Plugin::ours(&plugins, "bridge");
    let conf = conf("nftables");
    let pods = pods(&host, 6);
    for pod in &pods {
        let before = look(&host, &pods);
        let outcomes = parallel(6, 6, |_| bridge.add(&conf, pod));
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.iter().partition(|o| o.is_success());
        assert_eq!(won.len(), 1, "one ADD wins; the last:\n{}", outcomes[5]);
        for outcome in lost {
            outcome.fails_with(999).names(&["eth0"]);
        }
        let result = won[0].succeeds();
        bridge.check(&conf, &result, pod).succeeds_silently();
        assert!(pod.pings([10, 1, 0, 1]));
        bridge.del(&conf, pod).succeeds_silently();
        look(&host, &pods).assert_same_as(&before);
    }
}

#[test]
fn go_and_ours_share_a_bridge_and_a_pool_at_the_same_time() {
    let Some(host) = Host::new() else { return };
    let Some(go) = Plugin::debian("bridge") else {
        return;
    };
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let ours = Plugin::ours(&plugins, "bridge");
    let mut conf = conf("nftables");
    // Debian's Go release knows a masquerade by iptables only, and that one not concurrently.
    conf["ipMasq"] = json!(false);
    let pods = pods(&host, 40);
    let before = look(&host, &pods);
    let of = |i: usize| if i.is_multiple_of(2) { &go } else { &ours };
    let outcomes = parallel(pods.len(), 8, |i| of(i).add(&conf, &pods[i]));
    // Go's bridge gives up where another makes the bridge or its address at the same time: that
    // is its own race, seen among Go plugins alone. Ours never fails.
    for (index, outcome) in outcomes.iter().enumerate().filter(|(_, o)| !o.is_success()) {
        assert!(
            index.is_multiple_of(2),
            "ours failed in {DEBIAN_DIR}'s company\n{outcome}"
        );
        println!("pod{index}: {}", outcome.fails().text());
    }
    let added: Vec<usize> = (0..pods.len())
        .filter(|i| outcomes[*i].is_success())
        .collect();
    let results: Vec<Value> = added.iter().map(|i| outcomes[*i].succeeds()).collect();
    assert!(results.len() > pods.len() / 2);
    all_different(&results);
    // Each deletes what the other added; what failed is deleted, too.
    all_succeed(&parallel(pods.len(), 8, |i| of(i + 1).del(&conf, &pods[i])));
    // Go's DEL knows nothing of what the host remembers of an attachment.
    look(&host, &pods).without_records().assert_same_as(&before);
}
