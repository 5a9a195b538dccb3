//! The host, what it should be like, and what calls tell of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use netloom_testkit::{Host, Outcome, Snapshot};
use tempfile::TempDir;

use crate::call::{Hand, NETLOOM, Operation, PLUGINS, netloom};
use crate::disk::{self, Full};
use crate::lan::{Daemon, Lan};
use crate::model::{Grave, Living, Slot, State, Tally, ids_in};
use crate::network;
use crate::random::Random;

const PODS: usize = 50;

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) slots: Vec<Slot>,
    pub(crate) graves: Vec<Grave>,
    pub(crate) full: Full,
    /// Files that were damaged.
    pub(crate) damaged: BTreeSet<PathBuf>,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) has_go: bool,
    /// The ids that Go's plugins ever added.
    pub(crate) by_go: Vec<String>,
    pub(crate) tally: Tally,
    /// The host before the first pod.
    pub(crate) start: Snapshot,
    _lan: Lan,
    pub(crate) host: Host,
    _scratch: TempDir,
}

impl World {
    /// `None` after a skip.
    pub(crate) fn new(seed: u64) -> Option<Self> {
        let host = Host::new()?;
        for program in ["strace", "dnsmasq"] {
            if !netloom_testkit::probe::has_program(program) {
                netloom_testkit::skip(&format!("no {program}"));
                return None;
            }
        }
        for kind in ["macvlan", "ifb"] {
            if !netloom_testkit::probe::has_link_kind(kind) {
                netloom_testkit::skip(&format!("the kernel has no {kind}"));
                return None;
            }
        }
        let scratch = tempfile::tempdir().unwrap();
        disk::mount(&host);
        network::configure();
        // A packet filter that comes later closes what CHECK of firewall finds closed.
        host.sh("iptables -P FORWARD ACCEPT && ip6tables -P FORWARD ACCEPT");
        netloom_testkit::link_plugins(NETLOOM, PLUGINS);
        let lan = Lan::new(&host, scratch.path());
        let daemon = Daemon::start();
        Some(Self {
            random: Random::new(seed),
            slots: (0..PODS).map(Slot::new).collect(),
            graves: Vec::new(),
            full: Full::default(),
            damaged: BTreeSet::new(),
            daemon: Some(daemon),
            has_go: std::path::Path::new(netloom_testkit::DEBIAN_DIR)
                .join("bridge")
                .is_file(),
            by_go: Vec::new(),
            tally: Tally::default(),
            start: Snapshot::take(&host, &[]).without_shared(&network::BRIDGES),
            _lan: lan,
            host,
            _scratch: scratch,
        })
    }

    /// What a call was answered, beside what may be answered.
    pub(crate) fn learn(&mut self, operation: &Operation, outcome: &Outcome) {
        let ended = if outcome.is_success() {
            "done"
        } else {
            "failed"
        };
        let hand = if operation.hand == Hand::Go {
            " by Go"
        } else {
            ""
        };
        let fault = if operation.fault.is_some() {
            " with a fault"
        } else {
            ""
        };
        self.tally
            .count(&format!("{}{hand}{fault} {ended}", operation.verb));
        println!("  {operation}: {ended}{}", told(outcome));
        let is_current = self.slots[operation.slot].id() == operation.id;
        match operation.verb {
            "add" => self.learn_add(operation, outcome),
            "check" => self.learn_check(operation, outcome),
            _ => {
                let state = match outcome.is_success() {
                    true => State::Clean,
                    false => State::Dirty,
                };
                // By Go, a file that was damaged may be too much.
                let may_fail =
                    operation.fault.is_some() || operation.hand == Hand::Go && self.is_harmed();
                assert!(outcome.is_success() || may_fail, "DEL fails\n{outcome}");
                if is_current {
                    self.slots[operation.slot].state = state;
                }
            }
        }
    }

    fn learn_add(&mut self, operation: &Operation, outcome: &Outcome) {
        if operation.hand == Hand::Go {
            self.by_go.push(operation.id.clone());
        }
        if !outcome.is_success() {
            self.slots[operation.slot].state = State::Dirty;
            return self.may_fail(operation, outcome);
        }
        let living = Living {
            result: outcome.json(),
            is_sound: operation.fault.is_none(),
        };
        let addresses = living.addresses();
        assert!(!addresses.is_empty(), "ADD gives no address\n{outcome}");
        println!(
            "    {} {}",
            addresses.join(" "),
            living.host_links().join(" ")
        );
        self.slots[operation.slot].state = State::Living(living);
        for slot in 0..PODS {
            let other = self.slots[slot].living().map(Living::addresses);
            let shared = other
                .into_iter()
                .flatten()
                .any(|it| addresses.contains(&it));
            if slot == operation.slot || !shared {
                continue;
            }
            let other = &self.slots[slot];
            assert!(
                !other.is_sound(),
                "{} has an address of {}\n{outcome}",
                operation.id,
                other.id()
            );
            // Whose reservation was damaged has an address that may be given away.
            self.slots[operation.slot].harm();
        }
    }

    /// A failed ADD says what is wrong, and something is.
    fn may_fail(&self, operation: &Operation, outcome: &Outcome) {
        if operation.fault.is_some() || operation.hand == Hand::Go && self.is_harmed() {
            return;
        }
        if self.daemon.is_none() && self.slots[operation.slot].network.has_leases {
            drop(outcome.fails());
            return;
        }
        assert!(self.full.is_any(), "ADD fails\n{outcome}");
        let error = outcome.fails();
        assert!([5, 11].contains(&error.code), "the disk is full\n{outcome}");
    }

    fn learn_check(&self, operation: &Operation, outcome: &Outcome) {
        let slot = &self.slots[operation.slot];
        let needs_daemon = slot.network.has_leases && self.daemon.is_none();
        // Go's CHECK finds neither the route that its own sbr moved nor its own ports of two families.
        let by_go = operation.hand == Hand::Go;
        let may_fail = operation.fault.is_some()
            || !slot.is_sound()
            || needs_daemon
            || by_go
            || self.is_shadowed_by_the_dead(operation, outcome);
        assert!(outcome.is_success() || may_fail, "CHECK fails\n{outcome}");
    }

    /// Go's portmap puts its rules behind those that are there: a pod that went without DEL keeps the
    /// port till a GC.
    fn is_shadowed_by_the_dead(&self, operation: &Operation, outcome: &Outcome) -> bool {
        let living = self.living();
        let mut named = ids_in(&outcome.stdout).into_iter();
        outcome.stdout.contains("is shadowed by")
            && named.all(|id| id != operation.id && !living.contains_key(&id))
    }

    fn is_harmed(&self) -> bool {
        self.full.is_any() || !self.damaged.is_empty()
    }

    /// GC may fail because of a file that it names. What it finds itself to live is what was cached.
    pub(crate) fn learn_gc(&mut self, outcome: &Outcome, has_fault: bool) {
        for slot in &mut self.slots {
            // Flannel's file of a pod whose cached result was damaged may go: as without that file.
            let is_forgotten =
                slot.network.name == "flan" && slot.living().is_some() && !slot.is_sound();
            slot.is_collected |= matches!(slot.state, State::Dirty) || is_forgotten;
        }
        let ended = if outcome.is_success() {
            "done"
        } else {
            "failed"
        };
        let fault = if has_fault { " with a fault" } else { "" };
        self.tally.count(&format!("gc{fault} {ended}"));
        println!("  gc{fault}: {ended}{}", told(outcome));
        let named = |path: &PathBuf| outcome.stderr.contains(&*path.to_string_lossy());
        // A network that nobody lives on is not collected; by name it is an error.
        let nobody = outcome.stderr.contains("no valid attachment");
        let excused = has_fault || nobody || self.damaged.iter().any(named);
        assert!(outcome.is_success() || excused, "GC fails\n{outcome}");
    }

    /// The living attachments of a network, and those that may be in the midst of something.
    pub(crate) fn keep(&self, network: &str) -> Vec<String> {
        let slots = self
            .slots
            .iter()
            .filter(|slot| slot.network.name == network);
        let kept = slots.filter(|slot| matches!(slot.state, State::Living(_) | State::Dirty));
        kept.map(Slot::id).collect()
    }

    pub(crate) fn living(&self) -> BTreeMap<String, &Slot> {
        let living = self.slots.iter().filter(|slot| slot.living().is_some());
        living.map(|slot| (slot.id(), slot)).collect()
    }

    /// `netloom doctor`, which finds things and never fails otherwise.
    pub(crate) fn doctor(&mut self) -> serde_json::Value {
        let outcome = netloom(Hand::Ours).arg("doctor").run();
        self.tally.count("doctor");
        assert!(outcome.code().is_some_and(|code| code < 3), "{outcome}");
        // An error object may follow.
        let mut documents = serde_json::Deserializer::from_str(&outcome.stdout).into_iter();
        documents.next().unwrap().unwrap()
    }
}

/// What a failed call says, in short.
fn told(outcome: &Outcome) -> String {
    match outcome.is_success() {
        true => String::new(),
        false => {
            let text: String = outcome.stderr.trim().chars().take(300).collect();
            format!(": {}", text.replace('\n', " | "))
        }
    }
}
