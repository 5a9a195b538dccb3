use crate::support::{HOST_END, Lab, both, conf, previous};
use serde_json::{Value, json};

#[test]
fn bad_requests_are_refused_by_key_and_value_and_change_nothing() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    let before = lab.snapshot(&[&pod]);
    let with = |key: &str, value: Value| {
        let mut keys = both();
        keys[key] = value;
        keys
    };
    let missing = |key: &str| with(key, json!(0));
    let too_much: u64 = 8 * u64::from(u32::MAX);
    let subnets = json!(["10.0.0.0/8"]);
    let mut two = with("shapedSubnets", subnets.clone());
    two["unshapedSubnets"] = subnets;
    for (keys, code, words) in [
        (
            missing("ingressBurst"),
            7,
            ["if rate is set, burst must also be set", "ingressRate"],
        ),
        (
            missing("egressRate"),
            7,
            ["if burst is set, rate must also be set", "egressBurst"],
        ),
        (
            with("egressBurst", json!(too_much)),
            7,
            ["burst cannot be more than 4GB", "egressBurst"],
        ),
        (with("ingressRate", json!(7)), 7, ["ingressRate", "7"]),
        (with("ingressRate", json!("8M")), 6, ["ingressRate", "8M"]),
        (with("ingressRate", json!(-8)), 7, ["ingressRate", "-8"]),
        (
            with("egressLatency", json!(70_000)),
            7,
            ["egressLatency", "70000"],
        ),
        (
            with("unshapedSubnets", json!(["hello"])),
            7,
            ["unshapedSubnets", "\"hello\""],
        ),
        (
            with("shapedSubnets", json!("10.0.0.0/8")),
            6,
            ["shapedSubnets", "array"],
        ),
        (
            two,
            7,
            [
                "unshapedSubnets and shapedSubnets",
                "cannot be both specified",
            ],
        ),
        (
            json!({"runtimeConfig": {"bandwidth": {"egressRate": 8000}}}),
            7,
            ["if rate is set, burst must also be set", "egressRate"],
        ),
        (
            with("prevResult", json!(null)),
            7,
            ["must be called as chained plugin", "chained"],
        ),
        (
            with("prevResult", json!({"cniVersion": "1.1.0", "ips": 5})),
            6,
            ["prevResult", "ips"],
        ),
        (
            with("prevResult", json!({"cniVersion": "1.1.0"})),
            999,
            ["no interfaces provided", "prevResult"],
        ),
        (
            with("prevResult", previous("1.1.0", "other", "eth0", "one")),
            999,
            [
                "no veth peer of container interface found in host ns",
                HOST_END,
            ],
        ),
    ] {
        let error = lab.plugin.add(&conf(keys.clone()), &pod).fails();
        error.names(&words);
        assert_eq!(error.code, code, "{keys}: {}", error.text());
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
    for version in ["0.1.0", "0.2.0"] {
        let mut old = conf(both());
        old["cniVersion"] = json!(version);
        lab.plugin.add(&old, &pod).fails_with(1);
    }
    lab.plugin.status(&conf(both())).succeeds_silently();
    let error = lab
        .plugin
        .status(&conf(missing("ingressBurst")))
        .fails_with(7);
    error.names(&["burst must also be set"]);
}

#[test]
fn a_bad_situation_is_named_and_left_as_it_is() {
    let situations: [(&str, &[&str]); 6] = [
        (
            "ip -n one link del eth0",
            &["container interface eth0 has no veth peer"],
        ),
        (
            "ip -n one link del eth0; ip -n one link add eth0 type bridge",
            &["container interface eth0 has no veth peer"],
        ),
        (
            "ip -n one link del eth0; ip -n one link add eth0 type veth peer name x",
            &["is not in host ns"],
        ),
        (
            "tc qdisc add dev host-one root handle 7: tbf rate 1mbit burst 10k latency 50ms",
            &["host-one has the qdisc tbf at its root already"],
        ),
        (
            "tc qdisc add dev host-one clsact",
            &["host-one has the qdisc clsact at its ingress"],
        ),
        (
            "ip link add bwp$(printf netid-of-one | sha512sum | cut -c-12) type bridge",
            &["adding link", "File exists"],
        ),
    ];
    for (situation, words) in situations {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod();
        lab.host.sh(situation);
        let before = lab.snapshot(&[&pod]);
        let error = lab.plugin.add(&conf(both()), &pod).fails_with(999);
        error.names(words);
        lab.snapshot(&[&pod]).assert_same_as(&before);
        // What is not ours DEL lets be.
        lab.plugin.del(&conf(both()), &pod).succeeds_silently();
        if !situation.contains("root") {
            lab.snapshot(&[&pod]).assert_same_as(&before);
        }
    }
}

#[test]
fn a_second_add_fails_and_leaves_the_first_as_it_is() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    let result = lab.plugin.add(&conf(both()), &pod).succeeds();
    let before = lab.snapshot(&[&pod]);
    let error = lab.plugin.add(&conf(both()), &pod).fails();
    error.names(&["create qdisc", "tbf", "already"]);
    lab.snapshot(&[&pod]).assert_same_as(&before);
    lab.plugin
        .check(&conf(both()), &result, &pod)
        .succeeds_silently();
}
