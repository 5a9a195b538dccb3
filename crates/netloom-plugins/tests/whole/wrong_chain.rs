//! The same for chains in which tuning changed the interface's MAC address: its DEL gives the former
//! one back before sbr and vrf look whose the link is.

use crate::PROGRAM;
use crate::wrong_target::{assert_unchanged, host_local, inside, same_address};
use netloom_testkit::{Host, Outcome, Plugin, PluginDir, Pod, Snapshot, probe, skip};
use serde_json::{Value, json};
use std::path::Path;

/// What makes the interface, and the kind of link that the kernel must have for it.
const MAKERS: [(&str, Option<&str>); 3] = [
    ("bridge", None),
    ("ptp", None),
    ("macvlan", Some("macvlan")),
];

/// What changes the pod, and the kind of link for it.
const CHANGERS: [(&str, Option<&str>); 2] = [("sbr", None), ("vrf", Some("vrf"))];

/// Whose MAC address a container gets from tuning.
#[derive(Clone, Copy, Debug)]
enum Macs {
    Own,
    /// As when a virtual machine comes back elsewhere with its address.
    Same,
}

struct Container<'a> {
    id: &'static str,
    pod: &'a Pod,
}

struct Chain {
    before: Snapshot,
    plugins: Vec<(Plugin, Value)>,
    macs: Macs,
    host: Host,
    _directory: PluginDir,
}

impl Chain {
    fn new(
        maker: (&str, Option<&str>),
        changer: (&str, Option<&str>),
        ipam: fn() -> Value,
        macs: Macs,
    ) -> Option<Self> {
        let host = Host::new()?;
        for kind in [maker.1, changer.1].into_iter().flatten() {
            if !probe::has_link_kind(kind) {
                skip(&format!("the kernel has no {kind} links"));
                return None;
            }
        }
        host.ip("link add uplink0 type veth peer name wire0");
        host.ip("link set uplink0 up");
        host.ip("link set wire0 up");
        let directory = PluginDir::of(PROGRAM);
        let conf = |name: &str, keys: Value| {
            let mut conf = keys;
            conf["cniVersion"] = json!("1.1.0");
            conf["name"] = json!("net");
            conf["type"] = json!(name);
            (Plugin::ours(&directory, name), conf)
        };
        let made = json!({"bridge": "br0", "isGateway": true, "master": "uplink0", "ipam": ipam()});
        let plugins = vec![
            conf(maker.0, made),
            conf(changer.0, json!({"vrfname": "blue"})),
            conf("tuning", json!({"mtu": 1400})),
        ];
        let before = Snapshot::take(&host, &[]).without_shared(&["br0"]);
        Some(Self {
            before,
            plugins,
            macs,
            host,
            _directory: directory,
        })
    }

    fn call(
        &self,
        (command, at): (&str, usize),
        of: &Container<'_>,
        netns: &Path,
        made: Option<&Value>,
    ) -> Outcome {
        let (plugin, conf) = &self.plugins[at];
        let mut conf = conf.clone();
        if let Some(made) = made {
            conf["prevResult"] = made.clone();
        }
        if at == 2 {
            let last = match (self.macs, of.id) {
                (Macs::Own, "id-of-old") => 1,
                _ => 2,
            };
            conf["mac"] = json!(format!("02:00:00:00:00:0{last}"));
        }
        let call = plugin.call(command, &conf).pod(of.pod);
        call.env("CNI_CONTAINERID", of.id)
            .env("CNI_NETNS", netns)
            .run()
    }

    fn add(&self, of: &Container<'_>) -> Value {
        let at = of.pod.path();
        let first = self.call(("ADD", 0), of, at, None).succeeds();
        let second = self.call(("ADD", 1), of, at, Some(&first)).succeeds();
        self.call(("ADD", 2), of, at, Some(&second)).succeeds()
    }

    /// As a runtime does it: in reverse, each told the result of the last.
    fn del(&self, of: &Container<'_>, netns: &Path, made: &Value, after_each: impl Fn()) {
        for at in (0..3).rev() {
            self.call(("DEL", at), of, netns, Some(made))
                .succeeds_silently();
            after_each();
        }
    }

    fn check(&self, of: &Container<'_>, made: &Value) {
        for at in 0..3 {
            let check = self.call(("CHECK", at), of, of.pod.path(), Some(made));
            check.succeeds_silently();
        }
    }

    #[track_caller]
    fn assert_nothing_left(&self, case: &str) {
        println!("{case}");
        Snapshot::take(&self.host, &[])
            .without_shared(&["br0"])
            .assert_same_as(&self.before);
    }
}

fn for_each(work: impl Fn(&Chain, &str)) {
    for maker in MAKERS {
        for changer in CHANGERS {
            for (ipam, macs) in [
                (host_local as fn() -> Value, Macs::Own),
                (same_address, Macs::Own),
                (same_address, Macs::Same),
            ] {
                let Some(chain) = Chain::new(maker, changer, ipam, macs) else {
                    continue;
                };
                let case = format!("{}, {}, {}, {macs:?}", maker.0, changer.0, ipam()["type"]);
                work(&chain, &case);
            }
        }
    }
}

#[test]
fn del_takes_its_own_back_after_tuning_gave_the_mac_address_back() {
    for_each(|chain, case| {
        let pod = chain.host.pod("one");
        let container = Container {
            id: "id-of-old",
            pod: &pod,
        };
        let made = chain.add(&container);
        chain.check(&container, &made);
        for at in [2, 1] {
            chain
                .call(("DEL", at), &container, pod.path(), Some(&made))
                .succeeds_silently();
        }
        // Only then the link goes, and what is on it with it.
        let left = inside(&pod);
        assert!(!left.contains("blue"), "{case}: {left}");
        assert!(!left.contains("from 10.1.0."), "{case}: {left}");
        chain
            .call(("DEL", 0), &container, pod.path(), Some(&made))
            .succeeds_silently();
        drop(pod);
        chain.assert_nothing_left(case);
    });
}

#[test]
fn del_of_a_chain_leaves_the_pod_alone_that_has_the_path_now() {
    for_each(|chain, case| {
        let first = chain.host.pod("shared");
        let old = Container {
            id: "id-of-old",
            pod: &first,
        };
        let made = chain.add(&old);
        first.ip("link del eth0");
        first.remove();
        let second = chain.host.pod("shared");
        let new = Container {
            id: "id-of-new",
            pod: &second,
        };
        let result = chain.add(&new);
        let seen = inside(&second);
        for _ in 0..2 {
            chain.del(&old, second.path(), &made, || {
                assert_unchanged(&second, &seen, case)
            });
        }
        chain.check(&new, &result);
        chain.del(&new, second.path(), &result, || {});
        drop(second);
        chain.assert_nothing_left(case);
    });
}

#[test]
fn del_of_a_chain_at_the_hosts_path_leaves_the_host_alone() {
    for_each(|chain, case| {
        let pod = chain.host.pod("one");
        let container = Container {
            id: "id-of-old",
            pod: &pod,
        };
        let made = chain.add(&container);
        pod.ip("link del eth0");
        drop(pod);
        let pod = chain.host.pod("other");
        let container = Container {
            id: "id-of-old",
            pod: &pod,
        };
        let host = chain.host.netns_path();
        chain.del(&container, host.as_ref(), &made, || {});
        drop(pod);
        chain.assert_nothing_left(case);
    });
}
