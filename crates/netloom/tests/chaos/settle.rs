//! The end: one GC, and the host beside the model.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netloom_plugin::{Removal, Survey};
use netloom_plugins::registry::PLUGINS;
use netloom_spec::{Attachment, NetworkName, PluginConf};
use netloom_testkit::Snapshot;
use serde_json::Value;

use crate::call::{Hand, Operation, gc_keeping};
use crate::disk::files;
use crate::lan::Daemon;
use crate::model::{Living, Slot, State, ids_in};
use crate::network::{BRIDGES, NETWORKS, plugins};
use crate::world::World;

/// How long the kernel may take to end namespaces.
const PATIENCE: Duration = Duration::from_secs(30);

/// The networks whose addresses are host-local's.
const RESERVING: [&str; 4] = ["nft", "ipt", "ptp", "flan"];

type Things = BTreeSet<(&'static str, String)>;

impl World {
    pub(crate) fn settle(&mut self) {
        println!("the end");
        self.full.free();
        drop(self.daemon.take());
        self.daemon = Some(Daemon::start());
        self.mend_cache();
        for slot in 0..self.slots.len() {
            // Whose files were damaged is made anew; and after a failed ADD there is a DEL.
            let place = &self.slots[slot];
            let is_done = matches!(place.state, State::Clean | State::Absent);
            if !is_done && !place.is_sound() {
                self.call("del", slot);
            }
            if self.slots[slot].is_collected {
                self.slots[slot].vanish();
            }
        }
        for network in &NETWORKS {
            let living = self.living();
            let on = living
                .iter()
                .filter(|(_, slot)| slot.network.name == network.name);
            let keep: Vec<String> = on.map(|(id, _)| id.clone()).collect();
            let outcome = gc_keeping(network.name, &keep);
            assert!(outcome.is_success(), "GC fails at the end\n{outcome}");
            assert_nothing_is_collectable(network.name, keep);
        }
        self.tally
            .count(&format!("living at the end: {}", self.living().len()));
        self.is_as_modelled();
        let doubtful = self.networks_with_doubtful_reservations();
        for slot in 0..self.slots.len() {
            if self.slots[slot].living().is_some() {
                self.call("check", slot);
            }
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].living().is_some() {
                self.call("del", slot);
            }
            drop(self.slots[slot].pod.take());
        }
        for network in doubtful {
            let outcome = gc_keeping(network, &[]);
            assert!(outcome.is_success(), "GC of {network} fails\n{outcome}");
        }
        self.is_as_at_the_start();
    }

    fn call(&mut self, verb: &'static str, slot: usize) {
        let place = &self.slots[slot];
        let operation = Operation {
            verb,
            slot,
            network: place.network.name,
            id: place.id(),
            netns: place.netns(),
            hand: Hand::Ours,
            fault: None,
        };
        let outcome = operation.run();
        self.learn(&operation, &outcome);
    }

    /// Does what doctor says of cache files that cannot be read, as if their containers had ended:
    /// they are made anew. What a GC mends, the one at the end will.
    fn mend_cache(&mut self) {
        let found = self.doctor();
        for finding in found["findings"].as_array().unwrap() {
            let mend = finding["mend"].as_str().unwrap();
            if finding["kind"] == "cache file" && !mend.starts_with("netloom gc ") {
                let (_, command) = mend.rsplit_once(": ").unwrap_or(("", mend));
                self.host.sh(command);
            }
        }
        // A file of flannel's that is no configuration is nobody's; and a draft of a runtime that
        // was killed is removed by the DEL that some pods here never get.
        let living = self.living();
        for path in files("/var/lib/cni/flannel") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if self.damaged.contains(&path) && !living.contains_key(&name) {
                drop(std::fs::remove_file(path));
            }
        }
        for grave in &self.graves {
            let network = self.slots[grave.slot].network.name;
            if !grave.was_sound {
                let call = crate::call::netloom(Hand::Ours).arg("del").arg(network);
                let call = call.arg(format!("/run/netns/{}", grave.id));
                let outcome = call.arg("--container-id").arg(&grave.id).run();
                assert!(outcome.is_success(), "{outcome}");
            }
        }
    }

    /// Whatever says whose it is, is of a living pod; and each has all of its own.
    fn is_as_modelled(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (should, is) = (self.expected(), self.observed());
            if should == is {
                return;
            }
            let missing: Vec<_> = should.difference(&is).collect();
            let left: Vec<_> = is.difference(&should).collect();
            // Links go with namespaces, in the kernel's own time.
            assert!(
                Instant::now() < deadline,
                "missing: {missing:#?}\nleft: {left:#?}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn is_as_at_the_start(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Snapshot::take(&self.host, &[]).without_shared(&BRIDGES);
            let difference = now.difference_from(&self.start);
            if difference.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "when all are deleted the host is not what it was:\n{difference}"
            );
        }
    }

    fn expected(&self) -> Things {
        let mut things = Things::new();
        things.insert(("veth", "lan0".to_owned()));
        let mut ifbs = 0;
        for (id, slot) in self.living() {
            let Some(living) = slot.living() else {
                continue;
            };
            things.extend(own(&id, slot, living));
            ifbs += usize::from(["nft", "ipt", "ptp"].contains(&slot.network.name));
        }
        things.insert(("ifbs", ifbs.to_string()));
        things
    }

    fn observed(&self) -> Things {
        let mut things = Things::new();
        let links = |kind: &str| {
            let listed = self.host.ip(&format!("-br link show type {kind}"));
            let name = |line: &str| line.split([' ', '@']).next().unwrap().to_owned();
            listed.lines().map(name).collect::<Vec<_>>()
        };
        things.extend(links("veth").into_iter().map(|name| ("veth", name)));
        things.insert(("ifbs", links("ifb").len().to_string()));
        let rules = [
            ("in nf_tables", "nft list ruleset"),
            ("in iptables", "iptables-save; ip6tables-save"),
        ];
        for (what, line) in rules {
            let ids = ids_in(&self.host.sh(line));
            things.extend(ids.into_iter().map(|id| (what, id)));
        }
        // What leads ::1 to ports of iptables is in nf_tables, unless Go added the pod.
        for (id, slot) in self.living() {
            if slot.network.name == "ipt" {
                things.remove(&("in nf_tables", id));
            }
        }
        for (what, directory) in [
            ("result", "/var/lib/cni/results"),
            ("flannel", "/var/lib/cni/flannel"),
            ("backup", "/run/cni/tuning"),
        ] {
            let names = files(directory)
                .into_iter()
                .map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
            things.extend(names.map(|name| (what, name)));
        }
        for path in files("/run/cni/dhcp.sock.leases") {
            let said = std::fs::read_to_string(&path).unwrap();
            let id = ids_in(&said).into_iter().next().unwrap_or(said);
            things.insert(("lease", id));
        }
        for network in RESERVING {
            let clear =
                reservations(network).filter(|(_, owner)| !self.may_be_of_the_living(owner));
            things.extend(clear.map(|(ip, owner)| ("reservation", format!("{ip} of {owner}"))));
        }
        things
    }

    /// Those in which GC has something to free once the pods are gone.
    fn networks_with_doubtful_reservations(&self) -> Vec<&'static str> {
        let is_doubtful = |network: &&str| {
            reservations(network).any(|(_, owner)| self.may_be_of_the_living(&owner))
        };
        RESERVING.into_iter().filter(is_doubtful).collect()
    }

    /// Whether the id was cut off where that of a living pod goes on: then GC keeps the file, whose
    /// address nobody else may get, until the pods that it may be of are gone.
    fn may_be_of_the_living(&self, owner: &str) -> bool {
        let living = self.living();
        let mut ids = living.keys();
        !owner.is_empty() && ids.any(|id| id != owner && id.starts_with(owner))
    }
}

/// What plugins own and GC would remove is all somebody's who is kept.
fn assert_nothing_is_collectable(network: &str, keep: Vec<String>) {
    let confs = plugins(network);
    let conf = |conf: &Value| PluginConf::parse(conf.to_string().as_bytes()).unwrap();
    let confs: Vec<_> = confs.as_array().unwrap().iter().map(conf).collect();
    let survey = Survey {
        registry: PLUGINS,
        network: &NetworkName::new(network).unwrap(),
        plugins: &confs,
    };
    let eth0 = |container_id| Attachment {
        container_id,
        if_name: "eth0".to_owned(),
    };
    let kept: Vec<_> = keep.into_iter().map(eth0).collect();
    let (mut orphans, errors) = survey.orphans(&kept);
    orphans.retain(|orphan| orphan.removal == Removal::Gc);
    assert!(
        orphans.is_empty() && errors.is_empty(),
        "after GC of {network}: {orphans:#?} {errors:#?}"
    );
}

/// What one attachment has.
fn own(id: &str, slot: &Slot, living: &Living) -> Things {
    let network = slot.network.name;
    let mut things = Things::new();
    things.extend(living.host_links().into_iter().map(|name| ("veth", name)));
    things.insert(("result", format!("{network}-{id}-eth0")));
    match network {
        "nft" | "flan" | "fix" => things.insert(("in nf_tables", id.to_owned())),
        "ipt" | "ptp" => things.insert(("in iptables", id.to_owned())),
        _ => things.insert(("lease", id.to_owned())),
    };
    if network == "flan" {
        things.insert(("flannel", id.to_owned()));
    }
    if ["nft", "ipt", "lan", "fix"].contains(&network) {
        things.insert(("backup", format!("{id}_eth0.json")));
    }
    if RESERVING.contains(&network) {
        let reserved = |address: String| ("reservation", format!("{address} of {id}"));
        things.extend(living.addresses().into_iter().map(reserved));
    }
    things
}

/// The addresses that a network has reserved, and the owner that the file of each names.
fn reservations(network: &str) -> impl Iterator<Item = (String, String)> {
    let all = files(&format!("/var/lib/cni/networks/{network}")).into_iter();
    all.filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        name.parse::<IpAddr>().ok()?;
        let content = std::fs::read_to_string(&path).unwrap_or_default();
        let owner = content.lines().next().unwrap_or_default();
        Some((name, owner.trim().to_owned()))
    })
}

impl World {
    /// A run of some length has done everything that it is there for.
    pub(crate) fn tally_is_worth_it(&self, steps: usize) {
        if steps < 300 {
            return;
        }
        for what in [
            "add done",
            "del done",
            "check done",
            "gc done",
            "add with a fault failed",
            "vanished",
            "disk full",
            "files damaged",
            "daemon killed",
            "pings",
        ] {
            assert!(self.tally.of(what) > 0, "never: {what}; {}", self.tally);
        }
        assert!(matches!(
            self.slots[0].state,
            State::Absent | State::Clean | State::Dirty
        ));
    }
}
