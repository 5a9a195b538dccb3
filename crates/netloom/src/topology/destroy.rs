//! `topo destroy`: all that a topology has here goes, whatever became of its file.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::PathBuf;
use std::thread;

use anyhow::{Result, ensure};
use netloom_kernel::netns::{self, OpenError};
use netloom_links::{Place, is_namespace_of, mark_prefix, remove_topology};
use netloom_runtime::Cni;

use super::cli::Destroy;
use super::verbs::is_missing;
use super::{file, record};
use crate::causes;
use crate::configured::cni;
use crate::links::at::{At, NAMED};
use crate::links::lock::Lock;
use crate::links::places::everywhere;
use crate::options::Options;

/// How many namespaces are emptied at once: for each of them the kernel waits.
const AT_ONCE: usize = 8;

pub(super) fn run(options: &Options, destroy: &Destroy) -> Result<()> {
    let (name, mut ats) = match (&destroy.file, &destroy.name) {
        (Some(file), _) => {
            let topology = file::read(file)?;
            let ats = topology.nodes.values().map(|node| node.kind.at()).collect();
            (topology.name, ats)
        }
        (None, name) => (name.clone().unwrap_or_default(), BTreeSet::new()),
    };
    ensure!(
        !name.is_empty() && !name.contains('/') && !name.starts_with('.'),
        "--name \"{}\" is no name of a topology",
        name.escape_debug()
    );
    let _lock = Lock::of(&name)?;
    ats.extend(record::read(&name));
    ats.insert(At::Host);
    let (mut places, mut failed) = open_all(&cni(options), ats, destroy.file.is_none())?;
    let own = own_namespaces(&name);
    places.retain(|place| !own.iter().any(|(other, _)| other.id() == place.id()));
    let used = used_namespaces();
    let mut paths = Vec::new();
    for (place, path) in own {
        // If that cannot be told, better once too often.
        if needs_removal(&place, &name, &used).unwrap_or(true) {
            places.push(place);
        }
        paths.push(path);
    }
    let ends = remove_in(places, &name, &mut failed);
    for path in &paths {
        if let Err(error) = netns::remove_at(path) {
            failed.push(error.to_string());
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    record::remove(&name);
    if paths.is_empty() && ends == 0 {
        say!("there is nothing of the topology {name} here");
        return Ok(());
    }
    say!(
        "destroyed {name}: {} namespaces, {ends} ends elsewhere",
        paths.len()
    );
    Ok(())
}

/// Removes the links in all places, and counts their ends.
fn remove_in(places: Vec<Place>, topology: &str, failed: &mut Vec<String>) -> usize {
    let mut shares: Vec<Vec<Place>> = (0..AT_ONCE).map(|_| Vec::new()).collect();
    for (number, place) in places.into_iter().enumerate() {
        shares[number % AT_ONCE].push(place);
    }
    let outcomes: Vec<_> = thread::scope(|scope| {
        let work = |share: Vec<Place>| {
            move || -> Vec<_> {
                let remove = |place: &Place| {
                    let removed = remove_topology(place, topology);
                    removed.map_err(|error| format!("{place}: {error}"))
                };
                share.iter().map(remove).collect()
            }
        };
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(work(share)))
            .collect();
        threads
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let mut ends = 0;
    for outcome in outcomes {
        match outcome {
            Ok(share) => {
                for removed in share {
                    match removed {
                        Ok(removed) => ends += removed.len(),
                        Err(error) => failed.push(error),
                    }
                }
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    ends
}

/// Opens what is there; in all of `everywhere` if asked so.
fn open_all(cni: &Cni, ats: BTreeSet<At>, search: bool) -> Result<(Vec<Place>, Vec<String>)> {
    let (mut places, mut failed) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for at in ats {
        match at.open(cni) {
            Ok(place) if seen.insert(place.id()) => places.push(place),
            Ok(_) => {}
            Err(error) if is_missing(&error) => {}
            // A container that does not run has no links.
            Err(_) if !matches!(at, At::Host | At::Ns(_) | At::Path(_) | At::Pid(_)) => {}
            Err(error) => failed.push(causes::told(&error)),
        }
    }
    if search {
        places.extend(
            everywhere(cni)?
                .into_iter()
                .filter(|place| seen.insert(place.id())),
        );
    }
    Ok((places, failed))
}

/// The namespaces that a topology has made, and what is left of those that it began to make.
fn own_namespaces(topology: &str) -> Vec<(Place, PathBuf)> {
    let mut found = Vec::new();
    let prefix = format!("{topology}-");
    for entry in fs::read_dir(NAMED).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        let path = entry.path();
        let shown = format!("ns:{}", entry.file_name().to_string_lossy());
        match Place::open(&path, shown) {
            Ok(place) if is_namespace_of(&place, topology).unwrap_or(false) => {
                found.push((place, path));
            }
            Err(netloom_links::Error::Open(OpenError::NotANetns { .. })) => {
                // An empty file, on which nothing was bound any more.
                let is_empty = entry
                    .metadata()
                    .is_ok_and(|it| it.is_file() && it.len() == 0);
                if is_empty {
                    let _ = netns::remove_at(&path);
                }
            }
            _ => {}
        }
    }
    found
}

/// The inodes of all namespaces that processes are in.
fn used_namespaces() -> HashSet<u64> {
    let mut used = HashSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Ok(target) = fs::read_link(entry.path().join("ns/net")) {
            let text = target.to_string_lossy();
            let number = text
                .strip_prefix("net:[")
                .and_then(|it| it.strip_suffix(']'));
            used.extend(number.and_then(|it| it.parse::<u64>().ok()));
        }
    }
    used
}

/// Whether the links of a namespace of ours must go by themselves: because somebody else keeps the
/// namespace, or because the kernel frees at leisure what others want at once, such as a VNI.
fn needs_removal(place: &Place, topology: &str, used: &HashSet<u64>) -> Result<bool> {
    if used.contains(&place.id().inode) {
        return Ok(true);
    }
    let prefix = mark_prefix(topology);
    let links = place.socket().list_links()?;
    let is_ours = |link: &netloom_kernel::rtnl::Link| {
        link.alternative_names
            .iter()
            .any(|name| name.starts_with(&prefix))
    };
    Ok(links
        .iter()
        .any(|link| link.kind.is_some() && !link.is_veth() && is_ours(link)))
}
