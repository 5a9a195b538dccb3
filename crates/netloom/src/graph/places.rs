//! The network namespaces that can be reached, each under the first of its names.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use netloom_kernel::netns::{Netns, NetnsId};
use netloom_kernel::rtnl::Socket;
use netloom_observe::Place;
use netloom_runtime::CachedAttachment;

/// Directories with names of namespaces, and how those are called.
const NAMED: [(&str, &str); 2] = [("/run/netns", "ns"), ("/run/docker/netns", "docker")];

/// Namespaces, with what tells each from others.
pub(crate) struct Places {
    pub(crate) places: Vec<Place>,
    pub(crate) ids: Vec<NetnsId>,
    seen: HashSet<NetnsId>,
}

impl Places {
    /// The host's own alone.
    pub(crate) fn of_host() -> Result<Self> {
        let mut found = Self {
            places: Vec::new(),
            ids: Vec::new(),
            seen: HashSet::new(),
        };
        found.keep("host", Netns::current()?);
        Ok(found)
    }

    /// Adds a namespace, if it is none of those that are there. One that ends meanwhile is left out.
    pub(crate) fn keep(&mut self, name: impl Into<String>, netns: Netns) {
        if let Ok(id) = netns.id()
            && self.seen.insert(id)
        {
            self.ids.push(id);
            self.places.push(Place::of(name, netns));
        }
    }

    /// A socket in each.
    ///
    /// # Errors
    /// If one cannot be entered.
    pub(crate) fn sockets(&self) -> Result<Vec<Socket>> {
        let sockets = self.places.iter().map(|place| place.run(Socket::open));
        Ok(sockets.collect::<Result<_, _>>()?)
    }

    /// Adds what has a name, then what attachments were added to, then what processes are in.
    pub(crate) fn add_all(&mut self, attachments: &[CachedAttachment]) {
        for (directory, word) in NAMED {
            for name in names_in(directory) {
                if let Ok(netns) = Netns::open(Path::new(directory).join(&name)) {
                    self.keep(format!("{word}:{name}"), netns);
                }
            }
        }
        let paths: BTreeSet<&str> = attachments.iter().map(|it| it.netns.as_str()).collect();
        for path in paths.into_iter().filter(|path| !path.is_empty()) {
            if let Ok(netns) = Netns::open(path) {
                self.keep(format!("path:{path}"), netns);
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
            if inode.is_ok_and(|inode| inodes.insert(inode))
                && let Ok(netns) = Netns::of_process(pid)
            {
                let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                self.keep(format!("pid:{pid} {}", program.trim_end()), netns);
            }
        }
    }

    /// Adds one by the name that a user gives it: a path, a name of `ip netns`, or a process.
    ///
    /// # Errors
    /// If it is not there.
    pub(crate) fn add_named(&mut self, path: &str, name: &str) -> Result<()> {
        let netns = Netns::open(path).with_context(|| format!("--netns {name:?}"))?;
        let (directory, word) = NAMED[0];
        let is_named = Path::new(path).parent() == Some(Path::new("/var/run/netns"))
            || Path::new(path).parent() == Some(Path::new(directory));
        let base = Path::new(path).file_name().map(|it| it.to_string_lossy());
        match base.filter(|_| is_named) {
            Some(base) => self.keep(format!("{word}:{base}"), netns),
            None => self.keep(format!("path:{path}"), netns),
        }
        Ok(())
    }
}

fn names_in(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
