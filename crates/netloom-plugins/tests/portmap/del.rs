//! DEL, whatever is left of the pod and of what is known about it.

use crate::support::{BOTH, Lab, Wired, tcp};
use serde_json::{Value, json};

fn mappings() -> Value {
    json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 8080, "containerPort": 80, "protocol": "udp"},
        {"hostPort": 8081, "containerPort": 81, "protocol": "tcp", "hostIP": "198.51.100.2"},
        {"hostPort": 8082, "containerPort": 82, "protocol": "sctp", "hostIP": "::1"},
    ])
}

type Change = (&'static str, fn(&mut Value));

/// What a runtime may leave out, or an administrator may have changed since ADD.
const CHANGES: [Change; 15] = [
    ("nothing", |_| {}),
    ("no prevResult", |conf| {
        drop(conf.as_object_mut().unwrap().remove("prevResult"))
    }),
    ("unreadable prevResult", |conf| {
        conf["prevResult"] = json!({"ips": "nonsense"})
    }),
    ("no mappings", |conf| {
        drop(conf.as_object_mut().unwrap().remove("runtimeConfig"))
    }),
    ("neither", |conf| {
        conf.as_object_mut().unwrap().remove("prevResult");
        conf.as_object_mut().unwrap().remove("runtimeConfig");
    }),
    ("unreadable mappings", |conf| {
        conf["runtimeConfig"] = json!({"portMappings": "x"})
    }),
    ("bad options", |conf| conf["markMasqBit"] = json!(99)),
    ("no backend", |conf| {
        drop(conf.as_object_mut().unwrap().remove("backend"))
    }),
    ("another masquerade", |conf| conf["masqAll"] = json!(true)),
    ("no masquerade", |conf| conf["snat"] = json!(false)),
    ("fewer mappings", |conf| {
        let all = conf["runtimeConfig"]["portMappings"].as_array_mut();
        all.unwrap().truncate(1);
    }),
    ("fewer mappings and no prevResult", |conf| {
        conf.as_object_mut().unwrap().remove("prevResult");
        let all = conf["runtimeConfig"]["portMappings"].as_array_mut();
        all.unwrap().truncate(2);
    }),
    ("one family", |conf| {
        let first = &mut conf["runtimeConfig"]["portMappings"][0];
        first["hostIP"] = json!("198.51.100.2");
    }),
    ("other conditions", other_conditions),
    ("other conditions and no prevResult", |conf| {
        conf.as_object_mut().unwrap().remove("prevResult");
        other_conditions(conf);
    }),
];

/// What an ADD may have been asked for besides.
fn options() -> [Value; 3] {
    [json!({}), json!({"snat": false}), json!({"masqAll": true})]
}

fn other_conditions(conf: &mut Value) {
    let conditions = match conf["backend"].as_str() {
        Some("iptables") => json!(["!", "-s", "192.0.2.0/24"]),
        _ => json!(["ip", "saddr", "!=", "192.0.2.0/24"]),
    };
    conf["conditionsV4"] = conditions;
}

#[test]
fn del_removes_everything_whatever_it_is_told() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let (one, other) = (lab.attach("one", 5), lab.attach("other", 6));
        lab.map(&other, tcp(9000, 80));
        let before = lab.traces();
        for options in options() {
            for (what, change) in CHANGES {
                let mut conf = lab.map_with(&one, mappings(), options.clone());
                assert!(lab.traces() != before, "{backend}");
                change(&mut conf);
                for _ in 0..2 {
                    lab.portmap.del(&conf, &one.pod).succeeds_silently();
                }
                assert_eq!(lab.traces(), before, "{backend}: {options}: {what}");
            }
        }
    }
}

#[test]
fn a_second_add_with_other_ports_replaces_the_first() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let one = lab.attach("one", 5);
        lab.map(&one, mappings());
        let conf = lab.map(&one, tcp(9000, 80));
        assert!(!lab.traces().contains("8080"), "{}", lab.traces());
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        assert_eq!(lab.traces(), "", "{backend}");
    }
}

#[test]
fn del_removes_everything_whatever_is_left_of_the_pod() {
    type Ruin = (&'static str, fn(&Wired));
    let ruins: [Ruin; 4] = [
        ("whole", |_| {}),
        ("netns gone", |wired| wired.pod.remove()),
        ("not a netns", |wired| wired.pod.unmount()),
        ("link gone", |wired| drop(wired.pod.ip("link del eth0"))),
    ];
    for backend in BOTH {
        for (what, ruin) in ruins {
            let Some(lab) = Lab::new(backend) else {
                continue;
            };
            let one = lab.attach("one", 5);
            let conf = lab.map(&one, mappings());
            ruin(&one);
            let call = lab.portmap.call("DEL", &conf).pod(&one.pod);
            call.clone().env("CNI_NETNS", "").run().succeeds_silently();
            call.run().succeeds_silently();
            assert_eq!(lab.traces(), "", "{backend}: {what}");
        }
    }
}

#[test]
fn del_where_nothing_was_ever_mapped_changes_nothing() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let one = lab.attach("one", 5);
        let before = lab.host.sh("nft list ruleset 2>/dev/null");
        let conf = lab.conf(&one, mappings(), json!({}));
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        assert_eq!(
            lab.host.sh("nft list ruleset 2>/dev/null"),
            before,
            "{backend}"
        );
    }
}

#[test]
fn an_add_repeated_after_a_lost_del_changes_nothing() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let one = lab.attach("one", 5);
        lab.map(&one, mappings());
        let before = lab.traces();
        let conf = lab.map(&one, mappings());
        assert_eq!(lab.traces(), before, "{backend}");
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        assert_eq!(lab.traces(), "", "{backend}");
    }
}

#[test]
fn two_networks_of_one_container_are_deleted_each_for_itself() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let one = lab.attach("one", 5);
        let first = lab.map(&one, tcp(8080, 80));
        let second = lab.map_with(&one, tcp(8081, 80), json!({"name": "second"}));
        lab.portmap.del(&first, &one.pod).succeeds_silently();
        let left = lab.traces();
        assert!(
            left.contains("8081") && !left.contains("8080"),
            "{backend}: {left}"
        );
        lab.portmap
            .check(&second, &one.result, &one.pod)
            .succeeds_silently();
        lab.portmap.del(&second, &one.pod).succeeds_silently();
        assert_eq!(lab.traces(), "", "{backend}");
    }
}

#[test]
fn without_mappings_add_hands_the_result_on_and_makes_nothing() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let one = lab.attach("one", 5);
        let before = lab.host.sh("nft list ruleset 2>/dev/null");
        let conf = lab.map(&one, json!([]));
        lab.portmap
            .check(&conf, &one.result, &one.pod)
            .succeeds_silently();
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        assert_eq!(
            lab.host.sh("nft list ruleset 2>/dev/null"),
            before,
            "{backend}"
        );
    }
}

#[test]
fn results_and_every_version_pass_through() {
    let Some(lab) = Lab::new("nftables") else {
        return;
    };
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let one = lab.attach("one", 5);
        let mut conf = lab.conf(&one, tcp(8080, 80), json!({"cniVersion": version}));
        let mut prev = one.result.clone();
        prev["cniVersion"] = json!(version);
        prev["dns"] = json!({"nameservers": ["192.0.2.53"]});
        for ip in prev["ips"].as_array_mut().unwrap() {
            let v6 = ip["address"].as_str().unwrap().contains(':');
            ip["version"] = json!(if v6 { "6" } else { "4" });
        }
        conf["prevResult"] = prev.clone();
        let result = lab.portmap.add(&conf, &one.pod).succeeds();
        assert_eq!(result["cniVersion"], version);
        assert_eq!(result["dns"], prev["dns"]);
        assert_eq!(result["ips"][0]["address"], prev["ips"][0]["address"]);
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        assert_eq!(lab.traces(), "", "{version}");
        one.pod.ip("link del eth0");
    }
}
