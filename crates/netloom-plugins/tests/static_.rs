//! static, called as a runtime calls it, and beside the reference's.

use netloom_testkit::{Call, Host, Outcome, Plugin, PluginDir};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");
const VERSIONS: [&str; 7] = [
    "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
];

fn bin() -> PluginDir {
    PluginDir::of(PROGRAM)
}

/// A call without any namespace: static looks at none.
fn call(plugin: &Plugin, command: &str, conf: &Value) -> Call {
    plugin
        .call(command, conf)
        .env("CNI_CONTAINERID", "c1")
        .env("CNI_IFNAME", "eth0")
        .env("CNI_NETNS", "/no/such/netns")
}

fn add(plugin: &Plugin, conf: &Value, args: &str) -> Outcome {
    call(plugin, "ADD", conf).env("CNI_ARGS", args).run()
}

fn check(plugin: &Plugin, conf: &Value, prev_result: &Value) -> Outcome {
    let mut conf = conf.clone();
    conf["prevResult"] = prev_result.clone();
    call(plugin, "CHECK", &conf).run()
}

fn conf(version: &str, ipam: Value) -> Value {
    json!({"cniVersion": version, "name": "fixed", "type": "bridge", "ipam": with_type(ipam)})
}

fn with_type(mut ipam: Value) -> Value {
    ipam["type"] = json!("static");
    ipam
}

/// Both families, gateways, routes with everything a route can say, and name servers.
fn everything() -> Value {
    json!({
        "addresses": [
            {"address": "10.1.0.5/24", "gateway": "10.1.0.1"},
            {"address": "fd00::5/64", "gateway": "fd00::1"},
        ],
        "routes": [
            {"dst": "0.0.0.0/0"},
            {"dst": "192.0.2.0/24", "gw": "10.1.0.9"},
            {"dst": "::/0", "gw": "fd00::9"},
        ],
        "dns": {
            "nameservers": ["10.1.0.53"], "domain": "example.net",
            "search": ["example.net", "example.org"], "options": ["ndots:5"],
        },
    })
}

#[test]
fn add_answers_with_addresses_routes_and_dns() {
    let bin = bin();
    let result = add(
        &Plugin::ours(&bin, "static"),
        &conf("1.1.0", everything()),
        "",
    )
    .succeeds();
    let mut expected = everything();
    let object = expected.as_object_mut().unwrap();
    let ips = object.remove("addresses").unwrap();
    object.insert("ips".into(), ips);
    object.insert("cniVersion".into(), "1.1.0".into());
    assert_eq!(result, expected);
}

#[test]
fn routes_keep_every_attribute() {
    let bin = bin();
    let routes = json!([{
        "dst": "10.9.0.0/16", "gw": "10.1.0.1", "mtu": 1400, "advmss": 1360, "priority": 7,
        "table": 0, "scope": 253,
    }]);
    let conf = conf("1.1.0", json!({"routes": routes}));
    let result = add(&Plugin::ours(&bin, "static"), &conf, "").succeeds();
    assert_eq!(result, json!({"cniVersion": "1.1.0", "routes": routes}));
}

#[test]
fn add_answers_as_the_reference_does_in_every_version() {
    let (bin, Some(theirs)) = (bin(), Plugin::debian("static")) else {
        return;
    };
    let ours = Plugin::ours(&bin, "static");
    let two = json!({"addresses": [{"address": "10.1.0.5/24"}, {"address": "10.1.0.6/24"}]});
    let args =
        "IgnoreUnknown=1;K8S_POD_NAME=p;IP= 10.4.0.5/24,fd00:4::5/64;GATEWAY=10.4.0.1, fd00:4::1";
    let mut with_args = conf("", everything());
    with_args["args"] = json!({"cni": {"ips": ["10.2.0.5/24"]}});
    let mut with_both = with_args.clone();
    with_both["runtimeConfig"] = json!({"ips": ["10.3.0.5/24", "fd00:3::5/64"]});
    let mut odd_case = conf("", json!({}));
    odd_case["ipam"]["Addresses"] =
        json!([{"ADDRESS": "::ffff:10.1.0.5/120", "Gateway": "fd00::1"}]);
    let mut no_ipam = conf("", json!({}));
    no_ipam["ipam"] = Value::Null;

    for version in VERSIONS {
        for (conf, args) in [
            (conf("", everything()), ""),
            (conf("", everything()), args),
            (conf("", json!({})), args),
            (
                conf("", json!({"addresses": [{"address": "10.1.0.5/24"}]})),
                "",
            ),
            (
                conf("", json!({"addresses": [{"address": "fd00::5/64"}]})),
                "",
            ),
            (conf("", json!({})), ""),
            (conf("", two.clone()), ""),
            (with_args.clone(), args),
            (with_both.clone(), args),
            (odd_case.clone(), ""),
            (no_ipam.clone(), args),
            (conf("", json!({})), "IP=10.1.0.5"),
            (conf("", json!({})), "ip=10.1.0.5/24"),
            (conf("", json!({})), "IP=10.1.0.5/24;GATEWAY=ten"),
            (
                conf("", json!({"addresses": [{"address": "10.1.0.5"}]})),
                "",
            ),
            (conf("", json!({"addresses": [{}]})), ""),
            (
                conf(
                    "",
                    json!({"addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0"}]}),
                ),
                "",
            ),
        ] {
            let mut conf = conf;
            conf["cniVersion"] = json!(version);
            let our = add(&ours, &conf, args);
            // Debian's does not know 1.1.0, whose results look the same here.
            conf["cniVersion"] = json!(version.min("1.0.0"));
            let their = add(&theirs, &conf, args);
            assert_eq!(
                our.is_success(),
                their.is_success(),
                "ours\n{our}\ntheirs\n{their}"
            );
            if our.is_success() && version < "1.0.0" {
                assert_eq!(our.stdout, their.stdout, "{conf} {args}");
            } else if our.is_success() {
                // Later releases have the keys in our order, and leave empty dns out.
                let mut expected = their.json();
                expected["cniVersion"] = json!(version);
                if expected["dns"] == json!({}) {
                    expected.as_object_mut().unwrap().remove("dns");
                }
                assert_eq!(our.json(), expected, "{conf} {args}");
            } else {
                our.fails();
            }
        }
    }
}

#[test]
fn what_is_wrong_is_named_with_its_field_its_value_and_what_would_be_right() {
    let bin = bin();
    let plugin = Plugin::ours(&bin, "static");
    let address =
        |address: Value| json!({"ipam": {"addresses": [{"address": "fd00::5/64"}, address]}});
    let ips = |ips: Value| json!({"ipam": {}, "runtimeConfig": {"ips": ips}});
    for (wrong, args, code, names) in [
        (json!({}), "", 7, &["IPAM config missing 'ipam' key"][..]),
        (
            json!({"ipam": "static"}),
            "",
            6,
            &["ipam", "static", "expected an object"],
        ),
        (
            json!({"ipam": {"addresses": "10.1.0.5/24"}}),
            "",
            6,
            &["ipam.addresses", "expected an array"],
        ),
        (
            address(json!({"address": 10})),
            "",
            6,
            &["ipam.addresses[1].address", "10", "expected a string"],
        ),
        (
            address(json!({"address": "10.1.0.5"})),
            "",
            7,
            &[
                "ipam.addresses[1].address",
                "expected to be in CIDR notation, got: '10.1.0.5'",
                "10.1.0.5/24",
            ],
        ),
        (
            address(json!({})),
            "",
            7,
            &["ipam.addresses[1].address", "got: ''"],
        ),
        (
            address(json!({"address": "10.01.0.5/24"})),
            "",
            7,
            &["ipam.addresses[1].address", "'10.01.0.5/24'"],
        ),
        (
            address(json!({"address": "10.1.0.5/33"})),
            "",
            7,
            &["ipam.addresses[1].address", "'10.1.0.5/33'"],
        ),
        (
            address(json!({"address": "10.1.0.5/24", "gateway": "10.1.0"})),
            "",
            7,
            &["ipam.addresses[1].gateway", "10.1.0", "10.1.0.5 or fd00::5"],
        ),
        (
            ips(json!("10.1.0.5/24")),
            "",
            6,
            &["runtimeConfig.ips", "expected an array"],
        ),
        (
            ips(json!(["fd00::5/64", "10.1.0.5"])),
            "",
            7,
            &[
                "runtimeConfig.ips[1]",
                "'ips' field is NOT in CIDR notation, got: '10.1.0.5'",
                "10.1.0.5/24",
            ],
        ),
        (
            json!({"ipam": {}, "args": {"cni": {"ips": [""]}}}),
            "",
            7,
            &[
                "args.cni.ips[0]",
                "'ips' field is NOT in CIDR notation, got: ''",
            ],
        ),
        (
            json!({"ipam": {"routes": [{"dst": "default"}]}}),
            "",
            7,
            &["ipam.routes[0].dst", "default"],
        ),
        (
            json!({"ipam": {"dns": {"nameservers": "::1"}}}),
            "",
            6,
            &["ipam.dns.nameservers"],
        ),
        (
            json!({"ipam": {}}),
            "IP=10.1.0.5/24,10.1.0.6",
            4,
            &["the 'ip' field", "got: '10.1.0.6'", "CNI_ARGS"],
        ),
        (
            json!({"ipam": {}}),
            "IP=10.1.0.5/24,",
            4,
            &["the 'ip' field", "got: ''"],
        ),
        (
            json!({"ipam": {}}),
            "GATEWAY=10.1.0",
            4,
            &["invalid gateway address: \"10.1.0\"", "CNI_ARGS"],
        ),
        (json!({"ipam": {}}), "IP", 4, &["ARGS: invalid pair \"IP\""]),
        (
            json!({"ipam": {}}),
            "MAC=x;IP=10.1.0.5/24",
            4,
            &["ARGS: unknown args [\"MAC=x\"]", "IP, GATEWAY"],
        ),
    ] {
        let mut conf = wrong;
        conf["cniVersion"] = json!("1.1.0");
        conf["name"] = json!("fixed");
        add(&plugin, &conf, args).fails_with(code).names(names);
    }
}

#[test]
fn an_address_that_no_pod_can_have_is_refused() {
    let bin = bin();
    let plugin = Plugin::ours(&bin, "static");
    for (addresses, words) in [
        (&["0.0.0.0/0"][..], "0.0.0.0/8"),
        (&["127.0.0.5/8"], "127.0.0.0/8"),
        (&["10.1.0.5/24", "224.0.0.1/24"], "224.0.0.0/4"),
        (&["255.255.255.255/32"], "no host can have"),
        (&["::/64"], "::/127"),
        (&["::1/128"], "::/127"),
        (&["ff02::1/64"], "ff00::/8"),
        (
            &["10.1.0.5/24", "10.1.0.5/16"],
            "address 10.1.0.5 is given twice",
        ),
    ] {
        let list: Vec<Value> = (addresses.iter().map(|it| json!({"address": it}))).collect();
        let conf = conf("1.1.0", json!({"addresses": list}));
        add(&plugin, &conf, "").fails_with(7).names(&[words]);
    }
    // IPv4's networks and broadcast addresses are what the administrator says.
    let conf = conf(
        "1.1.0",
        json!({"addresses": [{"address": "10.1.0.0/24"}, {"address": "240.0.0.1/4"}]}),
    );
    add(&plugin, &conf, "").succeeds();
}

#[test]
fn a_gateway_that_no_address_can_use_is_told_and_no_error() {
    let bin = bin();
    let conf = conf("1.1.0", json!({"addresses": [{"address": "10.1.0.5/24"}]}));
    let outcome = add(&Plugin::ours(&bin, "static"), &conf, "GATEWAY=10.1.0.1");
    assert_eq!(
        outcome.succeeds()["ips"],
        json!([{"address": "10.1.0.5/24"}])
    );
    assert!(outcome.stderr.contains("GATEWAY 10.1.0.1"), "{outcome}");
}

#[test]
fn check_accepts_what_add_answered_and_what_others_added_to_it() {
    let bin = bin();
    let plugin = Plugin::ours(&bin, "static");
    for version in ["0.4.0", "1.0.0", "1.1.0"] {
        let conf = conf(version, everything());
        let mut result = add(&plugin, &conf, "").succeeds();
        check(&plugin, &conf, &result).succeeds_silently();
        let ips = result["ips"].as_array_mut().unwrap();
        ips.insert(
            0,
            json!({"address": "10.1.0.99/24", "gateway": "10.1.0.98"}),
        );
        for ip in ips {
            ip["version"] = json!("4");
            ip["interface"] = json!(0);
        }
        result["routes"] = json!([]);
        check(&plugin, &conf, &result).succeeds_silently();
    }
}

#[test]
fn check_names_the_address_that_is_missing_or_different() {
    let bin = bin();
    let plugin = Plugin::ours(&bin, "static");
    let conf = conf("1.0.0", everything());
    let second =
        |ip: Value| json!({"ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}, ip]});
    for (observed, names) in [
        (
            second(json!({"address": "fd00::6/64"})),
            &["fd00::5/64", "eth0", "prevResult lacks it"][..],
        ),
        (json!({"ips": []}), &["10.1.0.5/24", "prevResult lacks it"]),
        (json!({}), &["10.1.0.5/24", "prevResult lacks it"]),
        (
            second(json!({"address": "fd00::5/64", "gateway": "fd00::2"})),
            &[
                "fd00::5/64",
                "its gateway is fd00::1, but in prevResult fd00::2",
            ],
        ),
        (
            second(json!({"address": "fd00::5/64"})),
            &[
                "fd00::5/64",
                "its gateway is fd00::1, but in prevResult it has none",
            ],
        ),
        (
            second(json!({"address": "fd00::5/128", "gateway": "fd00::1"})),
            &["fd00::5/64", "its prefix length in prevResult is 128"],
        ),
    ] {
        let error = check(&plugin, &conf, &observed).fails_with(999);
        error.names(&["Failed to match addr"]).names(names);
    }
    call(&plugin, "CHECK", &conf)
        .run()
        .fails_with(7)
        .names(&["Required prevResult missing"]);
}

#[test]
fn check_knows_the_addresses_of_the_runtime() {
    let bin = bin();
    let plugin = Plugin::ours(&bin, "static");
    let mut conf = conf("1.0.0", everything());
    conf["runtimeConfig"] = json!({"ips": ["10.3.0.5/24"]});
    let result = add(&plugin, &conf, "").succeeds();
    check(&plugin, &conf, &result).succeeds_silently();
    conf["runtimeConfig"]["ips"] = json!(["10.3.0.6/24"]);
    check(&plugin, &conf, &result)
        .fails_with(999)
        .names(&["10.3.0.6/24"]);
}

#[test]
fn del_and_gc_succeed_whatever_the_configuration_says() {
    let bin = bin();
    let plugin = Plugin::ours(&bin, "static");
    for ipam in [
        everything(),
        json!({}),
        json!({"addresses": [{"address": "nonsense"}]}),
        json!({"addresses": 1}),
    ] {
        let mut conf = conf("1.1.0", ipam);
        conf["prevResult"] = json!({"ips": "nonsense"});
        for _ in 0..2 {
            let del = call(&plugin, "DEL", &conf).env("CNI_ARGS", "nonsense");
            del.run().succeeds_silently();
            del.without("CNI_NETNS").run().succeeds_silently();
        }
        plugin.gc(&conf, &[]).succeeds_silently();
        plugin.gc(&conf, &[("c1", "eth0")]).succeeds_silently();
    }
}

#[test]
fn status_says_whether_the_configuration_is_one() {
    let bin = bin();
    let plugin = Plugin::ours(&bin, "static");
    plugin
        .status(&conf("1.1.0", everything()))
        .succeeds_silently();
    plugin.status(&conf("1.1.0", json!({}))).succeeds_silently();
    let wrong = conf("1.1.0", json!({"addresses": [{"address": "10.1.0.5"}]}));
    plugin
        .status(&wrong)
        .fails_with(7)
        .names(&["ipam.addresses[0].address", "10.1.0.5"]);
}

#[test]
fn a_bridge_gives_the_addresses_to_the_pod_and_they_are_checked_there() {
    let Some(host) = Host::new() else { return };
    let (pod, bin) = (host.pod("one"), bin());
    let bridge = Plugin::ours(&bin, "bridge");
    let mut conf = conf("1.1.0", everything());
    conf["isGateway"] = json!(true);
    conf["bridge"] = json!("br-static");
    let result = bridge.add(&conf, &pod).succeeds();
    assert_eq!(result["ips"][0]["address"], "10.1.0.5/24");
    assert_eq!(result["ips"][1]["gateway"], "fd00::1");
    assert_eq!(result["dns"], everything()["dns"]);
    let addresses = pod.ip("-o address show dev eth0");
    assert!(
        addresses.contains("10.1.0.5/24") && addresses.contains("fd00::5/64"),
        "{addresses}"
    );
    assert!(
        pod.pings([10, 1, 0, 1]),
        "the gateway is the bridge's own address"
    );
    let routes = pod.ip("route show");
    assert!(routes.contains("192.0.2.0/24 via 10.1.0.9"), "{routes}");
    bridge.check(&conf, &result, &pod).succeeds_silently();

    let mut other = conf.clone();
    other["ipam"]["addresses"][0]["address"] = json!("10.1.0.6/24");
    bridge
        .check(&other, &result, &pod)
        .fails_with(999)
        .names(&["static: Failed to match addr 10.1.0.6/24 on interface eth0"]);
    bridge.status(&conf).succeeds_silently();
    bridge
        .gc(&conf, &[(&pod.container_id(), "eth0")])
        .succeeds_silently();
    bridge.del_with(&conf, &result, &pod).succeeds_silently();
    assert!(!pod.ip("-br link").contains("eth0"));
}
