//! An example, run.

use std::time::{Duration, Instant};

use netloom_plugins::registry::PLUGINS;
use netloom_testkit::{Block, Host, PluginDir, Pod, Snapshot, probe, skip};
use serde_json::{Map, Value, json};

use crate::attachment::{Network, Place, plugins};
use crate::page::Page;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

/// How long the kernel may take to destroy a namespace and the links in it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A block marked `json add`, with what its info string says.
struct Example<'a> {
    block: &'a Block,
    conf: Value,
    /// `needs=a,b`: link kinds (`vlan`, `dummy`), `vlan-filtering`, `iptables`, `program:NAME`.
    needs: Vec<&'a str>,
    /// `setup="…"`: a line of shell for the host, with the plugins in its `PATH`.
    setup: &'a str,
    /// `teardown="…"`: one that ends what the setup left running.
    teardown: &'a str,
    /// `runtime="…"`: what the runtime offers, as `key: value` of JSON with ' in place of ".
    runtime: Map<String, Value>,
    /// `args="…"`: `CNI_ARGS`.
    args: &'a str,
    /// `since=…`: the first version that can hold it.
    since: &'a str,
}

/// Runs every example of a page.
pub(crate) fn run_all(page: &Page) {
    let bin = PluginDir::of(PROGRAM);
    for block in &page.blocks {
        if block.words.iter().any(|word| word == "add") {
            Example::read(block, &page.name).run(&bin);
        }
    }
}

impl<'a> Example<'a> {
    fn read(block: &'a Block, page: &str) -> Self {
        const KNOWN: [&str; 6] = ["needs", "setup", "teardown", "runtime", "args", "since"];
        let mut unknown = block
            .attributes
            .keys()
            .filter(|key| !KNOWN.contains(&key.as_str()));
        assert_eq!(
            unknown.next(),
            None,
            "{}: what is that attribute?",
            block.place
        );
        let get = |key: &str| block.attributes.get(key).map_or("", String::as_str);
        let runtime = format!("{{{}}}", get("runtime").replace('\'', "\""));
        let conf = block.json();
        let example = Self {
            needs: get("needs")
                .split(',')
                .filter(|need| !need.is_empty())
                .collect(),
            setup: get("setup"),
            teardown: get("teardown"),
            runtime: serde_json::from_str(&runtime)
                .unwrap_or_else(|error| panic!("{}: runtime: {error}", block.place)),
            args: get("args"),
            since: get("since"),
            block,
            conf,
        };
        assert!(
            example.types().contains(&page.to_owned()),
            "{}: an example of {page} should use it",
            block.place
        );
        example
    }

    /// The plugins it uses, IPAM among them.
    fn types(&self) -> Vec<String> {
        let all = plugins(&self.conf);
        let ipam = all.iter().map(|plugin| &plugin["ipam"]["type"]);
        let types = all.iter().map(|plugin| &plugin["type"]).chain(ipam);
        types
            .filter_map(|kind| Some(kind.as_str()?.to_owned()))
            .collect()
    }

    /// The versions that all its plugins have.
    fn versions(&self) -> Vec<&'static str> {
        let since = match (self.since, self.conf["plugins"].is_array()) {
            // Earlier there were no lists.
            ("", true) => "0.3.0",
            (since, _) => since,
        };
        let types = self.types();
        let used = PLUGINS
            .iter()
            .filter(|plugin| types.contains(&plugin.name().to_owned()));
        let used: Vec<_> = used.collect();
        netloom_spec::Version::ALL
            .iter()
            .filter(|version| {
                used.iter()
                    .all(|plugin| plugin.versions().contains(version))
            })
            .map(|version| version.as_str())
            .filter(|version| *version >= since)
            .collect()
    }

    fn run(&self, bin: &PluginDir) {
        let place = &self.block.place;
        let Some(host) = self.host() else { return };
        let _teardown = Teardown {
            host: &host,
            line: self.teardown,
        };
        if !self.setup.is_empty() {
            host.sh(&format!(
                "PATH=$PATH:{}; {}",
                bin.path().display(),
                self.setup
            ));
        }
        let versions = self.versions();
        let stated = self.conf["cniVersion"].as_str().unwrap();
        assert!(
            versions.contains(&stated),
            "{place}: {stated} is not in {versions:?}"
        );
        self.attach_and_detach(&host, bin, &versions);
        // GC is one of the states, and not in all versions.
        let newest = versions.last().unwrap();
        let before = Snapshot::take(&host, &[]);
        for state in LATE {
            self.detach_late(&host, bin, newest, state, &before);
        }
        println!(
            "{place}: versions {versions:?}, {} states at DEL",
            LATE.len()
        );
    }

    /// A host where the example should work, or why there is none.
    fn host(&self) -> Option<Host> {
        let host = Host::new()?;
        for need in &self.needs {
            let is_there = match need.split_once(':') {
                Some(("program", name)) => probe::has_program(name),
                _ if *need == "iptables" => probe::has_iptables(),
                _ if *need == "vlan-filtering" => probe::has_vlan_filtering(),
                _ => probe::has_link_kind(need),
            };
            if !is_there {
                skip(&format!("{}: needs {need}", self.block.place));
                return None;
            }
        }
        Some(host)
    }

    fn network(&self, bin: &PluginDir, version: &str) -> Network {
        Network::new(bin, &self.conf, version, &self.runtime, self.args)
    }

    /// All that a runtime asks for, once in each version.
    fn attach_and_detach(&self, host: &Host, bin: &PluginDir, versions: &[&str]) {
        let pod = host.pod("one");
        // The addresses of lo come with its first going up, and stay.
        pod.ip("link set lo up");
        pod.ip("link set lo down");
        let before = Snapshot::take(host, &[&pod]);
        for version in versions {
            self.attach_and_detach_in(version, &self.network(bin, version), &pod);
            self.assert_nothing_left(host, &[&pod], &before, &format!("DEL in {version}"));
        }
    }

    fn attach_and_detach_in(&self, version: &str, network: &Network, pod: &Pod) {
        let place = place(pod);
        let result = network.add(&place);
        assert_eq!(
            result["cniVersion"], version,
            "{}: {result}",
            self.block.place
        );
        if version >= "0.4.0" {
            network.check(&place, &result);
        }
        if version >= "1.1.0" {
            network.status();
            network.gc(&[&place.container_id]);
            network.check(&place, &result);
        }
        // Before 0.4.0 a runtime had no result to give.
        let known = if version >= "0.4.0" {
            &result
        } else {
            &Value::Null
        };
        network.del(&place, known);
        network.del(&place, known);
    }

    /// ADD, then trouble, then DEL, twice.
    fn detach_late(
        &self,
        host: &Host,
        bin: &PluginDir,
        version: &str,
        state: &Late,
        before: &Snapshot,
    ) {
        let network = self.network(bin, version);
        let mut pod = Some(host.pod("late"));
        let mut place = place(pod.as_ref().unwrap());
        let result = network.add(&place);
        let result = (state.trouble)(&mut pod, &mut place, &network, result);
        network.del(&place, &result);
        network.del(&place, &result);
        drop(pod);
        self.assert_nothing_left(host, &[], before, state.what);
    }

    /// Nothing but what pods share. The kernel removes the links of a namespace after the namespace.
    fn assert_nothing_left(&self, host: &Host, pods: &[&Pod], before: &Snapshot, what: &str) {
        let shared = shared_links(host);
        let shared: Vec<&str> = shared.iter().map(String::as_str).collect();
        let before = before.without_shared(&shared);
        let end = Instant::now() + PATIENCE;
        loop {
            let after = Snapshot::take(host, pods).without_shared(&shared);
            let difference = after.difference_from(&before);
            if difference.is_empty() {
                return;
            }
            assert!(
                Instant::now() < end,
                "{}: after {what} something is left:\n{difference}",
                self.block.place
            );
        }
    }
}

/// Ends what a setup left running, also when the example fails.
struct Teardown<'a> {
    host: &'a Host,
    line: &'a str,
}

impl Drop for Teardown<'_> {
    fn drop(&mut self) {
        // A second panic would hide the first.
        self.host.sh(&format!("{}\ntrue", self.line));
    }
}

/// Bridges, and the interfaces of their VLANs (`<bridge>.<vlan>`) with the ports that those go to.
fn shared_links(host: &Host) -> Vec<String> {
    let links: Vec<Value> = serde_json::from_str(&host.ip("-j -d link show")).unwrap();
    let text = |link: &Value, key: &str| link[key].as_str().unwrap_or_default().to_owned();
    let is_bridge = |link: &&Value| link["linkinfo"]["info_kind"] == "bridge";
    let mut shared = Vec::new();
    for bridge in links.iter().filter(is_bridge) {
        let bridge = text(bridge, "ifname");
        let prefix = format!("{bridge}.");
        let of_vlan = |link: &&Value| text(link, "ifname").starts_with(&prefix);
        for link in links.iter().filter(of_vlan) {
            shared.extend([text(link, "ifname"), text(link, "link")]);
        }
        shared.push(bridge);
    }
    shared
}

fn place(pod: &Pod) -> Place {
    Place {
        container_id: pod.container_id(),
        netns: Some(pod.path().to_str().unwrap().to_owned()),
    }
}

/// A state in which DEL may find a pod.
struct Late {
    what: &'static str,
    /// Brings it about, and says what DEL gets as `prevResult`.
    trouble: fn(&mut Option<Pod>, &mut Place, &Network, Value) -> Value,
}

const LATE: &[Late] = &[
    Late {
        what: "DEL without a result",
        trouble: |_, _, _, _| Value::Null,
    },
    Late {
        what: "DEL with a result that nobody can read",
        trouble: |_, _, _, _| json!({"cniVersion": "9.9.9", "interfaces": "eth0"}),
    },
    Late {
        what: "DEL without a namespace",
        trouble: |pod, place, _, result| {
            *pod = None;
            place.netns = None;
            result
        },
    },
    Late {
        what: "DEL when the namespace is gone",
        trouble: |pod, _, _, result| {
            *pod = None;
            result
        },
    },
    Late {
        what: "DEL when the namespace is gone, without a result",
        trouble: |pod, _, _, _| {
            *pod = None;
            Value::Null
        },
    },
    Late {
        what: "DEL when a plain file is in the namespace's place",
        trouble: |pod, _, _, result| {
            pod.as_ref().unwrap().unmount();
            result
        },
    },
    Late {
        what: "DEL when the link is gone",
        trouble: |pod, _, _, result| {
            // Not every plugin makes one.
            pod.as_ref().unwrap().sh("ip link del eth0 2>&1 || true");
            result
        },
    },
    Late {
        what: "GC of everything, and DEL",
        trouble: |_, _, network, result| {
            network.gc(&[]);
            result
        },
    },
];
