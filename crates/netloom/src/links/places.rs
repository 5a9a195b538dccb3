//! The open namespaces of one command.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use anyhow::Result;
use netloom_kernel::netns::Netns;
use netloom_links::Place;
use netloom_runtime::Cni;

use super::at::{At, NAMED};

/// Namespaces, each opened once however often it is named.
pub(crate) struct Places(BTreeMap<At, Place>);

impl Places {
    /// Opens all of these, and the one where the command runs.
    pub(crate) fn open<'a>(cni: &Cni, ats: impl IntoIterator<Item = &'a At>) -> Result<Self> {
        let mut places = BTreeMap::from([(At::Host, At::Host.open(cni)?)]);
        for at in ats {
            if !places.contains_key(at) {
                places.insert(at.clone(), at.open(cni)?);
            }
        }
        Ok(Self(places))
    }

    /// One of those that were opened.
    pub(crate) fn get(&self, at: &At) -> &Place {
        &self.0[at]
    }
}

/// Every namespace that can be found: where the command runs, those with a name, and those of
/// processes. Each once, under the first of its names.
pub(crate) fn everywhere(cni: &Cni) -> Result<Vec<Place>> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut keep = |place: Place| {
        if seen.insert(place.id()) {
            found.push(place);
        }
    };
    keep(At::Host.open(cni)?);
    let mut names: Vec<String> = names_in(NAMED);
    names.sort();
    for name in names {
        // What is no namespace (any more) has no links.
        if let Ok(place) = Netns::open(format!("{NAMED}/{name}"))
            .map_err(anyhow::Error::from)
            .and_then(|netns| Ok(Place::new(netns, format!("ns:{name}"))?))
        {
            keep(place);
        }
    }
    let mut pids: Vec<u32> = names_in("/proc")
        .iter()
        .filter_map(|it| it.parse().ok())
        .collect();
    pids.sort_unstable();
    let mut inodes = HashSet::new();
    for pid in pids {
        let inode = fs::read_link(format!("/proc/{pid}/ns/net"));
        if !inode.is_ok_and(|inode| inodes.insert(inode)) {
            continue;
        }
        if let Ok(place) = At::Pid(pid).open(cni) {
            keep(place);
        }
    }
    Ok(found)
}

fn names_in(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
