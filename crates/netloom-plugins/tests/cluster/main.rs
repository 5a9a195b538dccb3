//! cluster as a runtime sees it, beside a stand-in for its daemon.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod daemon;
mod fault;

use daemon::Daemon;
use netloom_cluster::grid::{Block, Span};
use netloom_cluster::record::{BlockRecord, Entry};
use netloom_cluster::{NodeName, SpaceName, key};
use netloom_testkit::{Call, Host, Outcome, Plugin, PluginDir};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const SPACE: &str = "/var/lib/cni/netloom-cluster/default";

struct Site {
    bin: PluginDir,
    _host: Host,
}

impl Site {
    fn new() -> Option<Self> {
        Some(Self {
            _host: Host::new()?,
            bin: PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins")),
        })
    }

    fn call(&self, command: &str, id: &str, conf: &Value) -> Call {
        let kind = conf["ipam"]["type"].as_str().unwrap();
        Plugin::ours(&self.bin, kind)
            .call(command, conf)
            .env("CNI_CONTAINERID", id)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_NETNS", "/var/run/netns/of-nobody")
    }

    fn add(&self, id: &str, conf: &Value) -> Outcome {
        self.call("ADD", id, conf).run()
    }

    fn del(&self, id: &str, conf: &Value) {
        self.call("DEL", id, conf).run().succeeds_silently();
    }
}

fn conf_of(network: &str, mut ipam: Value) -> Value {
    ipam["type"] = json!("cluster");
    json!({"cniVersion": "1.1.0", "name": network, "type": "bridge", "ipam": ipam})
}

fn conf() -> Value {
    conf_of("blue", json!({"ranges": [[{"subnet": "10.9.0.0/24"}]]}))
}

fn address(result: &Value) -> String {
    result["ips"][0]["address"].as_str().unwrap().to_owned()
}

/// The addresses that are reserved in the default space.
fn reserved() -> BTreeSet<String> {
    let names = fs::read_dir(SPACE)
        .unwrap()
        .map(|it| it.unwrap().file_name());
    let names = names.map(|it| it.into_string().unwrap());
    names
        .filter(|it| it.parse::<std::net::IpAddr>().is_ok())
        .collect()
}

#[test]
fn pods_get_addresses_of_the_nodes_grants_and_the_store_is_asked_for_the_first_alone() {
    let Some(site) = Site::new() else { return };
    let daemon = Daemon::start();
    let first = site.add("one", &conf()).succeeds();
    assert_eq!(first["ips"][0]["gateway"], "10.9.0.1");
    let operations = daemon.store.lock().unwrap().operations;
    let mut seen = BTreeSet::from([address(&first)]);
    for id in ["two", "three", "four"] {
        assert!(seen.insert(address(&site.add(id, &conf()).succeeds())));
    }
    assert_eq!(daemon.store.lock().unwrap().operations, operations);
    let entries = daemon.store.lock().unwrap().entries();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0].node.as_str(), "here");
    assert_eq!(reserved().len(), 4);
    // The daemon goes; pods come and go.
    drop(daemon);
    site.add("five", &conf()).succeeds();
    for id in ["one", "two", "three", "four", "five"] {
        site.del(id, &conf());
    }
    assert!(reserved().is_empty());
}

#[test]
fn an_add_that_is_called_again_gets_what_it_got() {
    let Some(site) = Site::new() else { return };
    let _daemon = Daemon::start();
    let first = site.add("one", &conf()).succeeds();
    assert_eq!(site.add("one", &conf()).succeeds(), first);
    assert_eq!(reserved().len(), 1);
}

#[test]
fn an_address_of_each_set_or_none() {
    let Some(site) = Site::new() else { return };
    let _daemon = Daemon::start();
    let both = conf_of(
        "dual",
        json!({"ranges": [[{"subnet": "10.9.0.0/24"}], [{"subnet": "fd00:9::/64"}]]}),
    );
    let result = site.add("one", &both).succeeds();
    assert_eq!(result["ips"].as_array().unwrap().len(), 2);
    let tiny = json!({"ranges": [
        [{"subnet": "10.9.1.0/24"}],
        [{"subnet": "10.9.2.0/24", "rangeStart": "10.9.2.5", "rangeEnd": "10.9.2.5"}],
    ], "wait": 0});
    let tiny = conf_of("tiny", tiny);
    // Nothing at hand, and no time to wait.
    site.add("two", &tiny)
        .fails_with(11)
        .names(&["10.9.1.1-10.9.1.254"]);
    let mut patient = tiny.clone();
    patient["ipam"]["wait"] = json!(2);
    site.add("two", &patient).succeeds();
    let error = site.add("three", &patient).fails_with(11);
    error.names(&[
        "no address free in 10.9.2.5-10.9.2.5",
        "1 of 1 are granted",
        "here 1",
    ]);
    assert_eq!(reserved().len(), 4);
}

#[test]
fn without_daemon_and_grants_the_error_says_what_to_do() {
    let Some(site) = Site::new() else { return };
    let error = site.add("one", &conf()).fails_with(11);
    error.names(&[
        "no address free in 10.9.0.1-10.9.0.254 on this node",
        "netloom-node does not answer at /run/netloom/node.sock",
        "systemctl status netloom-node",
    ]);
    assert!(reserved().is_empty());
    let status = site.call("STATUS", "one", &conf()).run().fails_with(50);
    status.names(&["space default", "since this boot"]);
    site.del("one", &conf());
    let daemon = Daemon::start();
    site.call("STATUS", "one", &conf())
        .run()
        .succeeds_silently();
    site.add("one", &conf()).succeeds();
    drop(daemon);
    site.call("STATUS", "one", &conf())
        .run()
        .succeeds_silently();
}

#[test]
fn after_a_boot_nothing_is_given_before_the_grants_were_compared() {
    let Some(site) = Site::new() else { return };
    drop({
        let daemon = Daemon::start();
        site.add("one", &conf()).succeeds();
        daemon
    });
    let path = Path::new(SPACE).join("grants");
    let text = fs::read_to_string(&path).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    file["verifiedIn"] = json!("an-earlier-boot");
    fs::write(&path, file.to_string()).unwrap();
    site.add("two", &conf()).fails_with(11);
    site.call("STATUS", "two", &conf()).run().fails_with(50);
}

#[test]
fn a_damaged_grants_file_is_an_error_and_no_address_is_made_up() {
    let Some(site) = Site::new() else { return };
    fs::create_dir_all(SPACE).unwrap();
    fs::write(Path::new(SPACE).join("grants"), "{").unwrap();
    site.add("one", &conf())
        .fails_with(5)
        .names(&["netloom-cluster/default/grants"]);
    site.del("one", &conf());
}

#[test]
fn networks_that_share_a_space_share_no_address_and_gc_frees_only_its_own() {
    let Some(site) = Site::new() else { return };
    let _daemon = Daemon::start();
    let green = conf_of("green", conf()["ipam"].clone());
    let mut seen = BTreeSet::new();
    for id in ["one", "two", "three"] {
        assert!(seen.insert(address(&site.add(id, &conf()).succeeds())));
        let of_green = site.call("ADD", id, &green).env("CNI_IFNAME", "eth1").run();
        assert!(seen.insert(address(&of_green.succeeds())));
    }
    let mut gc = conf();
    gc["cni.dev/valid-attachments"] = json!([{"containerID": "two", "ifname": "eth0"}]);
    site.call("GC", "", &gc)
        .without("CNI_CONTAINERID")
        .run()
        .succeeds_silently();
    assert_eq!(reserved().len(), 4);
    // Another space is another world.
    let mut other = conf();
    other["ipam"]["space"] = json!("other");
    site.add("one", &other).succeeds();
    assert_eq!(reserved().len(), 4);
}

#[test]
fn check_wants_the_reservation_and_the_grant() {
    let Some(site) = Site::new() else { return };
    let _daemon = Daemon::start();
    let mut with = conf();
    with["prevResult"] = site.add("one", &conf()).succeeds();
    site.call("CHECK", "one", &with).run().succeeds_silently();
    let name = address(&with["prevResult"]);
    let name = name.split('/').next().unwrap();
    site.call("CHECK", "two", &with)
        .run()
        .fails()
        .names(&[name, "container one"]);
    let path = Path::new(SPACE).join("grants");
    let mut file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    file["grants"] = json!([]);
    fs::write(&path, file.to_string()).unwrap();
    site.call("CHECK", "one", &with)
        .run()
        .fails()
        .names(&[name, "not this node's any more"]);
    site.del("one", &conf());
    site.call("CHECK", "one", &with)
        .run()
        .fails()
        .names(&[name, "nobody has it"]);
}

#[test]
fn a_static_address_is_claimed_like_any_other_and_whose_it_is_is_said() {
    let Some(site) = Site::new() else { return };
    let daemon = Daemon::start();
    let mut asked = conf();
    asked["args"] = json!({"cni": {"ips": ["10.9.0.200"]}});
    assert_eq!(
        address(&site.add("one", &asked).succeeds()),
        "10.9.0.200/24"
    );
    site.add("two", &asked)
        .fails_with(11)
        .names(&["10.9.0.200", "one"]);
    asked["args"] = json!({"cni": {"ips": ["10.9.1.200"]}});
    site.add("two", &asked).fails_with(7).names(&["10.9.1.200"]);
    // One that another node has.
    let block = Block::of("10.9.0.130".parse().unwrap());
    let mut record = BlockRecord::default();
    assert!(record.add(Entry {
        span: Span::single(2),
        node: NodeName::new("there").unwrap(),
        epoch: 1,
        pin: Some(serde_json::from_value(json!({"pod": "ns/db", "state": "used"})).unwrap()),
    }));
    let space = SpaceName::new("default").unwrap();
    daemon
        .store
        .lock()
        .unwrap()
        .put(&key::block(&space, block), Some(record.to_json()));
    asked["args"] = json!({"cni": {"ips": ["10.9.0.130"]}});
    let error = site.add("three", &asked).fails_with(11);
    error.names(&["10.9.0.130 is pod ns/db's on node there"]);
}

#[test]
fn a_kept_address_comes_back_to_its_pod() {
    let Some(site) = Site::new() else { return };
    let _daemon = Daemon::start();
    let mut keeping = conf();
    keeping["ipam"]["keep"] = json!("30m");
    let call = |id: &str, pod: &str| {
        let args =
            format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME={pod};K8S_POD_UID={id}");
        site.call("ADD", id, &keeping).env("CNI_ARGS", args).run()
    };
    let first = call("one", "db-0").succeeds();
    let other = call("two", "db-1").succeeds();
    assert_ne!(address(&first), address(&other));
    // The earlier container still has it.
    call("three", "db-0")
        .fails_with(11)
        .names(&["ns/db-0", "not deleted yet"]);
    site.del("one", &keeping);
    assert_eq!(address(&call("four", "db-0").succeeds()), address(&first));
    // Without a pod's name it is the container's.
    site.add("five", &keeping).succeeds();
}

#[test]
fn every_bad_configuration_has_its_code_and_names_what_is_wrong() {
    let Some(site) = Site::new() else { return };
    let ranges = json!([[{"subnet": "10.9.0.0/24"}]]);
    for (ipam, code, words) in [
        (json!({}), 7, &["ipam.ranges is missing"][..]),
        (
            json!({"ranges": [[]]}),
            7,
            &["ipam.ranges[0]", "empty range set"],
        ),
        (
            json!({"ranges": ranges, "space": "a/b"}),
            7,
            &["space", "a/b"],
        ),
        (
            json!({"ranges": ranges, "keep": "soon"}),
            7,
            &["ipam.keep", "soon", "30m"],
        ),
        (
            json!({"ranges": ranges, "grant": 12}),
            7,
            &["ipam.grant 12"],
        ),
        (
            json!({"ranges": ranges, "wait": 1000}),
            7,
            &["ipam.wait 1000"],
        ),
        (json!({"ranges": ranges, "wait": "5s"}), 6, &["ipam.wait"]),
        (
            json!({"ranges": [[{"subnet": "10.9.0.0/30", "exclude": ["10.9.0.2"]}]]}),
            7,
            &["nothing to give", "10.9.0.1-10.9.0.2"],
        ),
        (
            json!({"ranges": [[{"subnet": "10.9.0.0/24", "exclude": ["10.9"]}]]}),
            7,
            &["exclude[0]", "10.9"],
        ),
        (
            json!({"ranges": [[{"subnet": "10.9.0.0/24"}], [{"subnet": "10.9.0.0/16"}]]}),
            7,
            &["range set 0 overlaps with 1"],
        ),
    ] {
        let error = site.add("one", &conf_of("blue", ipam)).fails_with(code);
        error.names(words);
    }
    assert!(!Path::new(SPACE).exists());
}

#[test]
fn exclusions_gateways_and_the_ends_of_the_range_are_never_given() {
    let Some(site) = Site::new() else { return };
    let _daemon = Daemon::start();
    let ipam = json!({"ranges": [[{
        "subnet": "10.9.0.0/28", "gateway": "10.9.0.9", "exclude": ["10.9.0.2", "10.9.0.4/30"],
    }]], "wait": 1});
    let small = conf_of("small", ipam);
    let mut given = BTreeSet::new();
    for id in 0..8 {
        given.insert(address(&site.add(&format!("c{id}"), &small).succeeds()));
    }
    let expected = [1, 3, 8, 10, 11, 12, 13, 14].map(|last| format!("10.9.0.{last}/28"));
    assert_eq!(given, expected.into());
    site.add("one-more", &small)
        .fails_with(11)
        .names(&["are granted, most to here"]);
}
