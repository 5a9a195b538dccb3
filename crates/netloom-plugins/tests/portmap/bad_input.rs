//! What is wrong is refused in one line that names it, and nothing is changed.

use crate::support::{BOTH, Lab, tcp};
use serde_json::{Value, json};

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let mapping = |keys: Value| {
        let mut mapping = json!({"hostPort": 80, "containerPort": 80, "protocol": "tcp"});
        for (key, value) in keys.as_object().unwrap() {
            mapping[key] = value.clone();
        }
        json!({"runtimeConfig": {"portMappings": [mapping]}})
    };
    let cases: Vec<(Value, u64, Vec<&str>)> = vec![
        (
            mapping(json!({"hostPort": 0})),
            7,
            vec!["portMappings[0]", "Invalid host port number: 0"],
        ),
        (
            mapping(json!({"hostPort": 65536})),
            7,
            vec!["Invalid host port number: 65536", "65535"],
        ),
        (
            mapping(json!({"containerPort": -1})),
            7,
            vec!["Invalid container port number: -1"],
        ),
        (
            mapping(json!({"protocol": "icmp"})),
            7,
            vec!["protocol", "icmp", "sctp"],
        ),
        (
            mapping(json!({"protocol": ""})),
            7,
            vec!["protocol", "\"\""],
        ),
        (
            mapping(json!({"hostIP": "300.1.1.1"})),
            7,
            vec!["hostIP", "300.1.1.1"],
        ),
        (mapping(json!({"range": 70000})), 7, vec!["range 70000"]),
        (mapping(json!({"hostPort": "80"})), 6, vec!["hostPort"]),
        (
            json!({"markMasqBit": 32}),
            7,
            vec!["MasqMarkBit must be between 0 and 31", "32"],
        ),
        (
            json!({"backend": "pf"}),
            7,
            vec!["unrecognized backend \"pf\"", "nftables"],
        ),
        (
            json!({"markMasqBit": 5, "externalSetMarkChain": "X"}),
            7,
            vec!["Cannot specify externalSetMarkChain and markMasqBit"],
        ),
        (
            json!({"externalSetMarkChain": "a b"}),
            7,
            vec!["externalSetMarkChain", "a b"],
        ),
        (
            json!({"conditionsV4": ["-d\n-A"]}),
            7,
            vec!["conditionsV4", "line break"],
        ),
        (json!({"snat": "yes"}), 6, vec!["snat"]),
        (
            json!({"prevResult": null}),
            7,
            vec!["must be called as chained plugin"],
        ),
        (
            json!({"prevResult": {"cniVersion": "1.1.0", "ips": 7}}),
            6,
            vec!["prevResult"],
        ),
    ];
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let one = lab.attach("one", 5);
        let before = lab.host.sh("nft list ruleset 2>/dev/null");
        for (keys, code, words) in &cases {
            let conf = lab.conf(&one, tcp(80, 80), keys.clone());
            let error = lab.portmap.add(&conf, &one.pod).fails();
            error.names(words);
            assert_eq!(error.code, *code, "{}", error.text());
            assert!(!error.msg.contains('\n'), "{}", error.msg);
        }
        assert_eq!(lab.host.sh("nft list ruleset 2>/dev/null"), before);
    }
}

#[test]
fn what_the_packet_filter_cannot_do_is_refused_by_name() {
    let cases = [
        (
            "nftables",
            json!({"externalSetMarkChain": "KUBE-MARK-MASQ"}),
            "externalSetMarkChain",
        ),
        (
            "nftables",
            json!({"conditionsV4": ["-s", "10.0.0.0/8"]}),
            "conditionsV4",
        ),
        (
            "iptables",
            json!({"conditionsV6": ["ip6", "saddr", "::1"]}),
            "conditionsV6",
        ),
        (
            "nftables",
            json!({"conditionsV4": ["tcp", "dport", "80"]}),
            "cannot read \"tcp\"",
        ),
    ];
    for (backend, keys, words) in cases {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let one = lab.attach("one", 5);
        let conf = lab.conf(&one, tcp(80, 80), keys);
        lab.portmap
            .add(&conf, &one.pod)
            .fails_with(7)
            .names(&[words]);
        lab.portmap.status(&conf).fails_with(7).names(&[words]);
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        assert_eq!(lab.traces(), "");
    }
}
