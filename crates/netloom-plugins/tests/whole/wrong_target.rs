//! DEL and CHECK whose namespace is another pod's, or the host's: nothing changes there, and what
//! the attachment has on the host goes.

use crate::PROGRAM;
use netloom_plugins::registry::PLUGINS;
use netloom_testkit::{Call, Host, Plugin, PluginDir, Pod, Snapshot, probe, skip};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// How to use a plugin that makes or changes links in pods.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// The kind of link that the kernel must have, as `ip link` calls it.
    kind: Option<&'static str>,
    /// Its own keys.
    keys: fn() -> Value,
    /// What it has of IPAM plugins.
    pub(crate) ipam: &'static [fn() -> Value],
    /// Whether two pods can have it at once.
    pub(crate) many: bool,
}

pub(crate) const SUBJECTS: [Subject; 9] = [
    Subject {
        name: "bridge",
        kind: None,
        keys: || json!({"bridge": "br0", "isGateway": true, "ipMasq": true, "ipMasqBackend": "nftables"}),
        ipam: &[host_local, same_address],
        many: true,
    },
    Subject {
        name: "ptp",
        kind: None,
        keys: || json!({"ipMasq": true, "ipMasqBackend": "nftables"}),
        ipam: &[host_local, same_address],
        many: true,
    },
    Subject {
        name: "macvlan",
        kind: Some("macvlan"),
        keys: || json!({"master": "uplink0"}),
        ipam: &[host_local, same_address],
        many: true,
    },
    Subject {
        name: "ipvlan",
        kind: Some("ipvlan"),
        keys: || json!({"master": "uplink0"}),
        ipam: &[host_local, same_address],
        many: true,
    },
    Subject {
        name: "vlan",
        kind: Some("vlan"),
        keys: || json!({"master": "uplink0", "vlanId": 5}),
        ipam: &[host_local, same_address],
        many: false,
    },
    Subject {
        name: "dummy",
        kind: Some("dummy"),
        keys: || json!({}),
        ipam: &[host_local, same_address],
        many: true,
    },
    Subject {
        name: "tap",
        kind: None,
        keys: || json!({}),
        ipam: &[host_local, same_address],
        many: true,
    },
    Subject {
        name: "host-device",
        kind: None,
        keys: || json!({"device": "nic0"}),
        // The device is the same, so its addresses alone tell whose it is.
        ipam: &[host_local],
        many: false,
    },
    Subject {
        name: "loopback",
        kind: None,
        keys: || json!({}),
        ipam: &[|| json!({})],
        many: true,
    },
];

pub(crate) fn host_local() -> Value {
    json!({"type": "host-local", "subnet": "10.1.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]})
}

/// One address for whoever asks: only the link itself tells pods apart.
pub(crate) fn same_address() -> Value {
    json!({"type": "static", "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]})
}

pub(crate) struct Lab {
    pub(crate) host: Host,
    pub(crate) plugin: Plugin,
    pub(crate) conf: Value,
    pub(crate) name: &'static str,
}

/// A pod by its container's id, which need not follow from the name of the namespace.
pub(crate) struct Container<'a> {
    pub(crate) id: &'static str,
    pub(crate) pod: &'a Pod,
}

impl Lab {
    pub(crate) fn call(
        &self,
        command: &str,
        of: &Container<'_>,
        netns: &Path,
        made: Option<&Value>,
    ) -> Call {
        let mut conf = self.conf.clone();
        if let Some(made) = made {
            conf["prevResult"] = made.clone();
        }
        let call = self.plugin.call(command, &conf).pod(of.pod);
        call.env("CNI_CONTAINERID", of.id).env("CNI_NETNS", netns)
    }

    pub(crate) fn add(&self, of: &Container<'_>) -> Value {
        self.call("ADD", of, of.pod.path(), None).run().succeeds()
    }

    /// The pod ends without DEL, and what the kernel does then is done at once.
    pub(crate) fn dies(&self, pod: &Pod) {
        match self.name {
            "host-device" => {
                let home = self.host.netns_path();
                drop(pod.ip(&format!("link set eth0 netns {home} name nic0")));
            }
            "loopback" => {}
            _ => drop(pod.ip("link del eth0")),
        }
        pod.remove();
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.host, &[]).without_shared(&["br0"])
    }

    /// Nothing on the host is this attachment's.
    fn assert_nothing_is_of(&self, id: &str, made: &Value, case: &str) {
        for reservation in reservations() {
            let text = fs::read_to_string(&reservation).unwrap();
            assert!(!text.contains(id), "{case}: {reservation}");
        }
        if let Some(listed) = made["interfaces"].as_array() {
            for link in listed.iter().filter(|link| link["sandbox"].is_null()) {
                let name = link["name"].as_str().unwrap();
                let there = self.host.ip("-o link").contains(&format!(" {name}@"));
                assert!(!there || name == "br0", "{case}: {name}");
            }
        }
        if probe::has_program("nft") {
            let ruleset = self.host.sh("nft list ruleset");
            assert!(!ruleset.contains(&format!("id: {id}")), "{case}: {ruleset}");
        }
    }
}

pub(crate) fn reservations() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/var/lib/cni/networks/net") else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path().display().to_string());
    paths.filter(|path| path.contains("/10.1.0.")).collect()
}

/// All that there is to see in a pod, without what a carrier brings, and the kernel in its own time:
/// the routes of a link-local address come when nobody else is found to have it.
pub(crate) fn inside(pod: &Pod) -> String {
    pod.sh(
        "{ ip -d addr; ip rule; ip -4 route show table all; ip -6 route show table all | grep -v fe80:; \
         cd /proc/sys/net && grep -r . ipv4/conf 2>/dev/null | sort; } | \
         sed -E 's/NO-CARRIER,|,LOWER_UP| linkdown| tentative| state [A-Z]+//g'",
    )
}

#[track_caller]
pub(crate) fn assert_unchanged(pod: &Pod, seen: &str, case: &str) {
    let now = inside(pod);
    let changed: Vec<_> = seen
        .lines()
        .zip(now.lines())
        .filter(|(then, now)| then != now)
        .collect();
    assert!(changed.is_empty(), "{case}: {changed:?}");
    assert_eq!(seen.lines().count(), now.lines().count(), "{case}");
}

pub(crate) fn lab(subject: &Subject, ipam: fn() -> Value) -> Option<Lab> {
    let host = Host::new()?;
    if let Some(kind) = subject.kind
        && !probe::has_link_kind(kind)
    {
        skip(&format!("the kernel has no {kind} links"));
        return None;
    }
    let mut conf = json!({"cniVersion": "1.1.0", "name": "net", "type": subject.name});
    for (key, value) in (subject.keys)().as_object().unwrap() {
        conf[key] = value.clone();
    }
    let ipam = ipam();
    if ipam.get("type").is_some() {
        conf["ipam"] = ipam;
    }
    host.ip("link add uplink0 type veth peer name wire0");
    host.ip("link set uplink0 up");
    host.ip("link set wire0 up");
    host.ip("link add nic0 type veth peer name wire1");
    // What must not be taken for the pod's.
    host.ip("link add eth0 type veth peer name wire2");
    let plugins = Box::leak(Box::new(PluginDir::of(PROGRAM)));
    Some(Lab {
        plugin: Plugin::ours(plugins, subject.name),
        host,
        conf,
        name: subject.name,
    })
}

pub(crate) fn for_each(work: impl Fn(&Subject, fn() -> Value, &str)) {
    for subject in &SUBJECTS {
        for (number, ipam) in subject.ipam.iter().enumerate() {
            work(subject, *ipam, &format!("{}, ipam {number}", subject.name));
        }
    }
}

#[test]
fn every_plugin_that_makes_links_in_pods_is_aimed_wrongly_here() {
    for plugin in PLUGINS {
        let name = plugin.name();
        let mut owned = plugin.owned().iter();
        let makes_links = owned.any(|it| it.kind == "record of an attachment");
        let aimed = SUBJECTS.iter().any(|subject| subject.name == name);
        assert!(
            aimed || !makes_links,
            "{name} makes links in pods: give it an entry in SUBJECTS of tests/whole/wrong_target.rs, which \
             tells how to use it"
        );
    }
}

#[test]
fn del_and_check_at_a_path_that_another_pod_has_now_leave_that_one_alone() {
    for_each(|subject, ipam, case| {
        let Some(lab) = lab(subject, ipam) else {
            return;
        };
        let before = lab.snapshot();
        let first = lab.host.pod("shared");
        let old = Container {
            id: "id-of-old",
            pod: &first,
        };
        let made = lab.add(&old);
        lab.dies(&first);
        let second = lab.host.pod("shared");
        let new = Container {
            id: "id-of-new",
            pod: &second,
        };
        let result = lab.add(&new);
        let seen = inside(&second);

        let check = lab.call("CHECK", &old, second.path(), Some(&made)).run();
        println!("{case}: {}", check.fails().text());
        assert_unchanged(&second, &seen, case);
        for _ in 0..2 {
            let del = lab.call("DEL", &old, second.path(), Some(&made));
            del.run().succeeds_silently();
            assert_unchanged(&second, &seen, case);
            lab.assert_nothing_is_of(old.id, &made, case);
        }
        lab.call("CHECK", &new, second.path(), Some(&result))
            .run()
            .succeeds_silently();
        lab.call("DEL", &new, second.path(), Some(&result))
            .run()
            .succeeds_silently();
        lab.assert_nothing_is_of(new.id, &result, case);
        drop(second);
        lab.snapshot().assert_same_as(&before);
    });
}

#[test]
fn del_and_check_aimed_at_a_neighbour_leave_both_pods_to_their_owners() {
    for_each(|subject, ipam, case| {
        // Two pods with one address cannot both be reached from the host.
        if !subject.many || std::ptr::fn_addr_eq(ipam, same_address as fn() -> Value) {
            return;
        }
        let Some(lab) = lab(subject, ipam) else {
            return;
        };
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        let mine = Container {
            id: "id-of-one",
            pod: &one,
        };
        let neighbour = Container {
            id: "id-of-two",
            pod: &two,
        };
        let (made, result) = (lab.add(&mine), lab.add(&neighbour));
        let seen = [inside(&one), inside(&two)];
        let before = lab.snapshot();
        let check = lab.call("CHECK", &mine, two.path(), Some(&made)).run();
        println!("{case}: {}", check.fails().text());
        for prev in [Some(&made), None] {
            let del = lab.call("DEL", &mine, two.path(), prev).run();
            del.succeeds_silently();
            if subject.name != "loopback" {
                let told = "nothing of that attachment is removed";
                assert!(del.stderr.contains(told), "{case}: {del}");
            }
            assert_unchanged(&one, &seen[0], case);
            assert_unchanged(&two, &seen[1], case);
            lab.snapshot().assert_same_as(&before);
        }
        lab.call("CHECK", &mine, one.path(), Some(&made))
            .run()
            .succeeds_silently();
        lab.call("DEL", &mine, one.path(), Some(&made))
            .run()
            .succeeds_silently();
        assert_unchanged(&two, &seen[1], case);
        lab.assert_nothing_is_of(mine.id, &made, case);
        lab.call("CHECK", &neighbour, two.path(), Some(&result))
            .run()
            .succeeds_silently();
    });
}

#[test]
fn del_aimed_at_the_host_leaves_it_alone_and_removes_what_is_the_attachments() {
    for_each(|subject, ipam, case| {
        for with_result in [true, false] {
            let Some(lab) = lab(subject, ipam) else {
                return;
            };
            let before = lab.snapshot();
            let pod = lab.host.pod("one");
            let container = Container {
                id: "id-of-one",
                pod: &pod,
            };
            let made = lab.add(&container);
            lab.dies(&pod);
            let host = lab.host.netns_path();
            let prev = with_result.then_some(&made);
            let check = lab.call("CHECK", &container, host.as_ref(), prev).run();
            // The host has a lo that is up.
            assert!(subject.name == "loopback" || !check.is_success(), "{check}");
            for _ in 0..2 {
                let del = lab.call("DEL", &container, host.as_ref(), prev).run();
                del.succeeds_silently();
                assert!(
                    del.stderr.contains("the plugin's own netns"),
                    "{case}: {del}"
                );
                lab.assert_nothing_is_of(container.id, &made, case);
                lab.snapshot().assert_same_as(&before);
            }
        }
    });
}
