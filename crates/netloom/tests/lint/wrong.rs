//! Wrong configurations: for each the rule, the place and the mend. The place is between « and ».

use std::fs;

use serde_json::Value;

use crate::{findings, lint};

struct Wrong {
    plugin: &'static str,
    /// What the plugin's object has beside its type.
    keys: &'static str,
    rule: &'static str,
    /// What is to be written in place of what is marked, where lint knows.
    mend: Option<&'static str>,
}

const fn wrong(
    plugin: &'static str,
    keys: &'static str,
    rule: &'static str,
    mend: Option<&'static str>,
) -> Wrong {
    Wrong {
        plugin,
        keys,
        rule,
        mend,
    }
}

/// Wrong objects of plugins.
const OBJECTS: &[Wrong] = &[
    wrong("bridge", r#""isGateway": «"yes"»"#, "NL003", Some("true")),
    wrong("bridge", r#""isGateway": «"off"»"#, "NL003", Some("false")),
    wrong("bridge", r#""isGateway": «1»"#, "NL003", Some("true")),
    wrong(
        "bridge",
        r#""hairpinMode": «"yes-we-need!"»"#,
        "NL003",
        None,
    ),
    wrong(
        "ratchet",
        r#""required": «"yes"», "wait": 3"#,
        "NL003",
        Some("true"),
    ),
    wrong("ratchet", r#""wait": «31»"#, "NL006", None),
    wrong(
        "ratchet",
        r#"«"mutuel"»: true"#,
        "NL004",
        Some("\"mutual\""),
    ),
    wrong(
        "ratchet",
        r#""links": [{"if": "in1", "peer": "default/b", "peerIf": "in2", "addresses": ["10.1.0.1/24", «7»]}]"#,
        "NL003",
        Some("\"7\""),
    ),
    wrong(
        "ratchet",
        r#""links": [{"if": "in1", "peer": "default/b", "peerIf": "in2", "mtu": «67»}]"#,
        "NL006",
        None,
    ),
    wrong(
        "ratchet",
        r#""links": [{"if": "in1", "peer": "default/b", "peerIf": "in2", «"adresses"»: []}]"#,
        "NL004",
        Some("\"addresses\""),
    ),
    wrong("macvlan", r#""mtu": «-1»"#, "NL006", None),
    wrong("ipvlan", r#""mtu": «67»"#, "NL006", None),
    wrong(
        "vlan",
        r#""master": "eth0", "mtu": «67», "ipam": {"type": "dhcp"}"#,
        "NL006",
        None,
    ),
    wrong("bridge", r#""vlan": «"110"»"#, "NL003", Some("110")),
    wrong("bridge", r#""vlan": «4095»"#, "NL006", None),
    wrong("bridge", r#""mtu": «67»"#, "NL006", None),
    wrong("bridge", r#""mtu": «99999999999»"#, "NL006", None),
    wrong("bridge", r#""mtu": «1.5»"#, "NL006", None),
    wrong("bridge", r#""bridge": «7»"#, "NL003", Some("\"7\"")),
    wrong("bridge", r#""bridge": «"a/b"»"#, "NL006", None),
    wrong(
        "bridge",
        r#""bridge": «"a-name-that-is-too-long"»"#,
        "NL006",
        None,
    ),
    wrong(
        "bridge",
        r#"«"brigde"»: "cni0""#,
        "NL004",
        Some("\"bridge\""),
    ),
    wrong("bridge", r#"«"master"»: "eth0""#, "NL004", None),
    wrong(
        "bridge",
        r#"«"isgateway"»: true"#,
        "NL005",
        Some("\"isGateway\""),
    ),
    wrong(
        "bridge",
        r#""ipMasqBackend": «"iptable"»"#,
        "NL006",
        Some("\"iptables\""),
    ),
    wrong("bridge", r#""ipMasqBackend": «"pf"»"#, "NL006", None),
    wrong("bridge", r#""acceptRA": «"no"»"#, "NL003", Some("false")),
    wrong(
        "bridge",
        r#""vlanTrunk": [{"id": «"5"»}]"#,
        "NL003",
        Some("5"),
    ),
    wrong(
        "bridge",
        r#""vlanTrunk": [{«"minId"»: 5, "maxID": 6}]"#,
        "NL005",
        Some("\"minID\""),
    ),
    wrong("bridge", r#""dns": «"1.1.1.1"»"#, "NL003", None),
    wrong(
        "bridge",
        r#""dns": {"search": «"example.org"»}"#,
        "NL003",
        Some("[\"example.org\"]"),
    ),
    wrong("bridge", r#""ipam": «"host-local"»"#, "NL003", None),
    wrong(
        "bridge",
        r#""capabilities": {«"macs"»: true}"#,
        "NL202",
        Some("\"mac\""),
    ),
    wrong(
        "bridge",
        r#""capabilities": {"mac": «"true"»}"#,
        "NL003",
        Some("true"),
    ),
    wrong(
        "bridge",
        r#""mtu": 1500, «"mtu"»: 1400, "mtu": 1300"#,
        "NL002",
        None,
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "host-local", "subnet": «"10.0.0.0/33"»}"#,
        "NL006",
        None,
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "host-local", "subnet": "10.0.0.0/24", "rangeStart": «"10.0.1.5"»}"#,
        "NL006",
        None,
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "host-local", "subnet": "10.0.0.0/24", "gateway": «"10.0.1.1"»}"#,
        "NL301",
        None,
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "host-local", "subnet": "10.0.0.0/24", "gateway": «"10.0.0.x"»}"#,
        "NL006",
        None,
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "host-local", "subnet": "10.0.0.0/24", «"gatway"»: "10.0.0.1"}"#,
        "NL004",
        Some("\"gateway\""),
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "host-local", "subnet": "10.0.0.0/24", "routes": [{"dst": «"0.0.0.0"»}]}"#,
        "NL006",
        None,
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "host-local", "subnet": "10.0.0.0/24", "routes": [{"dst": "0.0.0.0/0", "gw": «"10.9.0.1"»}]}"#,
        "NL303",
        None,
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "host-local", "ranges": [[{"subnet": "10.0.0.0/24", "rangeEnd": «"10.0.0.300"»}]]}"#,
        "NL006",
        None,
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "host-local", "ranges": [{"subnet": "10.0.0.0/24"}]}"#,
        "NL003",
        None,
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "static", "addresses": [{"address": «"10.0.0.5"»}]}"#,
        "NL006",
        None,
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "static", "addresses": [{«"gatway"»: "10.0.0.1", "address": "10.0.0.5/24"}]}"#,
        "NL004",
        Some("\"gateway\""),
    ),
    wrong(
        "ptp",
        r#""ipam": {"type": "dhcp", "priority": «"x"»}"#,
        "NL003",
        None,
    ),
    wrong(
        "ptp",
        r#""ipMasq": «"true"», "ipam": {"type": "host-local", "subnet": "10.0.0.0/24"}"#,
        "NL003",
        Some("true"),
    ),
    wrong(
        "macvlan",
        r#""mode": «"brigde"», "ipam": {"type": "dhcp"}"#,
        "NL006",
        Some("\"bridge\""),
    ),
    wrong(
        "macvlan",
        r#""bcqueuelen": «-1», "ipam": {"type": "dhcp"}"#,
        "NL006",
        None,
    ),
    wrong(
        "ipvlan",
        r#""mode": «"l4"», "ipam": {"type": "dhcp"}"#,
        "NL006",
        None,
    ),
    wrong(
        "vlan",
        r#""master": "eth0", "vlanId": «5000», "ipam": {"type": "dhcp"}"#,
        "NL006",
        None,
    ),
    wrong(
        "vlan",
        r#""master": "eth0", «"vlanID"»: 5, "ipam": {"type": "dhcp"}"#,
        "NL005",
        Some("\"vlanId\""),
    ),
    wrong("host-device", r#""hwaddr": «"00:11:22"»"#, "NL006", None),
    wrong("host-device", r#""kernelpath": «"/tmp/x"»"#, "NL006", None),
    wrong(
        "portmap",
        r#""backend": «"nftable"»"#,
        "NL006",
        Some("\"nftables\""),
    ),
    wrong("portmap", r#""markMasqBit": «32»"#, "NL006", None),
    wrong(
        "portmap",
        r#""externalSetMarkChain": «"a b"»"#,
        "NL006",
        None,
    ),
    wrong("portmap", r#""snat": «"yes"»"#, "NL003", Some("true")),
    wrong(
        "firewall",
        r#""ingressPolicy": «"isolate"»"#,
        "NL006",
        Some("\"isolated\""),
    ),
    wrong("firewall", r#""backend": «"ufw"»"#, "NL006", None),
    wrong(
        "firewall",
        r#""iptablesAdminChainName": «"FORWARD"»"#,
        "NL006",
        None,
    ),
    wrong(
        "bandwidth",
        r#""ingressRate": «"1000"», "ingressBurst": 1000"#,
        "NL003",
        Some("1000"),
    ),
    wrong(
        "bandwidth",
        r#""ingressRate": «-5», "ingressBurst": 1000"#,
        "NL006",
        None,
    ),
    wrong(
        "tuning",
        r#""sysctl": {"net.core.somaxconn": «500»}"#,
        "NL003",
        Some("\"500\""),
    ),
    wrong("tuning", r#""mtu": «-2»"#, "NL006", None),
    wrong("tuning", r#""mac": «"zz:00:00:00:00:00"»"#, "NL006", None),
    wrong("vrf", r#""vrfname": «5»"#, "NL003", Some("\"5\"")),
    wrong("sbr", r#""table": «"x"»"#, "NL003", None),
    wrong("flannel", r#""delegate": «"bridge"»"#, "NL003", None),
    wrong("tap", r#""multiQueue": «"on"»"#, "NL003", Some("true")),
];

/// Wrong files: name, content, rule, mend.
const FILES: &[(&str, &str, &str, Option<&str>)] = &[
    (
        "a.conf",
        "{\"name\": \"n\"«» \"type\": \"loopback\"}",
        "NL001",
        Some(","),
    ),
    (
        "a.conf",
        "{\"name\": \"n\", \"type\": \"loopback\"«,»}",
        "NL001",
        Some(""),
    ),
    (
        "a.conf",
        "{\"name\"«» \"n\", \"type\": \"loopback\"}",
        "NL001",
        Some(":"),
    ),
    (
        "a.conf",
        "{«// mine»\n\"name\": \"n\", \"type\": \"loopback\"}",
        "NL001",
        Some(""),
    ),
    (
        "a.conf",
        "{\"name\": \"n\", «'type'»: \"loopback\"}",
        "NL001",
        None,
    ),
    (
        "a.conf",
        "{\"name\": \"n\", \"type\": \"loopback\"}«}»",
        "NL001",
        None,
    ),
    ("a.conf", "«»", "NL001", None),
    (
        "a.conflist",
        "{\"cniVersion\": \"1.0.0\", \"name\": \"n\", \"plugin\": []}",
        "NL008",
        None,
    ),
    (
        "a.conflist",
        "{\"cniVersion\": «\"9.9.9\"», \"name\": \"n\", \"plugins\": [{\"type\": \"loopback\"}]}",
        "NL101",
        None,
    ),
    (
        "a.conflist",
        "{\"cniVersion\": \"1.0.0\", \"name\": «\"n/x\"», \"plugins\": [{\"type\": \"loopback\"}]}",
        "NL008",
        None,
    ),
    (
        "a.conflist",
        "{\"cniVersion\": \"1.0.0\", \"name\": \"n\", \"disableCheck\": «\"maybe\"», \"plugins\": [{\"type\": \"loopback\"}]}",
        "NL008",
        None,
    ),
    (
        "a.conflist",
        "{\"cniVersion\": \"1.0.0\", \"name\": \"n\", «\"disableGc\"»: true, \"plugins\": [{\"type\": \"loopback\"}]}",
        "NL004",
        Some("\"disableGC\""),
    ),
    (
        "a.conflist",
        "{\"cniVersion\": \"1.0.0\", \"name\": \"n\", \"plugins\": [{\"type\": «\"portmap\"»}]}",
        "NL201",
        None,
    ),
    (
        "a.conflist",
        "{\"cniVersion\": «\"0.2.0\"», \"name\": \"n\", \"plugins\": [{\"type\": \"loopback\"}, {\"type\": \"debug\"}]}",
        "NL102",
        None,
    ),
];

/// The text without marks, and the line and the column of the first.
fn unmark(marked: &str) -> (String, Option<(usize, usize)>) {
    let place = marked.find('«').map(|at| {
        let before = &marked[..at];
        let line = before.matches('\n').count() + 1;
        (
            line,
            before.rsplit('\n').next().unwrap().chars().count() + 1,
        )
    });
    (marked.replace(['«', '»'], ""), place)
}

fn assert_found(name: &str, marked: &str, rule: &str, mend: Option<&str>) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    let (text, place) = unmark(marked);
    fs::write(&file, &text).unwrap();
    let all = findings(&file);
    let at = |it: &Value| (it["line"].as_u64().unwrap(), it["column"].as_u64().unwrap());
    let expected = place.map(|(line, column)| (line as u64, column as u64));
    let found = all
        .iter()
        .find(|it| it["rule"] == rule && expected.is_none_or(|expected| at(it) == expected));
    let Some(found) = found else {
        return Some(format!("no {rule} at {expected:?} in {marked}: {all:#?}"));
    };
    let fix = found["fix"]["text"].as_str();
    if fix != mend {
        return Some(format!("{marked} would be mended by {fix:?}, not {mend:?}"));
    }
    mend.and_then(|_| still_wrong(&file, marked))
}

/// What was mended is right then.
fn still_wrong(file: &std::path::Path, marked: &str) -> Option<String> {
    let outcome = lint(&["--fix", "--format", "json"]).arg(file).run();
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let left = &report["findings"];
    // What the template lacks beside it.
    let is_clean = left
        .as_array()
        .unwrap()
        .iter()
        .all(|it| it["rule"] == "NL201" || it["fix"].is_null() && it["rule"] == "NL006");
    (!is_clean).then(|| format!("{marked} is not clean after --fix: {left:#}"))
}

fn in_list(wrong: &Wrong) -> String {
    format!(
        "{{\n  \"cniVersion\": \"1.1.0\",\n  \"name\": \"net\",\n  \"plugins\": [\n    {{\n      \"type\": \"{}\",\n      {}\n    }}\n  ]\n}}\n",
        wrong.plugin, wrong.keys
    )
}

#[test]
fn each_wrong_object_is_found_with_rule_place_and_mend() {
    assert!(OBJECTS.len() >= 60);
    let wrong = OBJECTS
        .iter()
        .filter_map(|it| assert_found("a.conflist", &in_list(it), it.rule, it.mend));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn each_wrong_file_is_found_with_rule_place_and_mend() {
    let wrong = FILES
        .iter()
        .filter_map(|(name, text, rule, mend)| assert_found(name, text, rule, *mend));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
