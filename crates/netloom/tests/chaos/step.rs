//! One step: a few calls at the same time, or something that breaks.

use std::path::Path;

use netloom_testkit::{Outcome, parallel};

use crate::call::{Fault, Hand, Operation, gc, gc_keeping};
use crate::disk::{self, Full, RESULTS};
use crate::lan::Daemon;
use crate::model::{State, ids_in};
use crate::network::NETWORKS;
use crate::world::World;

/// So many calls run at the same time.
const AT_ONCE: usize = 4;

impl World {
    pub(crate) fn step(&mut self, number: usize) {
        if self.full.is_any() {
            if self.random.percent(25) {
                self.full.free();
                println!("{number}: the disks have room again");
            }
            self.full.fill();
        }
        let kind = self.random.below(100);
        let what = match kind {
            0..64 => "pods",
            64..72 => "late DEL",
            72..78 => "gc",
            78..83 => "disk full",
            83..90 => "damage",
            90..94 => "daemon",
            94..98 => "ping",
            _ => "doctor",
        };
        println!("{number}: {what}");
        match what {
            "pods" => self.pods(),
            "late DEL" => self.late_del(),
            "gc" => self.collect(),
            "disk full" => {
                self.full = Full::any(&mut self.random);
                self.full.fill();
                self.tally.count("disk full");
            }
            "damage" => self.damage(),
            "daemon" => self.restart_daemon(),
            "ping" => self.ping(),
            _ => drop(self.doctor()),
        }
    }

    /// A few pods are added, checked, deleted, or vanish.
    fn pods(&mut self) {
        let count = 1 + self.random.below(AT_ONCE);
        let slots = self.random.some_below(self.slots.len(), count);
        let operations: Vec<Operation> = slots
            .into_iter()
            .filter_map(|slot| self.operation(slot))
            .collect();
        let with_gc = self.random.percent(5);
        let undo = self.random.percent(70);
        let work = |index: usize| match operations.get(index) {
            Some(operation) => act(operation, undo),
            None => vec![(None, gc(None, None))],
        };
        let count = operations.len() + usize::from(with_gc);
        let mut done: Vec<_> = parallel(count, AT_ONCE, work)
            .into_iter()
            .flatten()
            .collect();
        // GC may have been the last.
        done.sort_by_key(|(operation, _)| operation.is_none());
        for (operation, outcome) in done {
            match operation {
                Some(operation) => self.learn(&operation, &outcome),
                None => self.learn_gc(&outcome, false),
            }
        }
    }

    /// What happens to a pod next; `None` if that is no call.
    fn operation(&mut self, slot: usize) -> Option<Operation> {
        let chance = self.random.below(100);
        let place = &mut self.slots[slot];
        let verb = match &place.state {
            State::Absent => {
                place.pod = Some(self.host.pod(&place.pod_name()));
                place.state = State::Clean;
                "add"
            }
            State::Clean if chance < 85 && !place.is_collected => "add",
            State::Clean if chance < 92 => "del",
            State::Living(_) if chance < 40 => "check",
            State::Living(_) if chance < 80 => "del",
            State::Dirty if chance < 85 => "del",
            _ => {
                let grave = place.vanish();
                println!("  {} vanishes", place.id());
                self.graves.extend(grave);
                self.tally.count("vanished");
                return None;
            }
        };
        let mixed = place.network.is_mixed && self.has_go;
        let operation = Operation {
            verb,
            slot,
            network: place.network.name,
            id: place.id(),
            netns: place.netns(),
            hand: Hand::Ours,
            fault: None,
        };
        // What Go's firewall adds does not say whose it is: only the cached result does, and a full
        // disk leaves none.
        let can_go = mixed && !(verb == "add" && self.full.is_any());
        if self.random.percent(30) && can_go {
            return Some(Operation {
                hand: Hand::Go,
                ..operation
            });
        }
        let fault = self
            .random
            .percent(20)
            .then(|| Fault::any(&mut self.random));
        Some(Operation { fault, ..operation })
    }

    /// DEL of what vanished, with its path, which may be another's by now.
    fn late_del(&mut self) {
        if self.graves.is_empty() {
            return;
        }
        let index = self.random.below(self.graves.len());
        let grave = self.graves[index].clone();
        let slot = &self.slots[grave.slot];
        // Without the result of its ADD nobody could tell the link there from its own.
        let cached = format!("{RESULTS}/{}-{}-eth0", slot.network.name, grave.id);
        let netns = match grave.was_sound && Path::new(&cached).exists() {
            true => slot.netns(),
            false => format!("/run/netns/{}", grave.id),
        };
        let operation = Operation {
            verb: "del",
            slot: grave.slot,
            network: slot.network.name,
            id: grave.id,
            netns,
            hand: Hand::Ours,
            fault: self
                .random
                .percent(15)
                .then(|| Fault::any(&mut self.random)),
        };
        let outcome = operation.run();
        self.learn(&operation, &outcome);
        if outcome.is_success() {
            self.graves.swap_remove(index);
        }
    }

    fn collect(&mut self) {
        let network = NETWORKS[self.random.below(NETWORKS.len())].name;
        match self.random.below(4) {
            0 => {
                let fault = Fault::any(&mut self.random);
                println!("  gc {fault:?}");
                self.learn_gc(&gc(None, Some(fault)), true);
            }
            1 => self.learn_gc(&gc(None, None), false),
            2 => self.learn_gc(&gc(Some(network), None), false),
            _ => {
                let keep = self.keep(network);
                self.learn_gc(&gc_keeping(network, &keep), false);
            }
        }
    }

    fn damage(&mut self) {
        let Some(damage) = disk::damage(&mut self.random, &self.by_go) else {
            return;
        };
        println!("  {} is {}", damage.path.display(), damage.how);
        self.tally.count("files damaged");
        let ids = ids_in(&damage.said);
        for slot in &mut self.slots {
            if ids.contains(&slot.id()) {
                slot.harm();
                // Without the file nobody knows of the delegate: it goes with the pod.
                slot.is_collected |= damage.path.starts_with("/var/lib/cni/flannel");
            }
        }
        for grave in &mut self.graves {
            grave.was_sound &= !ids.contains(&grave.id);
        }
        self.damaged.insert(damage.path);
    }

    /// The DHCP daemon dies as nothing can prevent, and comes back at once or later.
    fn restart_daemon(&mut self) {
        let ran = self.daemon.take().is_some();
        if !ran || self.random.percent(70) {
            self.daemon = Some(Daemon::start());
        }
        self.tally.count("daemon killed");
    }

    /// Some living pods reach their gateway.
    fn ping(&mut self) {
        for index in self.random.some_below(self.slots.len(), 8) {
            let slot = &self.slots[index];
            let (Some(gateway), Some(pod), true) =
                (slot.network.gateway, &slot.pod, slot.is_sound())
            else {
                continue;
            };
            assert!(
                pod.pings(gateway),
                "{} does not reach {gateway:?}",
                slot.id()
            );
            self.tally.count("pings");
        }
    }
}

/// A call, and what a runtime does when its ADD failed.
fn act(operation: &Operation, undo: bool) -> Vec<(Option<Operation>, Outcome)> {
    let outcome = operation.run();
    let failed = operation.verb == "add" && !outcome.is_success();
    let mut done = vec![(Some(operation.clone()), outcome)];
    if failed && undo {
        let del = Operation {
            verb: "del",
            hand: Hand::Ours,
            fault: None,
            ..operation.clone()
        };
        let outcome = del.run();
        done.push((Some(del), outcome));
    }
    done
}
