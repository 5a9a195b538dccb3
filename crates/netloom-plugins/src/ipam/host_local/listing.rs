//! Everything a directory of reservations holds, read file by file.

use super::directory::Directory;
use super::owner::Owner;
use super::store_error::is_transient;
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// All reservations of a network.
#[derive(Debug)]
pub(super) struct Listing {
    /// The files of each owner, by name.
    pub(super) owners: HashMap<Owner, Vec<String>>,
    /// Every address that has a file.
    pub(super) taken: BTreeSet<IpAddr>,
    /// A file that could not be read, if there is one. Its address stays taken.
    pub(super) unreadable: Option<(String, Errno)>,
}

impl Listing {
    pub(super) fn read(reservations: &Directory) -> Result<Self, Errno> {
        let names = reservations.names()?;
        let mut listing = Self {
            owners: HashMap::new(),
            taken: taken(&names).collect(),
            unreadable: None,
        };
        for name in names.into_iter().filter(|name| address_of(name).is_some()) {
            match reservations.read(&name) {
                Ok(content) => {
                    listing
                        .owners
                        .entry(Owner::read(&content))
                        .or_default()
                        .push(name);
                }
                Err(Errno::NOENT) => {}
                Err(errno) if is_transient(errno) => return Err(errno),
                // One bad file must not take the network down.
                Err(errno) => listing.unreadable = Some((name, errno)),
            }
        }
        Ok(listing)
    }
}

/// The addresses that are taken by files of these names.
pub(super) fn taken(names: &[String]) -> impl Iterator<Item = IpAddr> {
    // A file under another spelling of an address does not keep us from making the usual one.
    names
        .iter()
        .filter_map(|name| address_of(name).filter(|address| address.to_string() == *name))
}

/// The address a file stands for. `lock` and `last_reserved_ip.N` stand for none.
fn address_of(name: &str) -> Option<IpAddr> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_files_named_by_an_address_are_reservations() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("10.0.0.2", "a\r\neth0"),
            ("fd00::2", "a\r\neth0"),
            ("FD00::3", "a\r\neth0"),
            ("10.0.0.3", "b"),
            ("10.0.0.4", ""),
            ("lock", "a\r\neth0"),
            ("last_reserved_ip.0", "10.0.0.3"),
            ("010.0.0.5", "a\r\neth0"),
        ] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        fs::create_dir(dir.path().join("10.0.0.9")).unwrap();
        let listing = Listing::read(&Directory::open(dir.path().to_owned()).unwrap()).unwrap();
        let mut names = listing.owners[&Owner::attachment("a", "eth0")].clone();
        names.sort();
        assert_eq!(names, ["10.0.0.2", "FD00::3", "fd00::2"]);
        assert_eq!(listing.owners[&Owner::container("b")], ["10.0.0.3"]);
        assert_eq!(listing.owners[&Owner::container("")], ["10.0.0.4"]);
        let taken: Vec<String> = listing.taken.iter().map(IpAddr::to_string).collect();
        assert_eq!(taken, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "fd00::2"]);
        assert_eq!(listing.unreadable, None);
    }
}
