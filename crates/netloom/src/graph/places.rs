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

/// Namespaces, each once.
pub(crate) struct Places {
    pub(crate) places: Vec<Place>,
    seen: HashSet<NetnsId>,
    /// How many cannot be entered.
    pub(crate) closed: usize,
}

impl Places {
    /// The host's own alone, which anybody may look at.
    pub(crate) fn of_host() -> Result<Self> {
        let id = Netns::current()?.id()?;
        Ok(Self {
            places: vec![Place::here("host")],
            seen: HashSet::from([id]),
            closed: 0,
        })
    }

    /// Adds a namespace, if it is none of those that are there. One that cannot be entered is counted.
    pub(crate) fn keep(&mut self, name: impl Into<String>, netns: Netns) {
        let is_new = netns.id().is_ok_and(|id| self.seen.insert(id));
        match is_new.then(|| Socket::open_in(&netns)) {
            None => {}
            Some(Ok(_)) => self.places.push(Place::of(name, netns)),
            Some(Err(_)) => self.closed += 1,
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
        Socket::open_in(&netns).with_context(|| format!("--netns {name:?}"))?;
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
