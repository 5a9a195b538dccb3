//! Nobody who lives is cut off by `netloom gc` or by what doctor says: whoever added it.

use crate::doctor::{assert_silent, findings, run};
use crate::{PLUGINS, Words as _, configure, host, mynet, netloom, path, reserved};
use netloom_testkit::{Host, Outcome, Plugin, Pod, probe, skip};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command};

fn add(network: &str, pod: &Pod) {
    let add = ["add", network, path(pod), "--container-id"];
    let id = pod.container_id();
    netloom(&[&add[..], &[&id]].concat()).run().succeeds();
}

fn by_hand(kind: &str) -> Plugin {
    Plugin::at(Path::new(PLUGINS), kind)
}

/// A process in the namespace of a pod, which keeps it when its name is gone.
struct Inhabitant(Child);

impl Inhabitant {
    fn of(pod: &Pod) -> Self {
        let start = || Command::new("sleep").arg("1000").spawn().unwrap();
        Self(pod.run(start))
    }
}

impl Drop for Inhabitant {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn gc(arguments: &[&str]) -> Outcome {
    netloom(&[&["gc"], arguments].concat()).run()
}

/// Everything that could cut somebody off, and then these addresses still are reserved.
#[track_caller]
fn collect(host: &Host, network: &str, addresses: &[&str]) {
    for finding in findings() {
        run(host, &finding[2]);
    }
    gc(&[network, "--yes"]).succeeds_silently();
    gc(&["--yes"]).succeeds_silently();
    assert_eq!(reserved(network), addresses);
    assert_silent();
}

#[test]
fn whoever_added_a_pod_that_lives_it_keeps_what_it_has() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let pods = ["cached", "by-hand", "elsewhere", "by-go", "nameless"].map(|name| host.pod(name));
    let [cached, hand, elsewhere, of_go, nameless] = &pods;
    add("mynet", cached);
    let made = by_hand("bridge").add(&mynet("1.1.0"), hand).succeeds();
    let id = elsewhere.container_id();
    let other_cache = ["--cache-dir", "/run/cache", "--container-id", &id];
    netloom(&[&["add", "mynet", path(elsewhere)], &other_cache[..]].concat())
        .run()
        .succeeds();
    let mut addresses = vec!["10.16.0.2", "10.16.0.3", "10.16.0.4"];
    if let Some(go) = Plugin::debian("bridge") {
        let mut conf = mynet("1.0.0");
        conf["ipMasq"] = json!(false);
        go.add(&conf, of_go).succeeds();
        addresses.push("10.16.0.5");
    }
    add("mynet", nameless);
    addresses.push(["10.16.0.5", "10.16.0.6"][addresses.len() - 3]);
    let _inhabitant = Inhabitant::of(nameless);
    let held = nameless.netns();
    nameless.remove();
    let pings = || {
        let mut named = vec![cached, hand, elsewhere];
        named.extend((addresses.len() == 5).then_some(of_go));
        for pod in named {
            assert!(pod.pings([10, 16, 0, 1]), "{}", pod.name());
        }
    };
    pings();
    let words = gc(&["mynet", "--dry-run"]).succeeds_with_words();
    assert!(!words.contains("DEL "), "{words}");
    assert!(
        words.contains("counted as living: id-of-by-hand eth0"),
        "{words}"
    );
    collect(&host, "mynet", &addresses);
    pings();
    let check = by_hand("bridge").check(&mynet("1.1.0"), &made, hand);
    check.succeeds_silently();
    drop(held);
}

#[test]
fn where_the_cache_knows_nobody_those_who_live_are_kept_and_the_rest_goes() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let (living, dead) = (host.pod("living"), host.pod("dead"));
    for pod in [&living, &dead] {
        by_hand("bridge").add(&mynet("1.1.0"), pod).succeeds();
    }
    dead.ip("link del eth0");
    dead.remove();
    // Not --all, which nobody would survive.
    let mends: Vec<_> = findings().into_iter().map(|it| it[2].clone()).collect();
    assert!(!mends.is_empty());
    assert!(
        mends.iter().all(|it| it == "netloom gc mynet --yes"),
        "{mends:?}"
    );
    collect(&host, "mynet", &["10.16.0.2"]);
    assert!(living.pings([10, 16, 0, 1]));
}

#[test]
fn pods_without_a_wire_to_this_host_are_found_as_well() {
    let Some(host) = host() else { return };
    host.ip("link add lan0 type veth peer name lan1");
    host.ip("link set lan0 up");
    let kinds: Vec<(&str, Value)> = [
        ("macvlan", json!({"type": "macvlan", "master": "lan0"})),
        ("dummy", json!({"type": "dummy"})),
        ("tap", json!({"type": "tap"})),
    ]
    .into_iter()
    .filter(|(kind, _)| *kind == "tap" || probe::has_link_kind(kind))
    .collect();
    if kinds.len() < 3 {
        skip("the kernel has no macvlan or dummy links");
    }
    for (kind, mut conf) in kinds {
        conf["cniVersion"] = json!("1.1.0");
        conf["name"] = json!(kind);
        conf["ipam"] = json!({"type": "host-local", "subnet": "10.20.0.0/24"});
        configure("10-net.conf", &conf);
        let (cached, hand) = (
            host.pod(&format!("{kind}-a")),
            host.pod(&format!("{kind}-b")),
        );
        add(kind, &cached);
        by_hand(kind).add(&conf, &hand).succeeds();
        let _inhabitant = Inhabitant::of(&hand);
        gc(&[kind, "--yes"]).succeeds_silently();
        assert_eq!(reserved(kind), ["10.20.0.2", "10.20.0.3"]);
        // Without a name, a process in it is all that there is.
        hand.remove();
        gc(&[kind, "--yes"]).succeeds_silently();
        assert_eq!(reserved(kind), ["10.20.0.2", "10.20.0.3"]);
    }
}

#[test]
fn a_pod_on_a_network_that_nothing_here_tells_of_keeps_its_address() {
    let Some(host) = host() else { return };
    let (living, dead) = (host.pod("living"), host.pod("dead"));
    by_hand("bridge").add(&mynet("1.1.0"), &living).succeeds();
    assert_silent();
    let mut other = mynet("1.1.0");
    other["name"] = json!("other");
    other["bridge"] = json!("mybr1");
    other["ipam"]["subnet"] = json!("10.17.0.0/16");
    by_hand("bridge").add(&other, &dead).succeeds();
    dead.ip("link del eth0");
    dead.remove();
    let [finding] = findings().try_into().unwrap();
    assert!(finding[1].contains("networks/other holds an address"));
    run(&host, &finding[2]);
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
    assert!(living.pings([10, 16, 0, 1]));
}

#[test]
fn an_address_that_another_pod_has_does_not_keep_the_dead_alive() {
    let Some(host) = host() else { return };
    let conf = json!({
        "cniVersion": "1.1.0", "name": "fixed", "type": "bridge", "bridge": "br0",
        "ipam": {"type": "static", "addresses": [{"address": "10.21.0.2/24"}]}
    });
    configure("10-fixed.conf", &conf);
    let (old, new) = (host.pod("old"), host.pod("new"));
    add("fixed", &old);
    old.ip("link del eth0");
    old.remove();
    add("fixed", &new);
    let words = gc(&["fixed", "--dry-run"]).succeeds_with_words();
    assert!(words.contains("DEL id-of-old eth0"), "{words}");
    assert!(!words.contains("id-of-new"), "{words}");
}
