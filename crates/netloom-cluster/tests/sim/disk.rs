//! A node's disk: files that are there or not, and reservations as the plugin makes them.

use netloom_cluster::disk::{ClusterFile, Grant, GrantsFile};
use netloom_cluster::grants::Usage;
use netloom_cluster::grid::Block;
use netloom_cluster::message::WantedSet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The only space that is simulated.
pub(crate) const SPACE: &str = "sim";

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// As bytes, so that every file is parsed as a real one.
    pub(crate) grants: Option<Vec<u8>>,
    pub(crate) cluster: Option<Vec<u8>>,
    /// Each address and its pod.
    pub(crate) reservations: BTreeMap<IpAddr, u64>,
    /// Where the round robin stands.
    last: Option<IpAddr>,
}

impl Disk {
    /// `None`: there is no file, or it is damaged.
    pub(crate) fn file(&self) -> Option<GrantsFile> {
        GrantsFile::parse(self.grants.as_deref()?).ok()
    }

    pub(crate) fn cluster(&self) -> Option<ClusterFile> {
        ClusterFile::parse(self.cluster.as_deref()?).ok()
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::new();
        for address in self.reservations.keys() {
            let block = Block::of(*address);
            let place = block.place(*address).unwrap();
            *usage.entry(block).or_default() |= 1 << place;
        }
        usage
    }

    /// What of these grants is reserved.
    pub(crate) fn in_use(&self, grants: &[Grant]) -> bool {
        (self.reservations.keys()).any(|address| grants.iter().any(|it| it.contains(*address)))
    }

    /// What the plugin does under the lock: the next free address of each set, or none.
    pub(crate) fn take(&mut self, pod: u64, sets: &[WantedSet], boot: &str) -> Option<Vec<IpAddr>> {
        let file = self.file().filter(|it| it.is_verified_in(boot))?;
        let mut taken = Vec::new();
        for set in sets {
            let mut free: Vec<IpAddr> = (file.grants.iter())
                .filter(|it| it.pin.is_none())
                .flat_map(|it| {
                    (it.span.at()..it.span.at() + it.span.len()).map(|at| it.block.address(at))
                })
                .filter(|it| set.ranges.iter().any(|range| range.contains(*it)))
                .filter(|it| !self.reservations.contains_key(it) && !taken.contains(it))
                .collect();
            free.sort();
            let next = free
                .iter()
                .find(|it| self.last.is_none_or(|last| **it > last));
            taken.push(*next.or(free.first())?);
        }
        for address in &taken {
            self.reservations.insert(*address, pod);
            self.last = Some(*address);
        }
        Some(taken)
    }

    /// What the plugin does with an address that the daemon named.
    pub(crate) fn take_pinned(
        &mut self,
        pod: u64,
        name: &str,
        address: IpAddr,
        boot: &str,
    ) -> bool {
        let Some(file) = self.file().filter(|it| it.is_verified_in(boot)) else {
            return false;
        };
        let is_its = |grant: &&Grant| grant.pin.as_ref().is_some_and(|pin| pin.pod == name);
        let is_granted = file
            .grants
            .iter()
            .filter(is_its)
            .any(|it| it.contains(address));
        if !is_granted || self.reservations.contains_key(&address) {
            return false;
        }
        self.reservations.insert(address, pod);
        true
    }

    pub(crate) fn release(&mut self, pod: u64) {
        self.reservations.retain(|_, owner| *owner != pod);
    }
}
