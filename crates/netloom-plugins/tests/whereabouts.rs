//! whereabouts' configurations, read by the same plugin under that name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cluster/daemon.rs"]
#[expect(dead_code, reason = "the tests of cluster look into the store")]
mod daemon;

use daemon::Daemon;
use netloom_testkit::{Host, Outcome, Plugin, PluginDir};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn add(bin: &PluginDir, id: &str, mut ipam: Value, args: &str) -> Outcome {
    ipam["type"] = json!("whereabouts");
    let conf = json!({"cniVersion": "0.3.1", "name": "net", "type": "macvlan", "ipam": ipam});
    Plugin::ours(bin, "whereabouts")
        .call("ADD", &conf)
        .env("CNI_CONTAINERID", id)
        .env("CNI_IFNAME", "net1")
        .env("CNI_NETNS", "/var/run/netns/of-nobody")
        .env("CNI_ARGS", args)
        .run()
}

fn addresses(result: &Value) -> Vec<String> {
    let ips = result["ips"].as_array().unwrap();
    ips.iter()
        .map(|ip| ip["address"].as_str().unwrap().to_owned())
        .collect()
}

fn bin() -> PluginDir {
    PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"))
}

#[test]
fn every_shape_of_a_range_gives_addresses_within_it() {
    let Some(_host) = Host::new() else { return };
    let (bin, _daemon) = (bin(), Daemon::start());
    for (number, (ipam, inside)) in [
        (json!({"range": "192.168.2.225/28", "network_name": "a"}), "192.168.2.22"),
        (json!({"range": "10.10.0.0/16", "range_start": "10.10.0.200", "range_end": "10.10.0.201"}), "10.10.0.20"),
        (json!({"range": "10.11.0.30-10.11.0.39/24"}), "10.11.0.3"),
        (json!({"range": "10.12.0.0/29", "exclude": ["10.12.0.0/30", "10.12.0.5/32"]}), "10.12.0."),
        (json!({"range": "2001:db8:1::/116", "gateway": "2001:db8:1::1"}), "2001:db8:1::"),
        (
            json!({
                "range": "10.13.0.0/24", "enable_overlapping_ranges": false,
                "kubernetes": {"kubeconfig": "/etc/cni/whereabouts.kubeconfig"}, "log_level": "debug",
                "datastore": "kubernetes", "leader_lease_duration": 1500, "node_slice_size": "/28",
            }),
            "10.13.0.",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let result = add(&bin, &format!("c{number}"), ipam, "").succeeds();
        let given = addresses(&result);
        assert_eq!(given.len(), 1);
        assert!(given[0].starts_with(inside), "{given:?}");
    }
    assert!(Path::new("/var/lib/cni/netloom-cluster/range-10.13.0.0-24").is_dir());
    let names = fs::read_dir("/var/lib/cni/netloom-cluster/a").unwrap();
    assert!(names.count() > 2, "network_name is the space");
}

#[test]
fn ip_ranges_give_an_address_each_and_addresses_are_claimed_too() {
    let Some(_host) = Host::new() else { return };
    let (bin, _daemon) = (bin(), Daemon::start());
    let ipam = json!({
        "ipRanges": [{"range": "10.14.0.0/24"}, {"range": "fd00:14::/64"}],
        "addresses": [{"address": "10.15.0.7/24", "gateway": "10.15.0.1"}],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {"nameservers": ["10.14.0.53"]},
    });
    let result = add(&bin, "one", ipam.clone(), "").succeeds();
    let given = addresses(&result);
    assert!(
        given[0].starts_with("10.14.0.") && given[1].starts_with("fd00:14::"),
        "{given:?}"
    );
    assert_eq!(given[2], "10.15.0.7/24");
    assert_eq!(result["dns"]["nameservers"], json!(["10.14.0.53"]));
    add(&bin, "two", ipam, "")
        .fails_with(11)
        .names(&["10.15.0.7", "one"]);
}

#[test]
fn ip_and_gateway_of_the_arguments_count() {
    let Some(_host) = Host::new() else { return };
    let (bin, _daemon) = (bin(), Daemon::start());
    let ipam = json!({"range": "10.16.0.0/24"});
    let args = "IgnoreUnknown=1;K8S_POD_NAME=p;IP=10.16.0.9;GATEWAY=10.16.0.254";
    let result = add(&bin, "one", ipam, args).succeeds();
    assert_eq!(addresses(&result), ["10.16.0.9/24"]);
    assert_eq!(result["ips"][0]["gateway"], "10.16.0.254");
}

#[test]
fn a_flat_file_completes_what_the_configuration_leaves_out() {
    let Some(_host) = Host::new() else { return };
    let (bin, _daemon) = (bin(), Daemon::start());
    let path = "/run/flat/whereabouts.conf";
    fs::create_dir_all("/run/flat").unwrap();
    fs::write(
        path,
        r#"{"range": "10.17.0.0/24", "gateway": "10.17.0.1", "log_file": "/x"}"#,
    )
    .unwrap();
    let result = add(&bin, "one", json!({"configuration_path": path}), "").succeeds();
    assert!(addresses(&result)[0].starts_with("10.17.0."));
    let own = json!({"configuration_path": path, "range": "10.18.0.0/24", "gateway": "10.18.0.1"});
    let result = add(&bin, "two", own, "").succeeds();
    assert!(addresses(&result)[0].starts_with("10.18.0."));
    fs::write(path, "{").unwrap();
    add(&bin, "three", json!({"configuration_path": path}), "")
        .fails_with(6)
        .names(&[path]);
}

#[test]
fn what_is_wrong_is_named() {
    let Some(_host) = Host::new() else { return };
    let bin = bin();
    for (ipam, code, words) in [
        (json!({}), 7, &["ipam.range is missing"][..]),
        (json!({"range": "10.0.0.0"}), 7, &["10.0.0.0"]),
        (
            json!({"range": "10.0.0.0/24", "node_slice_size": "big"}),
            7,
            &["node_slice_size", "big"],
        ),
        (
            json!({"range": "10.0.0.0/24", "exclude": ["10.0.0.0/24"]}),
            7,
            &["nothing to give"],
        ),
    ] {
        add(&bin, "one", ipam, "").fails_with(code).names(words);
    }
}
