//! Plan, apply, check, show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use netloom_kernel::netns::{self, OpenError};
use netloom_links::{
    Link, Place, Seen, Survey, apply_topology, create_namespace, is_mark, is_namespace_of,
    mark_prefix, plan_topology,
};
use netloom_runtime::Cni;
use serde_json::{Value, json};

use super::cli::File;
use super::file;
use super::here::Here;
use super::model::Topology;
use super::record;
use crate::configured::cni;
use crate::links::at::{At, NAMED};
use crate::links::lock::Lock;
use crate::links::ls;
use crate::options::Options;

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
                Err(error) => return Err(self.at_its_line(&at, error)),
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

    /// What is wrong with a place, behind the line that names it.
    fn at_its_line(&self, at: &At, error: anyhow::Error) -> anyhow::Error {
        let mut nodes = self.topology.nodes.iter();
        let Some((name, node)) = nodes.find(|(_, node)| node.kind.at() == *at) else {
            return error;
        };
        let fault = node.said.fault(format!("node \"{name}\""));
        error.context(format!("{}:{fault}", self.topology.path.display()))
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
pub(super) fn is_missing(error: &anyhow::Error) -> bool {
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
    let former = record::read(read.name());
    record::write(read.name(), &wanted)?;
    let made = plan.namespaces.clone();
    let outcome = make(&read, &cni, &mut places, &made);
    if let Err(error) = outcome {
        drop(places);
        match former.is_empty() {
            true => record::remove(read.name()),
            false => record::write(read.name(), &former)?,
        }
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
