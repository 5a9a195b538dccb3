//! Every kind of object that doctor knows: named, and gone by the command that it gives.

use crate::doctor::{assert_named, assert_silent, findings, run};
use crate::{CONF_DIR, configure, host, netloom, path};
use netloom_testkit::{Host, Pod, probe, skip};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const LIVING: &str = "id-of-living";
const DEAD: &str = "id-of-dead";
/// What ADD leaves on the host of each attachment.
const RECORD: &str = "record of an attachment";

fn list(plugins: &Value) -> Value {
    json!({"cniVersion": "1.1.0", "name": "net", "plugins": plugins})
}

fn add(pod: &Pod, id: &str, port: u16) {
    let ports =
        json!({"portMappings": [{"hostPort": port, "containerPort": 80, "protocol": "tcp"}]});
    let add = ["add", "net", path(pod), "--container-id", id];
    let outcome = netloom(&add).env("CAP_ARGS", ports.to_string()).run();
    assert!(outcome.is_success(), "{outcome}");
}

fn forget(id: &str) {
    fs::remove_file(format!("/var/lib/cni/results/net-{id}-eth0")).unwrap();
}

/// Two pods on the network, of which the second is gone, and forgotten by the cache.
fn one_forgotten(host: &Host, conf: &Value) -> Pod {
    configure("10-net.conflist", conf);
    let (living, dead) = (host.pod("living"), host.pod("dead"));
    add(&living, LIVING, 8080);
    add(&dead, DEAD, 8081);
    assert_silent();
    dead.ip("link del eth0");
    dead.remove();
    forget(DEAD);
    living
}

/// These kinds are found and no others; each goes by its command, and the living pod keeps its own.
#[track_caller]
fn assert_mended(host: &Host, kinds: &[&str]) {
    let found = findings();
    let mut named: Vec<&str> = found.iter().map(|it| it[0].as_str()).collect();
    named.sort_unstable();
    named.dedup();
    let mut wanted = kinds.to_vec();
    wanted.sort_unstable();
    assert_eq!(named, wanted, "{found:#?}");
    assert_eq!(findings(), found, "it changes nothing");
    let mut mends: Vec<&str> = found.iter().map(|it| it[2].as_str()).collect();
    mends.dedup();
    mends.iter().for_each(|mend| run(host, mend));
    assert_silent();
}

#[track_caller]
fn assert_checked(pod: &Pod, id: &str, port: u16) {
    let ports =
        json!({"portMappings": [{"hostPort": port, "containerPort": 80, "protocol": "tcp"}]});
    let check = ["check", "net", path(pod), "--container-id", id];
    let outcome = netloom(&check).env("CAP_ARGS", ports.to_string()).run();
    outcome.succeeds_silently();
}

fn chain(backend: &str) -> Value {
    list(&json!([
        {"type": "bridge", "bridge": "br0", "isDefaultGateway": true, "ipMasq": true,
            "ipMasqBackend": backend, "ipam": {"type": "host-local", "subnet": "10.1.0.0/16"}},
        {"type": "portmap", "capabilities": {"portMappings": true}, "backend": backend},
        {"type": "firewall", "backend": backend},
        {"type": "bandwidth", "egressRate": 1_000_000, "egressBurst": 1_000_000},
        {"type": "tuning", "mtu": 1400},
    ]))
}

#[test]
fn what_every_plugin_of_a_chain_left_is_named_and_goes() {
    for backend in ["nftables", "iptables"] {
        let Some(host) = host() else { return };
        if !probe::has_iptables() || !probe::has_link_kind("ifb") {
            return skip("no iptables, or no ifb links");
        }
        let living = one_forgotten(&host, &chain(backend));
        let of_backend =
            ["masquerade", "port mapping", "firewall"].map(|kind| format!("{backend} {kind}"));
        let mut kinds = vec!["reservation", "ifb", "tuning backup", RECORD];
        kinds.extend(of_backend.iter().map(String::as_str));
        assert_mended(&host, &kinds);
        assert_checked(&living, LIVING, 8080);
    }
}

#[test]
fn what_flannel_and_its_delegate_left_is_named_and_goes() {
    let Some(host) = host() else { return };
    fs::create_dir_all("/run/flannel").unwrap();
    fs::write(
        "/run/flannel/subnet.env",
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\n\
         FLANNEL_IPMASQ=false\n",
    )
    .unwrap();
    let conf = list(&json!([{"type": "flannel", "delegate": {"ipMasqBackend": "nftables"}}]));
    let living = one_forgotten(&host, &conf);
    assert_mended(
        &host,
        &[
            "flannel configuration",
            "reservation",
            "nftables masquerade",
            RECORD,
        ],
    );
    assert_checked(&living, LIVING, 8080);
}

#[test]
fn a_device_that_came_back_under_another_name_is_named_and_gets_its_own() {
    let Some(host) = host() else { return };
    host.ip("link add nic0 type veth peer name wire0");
    configure(
        "10-net.conflist",
        &list(&json!([{"type": "host-device", "device": "nic0"}])),
    );
    let dead = host.pod("dead");
    add(&dead, DEAD, 8080);
    assert_silent();
    dead.ip("link set eth0 down");
    dead.ip(&format!("link set eth0 netns {}", host.netns_path()));
    dead.remove();
    forget(DEAD);
    // A network of which nobody lives is collected with `--all`.
    let mend = assert_named(
        &findings(),
        "lent device",
        "nic0, which was lent, is eth0 now",
    );
    run(&host, &mend);
    assert_silent();
    assert!(
        host.ip("-br link").contains("nic0@"),
        "{}",
        host.ip("-br link")
    );
}

#[test]
fn the_hosts_end_of_a_pod_that_nobody_remembers_is_named_and_goes() {
    let Some(host) = host() else { return };
    let conf = list(
        &json!([{"type": "ptp", "ipMasq": true, "ipMasqBackend": "nftables",
        "ipam": {"type": "host-local", "subnet": "10.1.0.0/16"}}]),
    );
    configure("10-net.conflist", &conf);
    let (living, lost) = (host.pod("living"), host.pod("lost"));
    add(&living, LIVING, 8080);
    add(&lost, DEAD, 8081);
    host.ip("link add vethmine type veth peer name other");
    assert_silent();
    forget(DEAD);
    // The pod lives, whether anybody remembers it or not.
    assert_silent();
    lost.ip("addr flush dev eth0");
    lost.ip("link set eth0 down");
    // What it does inside says nothing, as long as the host knows its link.
    assert_silent();
    let records = Path::new("/run/cni/attachments");
    for record in records.read_dir().unwrap() {
        let record = record.unwrap().path();
        let target = fs::read_link(&record).unwrap();
        if target.to_str().unwrap().contains(DEAD) {
            fs::remove_file(record).unwrap();
        }
    }
    assert_mended(&host, &["reservation", "nftables masquerade", "veth"]);
    assert!(!lost.ip("-br link").contains("eth0"));
    assert_checked(&living, LIVING, 8080);
}

#[test]
fn the_policy_of_a_bridge_that_is_gone_is_named_and_goes() {
    let Some(host) = host() else { return };
    let bridge = |name: &str| {
        list(&json!([
            {"type": "bridge", "bridge": name, "ipam": {"type": "host-local", "subnet": "10.1.0.0/16"}},
            {"type": "firewall", "backend": "nftables", "ingressPolicy": "same-bridge"},
        ]))
    };
    configure("10-net.conflist", &bridge("br0"));
    let (first, living) = (host.pod("first"), host.pod("living"));
    add(&first, "id-of-first", 8080);
    let del = ["del", "net", path(&first), "--container-id", "id-of-first"];
    netloom(&del).run().succeeds_silently();
    host.ip("link del br0");
    configure("10-net.conflist", &bridge("br1"));
    add(&living, LIVING, 8080);
    assert_named(
        &findings(),
        "nftables firewall",
        "bridge br0, which is gone",
    );
    assert_mended(&host, &["nftables firewall"]);
    assert_checked(&living, LIVING, 8080);
}

#[test]
fn a_network_that_others_collect_is_left_alone() {
    let Some(host) = host() else { return };
    let mut conf = chain("nftables");
    conf["disableGC"] = json!(true);
    let living = one_forgotten(&host, &conf);
    assert_silent();
    forget(LIVING);
    assert_silent();
    assert!(living.pings([10, 1, 0, 1]));
}

#[test]
fn a_network_of_a_version_without_gc_gets_words_that_mend_it() {
    let Some(host) = host() else { return };
    let mut conf = chain("nftables");
    conf["cniVersion"] = json!("1.0.0");
    let _living = one_forgotten(&host, &conf);
    let mend = assert_named(&findings(), "reservation", DEAD);
    assert!(
        mend.contains("raise cniVersion to 1.1.0") && mend.ends_with("netloom gc net --yes"),
        "{mend}"
    );
    run(&host, "netloom gc net --yes");
    assert_named(&findings(), "reservation", DEAD);
    conf["cniVersion"] = json!("1.1.0");
    fs::write(
        Path::new(CONF_DIR).join("10-net.conflist"),
        conf.to_string(),
    )
    .unwrap();
    run(&host, "netloom gc net --yes");
    assert_silent();
}
