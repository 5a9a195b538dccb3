//! A node whose pods went away without DEL: three networks, of which doctor names what is left and
//! GC keeps what is valid.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use netloom_testkit::{Call, Host, Outcome, Pod, Snapshot, parallel, probe, skip};
use serde_json::{Value, json};

use crate::network::{NETLOOM, PLUGINS, host};

const RESULTS: &str = "/var/lib/cni/results";
const NETWORKS: [&str; 3] = ["chain", "mac", "wire"];
/// How many pods are valid.
const VALID: usize = 10;

type Kinds = &'static [(&'static str, usize)];

/// What each kind of finding is called that a pod of a network leaves behind, and how many there
/// are of it. The chain's packet filter is `backend`.
fn left_behind(backend: &str) -> [(&'static str, Kinds); 3] {
    let chain: Kinds = match backend {
        "nftables" => &[
            ("reservation", 2),
            ("nftables masquerade", 2),
            ("nftables port mapping", 1),
            ("nftables firewall", 2),
            ("ifb", 1),
            ("tuning backup", 1),
            ("record of an attachment", 1),
        ],
        // What leads ::1 to the ports is in nf_tables all the same.
        _ => &[
            ("reservation", 2),
            ("iptables masquerade", 2),
            ("iptables port mapping", 2),
            ("nftables port mapping", 1),
            ("iptables firewall", 2),
            ("ifb", 1),
            ("tuning backup", 1),
            ("record of an attachment", 1),
        ],
    };
    [
        ("chain", chain),
        ("mac", &[("reservation", 1), ("record of an attachment", 1)]),
        (
            "wire",
            &[
                ("reservation", 1),
                ("iptables masquerade", 1),
                ("record of an attachment", 1),
            ],
        ),
    ]
}

/// Pods, each on one of the networks in turn.
struct Node {
    backend: &'static str,
    pods: Vec<Pod>,
    before: Snapshot,
    host: Host,
}

fn network_of(n: usize) -> &'static str {
    NETWORKS[n % NETWORKS.len()]
}

fn id(n: usize) -> String {
    format!("pod-{n:03}")
}

fn call(verb: &str, pod: &Pod, n: usize) -> Call {
    let mapping = |port: usize, protocol| json!({"hostPort": port, "containerPort": 80, "protocol": protocol});
    let ports =
        json!({"portMappings": [mapping(20_000 + 2 * n, "tcp"), mapping(20_001 + 2 * n, "udp")]});
    netloom()
        .env("CAP_ARGS", ports.to_string())
        .arg("--json")
        .arg(verb)
        .arg(network_of(n))
        .arg(pod.path())
        .arg("--container-id")
        .arg(id(n))
}

fn netloom() -> Call {
    Call::new(NETLOOM).env("CNI_PATH", PLUGINS)
}

fn configure(name: &str, plugins: &Value) {
    let list = json!({"cniVersion": "1.1.0", "name": name, "plugins": plugins});
    fs::write(
        format!("/etc/cni/net.d/20-{name}.conflist"),
        list.to_string(),
    )
    .unwrap();
}

/// A host with the networks and this many pods on them.
fn node(backend: &'static str, count: usize) -> Option<Node> {
    let host = host(backend)?;
    if !probe::has_iptables() || !probe::has_link_kind("macvlan") || !probe::has_link_kind("ifb") {
        skip("no iptables, or no macvlan or ifb links");
        return None;
    }
    host.ip("link add uplink0 type veth peer name wire0");
    host.ip("link set uplink0 up");
    host.ip("link set wire0 up");
    configure(
        "mac",
        &json!([{"type": "macvlan", "master": "uplink0",
            "ipam": {"type": "host-local", "subnet": "10.2.0.0/16"}}]),
    );
    configure(
        "wire",
        &json!([
            {"type": "ptp", "ipMasq": true, "ipMasqBackend": "iptables",
                "ipam": {"type": "host-local", "subnet": "10.3.0.0/16",
                    "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "sbr"},
        ]),
    );
    // What is shared is made by the first pods, and stays.
    for n in 0..NETWORKS.len() {
        let pod = host.pod("first");
        for verb in ["add", "del"] {
            let outcome = call(verb, &pod, n).run();
            assert!(outcome.is_success(), "{outcome}");
        }
    }
    let before = Snapshot::take(&host, &[]).without_shared(&["br0"]);
    let pods: Vec<Pod> = (0..count).map(|n| host.pod(&id(n))).collect();
    for outcome in parallel(count, 3, |n| call("add", &pods[n], n).run()) {
        assert!(outcome.is_success(), "{outcome}");
    }
    Some(Node {
        backend,
        pods,
        before,
        host,
    })
}

impl Node {
    /// All but the valid ones end without DEL, and what the kernel does then is done at once.
    fn lose(&self) {
        for pod in &self.pods[VALID..] {
            pod.ip("link del eth0");
            pod.remove();
        }
    }

    fn check_all_valid(&self) {
        for (n, pod) in self.pods[..VALID].iter().enumerate() {
            let check = call("check", pod, n).run();
            assert!(check.is_success(), "{check}");
        }
    }

    /// The ids of those who have something, by place and network.
    fn owners(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut note = |place: &str, text: &str| {
            let ids = owners.entry(place.to_owned()).or_default();
            ids.extend(text.match_indices("pod-").filter_map(|(at, _)| {
                let id = text.get(at..at + 7)?;
                Some(id.to_owned())
            }));
        };
        for network in NETWORKS {
            let directory = format!("/var/lib/cni/networks/{network}");
            note(
                &format!("reservations of {network}"),
                &self.host.sh(&format!("cat {directory}/*")),
            );
        }
        note("cached results", &self.host.sh(&format!("ls {RESULTS}")));
        note("backups", &self.host.sh("ls /run/cni/tuning"));
        note("ifbs", &self.host.sh("ip -d link show type ifb"));
        for table in [
            "inet cni_plugins_masquerade",
            "ip cni_hostport",
            "ip6 cni_hostport",
            "inet cni_plugins_firewall",
        ] {
            let list = format!("nft list table {table} 2>/dev/null || true");
            note(table, &self.host.sh(&list));
        }
        for table in ["nat", "filter"] {
            note(table, &self.host.sh(&format!("iptables-save -t {table}")));
        }
        owners
    }

    /// Names of links of the host.
    fn links(&self) -> BTreeSet<String> {
        let links = self.host.sh("ip -o link show | cut -d: -f2 | cut -d@ -f1");
        links.lines().map(|line| line.trim().to_owned()).collect()
    }
}

fn ids(of: impl Iterator<Item = usize>, networks: &[&str]) -> BTreeSet<String> {
    of.filter(|n| networks.contains(&network_of(*n)))
        .map(id)
        .collect()
}

/// Who has something where, if these pods do.
fn expected(backend: &str, count: usize) -> BTreeMap<String, BTreeSet<String>> {
    let (by_nftables, by_iptables): (&[&str], &[&str]) = match backend {
        "nftables" => (&["chain"], &[]),
        _ => (&[], &["chain"]),
    };
    let nat: &[&str] = match backend {
        "nftables" => &["wire"],
        _ => &["chain", "wire"],
    };
    let places: [(&str, &[&str]); 12] = [
        ("reservations of chain", &["chain"]),
        ("reservations of mac", &["mac"]),
        ("reservations of wire", &["wire"]),
        ("cached results", &NETWORKS),
        ("backups", &["chain"]),
        ("ifbs", &["chain"]),
        ("inet cni_plugins_masquerade", by_nftables),
        ("ip cni_hostport", by_nftables),
        ("ip6 cni_hostport", &["chain"]),
        ("inet cni_plugins_firewall", by_nftables),
        ("nat", nat),
        ("filter", by_iptables),
    ];
    let place = |(place, networks): (&str, &[&str])| (place.to_owned(), ids(0..count, networks));
    places.into_iter().map(place).collect()
}

/// What doctor finds: network and kind, and the texts.
fn findings() -> BTreeMap<(String, String), Vec<String>> {
    let outcome = netloom().arg("--json").arg("doctor").run();
    let first = serde_json::Deserializer::from_str(&outcome.stdout)
        .into_iter::<Value>()
        .next();
    let report = first.unwrap().unwrap();
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for it in report["findings"].as_array().unwrap() {
        let text = |key: &str| it[key].as_str().unwrap().to_owned();
        found
            .entry((text("network"), text("kind")))
            .or_default()
            .push(text("what"));
    }
    found
}

/// Every object of these pods is named, and nothing else.
#[track_caller]
fn assert_every_object_is_named(backend: &str, of: std::ops::Range<usize>) {
    let mut found = findings();
    for (network, kinds) in left_behind(backend) {
        let pods: Vec<usize> = of.clone().filter(|n| network_of(*n) == network).collect();
        for (kind, each) in kinds {
            let named = found
                .remove(&(network.to_owned(), (*kind).to_owned()))
                .unwrap_or_default();
            assert_eq!(
                named.len(),
                each * pods.len(),
                "{network}, {kind}: {named:#?}"
            );
            // A chain's name tells nobody whose it is.
            for n in pods.iter().filter(|_| !kind.starts_with("iptables")) {
                let of_pod = named.iter().filter(|what| what.contains(&id(*n))).count();
                assert_eq!(of_pod, *each, "{network}, {kind}, {}: {named:#?}", id(*n));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[track_caller]
fn assert_silent() {
    let outcome = netloom().arg("doctor").run();
    outcome.succeeds_silently();
    assert_eq!(outcome.stderr, "");
}

fn gc(arguments: &[String]) -> Outcome {
    arguments
        .iter()
        .fold(netloom().arg("gc").arg("--yes"), Call::arg)
        .run()
}

/// What is not a reservation of these days, in every network's directory.
fn bystanders() -> BTreeMap<String, Vec<u8>> {
    let files = NETWORKS.iter().flat_map(|network| {
        ["lock", "last_reserved_ip.0"].map(|name| format!("/var/lib/cni/networks/{network}/{name}"))
    });
    files
        .map(|file| (file.clone(), fs::read(&file).unwrap()))
        .collect()
}

/// A reservation as versions of the reference before 0.7 wrote it: without the interface.
fn reserve_as_of_old(address: &str, id: &str) -> String {
    let file = format!("/var/lib/cni/networks/wire/{address}");
    fs::write(&file, id).unwrap();
    file
}

const PODS: usize = 250;

#[test]
fn of_250_pods_on_three_networks_exactly_the_ten_valid_ones_stay_everywhere() {
    exactly_the_valid_ones_stay("nftables");
}

#[test]
fn so_it_is_with_iptables() {
    exactly_the_valid_ones_stay("iptables");
}

fn exactly_the_valid_ones_stay(backend: &'static str) {
    let Some(node) = node(backend, PODS) else {
        return;
    };
    assert_eq!(node.owners(), expected(backend, PODS));
    assert_silent();
    let old_of_living = reserve_as_of_old("10.3.200.1", &id(2));
    assert_eq!(network_of(2), "wire");
    assert_silent();
    node.lose();
    let bystanders_before = bystanders();

    let mut dead = findings();
    for network in NETWORKS {
        let of_network = dead.remove(&(network.to_owned(), "dead attachment".to_owned()));
        let named = of_network
            .unwrap()
            .iter()
            .map(|what| what[..7].to_owned())
            .collect();
        assert_eq!(ids(VALID..PODS, &[network]), named);
    }
    assert!(dead.is_empty(), "their parts go with them: {dead:#?}");

    // Object by object, where the cache has forgotten them.
    let hidden = Path::new("/var/lib/cni/hidden");
    fs::create_dir(hidden).unwrap();
    let cached = fs::read_dir(RESULTS)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_dead =
        |path: &std::path::PathBuf| (VALID..PODS).any(|n| path.to_str().unwrap().contains(&id(n)));
    let forgotten: Vec<_> = cached.filter(is_dead).collect();
    assert_eq!(forgotten.len(), PODS - VALID);
    let place = |path: &Path| hidden.join(path.file_name().unwrap());
    forgotten
        .iter()
        .for_each(|path| fs::rename(path, place(path)).unwrap());
    assert_every_object_is_named(backend, VALID..PODS);
    forgotten
        .iter()
        .for_each(|path| fs::rename(place(path), path).unwrap());
    fs::remove_dir(hidden).unwrap();

    let old_of_dead = reserve_as_of_old("10.3.200.2", &id(PODS - 2));
    let collected = gc(&[]);
    assert!(collected.is_success(), "{collected}");
    assert_eq!(node.owners(), expected(backend, VALID));
    assert_silent();
    assert_eq!(bystanders(), bystanders_before);
    assert!(Path::new(&old_of_living).exists() && !Path::new(&old_of_dead).exists());
    node.check_all_valid();

    for (n, pod) in node.pods[..VALID].iter().enumerate() {
        let del = call("del", pod, n).run();
        assert!(del.is_success(), "{del}");
    }
    fs::remove_file(old_of_living).unwrap();
    let Node {
        pods, before, host, ..
    } = node;
    drop(pods);
    Snapshot::take(&host, &[])
        .without_shared(&["br0"])
        .assert_same_as(&before);
}

#[test]
fn without_any_cache_what_the_dead_left_is_named_and_the_ten_that_are_kept_stay() {
    const PODS: usize = 31;
    let Some(node) = node("nftables", PODS) else {
        return;
    };
    let links = node.links();
    node.lose();
    let of_valid = node.links();
    assert!(of_valid.len() < links.len());
    fs::remove_dir_all(RESULTS).unwrap();
    fs::create_dir(RESULTS).unwrap();
    let found = findings();
    for (network, kinds) in left_behind(node.backend) {
        let pods = (VALID..PODS).filter(|n| network_of(*n) == network).count();
        for (kind, each) in kinds {
            let named = &found[&(network.to_owned(), (*kind).to_owned())];
            assert_eq!(named.len(), each * pods, "{network}, {kind}: {named:#?}");
        }
    }
    // Those that live and that nobody remembers have theirs.
    assert!(found.keys().all(|(_, kind)| kind != "veth"), "{found:#?}");
    for network in NETWORKS {
        let keep = ids(0..VALID, &[network]).into_iter();
        let keep = keep.flat_map(|id| ["--keep".to_owned(), format!("{id}/eth0")]);
        let collected = gc(&keep.chain([network.to_owned()]).collect::<Vec<_>>());
        assert!(collected.is_success(), "{collected}");
    }
    let mut wanted = expected(node.backend, VALID);
    wanted.insert("cached results".to_owned(), BTreeSet::new());
    assert_eq!(node.owners(), wanted);
    let ifbs = |links: &BTreeSet<String>| links.iter().filter(|it| it.starts_with("bwp")).count();
    assert_eq!(ifbs(&of_valid), ids(0..PODS, &["chain"]).len());
    assert_eq!(ifbs(&node.links()), ids(0..VALID, &["chain"]).len());
}
