//! Which addresses the living network namespaces of this host have.
//!
//! A namespace is found by a link that connects it with this one, which needs no path to it; by a
//! name in the directories where names are kept; and by a process in it. An address that stands on a
//! link to some third namespace is that one's: a pod of a host within this host is none of ours.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use netloom_kernel::netns::{Netns, NetnsId};
use netloom_kernel::rtnl::{Address, Socket};
use netloom_spec::{Error, code};

/// Where names of namespaces are kept. Both are one on most hosts.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// What a namespace is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Home {
    /// The kernel's number for it in this namespace, which has a link to it.
    Connected(i32),
    /// It has no link to this namespace.
    Apart(NetnsId),
}

/// The namespaces that have an address.
#[derive(Debug)]
pub(super) struct Inhabited {
    host: Socket,
    homes: HashMap<IpAddr, HashSet<Home>>,
    /// A path to each namespace that has one, but for this one.
    paths: HashMap<NetnsId, PathBuf>,
}

impl Inhabited {
    pub(super) fn look() -> Result<Self, Error> {
        let look = || -> netloom_kernel::Result<Self> {
            let (own, host) = (Netns::current()?, Socket::open()?);
            let mut found = Self {
                host,
                homes: HashMap::new(),
                paths: HashMap::new(),
            };
            // The kernel numbers the namespaces that veths lead to when it lists the veths.
            found.host.list_links()?;
            for number in found.host.list_namespace_ids()? {
                // One that ends meanwhile has no addresses.
                let addresses = found.host.list_all_addresses_of(number).unwrap_or_default();
                found.settle(Home::Connected(number), &addresses);
            }
            let own_id = own.id()?;
            for path in paths() {
                let Some(id) = id_of(&path).filter(|id| *id != own_id) else {
                    continue;
                };
                if found.paths.contains_key(&id) {
                    continue;
                }
                if let Ok(netns) = Netns::open(&path) {
                    found.look_into(&own, &netns);
                }
                found.paths.insert(id, path);
            }
            Ok(found)
        };
        look().map_err(|error| {
            let text = format!("look for the addresses of living namespaces: {error}");
            Error::new(code::INTERNAL, text)
        })
    }

    /// Looks into a namespace, if it is not one of the connected ones. One that cannot be entered
    /// tells nothing.
    fn look_into(&mut self, own: &Netns, netns: &Netns) {
        let Some(home @ Home::Apart(_)) = self.home(netns) else {
            return;
        };
        let addresses = || -> netloom_kernel::Result<Vec<Address>> {
            let inside = Socket::open_in(netns)?;
            let links = inside.list_links()?;
            let here = inside.namespace_id(own)?;
            let elsewhere: HashSet<u32> = links
                .iter()
                .filter(|link| link.lower_netns.is_some() && link.lower_netns != here)
                .map(|link| link.index)
                .collect();
            let mut addresses = inside.list_all_addresses()?;
            addresses.retain(|it| !elsewhere.contains(&it.link));
            Ok(addresses)
        };
        self.settle(home, &addresses().unwrap_or_default());
    }

    fn settle(&mut self, home: Home, addresses: &[Address]) {
        let addresses = addresses.iter().map(|it| it.address.addr());
        for address in addresses.filter(|it| !it.is_loopback()) {
            self.homes.entry(address).or_default().insert(home);
        }
    }

    fn home(&self, netns: &Netns) -> Option<Home> {
        match self.host.namespace_id(netns) {
            Ok(Some(number)) => Some(Home::Connected(number)),
            Ok(None) | Err(_) => netns.id().ok().map(Home::Apart),
        }
    }

    /// Takes out what an attachment has in the namespace at this path: there it speaks for nobody else.
    pub(super) fn account(&mut self, path: &str, addresses: &[IpAddr]) {
        let home = Netns::open(path).ok().and_then(|netns| self.home(&netns));
        for address in addresses {
            if let (Some(home), Some(homes)) = (&home, self.homes.get_mut(address)) {
                homes.remove(home);
            }
        }
    }

    /// A path that leads to this namespace.
    pub(super) fn path_of(&self, id: NetnsId) -> Option<PathBuf> {
        self.paths.get(&id).cloned()
    }

    /// The name of the link that has the address in a living namespace, if that has a path.
    pub(super) fn link_with(&self, address: IpAddr) -> Option<String> {
        let homes = self.homes.get(&address)?;
        self.paths.values().find_map(|path| {
            let netns = Netns::open(path).ok()?;
            let is_home = self.home(&netns).is_some_and(|home| homes.contains(&home));
            is_home.then(|| link_with(&netns, address).ok()?).flatten()
        })
    }

    /// Whether a living namespace has one of the addresses.
    pub(super) fn has_any(&self, addresses: &[IpAddr]) -> bool {
        let mut homes = addresses.iter().filter_map(|it| self.homes.get(it));
        homes.any(|homes| !homes.is_empty())
    }
}

/// The name of the link that has the address.
fn link_with(netns: &Netns, address: IpAddr) -> netloom_kernel::Result<Option<String>> {
    let inside = Socket::open_in(netns)?;
    let addresses = inside.list_all_addresses()?;
    let Some(found) = addresses.iter().find(|it| it.address.addr() == address) else {
        return Ok(None);
    };
    Ok(inside.find_link(found.link)?.map(|link| link.name))
}

/// Where there may be a namespace: names, and processes.
fn paths() -> impl Iterator<Item = PathBuf> {
    let listed = |dir: &str| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    let is_process = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.first().is_some_and(u8::is_ascii_digit)
    };
    let named = NAMED.into_iter().flat_map(listed);
    let processes = listed("/proc").filter(is_process);
    named.chain(processes.map(|path| path.join("ns/net")))
}

/// Without opening it: a host has thousands of processes in few namespaces.
fn id_of(path: &Path) -> Option<NetnsId> {
    let file = fs::metadata(path).ok()?;
    Some(NetnsId {
        device: file.dev(),
        inode: file.ino(),
    })
}
