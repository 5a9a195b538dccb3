//! Whose an attachment is, is told by what lies where no pod can write: root in a pod changes names,
//! aliases, addresses of its links, and a runtime calls a second time, or by another path.

use crate::wrong_target::{
    Container, Lab, SUBJECTS, Subject, assert_unchanged, host_local, inside, lab, reservations,
};
use netloom_testkit::Pod;
use serde_json::{Value, json};
use std::path::Path;

/// What root in a pod can make of its link.
const DONE_IN_PODS: [(&str, &str); 11] = [
    ("nothing", "true"),
    (
        "renamed",
        "ip link set eth0 down; ip link set eth0 name foo; ip link set foo up",
    ),
    (
        "renamed, with another in its place",
        "ip link set eth0 down; ip link set eth0 name foo; ip link add eth0 type veth peer name foo1",
    ),
    (
        "renamed as a link of the host",
        "ip link set eth0 down; ip link set eth0 name uplink0",
    ),
    (
        "another MAC address",
        "ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:99 || true; ip link set eth0 up",
    ),
    (
        "addresses moved",
        "ip addr flush dev eth0; ip link set lo up; ip addr add 10.1.0.2/24 dev lo",
    ),
    (
        "alias of another pod",
        "ip link set eth0 alias cni:id-of-other",
    ),
    (
        "alias of a link of the host",
        "ip link set eth0 alias uplink0",
    ),
    (
        "alias with path separators",
        "ip link set eth0 alias ../../etc",
    ),
    (
        "alias with control characters",
        "ip link set eth0 alias \"$(printf 'cni:\\033[31m\\nx')\"",
    ),
    (
        "alternative names of links of the host",
        "ip link property add dev eth0 altname uplink0 altname nic0",
    ),
];

/// How a DEL may come: with the result of ADD or without, with the namespace or without.
const CALLED: [(bool, bool); 4] = [(true, true), (false, true), (true, false), (false, false)];

/// Those that have a link of their own in the pod.
fn with_links(work: impl Fn(&Subject, Lab)) {
    for subject in SUBJECTS.iter().filter(|it| it.name != "loopback") {
        let Some(mut lab) = lab(subject, host_local) else {
            continue;
        };
        if subject.name == "bridge" {
            lab.conf["macspoofchk"] = json!(true);
        }
        work(subject, lab);
    }
}

fn index_of_eth0(pod: &Pod) -> String {
    let line = pod.ip("-o link show eth0");
    let (index, _) = line.split_once(':').unwrap();
    index.to_owned()
}

fn has_link(pod: &Pod, index: &str) -> bool {
    let own = format!("{index}: ");
    pod.ip("-o link").lines().any(|line| line.starts_with(&own))
}

/// Links, their aliases and IPv4 addresses: what no carrier changes.
fn seen(pod: &Pod) -> String {
    pod.sh("ip -d -o link | cut -d '<' -f 1; grep -s . /sys/class/net/*/ifalias; ip -4 -o addr")
}

/// That a device is on the host as it was before it was lent.
fn assert_came_back(lab: &Lab, case: &str) {
    if lab.name == "host-device" {
        let link = lab.host.ip("-d link show nic0");
        assert!(!link.contains("alias"), "{case}: {link}");
        assert!(!link.contains("UP"), "{case}: {link}");
    }
}

#[test]
fn del_takes_its_link_whatever_the_pod_made_of_it() {
    with_links(|subject, lab| {
        lab.host
            .sh("cat /sys/class/net/nic0/address >/run/address_of_nic0");
        let before = lab.snapshot();
        for (number, (what, script)) in DONE_IN_PODS.into_iter().enumerate() {
            // Two ways of each, so that all ways meet every kind of link.
            for way in [CALLED[number % 4], CALLED[(number + 1) % 4]] {
                let case = format!("{}, {what}, {way:?}", subject.name);
                println!("{case}");
                goes_whatever_happens(&lab, script, way, &case);
            }
        }
        lab.snapshot().assert_same_as(&before);
    });
}

fn goes_whatever_happens(
    lab: &Lab,
    in_pod: &str,
    (with_result, with_netns): (bool, bool),
    case: &str,
) {
    let pod = lab.host.pod("one");
    let own = Container {
        id: "id-of-one",
        pod: &pod,
    };
    let made = lab.add(&own);
    let index = index_of_eth0(&pod);
    pod.sh(in_pod);
    // What lives is in the list of GC, which nothing in the pod misleads.
    let seen = seen(&pod);
    let living = [(own.id, "eth0")];
    lab.plugin.gc(&lab.conf, &living).succeeds_silently();
    assert_eq!(self::seen(&pod), seen, "{case}");
    assert_eq!(reservations().len(), 1, "{case}");

    let netns = if with_netns {
        pod.path()
    } else {
        Path::new("")
    };
    let del = lab.call("DEL", &own, netns, with_result.then_some(&made));
    del.run().succeeds_silently();
    assert!(!has_link(&pod, &index), "{case}: {}", pod.ip("-d addr"));
    assert_eq!(reservations(), Vec::<String>::new(), "{case}");
    assert_came_back(lab, case);
    // An address that the pod gave it stays, as with the reference.
    lab.host
        .sh("ip link set nic0 address $(cat /run/address_of_nic0)");
    del.run().succeeds_silently();
}

#[test]
fn a_second_add_to_another_namespace_is_refused_and_undoes_nothing_of_the_first() {
    with_links(|subject, lab| {
        let case = subject.name;
        let before = lab.snapshot();
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        let [first, second] = [&one, &two].map(|pod| Container { id: "same-id", pod });
        let made = lab.add(&first);
        let seen = [inside(&one), inside(&two)];
        let with_first = lab.snapshot();
        let refused = lab.call("ADD", &second, two.path(), None).run();
        let error = refused.fails().text();
        for part in ["same-id", "eth0", one.path().to_str().unwrap()] {
            assert!(error.contains(part), "{case}: {error}");
        }
        // What a runtime does then.
        for prev in [None, Some(&made)] {
            lab.call("DEL", &second, two.path(), prev)
                .run()
                .succeeds_silently();
        }
        assert_unchanged(&one, &seen[0], case);
        assert_unchanged(&two, &seen[1], case);
        lab.snapshot().assert_same_as(&with_first);
        lab.call("CHECK", &first, one.path(), Some(&made))
            .run()
            .succeeds_silently();

        // Under another name of its link it is attached all the same.
        one.sh("ip link set eth0 down; ip link set eth0 name foo");
        let renamed = lab.snapshot();
        lab.call("ADD", &first, one.path(), None).run().fails();
        lab.snapshot().assert_same_as(&renamed);
        lab.call("DEL", &first, one.path(), Some(&made))
            .run()
            .succeeds_silently();
        drop((one, two));
        lab.snapshot().assert_same_as(&before);
    });
}

#[test]
fn an_attachment_whose_pod_is_gone_stands_in_nobodys_way() {
    with_links(|subject, lab| {
        let before = lab.snapshot();
        let one = lab.host.pod("one");
        let gone = Container {
            id: "same-id",
            pod: &one,
        };
        lab.add(&gone);
        lab.dies(&one);
        let two = lab.host.pod("two");
        let del = Container {
            id: "same-id",
            pod: &two,
        };
        // Another namespace than ADD's, which is no more: the attachment goes.
        lab.call("DEL", &del, two.path(), None)
            .run()
            .succeeds_silently();
        assert_eq!(reservations(), Vec::<String>::new(), "{}", subject.name);
        let made = lab.add(&del);
        lab.call("DEL", &del, two.path(), Some(&made))
            .run()
            .succeeds_silently();
        drop(two);
        lab.snapshot().assert_same_as(&before);
    });
}

#[test]
fn del_by_another_id_touches_no_wire_that_is_marked_and_by_another_network_takes_its_own() {
    with_links(|subject, lab| {
        if !["bridge", "ptp"].contains(&subject.name) {
            return;
        }
        let case = subject.name;
        let pod = lab.host.pod("one");
        let own = Container {
            id: "id-of-one",
            pod: &pod,
        };
        let made = lab.add(&own);
        let (seen, before) = (inside(&pod), lab.snapshot());
        let other = Container {
            id: "id-of-other",
            pod: &pod,
        };
        for netns in [pod.path(), Path::new("")] {
            let del = lab.call("DEL", &other, netns, None);
            del.run().succeeds_silently();
            // That result is not this container's.
            let del = lab.call("DEL", &other, netns, Some(&made));
            del.run().succeeds_silently();
            assert_unchanged(&pod, &seen, case);
            lab.snapshot().assert_same_as(&before);
        }
        // The network may have got another name since ADD.
        let mut other_network = lab.conf.clone();
        other_network["name"] = json!("other");
        let del = lab.plugin.call("DEL", &other_network).pod(&pod);
        let del = del.env("CNI_CONTAINERID", own.id);
        del.run().succeeds_silently();
        assert!(!pod.ip("-o link").contains("eth0"), "{case}");
        assert!(!lab.host.sh("nft list ruleset").contains(own.id), "{case}");
        lab.call("DEL", &own, pod.path(), None)
            .run()
            .succeeds_silently();
        let made = lab.add(&own);
        // What bears no mark, as those of Go and of older releases, is removed as ever.
        let host_end = &made["interfaces"][usize::from(case == "bridge")]["name"];
        let host_end = host_end.as_str().unwrap();
        lab.host.sh(&format!(
            "ip link set {host_end} alias ''; rm -r /run/cni/attachments"
        ));
        lab.call("DEL", &own, pod.path(), None)
            .run()
            .succeeds_silently();
        assert!(!pod.ip("-o link").contains("eth0"), "{case}");
        assert_eq!(reservations(), Vec::<String>::new(), "{case}");
    });
}

#[test]
fn gc_forgets_the_attachments_that_it_is_not_told_of_and_no_others() {
    with_links(|subject, lab| {
        let case = subject.name;
        let before = lab.snapshot();
        let pod = lab.host.pod("one");
        let own = Container {
            id: "id-of-one",
            pod: &pod,
        };
        lab.add(&own);
        let records = || lab.host.sh("ls /run/cni/attachments").lines().count();
        let mut other_network = lab.conf.clone();
        other_network["name"] = json!("other");
        lab.plugin.gc(&other_network, &[]).succeeds_silently();
        lab.plugin
            .gc(&lab.conf, &[(own.id, "eth0")])
            .succeeds_silently();
        assert_eq!(records(), 1, "{case}");
        lab.dies(&pod);
        drop(pod);
        lab.plugin.gc(&lab.conf, &[]).succeeds_silently();
        assert_eq!(records(), 0, "{case}");
        lab.snapshot().assert_same_as(&before);
    });
}

/// A plugin that only tells that it was called.
fn foreign_ipam(lab: &Lab, called: &Path) -> Value {
    use std::os::unix::fs::PermissionsExt;
    let program = lab.plugin.program().with_file_name("books");
    let result = r#"{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.9/24","gateway":"10.1.0.1"}]}"#;
    let script = format!(
        "#!/bin/sh\necho $CNI_COMMAND $CNI_NETNS >>{}\n[ $CNI_COMMAND != ADD ] || echo '{result}'\n",
        called.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut conf = lab.conf.clone();
    conf["ipam"] = json!({"type": "books"});
    conf
}

#[test]
fn a_foreign_ipam_plugin_gets_its_del_where_the_attachment_stays() {
    with_links(|subject, lab| {
        let (called, mut lab) = (Path::new("/run/called"), lab);
        lab.conf = foreign_ipam(&lab, called);
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        let [first, second] = [&one, &two].map(|pod| Container { id: "same-id", pod });
        let made = lab.add(&first);
        let seen = inside(&one);
        lab.call("ADD", &second, two.path(), None).run().fails();
        lab.call("DEL", &second, two.path(), Some(&made))
            .run()
            .succeeds_silently();
        assert_unchanged(&one, &seen, subject.name);
        let calls = std::fs::read_to_string(called).unwrap();
        // The ADD that was refused has not asked for anything that would have to be given back.
        let expected = format!(
            "ADD {}\nDEL {}\n",
            one.path().display(),
            two.path().display()
        );
        assert_eq!(calls, expected, "{}", subject.name);
    });
}

#[test]
fn chained_plugins_leave_alone_what_lives_in_another_namespace() {
    if !netloom_testkit::probe::has_nft_family("ip") {
        return netloom_testkit::skip("the kernel has no nf_tables of IPv4");
    }
    let mut chained = vec![
        (
            "portmap",
            json!({"backend": "nftables",
            "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}}),
        ),
        ("firewall", json!({"backend": "nftables"})),
        ("tuning", json!({"mtu": 1400})),
        ("sbr", json!({})),
    ];
    if netloom_testkit::probe::has_link_kind("ifb") {
        let limits = json!({"ingressRate": 8_000_000, "ingressBurst": 160_000,
            "egressRate": 8_000_000, "egressBurst": 160_000});
        chained.push(("bandwidth", limits));
    }
    leave_alone(&chained);
}

#[test]
fn vrf_leaves_alone_what_lives_in_another_namespace() {
    if !netloom_testkit::probe::has_link_kind("vrf") {
        return netloom_testkit::skip("the kernel has no vrf links");
    }
    leave_alone(&[("vrf", json!({"vrfname": "red"}))]);
}

/// Attaches one pod by bridge and these, and has another called by the same id and interface deleted.
fn leave_alone(chained: &[(&'static str, Value)]) {
    let bridge = SUBJECTS.iter().find(|it| it.name == "bridge").unwrap();
    let Some(lab) = lab(bridge, host_local) else {
        return;
    };
    let directory = lab.plugin.program().parent().unwrap();
    let call = |command: &str, (name, keys): &(&str, Value), of: &Container<'_>, prev: &Value| {
        let mut conf = keys.clone();
        for (key, value) in [("cniVersion", "1.1.0"), ("name", "net"), ("type", *name)] {
            conf[key] = json!(value);
        }
        conf["prevResult"] = prev.clone();
        let call = netloom_testkit::Plugin::at(directory, name).call(command, &conf);
        call.pod(of.pod).env("CNI_CONTAINERID", of.id).run()
    };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let [first, second] = [&one, &two].map(|pod| Container { id: "same-id", pod });
    let before = lab.snapshot();
    let made = chained.iter().fold(lab.add(&first), |made, plugin| {
        call("ADD", plugin, &first, &made).succeeds()
    });
    let (seen, attached) = (inside(&one), lab.snapshot());
    for plugin in chained.iter().rev() {
        let del = call("DEL", plugin, &second, &made);
        del.succeeds_silently();
        assert!(
            del.stderr.contains("nothing of that attachment"),
            "{}: {del}",
            plugin.0
        );
        assert_unchanged(&one, &seen, plugin.0);
        lab.snapshot().assert_same_as(&attached);
    }
    for plugin in chained.iter().rev() {
        call("DEL", plugin, &first, &made).succeeds_silently();
    }
    lab.call("DEL", &first, one.path(), Some(&made))
        .run()
        .succeeds_silently();
    lab.snapshot().assert_same_as(&before);
}
