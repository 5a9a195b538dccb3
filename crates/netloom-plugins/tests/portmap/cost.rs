//! The cost of a mapping does not depend on how many others there are.

use crate::support::{Lab, Server, tcp};
use netloom_testkit::assert_grows_with_the_count;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Enough to see what grows: reading 10,000 elements takes longer than all the rest of an ADD.
const MANY: u16 = 10_000;
const ROUNDS: usize = 40;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Generous, for a machine that is busy with other tests; `bench` measures exactly. What would fail
/// here is a walk through all mappings.
#[test]
fn add_and_del_take_no_longer_with_10_000_mappings_present() {
    let Some(lab) = Lab::new("nftables") else {
        return;
    };
    let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
    let conf = lab.conf(&one, tcp(8080, 80), json!({}));
    let add = lab.portmap.call("ADD", &conf).pod(&one.pod);
    let del = lab.portmap.call("DEL", &conf).pod(&one.pod);
    let measure = || {
        let (mut adds, mut dels) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = Instant::now();
            add.run().succeeds();
            adds.push(start.elapsed());
            let start = Instant::now();
            del.run().succeeds_silently();
            dels.push(start.elapsed());
        }
        (median(adds), median(dels))
    };
    let few = measure();
    let range = json!([
        {"hostPort": 20000, "containerPort": 20000, "protocol": "tcp", "range": MANY},
    ]);
    lab.map(&two, range);
    let many = measure();
    println!(
        "ADD {:?} -> {:?}, DEL {:?} -> {:?}",
        few.0, many.0, few.1, many.1
    );
    let slack = Duration::from_millis(4);
    assert!(
        many.0 < few.0 * 3 / 2 + slack,
        "ADD: {few:?} with few, {many:?} with many"
    );
    assert!(
        many.1 < few.1 * 3 / 2 + slack,
        "DEL: {few:?} with few, {many:?} with many"
    );
    for port in [20000, 20000 + MANY - 1] {
        let server = Server::in_pod(&two.pod, port);
        assert!(server.reached([10, 1, 0, 1], port).is_some(), "port {port}");
    }
}

/// What a packet meets: the rules of the chains, each once, and one look into a map.
#[test]
fn a_packet_meets_the_same_rules_however_many_ports_are_mapped() {
    let Some(lab) = Lab::new("nftables") else {
        return;
    };
    let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
    let rules = || {
        let listed = lab.host.sh("nft -j list ruleset");
        let all: Value = serde_json::from_str(&listed).unwrap();
        let objects = all["nftables"].as_array().unwrap();
        objects.iter().filter(|it| !it["rule"].is_null()).count()
    };
    let mapped = || {
        let listed = lab.host.sh("nft -j list map ip cni_hostport ports");
        let all: Value = serde_json::from_str(&listed).unwrap();
        let objects = all["nftables"].as_array().unwrap();
        let map = objects.iter().find_map(|it| it.get("map")).unwrap();
        map["elem"].as_array().map_or(0, Vec::len)
    };
    lab.map(&one, tcp(8080, 80));
    let with_one = rules();
    assert!(with_one > 0);
    let range = json!([
        {"hostPort": 20000, "containerPort": 20000, "protocol": "tcp", "range": MANY},
    ]);
    lab.map(&two, range);
    assert_eq!(mapped(), usize::from(MANY) + 1);
    assert_eq!(rules(), with_one);
}

/// iptables has three rules for each mapping: CHECK must not look for each among all.
#[test]
fn check_by_iptables_takes_as_long_as_there_are_mappings() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    let one = lab.attach("one", 5);
    assert_grows_with_the_count(|count| {
        let mappings: Vec<_> = (0..count)
            .map(|at| json!({"hostPort": 20000 + at, "containerPort": 80, "protocol": "tcp"}))
            .collect();
        let conf = lab.map(&one, json!(mappings));
        let start = Instant::now();
        lab.portmap
            .check(&conf, &one.result, &one.pod)
            .succeeds_silently();
        let took = start.elapsed();
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        took
    });
}
