//! Plan, apply, check, show, destroy.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use netloom_kernel::netns::{self, OpenError};
use netloom_links::{
    Link, Place, Seen, Survey, apply_topology, create_namespace, is_mark, is_namespace_of,
    mark_prefix, plan_topology, remove_topology,
};
use netloom_runtime::Cni;
use serde_json::{Value, json};

use super::cli::{Destroy, File};
use super::file;
use super::here::Here;
use super::model::Topology;
use super::record;
use crate::cli::Options;
use crate::command::cni;
use crate::links::at::{At, NAMED};
use crate::links::lock::Lock;
use crate::links::ls;
use crate::links::places::everywhere;

/// A topology, and what of it is here.
struct Read {
    topology: Topology,
    here: Here,
}

impl Read {
    fn file(file: &File) -> Result<Self> {
        let topology = file::read(&file.file)?;
        let here = Here::of(&topology, file.host.as_deref())?;
        Ok(Self { topology, here })
    }

    fn name(&self) -> &str {
        &self.topology.name
    }

    /// Opens every place of it that is there. Only a namespace that the topology makes may be missing.
    fn open(&self, cni: &Cni) -> Result<BTreeMap<At, Place>> {
        let mut places = BTreeMap::new();
        for at in self.here.places() {
            let is_own =
                matches!(&at, At::Ns(name) if self.here.own.values().any(|own| own == name));
            match at.open(cni) {
                Ok(place) => drop(places.insert(at, place)),
                Err(error) if is_own && is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        for at in record::read(self.name()) {
            // Who went since then took everything along.
            if !places.contains_key(&at)
                && let Ok(place) = at.open(cni)
            {
                places.insert(at, place);
            }
        }
        Ok(places)
    }

    /// The links whose places are open, with their names; and the names of the others.
    fn links<'p>(&self, places: &'p BTreeMap<At, Place>) -> (Vec<Link<'p>>, Vec<&str>) {
        let (mut links, mut others) = (Vec::new(), Vec::new());
        for link in &self.here.links {
            match link.open(self.name(), places) {
                Some(link) => links.push(link),
                None => others.push(link.name.as_str()),
            }
        }
        (links, others)
    }

    fn missing(&self, places: &BTreeMap<At, Place>) -> Vec<(&String, &String)> {
        let is_missing =
            |(_, own): &(&String, &String)| !places.contains_key(&At::Ns((*own).clone()));
        self.here.own.iter().filter(is_missing).collect()
    }
}

/// Whether nothing is there, or the rest of what was killed half-way.
fn is_missing(error: &anyhow::Error) -> bool {
    let cause = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<OpenError>());
    matches!(
        cause,
        Some(OpenError::NotFound { .. } | OpenError::NotANetns { .. })
    )
}

/// How all is, and what would be done.
struct Plan<'r> {
    survey: Survey,
    names: Vec<String>,
    unmade: Vec<&'r str>,
    namespaces: Vec<(&'r String, &'r String)>,
}

fn survey<'r>(read: &'r Read, places: &BTreeMap<At, Place>) -> Result<Plan<'r>> {
    let (links, unmade) = read.links(places);
    let all: Vec<&Place> = places.values().collect();
    Ok(Plan {
        survey: plan_topology(read.name(), &all, &links)?,
        names: links.iter().map(|link| link.id.link().to_owned()).collect(),
        unmade,
        namespaces: read.missing(places),
    })
}

impl Plan<'_> {
    fn is_as_wanted(&self) -> bool {
        self.survey.is_as_wanted() && self.unmade.is_empty() && self.namespaces.is_empty()
    }

    /// One line for each thing to do: `+` is made, `~` changed, `-` removed.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (node, namespace) in &self.namespaces {
            lines.push(format!("+ node {node}: the namespace {namespace}"));
        }
        for other in &self.survey.others {
            lines.push(format!("- {} in {}", other.name, other.place));
        }
        for (name, seen) in self.names.iter().zip(&self.survey.links) {
            match seen {
                Seen::AsWanted => {}
                Seen::Absent => lines.push(format!("+ {name}")),
                Seen::Differs(words) => lines.push(format!("~ {name}: {}", words.join("; "))),
                Seen::Broken(words) => {
                    lines.push(format!("-+ {name}, made anew: {}", words.join("; ")));
                }
            }
        }
        lines.extend(self.unmade.iter().map(|name| format!("+ {name}")));
        lines
    }

    fn print(&self, options: &Options) {
        let lines = self.lines();
        if options.json {
            print_json!(json!({ "asWanted": self.is_as_wanted(), "changes": lines }));
            return;
        }
        for line in &lines {
            say!("{line}");
        }
        let as_wanted = self
            .survey
            .links
            .iter()
            .filter(|seen| **seen == Seen::AsWanted)
            .count();
        let all = self.names.len() + self.unmade.len();
        say!("{as_wanted} of {all} links as wanted");
    }
}

fn tell(topology: &Topology) {
    for words in &topology.notes {
        note!("netloom: {words}");
    }
}

pub(super) fn plan(options: &Options, file: &File) -> Result<()> {
    let read = Read::file(file)?;
    tell(&read.topology);
    let places = read.open(&cni(options))?;
    survey(&read, &places)?.print(options);
    Ok(())
}

pub(super) fn check(options: &Options, file: &File) -> Result<()> {
    let read = Read::file(file)?;
    let places = read.open(&cni(options))?;
    let plan = survey(&read, &places)?;
    if plan.is_as_wanted() {
        return Ok(());
    }
    plan.print(options);
    anyhow::bail!(
        "the topology {} is not as {} says",
        read.name(),
        file.file.display()
    )
}

pub(super) fn apply(options: &Options, file: &File) -> Result<()> {
    let read = Read::file(file)?;
    tell(&read.topology);
    let cni = cni(options);
    let _lock = Lock::of(read.name())?;
    let mut places = read.open(&cni)?;
    // All that can be wrong is found before anything is made.
    let plan = survey(&read, &places)?;
    let wanted: BTreeSet<At> = read
        .here
        .places()
        .into_iter()
        .chain(places.keys().cloned())
        .collect();
    if plan.is_as_wanted() {
        record::write(read.name(), &read.here.places())?;
        plan.print(options);
        return Ok(());
    }
    record::write(read.name(), &wanted)?;
    let made = plan.namespaces.clone();
    let outcome = make(&read, &cni, &mut places, &made);
    if let Err(error) = outcome {
        drop(places);
        for (_, namespace) in made {
            let path = Path::new(NAMED).join(namespace);
            netns::remove_at(&path).with_context(|| format!("and {} stays", path.display()))?;
        }
        return Err(error);
    }
    drop_unwanted(&read, &places)?;
    record::write(read.name(), &read.here.places())?;
    if options.json {
        print_json!(json!({ "asWanted": false, "changes": plan.lines() }));
        return Ok(());
    }
    for line in plan.lines() {
        say!("{line}");
    }
    say!("{} links", read.here.links.len());
    Ok(())
}

fn make(
    read: &Read,
    cni: &Cni,
    places: &mut BTreeMap<At, Place>,
    namespaces: &[(&String, &String)],
) -> Result<()> {
    for (node, namespace) in namespaces {
        create_namespace(&Path::new(NAMED).join(namespace), read.name(), node)?;
        let at = At::Ns((*namespace).clone());
        let place = at.open(cni)?;
        places.insert(at, place);
    }
    let (links, _) = read.links(places);
    let all: Vec<&Place> = places.values().collect();
    apply_topology(read.name(), &all, &links)?;
    Ok(())
}

/// Removes the namespaces of nodes that the file has no more.
fn drop_unwanted(read: &Read, places: &BTreeMap<At, Place>) -> Result<()> {
    let wanted = read.here.places();
    for (at, place) in places {
        if let At::Ns(name) = at
            && !wanted.contains(at)
            && is_namespace_of(place, read.name())?
        {
            netns::remove_at(Path::new(NAMED).join(name))?;
        }
    }
    Ok(())
}

pub(super) fn show(options: &Options, file: &File) -> Result<()> {
    let read = Read::file(file)?;
    let prefix = mark_prefix(read.name());
    let places = read.open(&cni(options))?;
    let mut found: Vec<Value> = Vec::new();
    for place in places.values() {
        for link in place.socket().list_links()? {
            let mut marks = link.alternative_names.iter().filter(|name| is_mark(name));
            if link.kind.is_some() && marks.any(|mark| mark.starts_with(&prefix)) {
                found.push(ls::describe(place, &link)?);
            }
        }
    }
    ls::print(options, &found);
    Ok(())
}

pub(super) fn destroy(options: &Options, destroy: &Destroy) -> Result<()> {
    let cni = cni(options);
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
    let (places, mut failed) = open_all(&cni, ats, destroy.file.is_none())?;
    let own = own_namespaces(&name);
    let used = used_namespaces();
    let mut ends = 0;
    for place in &places {
        let path = own.iter().find(|(other, _)| other.id() == place.id());
        if path.is_none() || needs_removal(place, &name, &used)? {
            match remove_topology(place, &name) {
                Ok(removed) => ends += removed.len(),
                Err(error) => failed.push(format!("{place}: {error}")),
            }
        }
    }
    let namespaces = own.len();
    for (place, path) in own {
        // A namespace that was in no record.
        if !places.iter().any(|other| other.id() == place.id())
            && needs_removal(&place, &name, &used)?
        {
            remove_topology(&place, &name)?;
        }
        netns::remove_at(&path)?;
    }
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    record::remove(&name);
    say!("destroyed {name}: {namespaces} namespaces, {ends} ends elsewhere");
    Ok(())
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
            Err(_) if matches!(at, At::Docker(_) | At::Podman(_) | At::Cri(..) | At::Cni(_)) => {}
            Err(error) => failed.push(format!("{error:#}")),
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
