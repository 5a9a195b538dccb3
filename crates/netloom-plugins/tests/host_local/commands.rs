//! Each command, on files as the reference has them.

use crate::pool::{Pool, address, addresses};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn add_answers_addresses_gateways_routes_and_dns_and_leaves_the_references_files() {
    let pool = Pool::dual_stack();
    let resolv_conf = pool.data_dir().join("resolv.conf");
    fs::write(
        &resolv_conf,
        "nameserver 192.0.2.53\nsearch a.example b.example\n",
    )
    .unwrap();
    let mut conf = pool.conf();
    conf["ipam"]["resolvConf"] = json!(resolv_conf);
    conf["ipam"]["routes"] =
        json!([{"dst": "0.0.0.0/0"}, {"dst": "192.0.2.0/24", "gw": "10.1.0.9"}]);
    let result = pool.call_with("ADD", "pod", &conf).run().succeeds();
    assert_eq!(
        result,
        json!({
            "cniVersion": "1.1.0",
            "ips": [
                {"address": "10.1.0.2/24", "gateway": "10.1.0.1"},
                {"address": "fd00::2/64", "gateway": "fd00::1"},
            ],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "192.0.2.0/24", "gw": "10.1.0.9"}],
            "dns": {"nameservers": ["192.0.2.53"], "search": ["a.example", "b.example"]},
        })
    );
    let directory = pool.directory();
    let mut names: Vec<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "10.1.0.2",
        "fd00::2",
        "last_reserved_ip.0",
        "last_reserved_ip.1",
        "lock",
    ];
    assert_eq!(names, expected);
    for (name, content) in [
        ("10.1.0.2", "pod\r\neth0"),
        ("fd00::2", "pod\r\neth0"),
        ("last_reserved_ip.0", "10.1.0.2"),
        ("last_reserved_ip.1", "fd00::2"),
    ] {
        assert_eq!(fs::read_to_string(directory.join(name)).unwrap(), content);
        assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
    }
    assert_eq!(
        (mode(&directory), mode(&directory.join("lock"))),
        (0o755, 0o750)
    );
    assert_eq!(mode(&pool.index()), 0o700);
    pool.assert_index_is_right();
}

#[test]
fn addresses_go_round_and_a_released_one_rests() {
    let pool = Pool::ipv4("10.1.0.0/29");
    let mut given = Vec::new();
    for step in 0..8 {
        let id = format!("pod-{step}");
        given.push(address(&pool.add(&id).succeeds()));
        pool.del(&id).succeeds_silently();
    }
    let hosts = [2, 3, 4, 5, 6, 2, 3, 4].map(|host| format!("10.1.0.{host}"));
    assert_eq!(given, hosts);
}

#[test]
fn an_exhausted_pool_is_told_and_serves_again_after_a_del() {
    let pool = Pool::new(json!([
        [{"subnet": "fd00::/64"}],
        [{"subnet": "10.1.0.0/29"}, {"subnet": "10.2.0.0/31"}],
    ]));
    let mut last = String::new();
    for step in 0..7 {
        last = addresses(&pool.add(&format!("pod-{step}")).succeeds())[1].clone();
    }
    assert_eq!(last, "10.2.0.1/31");
    let before = pool.reserved();
    pool.add("late").fails_with(11).names(&[
        "failed to allocate for range 1",
        "no IP addresses available in range set: 10.1.0.1-10.1.0.6,10.2.0.0-10.2.0.1",
    ]);
    assert_eq!(
        pool.reserved(),
        before,
        "the first set's address was not released"
    );
    let status = pool.ours().status(&pool.conf()).fails_with(50);
    status.names(&["no IP addresses available in range set: 10.1.0.1-10.1.0.6"]);

    pool.del("pod-3").succeeds_silently();
    pool.ours().status(&pool.conf()).succeeds_silently();
    let result = pool.add("late").succeeds();
    assert_eq!(addresses(&result)[1], "10.1.0.5/29");
    pool.assert_index_is_right();
}

#[test]
fn a_subnet_of_one_or_two_addresses_gives_all_of_them_and_no_gateway() {
    for (subnet, all) in [
        ("10.77.1.0/31", &["10.77.1.0/31", "10.77.1.1/31"][..]),
        ("10.77.2.7/32", &["10.77.2.7/32"]),
        ("fd77:1::/127", &["fd77:1::/127", "fd77:1::1/127"]),
        ("fd77:2::7/128", &["fd77:2::7/128"]),
    ] {
        let pool = Pool::ipv4(subnet);
        for (index, address) in all.iter().enumerate() {
            let result = pool.add(&format!("pod-{index}")).succeeds();
            assert_eq!(result["ips"], json!([{"address": address}]));
        }
        pool.add("late")
            .fails_with(11)
            .names(&["no IP addresses available in range set"]);
        pool.ours().status(&pool.conf()).fails_with(50);
        pool.del("pod-0").succeeds_silently();
        assert_eq!(addresses(&pool.add("late").succeeds()), [all[0]]);
        pool.assert_index_is_right();
    }
    let with_gateway = Pool::new(json!([[{"subnet": "10.77.1.0/31", "gateway": "10.77.1.0"}]]));
    assert_eq!(
        with_gateway.add("pod").succeeds()["ips"],
        json!([{"address": "10.77.1.1/31", "gateway": "10.77.1.0"}])
    );
    with_gateway.add("late").fails_with(11);
}

#[test]
fn a_second_add_of_an_attachment_is_refused_and_takes_nothing() {
    let pool = Pool::dual_stack();
    pool.add("pod").succeeds();
    let before = pool.reserved();
    pool.add("pod").fails_with(999).names(&[
        "10.1.0.2 has been allocated to pod",
        "duplicate allocation is not allowed",
    ]);
    assert_eq!(pool.reserved(), before);
    // A reservation of before interface names were written counts for any interface.
    pool.write("10.1.0.77", "old");
    pool.add("old")
        .fails_with(999)
        .names(&["10.1.0.77 has been allocated to old"]);
    pool.assert_index_is_right();
}

#[test]
fn a_requested_address_is_reserved_and_moves_the_round_robin() {
    let pool = Pool::ipv4("10.1.0.0/24");
    let mut conf = pool.conf();
    conf["runtimeConfig"] = json!({"ips": ["10.1.0.50/8"]});
    let result = pool.call_with("ADD", "a", &conf).run().succeeds();
    assert_eq!(addresses(&result), ["10.1.0.50/24"]);
    pool.call_with("ADD", "b", &conf)
        .run()
        .fails_with(11)
        .names(&[
            "requested IP address 10.1.0.50 is not available in range set",
            "container a",
        ]);
    assert_eq!(address(&pool.add("b").succeeds()), "10.1.0.51");
    let result = pool
        .call("ADD", "c")
        .env("CNI_ARGS", "IP=10.1.0.9")
        .run()
        .succeeds();
    assert_eq!(address(&result), "10.1.0.9");
    conf = pool.conf();
    conf["args"] = json!({"cni": {"ips": ["10.1.0.8"]}});
    let result = pool.call_with("ADD", "d", &conf).run().succeeds();
    assert_eq!(address(&result), "10.1.0.8");
    let before = pool.reserved();
    pool.call("ADD", "e")
        .env("CNI_ARGS", "IP=10.1.0.1")
        .run()
        .fails_with(7);
    pool.call("ADD", "e")
        .env("CNI_ARGS", "IP=10.9.0.1")
        .run()
        .fails_with(7);
    assert_eq!(pool.reserved(), before);
    pool.assert_index_is_right();
}

#[test]
fn del_removes_everything_of_the_attachment_and_nothing_else() {
    let pool = Pool::dual_stack();
    pool.add("pod").succeeds();
    pool.call("ADD", "pod")
        .env("CNI_IFNAME", "eth1")
        .run()
        .succeeds();
    pool.write("192.0.2.7", "pod\r\neth0");
    pool.del("pod").succeeds_silently();
    let left: Vec<String> = pool.reserved().into_values().collect();
    assert_eq!(left, ["pod\r\neth1", "pod\r\neth1"]);
    pool.del("pod").succeeds_silently();
    assert_eq!(pool.reserved().len(), 2);
    pool.write("10.1.0.77", "pod");
    pool.del("pod").succeeds_silently();
    assert_eq!(
        pool.reserved().len(),
        2,
        "the reservation without an interface is left"
    );
    pool.assert_index_is_right();
}

#[test]
fn del_needs_no_valid_configuration_and_no_valid_arguments() {
    let pool = Pool::dual_stack();
    for (ranges, args) in [
        (json!([[{"subnet": "10.1.0.1/24"}]]), ""),
        (json!([]), ""),
        (json!("all of them"), ""),
        (json!([[{"subnet": "10.99.0.0/24"}]]), "K8S_POD_NAME=x;=;"),
    ] {
        pool.add("pod").succeeds();
        let mut conf = pool.conf();
        conf["ipam"]["ranges"] = ranges;
        let call = pool
            .call_with("DEL", "pod", &conf)
            .env("CNI_ARGS", args)
            .without("CNI_NETNS");
        call.run().succeeds_silently();
        assert_eq!(pool.reserved(), BTreeMap::new());
    }
}

#[test]
fn looking_and_deleting_make_no_directories() {
    let pool = Pool::ipv4("10.1.0.0/24");
    pool.del("pod").succeeds_silently();
    pool.ours().gc(&pool.conf(), &[]).succeeds_silently();
    pool.ours().status(&pool.conf()).succeeds_silently();
    pool.call("CHECK", "pod").run().fails_with(999);
    assert_eq!(fs::read_dir(pool.data_dir()).unwrap().count(), 0);
}

#[test]
fn check_finds_every_address_of_the_result_reserved() {
    let pool = Pool::dual_stack();
    let result = pool.add("pod").succeeds();
    let with = |result: &Value| {
        let mut conf = pool.conf();
        conf["prevResult"] = result.clone();
        conf
    };
    let check = |conf: &Value| pool.call_with("CHECK", "pod", conf).run();
    check(&with(&result)).succeeds_silently();
    check(&pool.conf()).succeeds_silently();
    // Another plugin's address, outside our ranges, is not ours to check.
    let mut more = result.clone();
    more["ips"]
        .as_array_mut()
        .unwrap()
        .push(json!({"address": "192.0.2.1/24"}));
    check(&with(&more)).succeeds_silently();

    pool.write("fd00::2", "thief\r\neth0");
    check(&with(&result)).fails_with(999).names(&[
        "host-local: Failed to find address",
        "fd00::2",
        "container pod",
        "container thief",
    ]);
    fs::remove_file(pool.directory().join("fd00::2")).unwrap();
    check(&with(&result))
        .fails_with(999)
        .names(&["fd00::2", "nobody has it"]);
    check(&pool.conf()).succeeds_silently();
    fs::remove_file(pool.directory().join("10.1.0.2")).unwrap();
    check(&pool.conf())
        .fails_with(999)
        .names(&["Failed to find address added by container pod"]);
}

#[test]
fn check_and_status_write_nothing() {
    let pool = Pool::dual_stack();
    pool.add("pod").succeeds();
    // A foreign change, so that the index does not count.
    pool.write("10.1.0.9", "other\r\neth0");
    let before = fs::read(pool.owners_file()).unwrap();
    pool.call("CHECK", "pod").run().succeeds_silently();
    pool.ours().status(&pool.conf()).succeeds_silently();
    assert_eq!(fs::read(pool.owners_file()).unwrap(), before);
}

#[test]
fn gc_keeps_valid_attachments_and_the_references_other_files() {
    let pool = Pool::dual_stack();
    for id in ["keep", "drop"] {
        pool.add(id).succeeds();
        pool.call("ADD", id)
            .env("CNI_IFNAME", "eth1")
            .run()
            .succeeds();
    }
    pool.write("10.1.0.77", "keep");
    pool.write("10.1.0.78", "drop");
    pool.write("notes", "drop\r\neth0");
    pool.ours()
        .gc(&pool.conf(), &[("keep", "eth0"), ("unknown", "eth0")])
        .succeeds_silently();
    let left = pool.reserved();
    assert_eq!(
        left.into_iter().collect::<Vec<_>>(),
        [
            ("10.1.0.2".to_owned(), "keep\r\neth0".to_owned()),
            ("10.1.0.77".to_owned(), "keep".to_owned()),
            ("fd00::2".to_owned(), "keep\r\neth0".to_owned()),
        ]
    );
    for name in ["lock", "last_reserved_ip.0", "last_reserved_ip.1", "notes"] {
        assert!(pool.directory().join(name).exists(), "{name} is gone");
    }
    pool.assert_index_is_right();
    // No list is not an empty list.
    pool.ours()
        .call("GC", &pool.conf())
        .run()
        .succeeds_silently();
    assert_eq!(pool.reserved().len(), 3);
    pool.ours().gc(&pool.conf(), &[]).succeeds_silently();
    assert_eq!(pool.reserved(), BTreeMap::new());
    pool.assert_index_is_right();
}

#[test]
fn gc_keeps_a_damaged_file_that_may_be_a_valid_attachments() {
    let pool = Pool::dual_stack();
    for id in ["one", "two"] {
        pool.add(id).succeeds();
    }
    let gc = |valid: &[&str]| {
        let valid: Vec<_> = valid.iter().map(|id| (*id, "eth0")).collect();
        let outcome = pool.ours().gc(&pool.conf(), &valid);
        outcome.succeeds_silently();
        let told = outcome.stderr.matches("is damaged: kept").count();
        assert_eq!(told, outcome.stderr.matches("kept").count(), "{outcome}");
        (told, pool.reserved().into_keys().collect::<Vec<_>>())
    };
    let is_left = |left: &[&str]| (1, left.iter().map(ToString::to_string).collect::<Vec<_>>());
    // By what it begins with: also with a sound file in the other family.
    for left in ["one\r\net", "on", "one\r\n\0\0", "one\0\0\0\0\0\0"] {
        pool.write("10.1.0.2", left);
        assert_eq!(gc(&["one"]), is_left(&["10.1.0.2", "fd00::2"]), "{left:?}");
        pool.write("10.1.0.3", "two\r\neth0");
        pool.write("fd00::3", "two\r\neth0");
    }
    // By what "one" lacks in its range set.
    for left in ["", "\0\0\0", "{}"] {
        pool.write("10.1.0.2", left);
        let kept = is_left(&["10.1.0.2", "10.1.0.3", "fd00::2", "fd00::3"]);
        assert_eq!(gc(&["one", "two"]), kept, "{left:?}");
    }
    assert_eq!(gc(&["two"]).1, ["10.1.0.3", "fd00::3"]);
    pool.assert_index_is_right();
}

#[test]
fn a_bad_request_is_refused_and_nothing_is_made() {
    let pool = Pool::ipv4("10.1.0.0/24");
    let ipam = |ipam: Value| json!({"cniVersion": "1.1.0", "name": "blue", "ipam": ipam});
    let data_dir = json!(pool.data_dir());
    for (conf, code, words) in [
        (
            ipam(Value::Null),
            7,
            &["IPAM config missing 'ipam' key"][..],
        ),
        (
            ipam(json!({"dataDir": data_dir})),
            7,
            &["no IP ranges specified"],
        ),
        (
            ipam(json!({"dataDir": data_dir, "subnet": "10.1.0.7/24"})),
            7,
            &["host bits set"],
        ),
        (
            ipam(json!({"dataDir": data_dir, "subnet": 7})),
            6,
            &["ipam.subnet", "7"],
        ),
        (
            ipam(json!({"dataDir": data_dir, "subnet": "10.1.0.0/24", "resolvConf": "/nowhere"})),
            7,
            &["resolvConf", "/nowhere"],
        ),
        (
            ipam(json!({"dataDir": "/proc/version", "subnet": "10.1.0.0/24"})),
            5,
            &["/proc/version/blue", "Not a directory"],
        ),
    ] {
        pool.call_with("ADD", "pod", &conf)
            .run()
            .fails_with(code)
            .names(words);
        assert_eq!(fs::read_dir(pool.data_dir()).unwrap().count(), 0, "{conf}");
    }
    let mut bad_status = pool.conf();
    bad_status["ipam"]["ranges"] = json!([[]]);
    pool.ours().status(&bad_status).fails_with(7);
}

#[test]
fn status_is_good_where_the_ranges_come_with_each_add() {
    let pool = Pool::dual_stack();
    let mut conf = pool.conf();
    conf["ipam"].as_object_mut().unwrap().remove("ranges");
    pool.ours().status(&conf).succeeds_silently();
    conf["ipam"]["routes"] = json!([{"dst": "default"}]);
    pool.ours().status(&conf).fails_with(7);
}

#[test]
fn two_ipv4_sets_need_a_version_that_can_say_so() {
    let pool = Pool::new(json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]]));
    let mut conf = pool.conf();
    conf["cniVersion"] = json!("0.2.0");
    pool.call_with("ADD", "pod", &conf)
        .run()
        .fails_with(7)
        .names(&["CNI version 0.2.0"]);
    conf["cniVersion"] = json!("0.3.0");
    let result = pool.call_with("ADD", "pod", &conf).run().succeeds();
    assert_eq!(addresses(&result), ["10.1.0.2/24", "10.2.0.2/24"]);
}

#[test]
fn a_result_that_nobody_reads_is_undone() {
    let pool = Pool::dual_stack();
    let call = pool
        .call("ADD", "pod")
        .under("sh", &["-c", "exec \"$0\" >/dev/full"]);
    assert!(!call.run().is_success());
    assert_eq!(pool.reserved(), BTreeMap::new());
    pool.assert_index_is_right();
}

#[test]
fn a_file_in_place_of_the_index_costs_time_and_not_the_network() {
    let pool = Pool::dual_stack();
    fs::write(pool.data_dir().join(".netloom"), "").unwrap();
    for id in ["a", "b"] {
        let outcome = pool.add(id);
        outcome.succeeds();
        assert!(outcome.stderr.contains("index"), "no warning: {outcome}");
    }
    pool.add("a")
        .fails_with(999)
        .names(&["10.1.0.2 has been allocated to a"]);
    pool.del("a").succeeds();
    assert_eq!(pool.of("b").len(), 2);
    assert_eq!(pool.reserved().len(), 2);
}
